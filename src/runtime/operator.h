/* SPDX-License-Identifier: MIT
 * The operator's socket of a running process, between its two files. */
#ifndef TR_RUNTIME_OPERATOR_H
#define TR_RUNTIME_OPERATOR_H

#include "codec/value.h"
#include "ops/admin.h"
#include "runtime/state.h"

typedef struct tr_operator {
  troupe_t *rt;
  tr_admin *admin;
  tr_net_listener *listener;
  tr_link staying; /* questions that are answered by our end */
} tr_operator;

typedef struct tr_question { /* one who asks, until he is answered */
  tr_operator *self;
  tr_admin_call *call;
  tr_value *args;
  char *path;         /* of a save; NULL: show it */
  const char **only;
  size_t only_count;
} tr_question;

/* operator_verbs.c: arguments, and answering, once: the question is freed. put: before, and the text as JSON. own: takes out's memory. */
double tr_question_number(const tr_question *q, const char *name, double fallback);
const char *tr_question_text(const tr_question *q, const char *name);
void tr_question_put(tr_buf *out, const char *before, const char *text);
void tr_question_answer(tr_question *q, tr_buf *out);
void tr_question_fail(tr_question *q, int code, const char *text);
void tr_question_shared(tr_buf *out, const troupe_t *rt); /* operator_shared.c: a member of an object */
/* operator_letters.c: of isolate 0, 1, …; NULL: there are not so many */
const tr_undelivered *tr_undelivered_of(const troupe_t *rt, unsigned isolate);
void tr_question_letters(tr_question *q);
void tr_question_reload(tr_question *q); /* operator_reload.c */
void tr_question_doctor(tr_question *q); /* doctor.c */

/* operator_verbs.c: answers, now or later. */
void tr_operator_answer(void *ud, tr_admin_call *call, tr_slice verb, tr_slice body);
/* It is open until the runtime ends. */
void tr_operator_stay(tr_operator *self, tr_admin_call *call);

#endif
