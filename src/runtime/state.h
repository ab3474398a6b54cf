/* SPDX-License-Identifier: MIT
 * The files of a saved runtime, shared by those that write and read it (state_write.c says what is in one). */
#ifndef TR_RUNTIME_STATE_H
#define TR_RUNTIME_STATE_H

#include "runtime/internal.h"
#include "store/file.h"
#include "store/snapshot.h"

#define TR_MAIL_VERSION 2
#define TR_STATE_WAIT TR_SECONDS(3)

/* --- only.c: which agents --- */
typedef struct tr_only { tr_mem *mem; char **items; size_t count; } tr_only; /* none: all */
int tr_only_init(tr_only *only, tr_mem *mem, const char *const *items); /* copies; items may be NULL. TR_EINVALID, TR_EMEMORY */
void tr_only_fini(tr_only *only);
/* "type/key", or a type alone (its subscriptions): an item with a slash is matched with the id, one without with the type. */
bool tr_only_has(const tr_only *only, tr_slice key);

/* --- state_mail.c --- */
int tr_mail_encode(tr_script *script, const tr_msg *msg, tr_buf *out, tr_error *error);
/* Into the mailbox, where it lives. passed: the time since it was saved. */
int tr_mail_restore(troupe_t *rt, tr_slice id, tr_slice bytes, tr_time passed, tr_error *error);

/* --- state_log.c --- */
bool tr_state_put_number(tr_buf *out, uint64_t number);
bool tr_state_put_text(tr_buf *out, tr_slice text);
bool tr_state_take_number(tr_slice *from, uint64_t *number); /* false: it is cut */
bool tr_state_take_text(tr_slice *from, tr_slice *text);
typedef struct tr_state_log { tr_buf bytes; tr_state_out out; } tr_state_log; /* out: what writes into it */
void tr_state_log_init(tr_state_log *log, tr_mem *mem);
void tr_state_log_fini(tr_state_log *log);
int tr_state_log_give(const tr_state_log *log, const tr_state_out *to); /* all that is in it, in order */

/* --- state_write.c --- */
typedef struct tr_state_writer tr_state_writer;
/* Everything at once, to `out`: the number of agents that could not be saved, or a code. Between turns only, while the other isolates
 * stand still and nothing is under way; so for all of these. */
int tr_state_write(troupe_t *rt, const tr_only *only, tr_buf *out, tr_error *error);
/* At the end: what there is before the close hooks; then, when they have run, the rest. */
tr_state_writer *tr_state_end_begin(troupe_t *rt, tr_error *error); /* NULL: out of memory */
int tr_state_end_finish(tr_state_writer *writer, tr_buf *out, tr_error *error); /* frees it */
void tr_state_end_drop(tr_state_writer *writer);
/* The agents whose open turns a save has to wait for, as "a/1 (Slow), …" into `out`; how many. */
size_t tr_state_open_turns(const troupe_t *rt, const tr_only *only, char *out, size_t size);

/* --- state_read.c --- */
/* The number of records that could not be restored, or a code, and then nothing was touched. name: for errors. */
int tr_state_restore(troupe_t *rt, tr_snapshot *snapshot, const char *name, const tr_only *only, tr_error *error);

/* --- state_show.c --- */
int tr_state_show(tr_mem *mem, const tr_snapshot *snapshot, const tr_only *only, tr_buf *out, tr_error *error);

/* --- saves.c --- */
troupe_state_options_t tr_state_options(const troupe_state_options_t *given); /* as many as the caller knows of; NULL: none */
/* Wait until nothing is open that cannot be begun again (at most so long), write, and tell: rc and, if it is not negative, the bytes
 * (which may be taken). fn is called once, from tr_runtime_work; at once with a code where it cannot begin. */
typedef void (*tr_save_fn)(void *ud, int rc, tr_buf *bytes, const tr_error *error);
int tr_save_begin(troupe_t *rt, const char *const *only, tr_time timeout, tr_save_fn fn, void *ud, tr_error *error);

/* --- stored.c --- */
/* Write it to the path. If the disk does not take it the error is returned, and the bytes (taken) are kept and tried again. keep: the file that
 * was there stays as PATH.1. */
int tr_store(troupe_t *rt, const char *path, bool keep, tr_buf *bytes, tr_error *error);

#endif
