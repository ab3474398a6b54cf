/* SPDX-License-Identifier: MIT
 * Operators who come by a host's door: the same verbs as at the operator's socket, each for who has its right (host/asked.c).
 *
 * A question is answered a moment later, not where its bytes came in: what it asks for may end connections, that one among them. Files of the
 * process are not named from outside (tr_question.distant). Who asked what is in the log, where it changes something
 * or was refused; what is refused again and again, less and less often: anybody who reaches the door may ask. */
#include "runtime/operator.h"
#include "runtime/secure.h"

#define QUESTIONS_MOST 64 /* open at a time, over all doors */

typedef struct visit {
  troupe_t *rt;
  tr_visitor *visitor;      /* until tr_operator_unasked */
  tr_admin_call *call;  /* NULL: it was not asked yet, or is answered */
  tr_timer timer;
  size_t size;          /* of bytes */
  char bytes[];
} visit;

/* ---- answers ---- */

static void on_reply(void *ud, tr_slice body) {
  const visit *self = ud;
  tr_blob *frame = body.n <= TR_ADMIN_REPLY_MAX ? tr_admin_frame(&self->rt->mem, body, (tr_slice){ NULL, 0 }) : NULL;
  if (frame) tr_visitor_send(self->visitor, frame); /* where it cannot be, it is ended by that */
  else tr_visitor_end(self->visitor, TR_GRPC_OUT_OF_RANGE, "the answer is too large, or out of memory");
  tr_blob_unref(frame);
}

static void end(const visit *self, int code, const char *text) { tr_visitor_end(self->visitor, code ? tr_error_grpc(code) : TR_GRPC_OK, text); }

static void on_over(void *ud, int code, tr_slice text) {
  visit *self = ud;
  char line[TR_ERROR_TEXT];
  snprintf(line, sizeof line, "%.*s", TR_SLICE_ARG(text));
  self->call = NULL;
  end(self, code, line);
}

static size_t on_queued(void *ud) { return tr_visitor_queued(((visit *)ud)->visitor); }

/* ---- questions ---- */

static int check(const visit *self, tr_slice verb, tr_error *error) {
  tr_right right = TR_RIGHT_OBSERVE; /* to be told that there is no such verb */
  char who[128], kind[200], times[TR_TALLY_TIMES];
  tr_operator_right(verb, &right);
  int rc = tr_visitor_may(self->visitor, right, error), length = (int)tr_utf8_cut(verb, 40);
  tr_visitor_name(self->visitor, who);
  snprintf(kind, sizeof kind, "%s %s", tr_right_name(right), who);
  if (!rc && right > TR_RIGHT_OBSERVE) tr_log_write(&self->rt->log, TR_LOG_INFO, "operator.asked", "verb=%.*s by=%s", length, verb.p, who);
  if (rc && tr_tally_tell(&self->rt->operator->refusals, tr_slice_of(kind), times))
    tr_log_write(&self->rt->log, TR_LOG_WARN, "operator.refused", "verb=%.*s by=%s reason=\"%s\"%s", length, verb.p, who, error->text, times);
  return rc;
}

static void on_time(tr_timer *timer) {
  visit *self = TR_CONTAINER(timer, visit, timer);
  tr_slice verb, body;
  tr_error error;
  tr_error_init(&error);
  tr_admin_asker visitor = { on_reply, on_over, on_queued, self };
  int rc = tr_admin_read(tr_slice_make(self->bytes, self->size), &verb, &body);
  if (rc) tr_error_set(&error, rc, "not a troupe.AdminRequest");
  else rc = check(self, verb, &error);
  if (!rc && !(self->call = tr_admin_call_here(&self->rt->mem, &visitor))) rc = tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (rc) end(self, rc, error.text);
  else tr_operator_answer_distant(self->rt->operator, self->call, verb, body);
}

void *tr_operator_asked(void *ud, tr_visitor *visitor, tr_slice bytes) {
  troupe_t *rt = ud;
  tr_operator *op = tr_operator_get(rt);
  visit *self = op && op->visits < QUESTIONS_MOST ? tr_calloc(&rt->mem, 1, sizeof *self + bytes.n) : NULL;
  if (!self) return NULL;
  op->visits++;
  self->rt = rt;
  self->visitor = visitor;
  self->size = bytes.n;
  if (bytes.n) memcpy(self->bytes, bytes.p, bytes.n);
  tr_timer_start(tr_core_timers(rt->core), &self->timer, tr_core_now(rt->core), on_time);
  return self;
}

void tr_operator_unasked(void *ud, void *question) {
  troupe_t *rt = ud;
  visit *self = question;
  if (self->call) tr_admin_lost(self->call);
  rt->operator->visits--;
  tr_timer_stop(tr_core_timers(rt->core), &self->timer);
  tr_free(&rt->mem, self, sizeof *self + self->size);
}
