/* SPDX-License-Identifier: MIT
 * The tokens that a host takes: a file of lines "NAME TOKEN", or "NAME sha256:HEX" where even the file shall not tell them. Only
 * hashes are kept. */
#ifndef TR_NET_TOKENS_H
#define TR_NET_TOKENS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

#define TR_TOKENS_MAX 10000
#define TR_TOKEN_LEAST 16   /* bytes of a token */
#define TR_TOKEN_MOST 4096
#define TR_TOKEN_NAME_MAX 128

typedef struct tr_tokens tr_tokens;

/* file: for messages, which name a line and never what stands there. err: TR_EINVALID, TR_EMEMORY. */
int tr_tokens_parse(tr_mem *mem, tr_slice text, const char *file, tr_tokens **out, tr_error *error);
void tr_tokens_free(tr_tokens *tokens);
/* Whose token it is; NULL: nobody's. All are compared, each in constant time. */
const char *tr_tokens_find(const tr_tokens *tokens, tr_slice token);
/* May it be one: long enough, and of characters that a header can carry? */
bool tr_token_check(tr_slice token, const char *what, tr_error *error);

#endif
