/* SPDX-License-Identifier: MIT
 * Messages as they go by, shared by who wants to see them: tracers (operator_trace.c) and the recorder (record.c). */
#ifndef TR_RUNTIME_SEEN_H
#define TR_RUNTIME_SEEN_H

#include "runtime/isolate.h"

typedef struct tr_seer { troupe_t *rt; tr_script *script; tr_mem *mem; } tr_seer; /* in whose thread it is */

/* One line of JSON, without its end (operator_trace.c tells its fields). body: so many bytes of it at most. */
void tr_seen_line(tr_buf *out, const tr_seer *by, const tr_seen *seen, size_t body);
/* The same whole, with all that handling it again needs (record.c tells its fields). */
void tr_seen_record(tr_buf *out, const tr_seer *by, const tr_seen *seen);
/* ,"body":JSON or, where JSON cannot say it, ,"native":BASE64; neither, but ,"text":WHY, of what is not here. */
void tr_seen_whole_body(tr_buf *out, tr_script *script, const tr_body *body);

/* Whoever wants to see has changed. While all isolates stand still. */
void tr_seen_observe(troupe_t *rt);
/* What the runtime does for itself is shown to nobody: results that are fetched, consoles, dead letters as messages. */
bool tr_seen_internal(const tr_msg *msg);
void tr_trace_seen(const tr_seer *by, const tr_seen *seen);  /* operator_trace.c */
void tr_record_seen(const tr_seer *by, const tr_seen *seen); /* record.c */
void tr_record_look(const tr_seer *by, const tr_look *look); /* record.c; while there is a recorder */
/* "type/key", of at least 2 * TR_ID_MAX + 2 bytes. */
void tr_seen_name(const tr_name *type, const tr_name *key, char *out);

#endif
