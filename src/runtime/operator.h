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

/* operator_verbs.c: answers, now or later. */
void tr_operator_answer(void *ud, tr_admin_call *call, tr_slice verb, tr_slice body);
/* It is open until the runtime ends. */
void tr_operator_stay(tr_operator *self, tr_admin_call *call);

#endif
