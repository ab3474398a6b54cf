/* SPDX-License-Identifier: MIT
 * The operator's end of a running process, between its files: operator.c has the socket and the watchers, question.c what all verbs share,
 * operator_verbs.c the verbs about the process, operator_agents.c, _top.c, _inspect.c, _eval.c and _trace.c those about its agents. */
#ifndef TR_RUNTIME_OPERATOR_H
#define TR_RUNTIME_OPERATOR_H

#include "base/tally.h"
#include "codec/value.h"
#include "ops/admin.h"
#include "runtime/isolate.h"
#include "runtime/state.h"

typedef struct tr_operator {
  troupe_t *rt;
  tr_admin *admin;
  tr_net_listener *listener; /* NULL: questions come from this process alone */
  tr_link staying;    /* questions that are answered by our end */
  tr_link watchers;
  uv_timer_t ticker;  /* runs while there are some */
  bool has_ticker;
  tr_link tracers;    /* operator_trace.c */
  unsigned visits;    /* operator_door.c */
  tr_tally refusals;
} tr_operator;

tr_operator *tr_operator_get(troupe_t *rt); /* made at first use; NULL: out of memory */
/* operator_verbs.c: answers, now or later. */
void tr_operator_answer(void *ud, tr_admin_call *call, tr_slice verb, tr_slice body);
void tr_operator_answer_distant(tr_operator *self, tr_admin_call *call, tr_slice verb, tr_slice body); /* of one who came by a door */
tr_value *tr_operator_parse(troupe_t *rt, tr_slice json, tr_error *error); /* an object, or NULL */
bool tr_operator_right(tr_slice verb, tr_right *right); /* that it needs there; false: there is no such verb */
/* operator_door.c: tr_host_options.asked and unasked. */
void *tr_operator_asked(void *ud, tr_visitor *visitor, tr_slice bytes);
void tr_operator_unasked(void *ud, void *question);
/* It is open until the runtime ends. */
void tr_operator_stay(tr_operator *self, tr_admin_call *call);

/* --- question.c: one that is being answered --- */
typedef struct tr_question {
  tr_operator *self;
  tr_admin_call *call;
  tr_value *args;
  char *path;         /* of a save; NULL: show it */
  const char **only;
  size_t only_count;
  bool distant;       /* it came by a host's door */
} tr_question;
double tr_question_number(const tr_question *q, const char *name, double fallback);
const char *tr_question_text(const tr_question *q, const char *name); /* NULL: not given, or no text */
bool tr_question_flag(const tr_question *q, const char *name);
bool tr_question_read_only(tr_question *q); /* `only`, a list of names; false: out of memory */
tr_time tr_question_seconds(double value, tr_time fallback); /* of a number that may be anything */
/* Each ends it, and frees it. text NULL: the code's own. answer takes the buffer. */
void tr_question_fail(tr_question *q, int code, const char *text);
void tr_question_answer(tr_question *q, tr_buf *out);
void tr_question_done(tr_question *q);
void tr_question_free(tr_question *q); /* its call is somebody else's now */
/* `before`, then the text as JSON. Bytes that are no UTF-8 are question marks. */
void tr_question_put(tr_buf *out, const char *before, const char *text);
void tr_question_put_slice(tr_buf *out, const char *before, tr_slice text);

/* --- operator_shared.c, operator_letters.c --- */
void tr_question_shared(tr_buf *out, const troupe_t *rt); /* a member of an object */
/* Of isolate 0, 1, …; NULL: there are not so many */
const tr_undelivered *tr_undelivered_of(const troupe_t *rt, unsigned isolate);
void tr_question_letters(tr_question *q);
void tr_question_reload(tr_question *q); /* operator_reload.c */
/* Its report: what a reload that is tried would do, a type at a time (tr_changes_fn). mem is set first. */
typedef struct tr_report {
  tr_mem *mem;
  struct tr_report_row *rows;
  size_t count, cap, at; /* at: of the isolate that is told of */
  unsigned isolate;
  bool failed;           /* out of memory */
} tr_report;
void tr_report_plan(void *ud, unsigned isolate, const tr_reloading *plan);
void tr_report_put(tr_buf *out, const tr_report *self); /* a member of an object */
void tr_report_fini(tr_report *self);
void tr_question_workers(tr_question *q, const char *type); /* operator_workers.c */
void tr_operator_worker_says(void *ud, tr_slice client, tr_slice id, const struct tr_wire_note *note); /* tr_host_options.worker_says */
void tr_operator_end_workers(troupe_t *rt);
void tr_question_doctor(tr_question *q); /* doctor.c */

/* --- operator.c: answers that go on --- */
typedef struct tr_watcher {
  tr_link link;
  tr_question *q;
  int64_t due;                            /* ms, as uv_now */
  void (*tick)(struct tr_watcher *self);  /* once it is due; sets the next time, or ends it */
  void (*fini)(struct tr_watcher *self);  /* it ends: free it */
} tr_watcher;
/* From now on ->tick is called at ->due; when nobody hears the answer any more it ends. False: there is no loop; nothing has begun. */
bool tr_watcher_begin(tr_watcher *self, tr_question *q);
void tr_watcher_end(tr_watcher *self, int code, const char *text); /* code 0: all was told */
int64_t tr_operator_now(const tr_operator *self); /* ms */

/* --- operator_agents.c --- */
unsigned tr_isolates_of(const troupe_t *rt);
tr_core *tr_core_of_isolate(const troupe_t *rt, unsigned isolate);
tr_script *tr_script_of_isolate(const troupe_t *rt, unsigned isolate);
/* Each instance of every isolate, while the others stand still; fn returns false for enough. */
void tr_agents_each(troupe_t *rt, bool (*fn)(void *ud, tr_agent *agent, unsigned isolate), void *ud);
/* The live instance of this name ("a": a/default, or the only one of its type); NULL: *error says which is the nearest. Between
 * tr_crew_pause and _resume. */
tr_agent *tr_agents_find(troupe_t *rt, const char *name, unsigned *isolate, tr_error *error);
void tr_answer_agents(tr_question *q);
void tr_answer_top(tr_question *q);
void tr_answer_inspect(tr_question *q);
void tr_answer_break(tr_question *q);
void tr_answer_eval(tr_question *q);
void tr_answer_complete(tr_question *q);
void tr_answer_trace(tr_question *q);

#endif
