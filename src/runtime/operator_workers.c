/* SPDX-License-Identifier: MIT
 * The verb "reload" { type, timeout?, dry_run?, again?, skip_foreign? } of a host: all workers that have an agent type reload their own files, or none.
 * Scripts never cross the wire: a worker is told when, and says how it went (staged.c is its end; wire/note.h).
 *
 * Each is asked to stage: compile, run, check, migrate copies. Where all are ready, all are told to take what they staged; else to let go of it.
 * Taking may still fail (a state that changed meanwhile and cannot be migrated any more, a worker that is lost): then those that took it are told
 * to go back. Each of the three steps has a third of the timeout; a worker that was lost while it took something is told again when it is back.
 * Who leaves in order is out of it: what it starts with next are its new files. Once it has begun to take, it goes on though nobody
 * waits for the answer any more. One at a time.
 *
 * → { type, done, dry_run, workers: [ { worker, address, who?, state, said: { version, files, names, agents? }, error: { code, text } } ] },
 * and then an error if it was not done. */
#include <stdio.h>

#include "base/text.h"
#include "codec/json.h"
#include "core/id.h"
#include "runtime/operator.h"
#include "runtime/staged.h"
#include "wire/note.h"

#define TICK TR_MILLISECONDS(20)
#define WORKERS_MOST 4000u
#define SAID_MOST 65536u

typedef enum { WAITS, READY, LET_GO, RELOADED, FAILED, SILENT, LOST, LEFT, FOREIGN, AWAY, WENT_BACK, STUCK, UNKNOWN } state;
static const char *const state_names[] = { "not asked", "ready", "let go", "reloaded", "failed", "silent", "lost", "left", "foreign", "away", "went back",
                                           "could not go back", "unknown" };

typedef struct member {
  char *client;       /* NULL: this process */
  char address[64], who[128]; /* who: as it says itself; "" */
  state state;
  bool asked;         /* it owes an answer */
  uint32_t session;
  int code;
  char *text;         /* of the error */
  tr_value *said;
} member;

struct tr_gathering {
  troupe_t *rt;
  tr_question *q;     /* NULL: nobody hears it any more */
  char id[TR_RELOAD_ID + 1], type[TR_ID_MAX + 1];
  unsigned step;
  bool dry_run, again, failed, skip_foreign, abandoned;
  tr_time each, until;
  tr_timer timer;
  member *members;
  size_t count, cap;
};
typedef struct tr_gathering gathering;

static void on_tick(tr_timer *timer);

/* ---- who ---- */

static member *add(gathering *self) {
  if (self->count == self->cap) {
    size_t cap = self->cap ? 2 * self->cap : 8;
    member *more = self->count < WORKERS_MOST ? tr_realloc(&self->rt->mem, self->members, self->cap * sizeof *more, cap * sizeof *more) : NULL;
    if (!more) return NULL;
    self->members = more;
    self->cap = cap;
  }
  member *m = &self->members[self->count++];
  *m = (member){ .state = WAITS };
  return m;
}

static bool on_owner(void *ud, const tr_host_owner *owner) {
  gathering *self = ud;
  bool left;
  member *m = add(self);
  char *client = m ? tr_strndup(&self->rt->mem, owner->client.p, owner->client.n) : NULL;
  if (!client) {
    if (m) self->count--;
    self->failed = true;
    return false;
  }
  m->client = client;
  snprintf(m->address, sizeof m->address, "%s", owner->address);
  m->session = tr_host_session(self->rt->host, owner->client, &left);
  m->state = !owner->connected ? AWAY : owner->troupe ? WAITS : FOREIGN;
  return true;
}

static void forget(gathering *self) {
  troupe_t *rt = self->rt;
  rt->gathering = NULL;
  tr_timer_stop(tr_core_timers(rt->core), &self->timer);
  for (size_t i = 0; i < self->count; i++) {
    member *m = &self->members[i];
    if (m->client) tr_free(&rt->mem, m->client, strlen(m->client) + 1);
    if (m->text) tr_free(&rt->mem, m->text, strlen(m->text) + 1);
    tr_value_free(m->said);
  }
  tr_free(&rt->mem, self->members, self->cap * sizeof *self->members);
  TR_DELETE(&rt->mem, self);
}

/* ---- the answer ---- */

static void put_member(tr_buf *out, const member *m) {
  tr_error error;
  tr_json_writer writer;
  tr_error_init(&error);
  tr_json_writer_init(&writer, out, &error);
  tr_sink sink = tr_json_sink(&writer);
  tr_question_put(out, "{\"worker\":", m->client ? m->client : "");
  tr_question_put(out, ",\"address\":", m->address);
  tr_question_put(out, ",\"who\":", m->who);
  tr_question_put(out, ",\"state\":", state_names[m->state]);
  if (m->said) {
    tr_buf_text(out, ",\"said\":");
    if (tr_value_walk(m->said, &sink, &error)) out->failed = true;
  }
  if (m->code) {
    tr_question_put(out, ",\"error\":{\"code\":", tr_error_name(m->code));
    tr_question_put(out, ",\"text\":", m->text ? m->text : tr_error_default_text(m->code));
    tr_buf_text(out, "}");
  }
  tr_buf_text(out, "}");
}

static bool is_fault(const gathering *self, const member *m) {
  switch (m->state) {
  case FAILED: case SILENT: case LOST: case AWAY: case STUCK: case UNKNOWN: return true;
  case FOREIGN: return !self->skip_foreign;
  default: return false;
  }
}

static size_t count_of(const gathering *self, state a, state b) {
  size_t n = 0;
  for (size_t i = 0; i < self->count; i++) n += self->members[i].state == a || self->members[i].state == b;
  return n;
}

/* What went wrong, in a line; the error's code. */
static int explain(const gathering *self, char *out, size_t size) {
  size_t faults = 0, torn = count_of(self, STUCK, UNKNOWN);
  const member *first = NULL;
  for (size_t i = 0; i < self->count; i++) {
    const member *m = &self->members[i];
    if (!is_fault(self, m)) continue;
    faults++;
    if (!first || (torn && m->state >= STUCK && first->state < STUCK)) first = m;
  }
  if (!first) {
    snprintf(out, size, "nothing was changed: whoever asked for it has gone");
    return TR_ECANCELLED;
  }
  static const char *const hints[] = { [FOREIGN] = "it is not troupe's, and cannot reload (--skip-foreign leaves such as they are)",
    [AWAY] = "it was lost a moment ago, and may come back (later again: the host gives it up after its --grace)" };
  const char *why = first->state == FOREIGN || first->state == AWAY ? hints[first->state] : first->text ? first->text : "";
  int n = torn ? snprintf(out, size, "%zu of %zu workers may be on the new code: ", torn, self->count)
               : snprintf(out, size, "nothing was changed: %zu of %zu worker%s cannot: ", faults, self->count, self->count == 1 ? "" : "s");
  const char *who = first->who[0] ? first->who : first->client;
  snprintf(out + n, size - (size_t)n, "%.130s: %s", who, why);
  return first->code ? first->code : TR_EUNAVAILABLE;
}

static void finish(gathering *self) {
  troupe_t *rt = self->rt;
  tr_question *q = self->q;
  char why[TR_ERROR_TEXT];
  tr_buf out;
  bool done = !self->failed && !self->abandoned;
  int code = done ? 0 : explain(self, why, sizeof why);
  tr_log_write(&rt->log, done ? TR_LOG_INFO : TR_LOG_WARN, "workers.reload", "type=%s workers=%zu done=%s%s%s%s%s", self->type, self->count,
               done ? "yes" : "no", self->dry_run ? " dry_run=yes" : "", done ? "" : " reason=\"", done ? "" : why, done ? "" : "\"");
  tr_buf_init(&out, &rt->mem);
  tr_question_put(&out, "{\"type\":", self->type);
  tr_buf_printf(&out, ",\"done\":%s,\"dry_run\":%s,\"workers\":[", done ? "true" : "false", self->dry_run ? "true" : "false");
  for (size_t i = 0; q && i < self->count; i++) {
    tr_buf_text(&out, i ? "," : "");
    put_member(&out, &self->members[i]);
  }
  tr_buf_text(&out, "]}");
  forget(self);
  if (q) tr_admin_on_gone(q->call, NULL, NULL);
  if (q && done) {
    tr_question_answer(q, &out);
    return;
  }
  if (q && !out.failed) tr_admin_send(q->call, tr_buf_view(&out));
  tr_buf_fini(&out);
  if (q) tr_question_fail(q, code, why);
}

/* ---- what they are told, and say ---- */

static void answered(gathering *self, member *m, int code, tr_slice text) {
  static const state good[] = { [TR_RELOAD_STAGE] = READY, [TR_RELOAD_TAKE] = RELOADED, [TR_RELOAD_BACK] = WENT_BACK };
  tr_error error;
  tr_error_init(&error);
  m->asked = false;
  tr_value *said = code || text.n > SAID_MOST ? NULL : tr_operator_parse(self->rt, text, &error);
  if (!code && !said) {
    code = error.code ? error.code : TR_ETOO_LARGE;
    text = tr_slice_of("what it says makes no sense");
  }
  m->state = !code ? good[self->step] : self->step == TR_RELOAD_BACK ? STUCK : FAILED;
  if (said) {
    tr_value_free(m->said);
    m->said = said;
  }
  if (!code) return;
  if (m->text) tr_free(&self->rt->mem, m->text, strlen(m->text) + 1);
  m->code = code;
  m->text = tr_utf8_valid(text) ? tr_strndup(&self->rt->mem, text.p ? text.p : "", tr_utf8_cut(text, TR_ERROR_TEXT - 1)) : NULL;
}

static void tell_here(gathering *self, member *m, unsigned step) {
  tr_error error;
  tr_buf out;
  tr_error_init(&error);
  tr_buf_init(&out, &self->rt->mem);
  if (step == TR_RELOAD_STAGE && self->again) step = TR_RELOAD_STAGE_AGAIN;
  int rc = tr_staged_step(self->rt, tr_slice_of(self->id), step, 4 * self->each, &out, &error);
  if (!rc && out.failed) rc = tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (step != TR_RELOAD_LET_GO) answered(self, m, rc, rc ? tr_slice_of(error.text) : tr_buf_view(&out));
  tr_buf_fini(&out);
}

static void tell(gathering *self, member *m, unsigned step) {
  tr_wire_note note = { .kind = step == TR_RELOAD_STAGE ? TR_NOTE_STAGE : TR_NOTE_DECIDE, .type = tr_slice_of(self->type),
                        .count = step == TR_RELOAD_STAGE ? (uint64_t)(4 * self->each / 1000) : step,
                        .goal = step == TR_RELOAD_STAGE && self->again };
  m->asked = step != TR_RELOAD_LET_GO;
  if (!m->client) tr_staged_who(m->who);
  if (m->client) tr_host_tell_worker(self->rt->host, tr_slice_of(m->client), tr_slice_of(self->id), &note);
  else tell_here(self, m, step);
}

static void begin(gathering *self, unsigned step) {
  self->step = step;
  self->until = tr_core_now(self->rt->core) + self->each;
  for (size_t i = 0; i < self->count; i++) {
    member *m = &self->members[i];
    bool part = step == TR_RELOAD_STAGE ? m->state == WAITS
              : step == TR_RELOAD_TAKE  ? m->state == READY
                                        : m->state == RELOADED || m->state == SILENT || m->state == LOST;
    if (part) tell(self, m, step);
  }
  tr_timer_start(tr_core_timers(self->rt->core), &self->timer, tr_core_now(self->rt->core) + TICK, on_tick);
}

static void let_go(gathering *self) {
  for (size_t i = 0; i < self->count; i++) {
    member *m = &self->members[i];
    if (m->state != READY && m->state != SILENT && m->state != WAITS) continue;
    tell(self, m, TR_RELOAD_LET_GO);
    if (m->state == READY && !self->dry_run) m->state = LET_GO;
  }
}

static void set_fault(gathering *self, member *m, state is, const char *why) {
  m->asked = false;
  m->state = self->step == TR_RELOAD_BACK ? UNKNOWN : is;
  m->code = is == SILENT ? TR_ETIMEOUT : TR_EUNAVAILABLE;
  if (!m->text) m->text = tr_strndup(&self->rt->mem, why, strlen(why));
}

/* Is it still there? One that is back in the midst of taking, or going back, is told again: that does nothing twice. */
static void look(gathering *self, member *m, bool late) {
  bool left = false;
  uint32_t session = m->client ? tr_host_session(self->rt->host, tr_slice_of(m->client), &left) : 0;
  if (left) {
    m->asked = false;
    m->state = LEFT;
  } else if (m->client && session != m->session && self->step == TR_RELOAD_STAGE) {
    set_fault(self, m, LOST, "its connection was lost");
  } else if (late) {
    set_fault(self, m, session ? SILENT : LOST, session ? "it does not answer in time" : "its connection was lost");
  } else if (session && session != m->session) {
    m->session = session;
    tell(self, m, self->step);
  }
}

/* All have answered, or the time is up. */
static void next(gathering *self) {
  for (size_t i = 0; i < self->count; i++) self->failed |= is_fault(self, &self->members[i]);
  if (self->step == TR_RELOAD_STAGE && (self->failed || self->dry_run || self->abandoned)) {
    let_go(self);
    finish(self);
  } else if (self->step == TR_RELOAD_STAGE) {
    begin(self, TR_RELOAD_TAKE);
  } else if (self->step == TR_RELOAD_TAKE && self->failed) {
    begin(self, TR_RELOAD_BACK);
  } else {
    finish(self);
  }
}

static void on_tick(tr_timer *timer) {
  gathering *self = TR_CONTAINER(timer, gathering, timer);
  tr_time now = tr_core_now(self->rt->core);
  bool open = false;
  for (size_t i = 0; i < self->count; i++) {
    member *m = &self->members[i];
    if (m->asked) look(self, m, now >= self->until);
    open |= m->asked;
  }
  if (open && !self->abandoned) tr_timer_start(tr_core_timers(self->rt->core), &self->timer, now + TICK, on_tick);
  else next(self);
}

void tr_operator_worker_says(void *ud, tr_slice client, tr_slice id, const tr_wire_note *note) {
  troupe_t *rt = ud;
  gathering *self = rt->gathering;
  bool staged = note->kind == TR_NOTE_STAGED;
  if (!self || !tr_slice_is(id, self->id) || staged != (self->step == TR_RELOAD_STAGE)) return;
  for (size_t i = 0; i < self->count; i++) {
    member *m = &self->members[i];
    if (!m->asked || !m->client || !tr_slice_is(client, m->client)) continue;
    if (note->content_type.n && tr_utf8_valid(note->content_type))
      snprintf(m->who, sizeof m->who, "%.*s", (int)tr_utf8_cut(note->content_type, sizeof m->who - 1), note->content_type.p);
    answered(self, m, note->count < 1000 ? -(int)note->count : TR_EINVALID, note->data);
  }
}

/* ---- the question ---- */

static void on_gone(void *ud) {
  gathering *self = ud;
  tr_question *q = self->q;
  self->q = NULL;
  self->abandoned = self->step == TR_RELOAD_STAGE;
  tr_question_done(q);
}

static int gather(gathering *self, tr_error *error) {
  troupe_t *rt = self->rt;
  bool here = rt->host ? tr_host_each_owner(rt->host, tr_slice_of(self->type), on_owner, self) : tr_core_find_class(rt->core, tr_slice_of(self->type)) != NULL;
  if (here && !self->failed) self->failed = !add(self);
  if (self->failed) return tr_error_set(error, TR_EMEMORY, "out of memory, or more than %u workers", WORKERS_MOST);
  if (self->count == 0) return tr_error_set(error, TR_ENOT_FOUND, "no worker of this host has the agent type \"%s\"", self->type);
  return 0;
}

static int check(const tr_question *q, const char *type, tr_error *error) {
  const gathering *other = q->self->rt->gathering;
  static const char *const alone[] = { "to", "errors", "canary", "promote", "undo", "drain", "pin", "unpin" };
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
    if (tr_value_get(q->args, tr_slice_of(alone[i])))
      return tr_error_set(error, TR_EINVALID, "with an agent type there is no `%s`: each worker counts its code by itself", alone[i]);
  if (strlen(type) > TR_ID_MAX) return tr_error_set(error, TR_EINVALID, "the agent type is longer than %d bytes", TR_ID_MAX);
  if (other) return tr_error_set(error, TR_EUNAVAILABLE, "another reload of workers is under way, of the type \"%s\"", other->type);
  return 0;
}

void tr_question_workers(tr_question *q, const char *type) {
  troupe_t *rt = q->self->rt;
  tr_error error;
  tr_error_init(&error);
  int rc = check(q, type, &error);
  gathering *self = rc ? NULL : TR_NEW(&rt->mem, gathering);
  if (!rc && !self) rc = tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (rc) {
    tr_question_fail(q, rc, error.text);
    return;
  }
  rt->gathering = self;
  *self = (gathering){ .rt = rt, .q = q, .dry_run = tr_question_flag(q, "dry_run"), .again = tr_question_flag(q, "again"),
                       .skip_foreign = tr_question_flag(q, "skip_foreign") };
  snprintf(self->type, sizeof self->type, "%s", type);
  snprintf(self->id, sizeof self->id, "%016llx", (unsigned long long)tr_random_next(tr_core_random(rt->core)));
  self->each = tr_question_seconds(tr_question_number(q, "timeout", 30), TR_SECONDS(30)) / 3;
  if (self->each > TR_SECONDS(100)) self->each = TR_SECONDS(100);
  if ((rc = gather(self, &error))) {
    forget(self);
    tr_question_fail(q, rc, error.text);
    return;
  }
  tr_admin_on_gone(q->call, on_gone, self);
  for (size_t i = 0; i < self->count; i++) self->failed |= is_fault(self, &self->members[i]);
  if (self->failed) finish(self); /* somebody cannot: nobody is asked */
  else begin(self, TR_RELOAD_STAGE);
}

void tr_operator_end_workers(troupe_t *rt) {
  gathering *self = rt->gathering;
  if (!self) return;
  tr_question *q = self->q;
  forget(self);
  if (!q) return;
  tr_admin_on_gone(q->call, NULL, NULL);
  tr_question_fail(q, TR_EUNAVAILABLE, "the host has stopped in the midst of it");
}
