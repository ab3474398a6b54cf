/* SPDX-License-Identifier: MIT
 * Signing messages, and believing signatures: Ed25519, or HMAC-SHA256 where both ends share a secret.
 *
 * A file of keys has a line each: "NAME ed25519 BASE64" (a public key), "NAME hmac SECRET"; the one that signs "NAME ed25519-private
 * BASE64" or "NAME hmac SECRET". A signature is the text "v1;NAME;MILLISECONDS;NONCE;BASE64": when, and a number used once, are
 * signed with the rest, so the same message counts once, and only for a while. */
#ifndef TR_NET_SIGNER_H
#define TR_NET_SIGNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define TR_SIGNER_WINDOW_MS INT64_C(300000)
#define TR_SIGNER_KEYS_MAX 1000
#define TR_SIGNER_SEEN_MAX 262144 /* numbers that are remembered, in each half of the window */

typedef struct tr_signer tr_signer;

/* Who signs (sign_text: one line; empty: we do not), and whom we believe (verify_text; empty: anybody). now: ms since 1970.
 * err: TR_EINVALID naming file and line, and never what stands there; TR_EMEMORY. */
int tr_signer_new(tr_mem *mem, tr_slice sign_text, const char *sign_file, tr_slice verify_text, const char *verify_file, tr_signer **out, tr_error *error);
void tr_signer_free(tr_signer *signer);
bool tr_signer_signs(const tr_signer *signer);
bool tr_signer_verifies(const tr_signer *signer);
/* Keep what the other has seen, when it takes the other's place. */
void tr_signer_inherit(tr_signer *signer, tr_signer *before);
int tr_signer_sign(tr_signer *signer, int64_t now, const tr_slice *parts, size_t count, tr_buf *out);
int tr_signer_verify(tr_signer *signer, int64_t now, const tr_slice *parts, size_t count, tr_slice signature, tr_error *error);
/* A new pair of lines for NAME: to sign, to be believed; appended. TR_EMEMORY. */
int tr_signer_make(const char *name, tr_buf *sign_line, tr_buf *verify_line);

#endif
