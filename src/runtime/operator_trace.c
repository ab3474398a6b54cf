/* SPDX-License-Identifier: MIT
 * Messages as they go by, for the operator.
 *
 * "trace" { only?, types?, body?, count? } → each { at, t, kind, type, from?, to, topic?, id, outside?, body | text, reply?, error? } or { lost }.
 *   at "sent"      a message on its way; `to` is an agent, or a topic ("event")
 *      "given"     an event: `to` begins to handle it
 *      "answered"  a request's answer: `from` gave it, `to` gets it; `reply` and `body`, or `error`
 *      "failed"    `to` failed at a message that nobody waits for
 *      "dead"      it could not be delivered: `error`
 * outside: it came by a door or from a program. only: agents, as everywhere; types: message types, both with *. t: seconds since 1970.
 *
 * Where there are several isolates each one puts its lines on the tracer's pile, and isolate 0 sends that 20 times a second. A message from one to
 * another is shown where it begins, its answer where that comes to who waits.
 *
 * While nobody asks, the core has nobody to tell (core/observe.c). A reader that is slow gets what goes by as long as QUEUED_MOST bytes are
 * not taken; what does not fit is counted, and the count is told when there is room again. Bodies are cut. */
#include <stdio.h>
#include <string.h>

#include "runtime/operator.h"

#ifdef TR_HOSTILE
#define QUEUED_MOST 2000
#else
#define QUEUED_MOST (1u << 20)
#endif
#define BODY_MOST 1000
#define TYPES_MOST 64

typedef struct tracer {
  tr_watcher watcher;
  tr_link all;
  troupe_t *rt;
  tr_only only, types;
  size_t body;
  uint64_t lost;
  long left; /* lines; 0: any number */
  bool over;
  /* where there are several isolates: what they saw since the last round, each line with its length before it */
  uv_mutex_t mutex;
  bool has_mutex;
  tr_buf pile;
  size_t pile_most;
} tracer;

typedef struct seer { troupe_t *rt; tr_script *script; tr_mem *mem; } seer; /* in whose thread it is */

/* ---- one line ---- */

static void put_pair(tr_buf *out, const char *before, const tr_name *type, const tr_name *key) {
  char text[2 * TR_ID_MAX + 2];
  snprintf(text, sizeof text, "%s/%s", type->text, key ? key->text : "");
  tr_question_put(out, before, text);
}

static void put_body(tr_buf *out, tr_script *script, const tr_body *body, size_t most) {
  tr_error error;
  tr_buf json;
  if (most == 0) return;
  tr_error_init(&error);
  tr_buf_init(&json, out->mem);
  if (tr_body_json(script, body, &json, &error) || json.failed) {
    tr_question_put(out, ",\"text\":", "(a body that cannot be shown)");
  } else if (json.len <= most) {
    tr_buf_text(out, ",\"body\":");
    tr_buf_slice(out, tr_buf_view(&json));
  } else {
    json.len = tr_utf8_cut(tr_buf_view(&json), most);
    tr_buf_byte(&json, 0);
    if (!json.failed) tr_question_put(out, ",\"text\":", (const char *)json.data);
  }
  tr_buf_fini(&json);
}

static void put_error(tr_buf *out, int code, tr_slice text) {
  char line[TR_ERROR_TEXT + 40];
  snprintf(line, sizeof line, "%s: %.*s", tr_error_name(code), TR_SLICE_ARG(text));
  tr_question_put(out, ",\"error\":", line);
}

static void put_line(tr_buf *out, const seer *by, const tr_seen *seen, size_t body) {
  static const char *const points[] = { "sent", "given", "answered", "failed", "dead" };
  static const char *const kinds[] = { "event", "request", "send" };
  const tr_msg *msg = seen->msg;
  char id[TR_MSG_ID_MAX + 1], number[TR_MSG_ID_MAX];
  bool answer = seen->kind == TR_SEEN_ANSWERED;
  const char *from = answer ? ",\"to\":" : ",\"from\":", *to = answer ? ",\"from\":" : ",\"to\":";
  snprintf(id, sizeof id, "%.*s", TR_SLICE_ARG(tr_msg_id(msg, number)));
  tr_buf_printf(out, "{\"at\":\"%s\",\"t\":%.6f,\"kind\":\"%s\"", points[seen->kind], (double)by->rt->wall_us() / 1e6, kinds[msg->kind]);
  tr_question_put(out, ",\"type\":", msg->type->text);
  if (msg->sender_type) put_pair(out, from, msg->sender_type, msg->sender_key);
  if (seen->agent) put_pair(out, to, tr_class_type(seen->agent->class_), seen->agent->key);
  else if (msg->target_type) put_pair(out, to, msg->target_type, msg->target_key);
  if (seen->agent && msg->kind == TR_MSG_EVENT) put_pair(out, ",\"topic\":", msg->target_type, msg->target_key);
  tr_question_put(out, ",\"id\":", id);
  if (seen->kind == TR_SEEN_SENT && (msg->from_wire || (msg->sender && tr_class_is_program(msg->sender->class_)))) tr_buf_text(out, ",\"outside\":true");
  if (seen->code) put_error(out, seen->code, seen->reply ? seen->reply->error : tr_slice_of(seen->text ? seen->text : tr_error_default_text(seen->code)));
  if (answer && !seen->code) tr_question_put(out, ",\"reply\":", seen->reply->type ? seen->reply->type->text : "null");
  if (answer ? !seen->code : seen->kind != TR_SEEN_FAILED) put_body(out, by->script, answer ? &seen->reply->body : &msg->body, body);
  tr_buf_text(out, "}");
}

/* ---- whose it is ---- */

static bool is(const tr_only *only, const tr_name *type, const tr_name *key) {
  char id[2 * TR_ID_MAX + 2];
  if (!type) return false;
  snprintf(id, sizeof id, "%s/%s", type->text, key ? key->text : "");
  return tr_only_has(only, tr_slice_of(id));
}

static bool wants(const tracer *self, const tr_seen *seen) {
  const tr_msg *msg = seen->msg;
  if (self->types.count && !tr_only_has(&self->types, tr_name_view(msg->type))) return false;
  if (!self->only.count) return true;
  if (seen->agent) return is(&self->only, tr_class_type(seen->agent->class_), seen->agent->key);
  return is(&self->only, msg->sender_type, msg->sender_key) || (msg->kind != TR_MSG_EVENT && is(&self->only, msg->target_type, msg->target_key));
}

/* What the runtime does for itself is not shown: results that are fetched, consoles, dead letters as messages. */
static bool is_internal(const tr_msg *msg) {
  const tr_name *reserved = msg->kind == TR_MSG_EVENT ? msg->target_type : msg->target_key;
  return !msg->type || !msg->target_type || tr_slice_starts(tr_name_view(msg->type), TR_SLICE_LITERAL("troupe.")) ||
         (reserved && tr_name_reserved(tr_name_view(reserved)));
}

/* ---- telling ---- */

static void tell_lost(tracer *self) {
  char text[60];
  if (!self->lost || tr_admin_queued(self->watcher.q->call) > QUEUED_MOST / 2) return;
  int n = snprintf(text, sizeof text, "{\"lost\":%llu}", (unsigned long long)self->lost);
  self->lost = 0;
  tr_admin_send(self->watcher.q->call, tr_slice_make(text, (size_t)n));
}

/* How much waits, whether it is not to be told at all. */
static bool is_full(const tracer *self) { return tr_admin_queued(self->watcher.q->call) > QUEUED_MOST; }

static void send_line(tracer *self, tr_slice line) {
  tell_lost(self);
  if (self->lost || is_full(self)) self->lost++;
  else tr_admin_send(self->watcher.q->call, line);
  if (self->left && --self->left == 0) self->over = true; /* not here: the core is at work */
}

static void pile_line(tracer *self, tr_slice line) {
  uint32_t n = (uint32_t)line.n;
  uv_mutex_lock(&self->mutex);
  if (self->pile.len + sizeof n + line.n > self->pile_most) {
    self->lost++;
  } else {
    tr_buf_append(&self->pile, &n, sizeof n);
    tr_buf_slice(&self->pile, line);
  }
  uv_mutex_unlock(&self->mutex);
}

static void tell(tracer *self, const seer *by, const tr_seen *seen) {
  tr_buf out;
  bool several = self->has_mutex;
  if (!several && is_full(self)) {
    self->lost++;
    return;
  }
  tr_buf_init(&out, by->mem);
  put_line(&out, by, seen, self->body);
  if (out.failed) tr_buf_clear(&out); /* an empty line is a lost one */
  if (several) pile_line(self, tr_buf_view(&out));
  else if (out.len) send_line(self, tr_buf_view(&out));
  else self->lost++;
  tr_buf_fini(&out);
}

/* The list changes only while all isolates stand still. */
static void tell_all(const seer *by, const tr_seen *seen) {
  if (is_internal(seen->msg)) return;
  for (tr_link *link = by->rt->operator->tracers.next; link != &by->rt->operator->tracers; link = link->next) {
    tracer *self = TR_CONTAINER(link, tracer, all);
    if ((self->has_mutex || !self->over) && wants(self, seen)) tell(self, by, seen);
  }
}

static void on_seen(void *ud, const tr_seen *seen) {
  troupe_t *rt = ud;
  tell_all(&(seer){ rt, rt->script, &rt->mem }, seen);
}

static void on_seen_in_isolate(void *ud, const tr_seen *seen) {
  const tr_isolate *isolate = ud;
  tell_all(&(seer){ isolate->crew->rt, isolate->script, isolate->mem }, seen);
}

static void take_pile(tracer *self) {
  uint32_t n;
  uv_mutex_lock(&self->mutex);
  for (size_t at = 0; at + sizeof n <= self->pile.len; at += sizeof n + n) {
    memcpy(&n, self->pile.data + at, sizeof n);
    if (self->over) continue;
    if (n) send_line(self, tr_slice_make(self->pile.data + at + sizeof n, n));
    else self->lost++;
  }
  tr_buf_clear(&self->pile);
  tell_lost(self);
  uv_mutex_unlock(&self->mutex);
}

static void on_tick(tr_watcher *watcher) {
  tracer *self = TR_CONTAINER(watcher, tracer, watcher);
  if (self->has_mutex) take_pile(self);
  else tell_lost(self);
  if (self->over) tr_watcher_end(watcher, 0, NULL);
}

/* ---- beginning and end ---- */

static void observe(troupe_t *rt, bool on) {
  if (!rt->crew) tr_core_observe(rt->core, on ? on_seen : NULL, rt);
  for (unsigned i = 0; rt->crew && i < rt->crew->count; i++)
    tr_core_observe(rt->crew->isolates[i]->core, on ? on_seen_in_isolate : NULL, rt->crew->isolates[i]);
}

static void fini(tracer *self) {
  if (self->has_mutex) uv_mutex_destroy(&self->mutex);
  tr_buf_fini(&self->pile);
  tr_only_fini(&self->only);
  tr_only_fini(&self->types);
  TR_DELETE(&self->rt->mem, self);
}

static void on_end(tr_watcher *watcher) {
  tracer *self = TR_CONTAINER(watcher, tracer, watcher);
  tr_crew_pause(self->rt->crew);
  tr_link_remove(&self->all);
  if (tr_list_empty(&self->rt->operator->tracers)) observe(self->rt, false);
  tr_crew_resume(self->rt->crew);
  fini(self);
}

/* Its memory is had at once: it is isolate 0's, and others only write to it. */
static int open_pile(tracer *self) {
  self->pile_most = QUEUED_MOST;
  if (!tr_buf_reserve(&self->pile, self->pile_most)) return TR_EMEMORY;
  self->has_mutex = uv_mutex_init(&self->mutex) == 0;
  return self->has_mutex ? 0 : TR_EMEMORY;
}

static int read_types(tracer *self, const tr_question *q) {
  const tr_value *list = tr_value_get(q->args, TR_SLICE_LITERAL("types"));
  const char *items[TYPES_MOST + 1];
  size_t n = list && tr_value_get_kind(list) == TR_VALUE_ARRAY ? tr_value_length(list) : 0;
  if (n == 0) return 0;
  if (n > TYPES_MOST) return TR_EINVALID;
  for (size_t i = 0; i < n; i++) {
    tr_slice text = { "", 0 };
    tr_value_as_string(tr_value_at(list, i), &text);
    items[i] = text.p;
  }
  items[n] = NULL;
  return tr_only_init(&self->types, &self->rt->mem, items);
}

/* A name without * must be one of an agent that lives here, or whose type is known. */
static int check_names(const tr_question *q, tr_error *error) {
  for (size_t i = 0; i < q->only_count; i++) {
    const char *name = q->only[i];
    tr_slice type = tr_slice_make(name, strcspn(name, "/"));
    unsigned isolate;
    if (strchr(name, '*') || tr_router_owner(tr_core_router(q->self->rt->core), type) || tr_core_find_class(q->self->rt->core, type)) continue;
    tr_crew_pause(q->self->rt->crew);
    const tr_agent *agent = tr_agents_find(q->self->rt, name, &isolate, error);
    tr_crew_resume(q->self->rt->crew);
    if (!agent) return error->code;
  }
  return 0;
}

void tr_answer_trace(tr_question *q) {
  troupe_t *rt = q->self->rt;
  tr_error error;
  double body = tr_question_number(q, "body", BODY_MOST), count = tr_question_number(q, "count", 0);
  tr_error_init(&error);
  int rc = check_names(q, &error);
  tracer *self = rc ? NULL : TR_NEW(&rt->mem, tracer);
  if (!self) {
    tr_question_fail(q, rc ? rc : TR_EMEMORY, error.text);
    return;
  }
  *self = (tracer){ .rt = rt, .body = body >= 0 && body < 1e6 ? (size_t)body : BODY_MOST, .left = count >= 1 && count < 1e9 ? (long)count : 0,
                    .watcher = { .tick = on_tick, .fini = on_end } };
  tr_buf_init(&self->pile, &rt->mem);
  rc = tr_only_init(&self->only, &rt->mem, q->only_count ? q->only : NULL);
  if (!rc) rc = read_types(self, q);
  if (!rc && rt->crew) rc = open_pile(self);
  if (!rc && !tr_watcher_begin(&self->watcher, q)) rc = TR_EUNAVAILABLE;
  if (rc) {
    fini(self);
    tr_question_fail(q, rc, rc == TR_EUNAVAILABLE ? "this process has no event loop" : NULL);
    return;
  }
  tr_crew_pause(rt->crew);
  tr_list_push(&q->self->tracers, &self->all);
  observe(rt, true);
  tr_crew_resume(rt->crew);
}
