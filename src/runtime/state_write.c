/* SPDX-License-Identifier: MIT
 * The state of a runtime as one snapshot (store/snapshot.h), made in memory.
 *
 * Records, in this order, which is that of restoring them:
 *   "saved"         when, by the time of day: a native integer, µs since 1970
 *   "state"         KEY type/key, the version of the agent's code, its state as a native body
 *   "timer", "subscription"   script/script.h; they stand beside the states of their agents
 *   "mail"          KEY type/key, one a message that waits there, in order (state_mail.c)
 *   "failed"        KEY type/key, the text why its state is not there
 *
 * It is consistent since it is taken between two turns, when no agent has an open one but those that can be begun again
 * (`requeue`): of those the state from before the turn is taken, and the turn's message is the first mail. What such a
 * turn has asked others is left out of their mail, as it will ask again.
 *
 * At the end of a run it is made in two steps: mail before the instances are closed, states as each of them leaves (in other isolates
 * those are put by in a log of its own, state_log.c). A request whose caller hears `unavailable` then is left out, lest it be done twice
 * when that caller asks again. */
#include <stdio.h>
#include <string.h>

#include "codec/native.h"
#include "core/id.h"
#include "runtime/state.h"

struct tr_state_writer {
  troupe_t *rt;
  tr_snapshot_writer writer;
  const tr_only *only;
  const tr_agent *agent; /* whose mail is written */
  tr_share share;        /* the isolate that is being written */
  bool first;            /* the one of this thread: subscriptions, which all of them have, are written once */
  tr_buf bytes;
  tr_state_out out;
  tr_state_log *logs;    /* at the end: of the other isolates */
  tr_error error;
  bool end;
  int rc, failed;
  size_t requests;
};

/* ---- records ---- */

static int add(tr_state_writer *self, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice body) {
  tr_record record = { .kind = tr_slice_of(kind), .key = key, .part = part, .version = (uint32_t)version };
  if (!self->rc) self->rc = tr_snapshot_writer_add(&self->writer, &record, body, &self->error);
  return self->rc;
}

static int on_failed(void *ud, tr_slice id, const tr_error *why) {
  tr_state_writer *self = ud;
  self->failed++;
  tr_log_write(&self->rt->log, TR_LOG_ERROR, "save.failed", "agent=%.*s error=\"%s: %s\"", TR_SLICE_ARG(id),
               tr_error_name(why->code), why->text);
  return add(self, "failed", id, (tr_slice){ NULL, 0 }, 0, tr_slice_of(why->text));
}

static int on_record(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  tr_error error;
  if (version >= 0 && version <= UINT32_MAX) return add(ud, kind, key, part, version, bytes);
  tr_error_init(&error);
  tr_error_set(&error, TR_EINVALID, "version %lld is too large for a state file", (long long)version);
  return on_failed(ud, key, &error);
}

static bool is_wanted(void *ud, tr_slice key) {
  const tr_state_writer *self = ud;
  if (!self->first && !memchr(key.p, '/', key.n)) return false;
  return !self->only || tr_only_has(self->only, key);
}

static int add_time(tr_state_writer *self) {
  tr_buf bytes;
  tr_native_writer writer;
  tr_buf_init(&bytes, &self->rt->mem);
  tr_native_writer_init(&writer, &bytes, &self->error);
  tr_sink sink = tr_native_sink(&writer);
  int rc = sink.integer(sink.ud, self->rt->wall_us());
  if (!rc && bytes.failed) rc = tr_error_set(&self->error, TR_EMEMORY, "out of memory");
  if (!rc) rc = add(self, "saved", (tr_slice){ NULL, 0 }, (tr_slice){ NULL, 0 }, 1, tr_buf_view(&bytes));
  tr_buf_fini(&bytes);
  return rc;
}

/* ---- mail ---- */

/* A request of a turn that is begun again, or of one that has heard that there will be no answer. */
static bool is_left_out(tr_state_writer *self, const tr_msg *msg) {
  if (msg->kind != TR_MSG_REQUEST) return false;
  const tr_turn *from = tr_msg_waiter(msg);
  bool again = from ? tr_script_requeues(from->agent) : tr_msg_is_asked_again(msg);
  bool told = self->end && tr_msg_is_awaited(msg);
  self->requests += told && !again;
  return again || told;
}

static int on_mail(void *ud, tr_msg *msg) {
  tr_state_writer *self = ud;
  char id[2 * TR_ID_MAX + 2];
  tr_error error;
  tr_buf body;
  if (is_left_out(self, msg)) return 0;
  tr_agent_name(self->agent, id, sizeof id);
  tr_error_init(&error);
  tr_buf_init(&body, &self->rt->mem);
  bool readable = tr_mail_encode(self->share.script, msg, &body, &error) == 0;
  int rc = readable ? add(self, "mail", tr_slice_of(id), (tr_slice){ NULL, 0 }, TR_MAIL_VERSION, tr_buf_view(&body))
                    : on_failed(self, tr_slice_of(id), &error);
  tr_buf_fini(&body);
  if (readable && !rc && self->end) msg->stored = true;
  return rc;
}

/* The messages of its open turns, the oldest first: a stack by `below`. */
static int add_begun(tr_state_writer *self, const tr_turn *turn) {
  int rc = turn->below ? add_begun(self, turn->below) : 0;
  return rc || turn->kind != TR_TURN_MESSAGE ? rc : on_mail(self, turn->msg);
}

static int add_mail_of(tr_state_writer *self, const tr_agent *agent) {
  char id[2 * TR_ID_MAX + 2];
  tr_agent_name(agent, id, sizeof id);
  if (!is_wanted(self, tr_slice_of(id))) return 0;
  self->agent = agent;
  int rc = tr_script_requeues(agent) ? add_begun(self, agent->turn) : 0;
  return rc ? rc : tr_agent_each_mail(agent, on_mail, self);
}

static int add_mail(tr_state_writer *self) {
  tr_core *core = self->share.core;
  int rc = self->rc;
  for (tr_class *class_ = NULL; !rc && (class_ = tr_core_next_class(core, class_));) {
    if (tr_class_is_program(class_) || class_ == self->rt->subscriber) continue;
    for (tr_agent *agent = NULL; !rc && (agent = tr_class_next_mailbox(class_, agent));)
      if (agent->turn || tr_agent_mail_count(agent)) rc = add_mail_of(self, agent);
  }
  return rc;
}

/* ---- the whole ---- */

/* fn for each isolate. */
static void each_share(tr_state_writer *self, void (*fn)(tr_state_writer *self, unsigned i)) {
  for (unsigned i = 0; i < tr_runtime_shares(self->rt); i++) {
    self->share = tr_runtime_share(self->rt, i);
    self->first = i == 0;
    fn(self, i);
  }
  self->first = true;
}

static void save_share(tr_state_writer *self, unsigned i) {
  (void)i;
  if (!self->rc) self->rc = tr_script_save(self->share.script, &self->out);
}

static void mail_of_share(tr_state_writer *self, unsigned i) {
  (void)i;
  add_mail(self);
}

static tr_state_writer *writer_new(troupe_t *rt, const tr_only *only) {
  tr_state_writer *self = TR_NEW(&rt->mem, tr_state_writer);
  if (!self) return NULL;
  self->rt = rt;
  self->only = only;
  self->first = true;
  self->out = (tr_state_out){ on_record, on_failed, is_wanted, self };
  tr_error_init(&self->error);
  tr_buf_init(&self->bytes, &rt->mem);
  self->rc = tr_snapshot_writer_begin(&self->writer, tr_snapshot_write_buf, &self->bytes, &self->error);
  if (!self->rc) self->rc = add_time(self);
  return self;
}

static int writer_end(tr_state_writer *self, tr_buf *out, tr_error *error) {
  if (!self->rc) self->rc = tr_snapshot_writer_end(&self->writer, &self->error);
  int rc = self->rc ? tr_error_set(error, self->rc, "%s", self->error.text) : self->failed;
  if (self->requests)
    tr_log_write(&self->rt->log, TR_LOG_INFO, "save.requests", "left_out=%zu (their callers hear that there is no answer)",
                 self->requests);
  *out = self->bytes;
  tr_buf_init(&self->bytes, &self->rt->mem);
  if (rc < 0) tr_buf_fini(out);
  tr_state_end_drop(self);
  return rc;
}

int tr_state_write(troupe_t *rt, const tr_only *only, tr_buf *out, tr_error *error) {
  tr_state_writer *self = writer_new(rt, only);
  tr_buf_init(out, &rt->mem);
  if (!self) return tr_error_set(error, TR_EMEMORY, "out of memory");
  each_share(self, save_share);
  each_share(self, mail_of_share);
  return writer_end(self, out, error);
}

/* ---- the end ---- */

static bool make_logs(tr_state_writer *self) {
  unsigned count = tr_runtime_shares(self->rt);
  self->logs = count > 1 ? tr_calloc(&self->rt->mem, count - 1, sizeof *self->logs) : NULL;
  for (unsigned i = 1; self->logs && i < count; i++)
    tr_state_log_init(&self->logs[i - 1], tr_core_mem(tr_runtime_share(self->rt, i).core));
  return self->logs || count == 1;
}

static void begin_share(tr_state_writer *self, unsigned i) {
  if (!self->rc) self->rc = tr_script_save_requeued(self->share.script, &self->out);
  add_mail(self);
  tr_script_keep(self->share.script, i ? &self->logs[i - 1].out : &self->out);
}

static void finish_share(tr_state_writer *self, unsigned i) {
  tr_script_keep(self->share.script, NULL);
  if (i && !self->rc) self->rc = tr_state_log_give(&self->logs[i - 1], &self->out);
  save_share(self, i);
}

tr_state_writer *tr_state_end_begin(troupe_t *rt, tr_error *error) {
  tr_state_writer *self = writer_new(rt, NULL);
  if (!self || !make_logs(self)) {
    tr_state_end_drop(self);
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  self->end = true;
  each_share(self, begin_share);
  return self;
}

int tr_state_end_finish(tr_state_writer *self, tr_buf *out, tr_error *error) {
  tr_buf_init(out, &self->rt->mem);
  each_share(self, finish_share);
  return writer_end(self, out, error);
}

void tr_state_end_drop(tr_state_writer *self) {
  if (!self) return;
  unsigned count = tr_runtime_shares(self->rt);
  for (unsigned i = 0; self->end && i < count; i++)
    if (tr_runtime_share(self->rt, i).script) tr_script_keep(tr_runtime_share(self->rt, i).script, NULL);
  for (unsigned i = 0; self->logs && i + 1 < count; i++) tr_state_log_fini(&self->logs[i]);
  tr_free(&self->rt->mem, self->logs, self->logs ? (count - 1) * sizeof *self->logs : 0);
  tr_buf_fini(&self->bytes);
  TR_DELETE(&self->rt->mem, self);
}

/* ---- what has to be waited for ---- */

static const char *what(const tr_turn *turn) {
  return turn->msg ? turn->msg->type->text : turn->kind == TR_TURN_CLOSE ? "close" : "init";
}

typedef struct open_turns { const tr_only *only; char *out; size_t size, at, count; } open_turns;

static void look_for_turns(open_turns *self, const tr_core *core) {
  tr_core_stats stats;
  tr_core_get_stats(core, &stats);
  if (stats.open_turns == 0) return;
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(core, class_));) {
    if (tr_class_is_program(class_)) continue;
    for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_, agent));) {
      char id[2 * TR_ID_MAX + 2];
      if (!agent->turn || tr_script_requeues(agent)) continue;
      tr_agent_name(agent, id, sizeof id);
      if (self->only && !tr_only_has(self->only, tr_slice_of(id))) continue;
      if (++self->count > 5 || self->at + 1 >= self->size) continue;
      self->at += (size_t)snprintf(self->out + self->at, self->size - self->at, "%s%.80s (%.40s)", self->count > 1 ? ", " : "", id,
                                   what(agent->turn));
    }
  }
}

size_t tr_state_open_turns(const troupe_t *rt, const tr_only *only, char *out, size_t size) {
  open_turns self = { .only = only, .out = out, .size = size };
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) look_for_turns(&self, tr_runtime_share(rt, i).core);
  return self.count;
}
