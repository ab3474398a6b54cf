/* SPDX-License-Identifier: MIT
 * Bringing an agent from another isolate into the first one, where the doors are: the first half of moving it to another process
 * (dist.c). From then on its id lives here (tr_together_bring).
 *
 * Its mail is held where it is and its open turns go on to their end, as for a move (core/remote.c). Then, while all stand still and
 * nothing is under way, its state and timers are taken over, the instance there is let go without its `close` (it goes on), and what lay
 * in its mailbox comes after it, in order. If that fails on the way it goes on where it is. */
#include "runtime/bring.h"

#include <stdio.h>
#include <string.h>

#include "runtime/state.h"

static tr_bring *bring_of(tr_remote *remote) { return TR_CONTAINER(remote, tr_bring, remote); }
static tr_isolate *home_of(const tr_bring *self) { return self->rt->crew->isolates[self->from]; }

/* ---- the core's hooks: the first two in the thread of that isolate, the last while it stands still ---- */

static void on_quiet(tr_remote *remote) {
  tr_bring *self = bring_of(remote);
  atomic_store(&self->quiet, true);
  tr_isolate_wake(self->rt->crew->isolates[0]);
}

static void on_left(tr_remote *remote) { on_quiet(remote); }

static void on_forward(tr_remote *remote, tr_msg *msg) {
  tr_isolate *from = home_of(bring_of(remote));
  tr_isolate_forward(from, msg, remote->agent);
  if (msg->kind != TR_MSG_REQUEST) tr_remote_done(from->core, remote);
}

static const tr_remote_ops ops = { .forward = on_forward, .quiet = on_quiet, .left = on_left };

/* ---- its state ---- */

typedef struct taking { const tr_bring *bring; tr_state_log log; tr_error *error; } taking;

static bool is_it(void *ud, tr_slice key) { return tr_slice_is(key, ((taking *)ud)->bring->id); }

static int put_by(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  taking *self = ud;
  return self->log.out.record(self->log.out.ud, kind, key, part, version, bytes);
}

static int cannot(void *ud, tr_slice id, const tr_error *why) {
  return tr_error_set(((taking *)ud)->error, why->code, "%.*s cannot be saved: %s", TR_SLICE_ARG(id), why->text);
}

static int restore(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  taking *self = ud;
  return tr_script_restore(self->bring->rt->script, tr_slice_of(kind), key, part, version, bytes, 0, self->error);
}

/* All of it is there before anything is taken over. */
static int take_state(const tr_bring *self, tr_error *error) {
  taking take = { .bring = self, .error = error };
  tr_state_out out = { .record = put_by, .failed = cannot, .wanted = is_it, .ud = &take };
  tr_state_out to = { .record = restore, .failed = cannot, .ud = &take };
  tr_script *there = home_of(self)->script;
  tr_state_log_init(&take.log, &self->rt->mem);
  int rc = tr_script_save_one(there, tr_slice_of(self->id), &out);
  if (!rc) rc = tr_state_log_give(&take.log, &to);
  tr_state_log_fini(&take.log);
  if (rc && !error->code) tr_error_set(error, rc, "%s", tr_error_default_text(rc));
  tr_script_forget(rc ? self->rt->script : there, tr_slice_of(self->id));
  return rc;
}

/* ---- all of it; they stand still ---- */

static void let_go(tr_bring *self, bool go) {
  tr_core *core = home_of(self)->core;
  tr_agent *agent = self->remote.agent;
  if (!agent) return;
  if (!go) {
    tr_agent_unhold(core, agent);
    return;
  }
  tr_agent_go_as_it_is(core, agent);
  if (self->remote.agent) tr_agent_stop(core, self->remote.agent, TR_EUNAVAILABLE, NULL); /* nothing is left there */
}

static int move(tr_bring *self, tr_error *error) {
  int rc = tr_together_bring(self->rt, self->type, self->key, self->remote.agent, error);
  if (!rc && (rc = take_state(self, error))) tr_together_let_go(self->rt, self->id);
  let_go(self, rc == 0);
  return rc;
}

static int begin(tr_bring *self, tr_error *error) {
  tr_class *class_ = tr_core_find_class(home_of(self)->core, self->type);
  tr_agent *agent = class_ ? tr_class_find_mailbox(class_, self->key) : NULL;
  int rc = agent ? tr_agent_hold(home_of(self)->core, agent, &self->remote, false, error) : 0;
  if (rc || tr_agent_is_quiet(agent)) return rc ? rc : move(self, error);
  return TR_BRING_WAITS;
}

int tr_bring_begin(tr_bring *self, troupe_t *rt, const char *id, tr_slice type, tr_slice key, tr_error *error) {
  memset(self, 0, sizeof *self);
  self->rt = rt;
  self->remote.ops = &ops;
  self->id = id;
  self->type = type;
  self->key = key;
  if (!rt->crew) return 0;
  self->from = tr_crew_home_of(rt->crew, type, key)->index;
  if (self->from == 0) return 0;
  tr_together_pause(rt, true);
  int rc = begin(self, error);
  tr_together_resume(rt);
  self->waits = rc == TR_BRING_WAITS;
  return rc;
}

int tr_bring_look(tr_bring *self, tr_error *error) {
  if (!self->waits || !atomic_load(&self->quiet)) return TR_BRING_WAITS;
  tr_together_pause(self->rt, true);
  int rc = self->remote.agent && !tr_agent_is_quiet(self->remote.agent) ? TR_BRING_WAITS : move(self, error);
  tr_together_resume(self->rt);
  self->waits = rc == TR_BRING_WAITS;
  return rc;
}

void tr_bring_drop(tr_bring *self) {
  if (!self->waits) return;
  self->waits = false;
  tr_together_pause(self->rt, false);
  let_go(self, false);
  tr_together_resume(self->rt);
}
