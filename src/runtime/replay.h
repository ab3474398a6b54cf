/* SPDX-License-Identifier: MIT
 * A record while it is run again, shared by its files: replay_read.c (from the file), replay.c (running), replay_looks.c (time and
 * chance), replay_text.c (the outcome). */
#ifndef TR_RUNTIME_REPLAY_H
#define TR_RUNTIME_REPLAY_H

#include "base/map.h"
#include "codec/value.h"
#include "runtime/internal.h"
#include "runtime/record.h"

#define TR_NOTES_MOST 100
#define TR_RERUN_KEY (2 * TR_ID_MAX + TR_ID_MAX + TR_MSG_ID_MAX + 8)

/* A line of a record, or what the replay would have written into one. Its texts are the value's. */
typedef struct tr_rerun_line { tr_value *value; int64_t t; tr_slice at, kind, type, from, to, id; bool timer; } tr_rerun_line;
typedef struct tr_rerun_lines { tr_rerun_line *items; size_t count, cap; } tr_rerun_lines;

struct tr_rerun {
  tr_mem *mem;
  char *path, *agent;
  tr_value *head;                /* the line "begin" */
  tr_rerun_lines lines;         /* of the agent, in order */
  tr_rerun_lines done;          /* what it does now */
  int64_t begin, end;            /* µs since 1970 */
  bool has_states;
  char *notes[TR_NOTES_MOST];
  size_t note_count;
  tr_reran *results;
  tr_buf *texts;                 /* two a result */
  size_t result_count;
  /* replay.c */
  troupe_t *rt;
  troupe_options_t given;
  int64_t now;
  bool injecting;
  struct tr_rerun_call *calls;  /* those that the record has, in order */
  size_t call_count, call_first; /* all before call_first were made */
  tr_link due;                   /* answers and cancellations to come */
  int failed;                    /* something could not be kept */
  /* replay_looks.c */
  tr_map turns_by_key;           /* turns of the record that looked at a clock or drew a random number */
  int64_t core_begin;            /* ctx:now at `begin` */
  tr_random random;              /* where the record has none */
};

/* --- replay_read.c --- */
/* own: takes value. Its texts are filled in; TR_EINVALID: something is missing. */
int tr_rerun_add(tr_rerun *self, tr_rerun_lines *to, tr_value *value, tr_error *error);
/* A line of JSON. */
tr_value *tr_rerun_parse(tr_mem *mem, tr_slice text, tr_error *error);
bool tr_rerun_is_ours(const tr_rerun *self, tr_slice id); /* "type/key" */
/* A message that the agent got; one that it sent. Not its own timers: those run again. */
bool tr_rerun_is_input(const tr_rerun *self, const tr_rerun_line *line);
bool tr_rerun_is_output(const tr_rerun *self, const tr_rerun_line *line);
void tr_rerun_tell(tr_rerun *self, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* --- replay_looks.c --- */
int tr_rerun_find_looks(tr_rerun *self); /* TR_EMEMORY */
void tr_rerun_free_looks(tr_rerun *self);
int64_t tr_rerun_look_at(void *ud, const tr_look *look); /* of tr_looks; ud: the tr_rerun */

/* --- replay_text.c --- */
int tr_rerun_make_results(tr_rerun *self, tr_error *error);

#endif
