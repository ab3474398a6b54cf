/* SPDX-License-Identifier: MIT
 * Who may do what at a host: a file of sections, read once and only looked at from then on.
 *
 *   [token:ci, cert:builder-*]        who: names of identities; the first section that fits counts
 *   register  = echo, tool-*          agent types it may have
 *   publish   = news, home.*          topics: by type, or type/source
 *   subscribe = *
 *   call      = echo, counter/main    agents: by type, or type/key
 *   sender    = echo, echo-2           agents it may say it is (without this line: those that it may register)
 *   control   = yes                   load, save and move agents' states by the control channel
 *   observe   = yes                   the operator's verbs that only look
 *   operate   = yes                   those that change something, too
 *   evaluate  = yes                   and those that reach into a running agent's code: repl, break
 *
 * `*` stands for any text. Names: "token:NAME", "cert:NAME" (common name or subjectAltName), "uid:NUMBER", "anonymous" (nobody known);
 * a pattern never means anonymous unless it says so. */
#ifndef TR_HOST_RIGHTS_H
#define TR_HOST_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

#define TR_RIGHTS_FILE_MAX (1u << 20)
#define TR_RIGHTS_ITEMS_MAX 100000 /* names and patterns */

typedef enum { TR_RIGHT_REGISTER = 0, TR_RIGHT_PUBLISH, TR_RIGHT_SUBSCRIBE, TR_RIGHT_CALL, TR_RIGHT_SENDER, TR_RIGHT_CONTROL,
               TR_RIGHT_OBSERVE, TR_RIGHT_OPERATE, TR_RIGHT_EVALUATE, TR_RIGHTS } tr_right; /* of the last three each has those before it in it */

typedef struct tr_rights tr_rights; /* counted */
typedef struct tr_rights_entry tr_rights_entry;

/* text is copied; file: for messages. err: TR_EINVALID naming the line, TR_EMEMORY. */
int tr_rights_parse(tr_mem *mem, tr_slice text, const char *file, tr_rights **out, tr_error *error);
tr_rights *tr_rights_ref(tr_rights *rights); /* NULL is fine */
void tr_rights_unref(tr_rights *rights);
/* The section for one who has these names, one a line; none: anonymous. NULL: there is none. */
const tr_rights_entry *tr_rights_find(const tr_rights *rights, tr_slice names);
/* key.p NULL: it has none, and patterns with a slash do not fit. */
bool tr_rights_allow(const tr_rights_entry *entry, tr_right right, tr_slice type, tr_slice key);
/* Does what it says depend on keys? */
bool tr_rights_by_key(const tr_rights_entry *entry, tr_right right);
const char *tr_right_name(tr_right right);
/* `*` in the pattern stands for any text. */
bool tr_glob(tr_slice pattern, tr_slice text);

#endif
