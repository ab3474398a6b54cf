/* SPDX-License-Identifier: MIT
 * Agent ids ("type/key") and topic ids ("type/source"): their rules, checked once where text enters the runtime.
 * Rules of AutoGen 0.7.5 (its workers refuse what breaks them): agent type ^[\w\-\.]+\Z, key anything (also empty);
 * topic type ^[\w\-\.\:\=]+\Z, source anything; \w also covers every non-ASCII letter or digit. All text is UTF-8. */
#ifndef TR_CORE_ID_H
#define TR_CORE_ID_H

#include "base/error.h"
#include "base/slice.h"

#define TR_ID_MAX 4096 /* bytes of each part */

typedef struct tr_agent_id { tr_slice type, key; } tr_agent_id;       /* borrowed */
typedef struct tr_topic_id { tr_slice type, source; } tr_topic_id;    /* borrowed */

/* err: TR_EINVALID, naming the first offending character, or TR_ID_MAX. */
int tr_agent_type_check(tr_slice type, tr_error *error);
int tr_topic_type_check(tr_slice type, tr_error *error);
int tr_key_check(tr_slice key, tr_error *error); /* length and UTF-8 */

/* "type/key", split at the first "/"; without one the key is `default_part`. *out borrows from both. */
int tr_agent_id_parse(tr_slice text, tr_slice default_part, tr_agent_id *out, tr_error *error);
int tr_topic_id_parse(tr_slice text, tr_slice default_part, tr_topic_id *out, tr_error *error);

/* Topics and keys that begin so are the runtime's own: agents and clients may listen to them, not write. */
#define TR_RESERVED "troupe."
#define TR_RESULT_KEY TR_RESERVED "result." /* then 32 hex digits: a kept result, addressed as an agent (core/results.c) */
static inline bool tr_name_reserved(tr_slice name) { return tr_slice_starts(name, TR_SLICE_LITERAL(TR_RESERVED)); }

#endif
