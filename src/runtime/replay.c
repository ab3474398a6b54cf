/* SPDX-License-Identifier: MIT
 * A record is run again: the agent gets the messages that it got, at the times when it got them, by a clock that is set forward.
 *
 * Nobody else lives: what the agent sends goes nowhere, and is written down as a recorder would (seen.c), so both sides are compared as lines of
 * one kind. What it calls is answered from the record, each target and type in order, after as long as it took then; what was never answered is
 * not now either (its deadline ends it); what the record does not have fails as `unavailable`, and is told. Programs and other agents of the
 * files do not begin. Its own timers do, in the same time.
 *
 * Requests are given with nobody behind them who would wait: the answer is seen where every answer is (core/observe.c).
 * The file is read in replay_read.c; what scripts see of time and chance is replay_looks.c; what is compared is made in replay_text.c. */
#include <stdio.h>
#include <string.h>

#include "codec/base64.h"
#include "core/id.h"
#include "runtime/replay.h"
#include "runtime/seen.h"
#include "runtime/state.h"

#define TURNS 256
#define ROUNDS_MOST 100000 /* steps of TURNS within one instant of the record's time */

typedef struct tr_rerun_call { const tr_rerun_line *sent, *answer; bool made; } tr_rerun_call; /* answer NULL: there was none */

/* What happens at its time: an answer that the agent gets; or (call NULL) that nobody waits for its own any more. In the list by time, and
 * answers of one time as the record has them. */
typedef struct due { tr_link link; int64_t at; tr_msg *msg; tr_reply_to reply_to; const tr_rerun_call *call; } due;

/* ---- from lines to messages ---- */

static tr_slice text_of(const tr_rerun_line *line, const char *name) {
  tr_slice text = { "", 0 };
  const tr_value *value = tr_value_get(line->value, tr_slice_of(name));
  if (value) tr_value_as_string(value, &text);
  return text;
}

static int64_t integer_of(const tr_value *map, const char *name, int64_t fallback) {
  const tr_value *value = tr_value_get(map, tr_slice_of(name));
  if (value) tr_value_as_integer(value, &fallback);
  return fallback;
}

static int read_native(tr_mem *mem, tr_slice text, tr_body *body, tr_error *error) {
  tr_buf bytes;
  tr_buf_init(&bytes, mem);
  int rc = tr_base64_read(&bytes, text);
  if (!rc) body->bytes = tr_blob_copy(mem, tr_buf_view(&bytes));
  tr_buf_fini(&bytes);
  if (rc || !body->bytes) return tr_error_set(error, rc ? rc : TR_EMEMORY, "its body cannot be read");
  body->kind = TR_BODY_BYTES;
  body->format = TR_FORMAT_NATIVE;
  return 0;
}

static int read_body(const tr_rerun *self, const tr_rerun_line *line, tr_body *body, tr_error *error) {
  const tr_value *value = tr_value_get(line->value, TR_SLICE_LITERAL("body"));
  tr_slice native = text_of(line, "native");
  *body = (tr_body){ .kind = TR_BODY_NONE };
  if (value) return tr_script_body(self->rt->script, value, body, error);
  if (native.n) return read_native(&self->rt->mem, native, body, error);
  return tr_error_set(error, TR_EUNAVAILABLE, "the record does not have its body");
}

static int set_pair(tr_core *core, tr_slice id, tr_name **type, tr_name **key) {
  const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;
  if (!slash) return TR_EINVALID;
  size_t n = (size_t)(slash - id.p);
  *type = tr_name_new(tr_core_names(core), tr_slice_make(id.p, n));
  *key = tr_name_new(tr_core_names(core), tr_slice_make(slash + 1, id.n - n - 1));
  return *type && *key ? 0 : TR_EMEMORY;
}

static int set_meta(const tr_rerun_line *line, tr_msg *msg) {
  const tr_value *list = tr_value_get(line->value, TR_SLICE_LITERAL("metadata"));
  size_t count = list && tr_value_get_kind(list) == TR_VALUE_ARRAY ? tr_value_length(list) : 0;
  if (!count) return 0;
  msg->meta = tr_meta_new(tr_core_mem(msg->core));
  if (!msg->meta) return TR_EMEMORY;
  for (size_t i = 0; i + 1 < count; i += 2) {
    tr_slice key, value;
    if (!tr_value_as_string(tr_value_at(list, i), &key) || !tr_value_as_string(tr_value_at(list, i + 1), &value)) continue;
    if (tr_meta_set(msg->meta, key, value)) return TR_EMEMORY;
  }
  return 0;
}

static int fill(const tr_rerun *self, const tr_rerun_line *line, tr_msg *msg, tr_error *error) {
  tr_core *core = self->rt->core;
  tr_slice topic = text_of(line, "topic");
  int64_t priority = integer_of(line->value, "priority", 0), left = integer_of(line->value, "left", -1);
  msg->priority = priority > 0 ? TR_PRIORITY_HIGH : priority < 0 ? TR_PRIORITY_LOW : TR_PRIORITY_NORMAL;
  if (left >= 0) msg->deadline = tr_runtime_after(self->now, left);
  msg->troupe_peer = true;
  msg->type = tr_name_new(tr_core_names(core), line->type);
  msg->id = tr_name_new(tr_core_names(core), line->id);
  int rc = msg->type && msg->id ? set_pair(core, topic.n ? topic : line->to, &msg->target_type, &msg->target_key) : TR_EMEMORY;
  if (!rc && line->from.n) rc = set_pair(core, line->from, &msg->sender_type, &msg->sender_key);
  if (!rc) rc = set_meta(line, msg);
  if (rc) return tr_error_set(error, rc, rc == TR_EMEMORY ? "out of memory" : "its ids are none");
  return read_body(self, line, &msg->body, error);
}

/* ---- what the agent gets ---- */

static void on_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) { /* it was seen */
  (void)ud;
  (void)token;
  (void)request;
  (void)reply;
}

static bool has_answer(const tr_rerun *self, const tr_rerun_line *line) {
  for (const tr_rerun_line *it = line; it < self->lines.items + self->lines.count; it++)
    if (tr_slice_is(it->at, "answered") && tr_slice_equal(it->id, line->id) && tr_slice_equal(it->from, line->to)) return true;
  return false;
}

static bool comes_before(const due *a, const due *b) {
  if (a->at != b->at || !a->call || !b->call) return a->at < b->at;
  return a->call->answer < b->call->answer; /* both are lines of one array */
}

static int plan(tr_rerun *self, int64_t at, tr_msg *msg, tr_reply_to reply_to, const tr_rerun_call *call) {
  due *item = TR_NEW(self->mem, due);
  if (!item) return TR_EMEMORY;
  *item = (due){ .at = at, .msg = tr_msg_ref(msg), .reply_to = reply_to, .call = call };
  tr_link *before = self->due.prev;
  while (before != &self->due && comes_before(item, TR_CONTAINER(before, const due, link))) before = before->prev;
  tr_list_push(before->next, &item->link);
  return 0;
}

static int post(tr_rerun *self, const tr_rerun_line *line, tr_msg *msg, tr_error *error) {
  int rc = 0;
  if (msg->kind == TR_MSG_EVENT) {
    const char *slash = memchr(line->to.p, '/', line->to.n);
    size_t n = slash ? (size_t)(slash - line->to.p) : 0;
    tr_class *class_ = tr_core_find_class(self->rt->core, tr_slice_make(line->to.p, n));
    if (class_) tr_core_give(self->rt->core, class_, tr_slice_make(slash + 1, line->to.n - n - 1), msg);
    else tr_msg_unref(msg);
    return 0;
  }
  if (msg->kind == TR_MSG_REQUEST) {
    msg->reply_to = (tr_reply_to){ .answer = on_answer };
    if (msg->deadline != TR_NEVER && !has_answer(self, line)) rc = plan(self, msg->deadline, msg, (tr_reply_to){ 0 }, NULL);
  }
  tr_core_post(self->rt->core, msg); /* what is refused is seen */
  return rc ? tr_error_set(error, rc, "out of memory") : 0;
}

static int give(tr_rerun *self, const tr_rerun_line *line, tr_error *error) {
  tr_error why;
  tr_error_init(&why);
  tr_msg_kind kind = tr_slice_is(line->kind, "event") ? TR_MSG_EVENT : tr_slice_is(line->kind, "send") ? TR_MSG_SEND : TR_MSG_REQUEST;
  tr_msg *msg = tr_msg_new(self->rt->core, kind);
  int rc = msg ? fill(self, line, msg, &why) : TR_EMEMORY;
  self->injecting = true;
  if (!rc) rc = post(self, line, msg, &why);
  else if (msg) tr_msg_unref(msg);
  self->injecting = false;
  if (rc == TR_EMEMORY) return tr_error_set(error, rc, "out of memory");
  if (rc) tr_rerun_tell(self, "%.*s (%.*s) was not given again: %s", TR_SLICE_ARG(line->to), TR_SLICE_ARG(line->type), why.text);
  return 0;
}

/* ---- what it does ---- */

static void keep_line(void *ud, tr_slice text) {
  tr_rerun *self = ud;
  tr_error error;
  tr_error_init(&error);
  tr_value *value = tr_rerun_parse(self->mem, text, &error);
  if (!value || tr_rerun_add(self, &self->done, value, &error)) self->failed = error.code ? error.code : TR_EMEMORY;
}

static void keep(tr_rerun *self, const tr_seen *seen) {
  tr_buf line;
  tr_buf_init(&line, self->mem);
  tr_seen_record(&line, &(tr_seer){ self->rt, self->rt->script, self->mem }, seen);
  if (line.failed) self->failed = TR_EMEMORY;
  else keep_line(self, tr_buf_view(&line));
  tr_buf_fini(&line);
}

static void on_seen(void *ud, const tr_seen *seen) {
  if (seen->kind != TR_SEEN_ANSWERED && seen->kind != TR_SEEN_FAILED) return;
  if (!tr_seen_internal(seen->msg)) keep(ud, seen);
}

/* The next one in the record; those before call_first are over. */
static tr_rerun_call *find_call(tr_rerun *self, tr_slice from, tr_slice to, tr_slice type) {
  while (self->call_first < self->call_count && self->calls[self->call_first].made) self->call_first++;
  for (size_t i = self->call_first; i < self->call_count; i++) {
    const tr_rerun_line *sent = self->calls[i].sent;
    if (!self->calls[i].made && tr_slice_equal(sent->type, type) && tr_slice_equal(sent->to, to) && tr_slice_equal(sent->from, from)) return &self->calls[i];
  }
  return NULL;
}

/* As then, where it was asked as then (the replay is a little ahead of the machine that was busy); else after as long as it took then. */
static int64_t answer_time(const tr_rerun *self, const tr_rerun_call *call) {
  if (!call->answer) return TR_NEVER;
  int64_t took = call->answer->t - call->sent->t, late = call->sent->t - self->now;
  if (took < 0) took = 0;
  return late >= 0 && late < TR_SECONDS(1) ? call->sent->t + took : self->now + took;
}

static int on_call(tr_rerun *self, tr_msg *msg, tr_slice from, tr_slice to, tr_error *why) {
  tr_rerun_call *call = find_call(self, from, to, tr_name_view(msg->type));
  if (!call) {
    tr_rerun_tell(self, "%.*s called %.*s (%s): the record has no answer, so it was unavailable", TR_SLICE_ARG(from), TR_SLICE_ARG(to), msg->type->text);
    return tr_error_set(why, TR_EUNAVAILABLE, "the record has no answer of %.*s to %s", TR_SLICE_ARG(to), msg->type->text);
  }
  call->made = true;
  if (plan(self, answer_time(self, call), msg, msg->reply_to, call)) return tr_error_set(why, TR_EMEMORY, "out of memory");
  msg->reply_to = (tr_reply_to){ 0 }; /* dropping it is no answer; who waits for it knows of it as long as it is kept */
  return TR_INTERCEPT_DROP;
}

static int on_message(void *ud, tr_msg *msg, tr_error *why) {
  tr_rerun *self = ud;
  char from[2 * TR_ID_MAX + 2] = "", to[2 * TR_ID_MAX + 2];
  if (self->injecting || msg->own || tr_seen_internal(msg)) return 0;
  if (msg->sender_type) snprintf(from, sizeof from, "%s/%s", msg->sender_type->text, msg->sender_key ? msg->sender_key->text : "");
  snprintf(to, sizeof to, "%s/%s", msg->target_type->text, msg->target_key ? msg->target_key->text : "");
  if (!tr_rerun_is_ours(self, tr_slice_of(from))) return TR_INTERCEPT_DROP;
  keep(self, &(tr_seen){ .kind = TR_SEEN_SENT, .msg = msg });
  return msg->kind == TR_MSG_REQUEST ? on_call(self, msg, tr_slice_of(from), tr_slice_of(to), why) : TR_INTERCEPT_DROP;
}

/* ---- answers of others ---- */

static int find_calls(tr_rerun *self) {
  tr_map by_id;
  int rc = 0;
  tr_map_init(&by_id, self->mem, 1);
  self->calls = tr_calloc(self->mem, self->lines.count + 1, sizeof *self->calls);
  if (!self->calls) return TR_EMEMORY;
  for (size_t i = 0; !rc && i < self->lines.count; i++) {
    const tr_rerun_line *line = &self->lines.items[i];
    if (tr_rerun_is_output(self, line) && tr_slice_is(line->kind, "request")) {
      self->calls[self->call_count].sent = line;
      rc = tr_map_put(&by_id, line->id, &self->calls[self->call_count++], NULL);
    } else if (tr_slice_is(line->at, "answered") && tr_rerun_is_ours(self, line->to)) {
      tr_rerun_call *call = tr_map_get(&by_id, line->id);
      if (call && !call->answer) call->answer = line;
    }
  }
  tr_map_fini(&by_id);
  return rc;
}

static void answer(tr_rerun *self, due *item) {
  const tr_rerun_line *line = item->call->answer;
  tr_error error;
  tr_error_init(&error);
  tr_reply reply = { .code = 0 };
  tr_slice text = text_of(line, "error"), type = text_of(line, "reply");
  if (text.n) tr_error_parse(&error, text);
  else if (read_body(self, line, &reply.body, &error) == TR_EMEMORY) self->failed = TR_EMEMORY;
  reply.code = error.code;
  if (reply.code) reply.error = tr_slice_of(error.text);
  else if (!tr_slice_is(type, "null") && !(reply.type = tr_name_new(tr_core_names(self->rt->core), type))) self->failed = TR_EMEMORY;
  item->msg->reply_to = item->reply_to;
  tr_msg_answer(item->msg, &reply);
  tr_name_unref(reply.type);
}

static int64_t next_due(const tr_rerun *self) {
  return tr_list_empty(&self->due) ? TR_NEVER : TR_CONTAINER(self->due.next, const due, link)->at;
}

/* One of them: what comes of it comes before the next. */
static void do_due(tr_rerun *self) {
  int64_t at = next_due(self);
  if (at > self->now || at == TR_NEVER) return;
  due *item = TR_CONTAINER(tr_list_pop(&self->due), due, link);
  if (item->call) answer(self, item);
  else if (tr_msg_is_awaited(item->msg)) tr_msg_cancel(item->msg);
  tr_msg_unref(item->msg);
  TR_DELETE(self->mem, item);
}

/* ---- time ---- */

static int64_t on_clock(void *ud) { return ((tr_rerun *)ud)->now; }

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  const tr_rerun *self = ud;
  if (self->given.log) self->given.log(self->given.userdata, level, event, text);
}

/* All that happens at this time. */
static int settle(tr_rerun *self, tr_error *error) {
  troupe_t *rt = self->rt;
  for (int i = 0; i < ROUNDS_MOST; i++) {
    do_due(self);
    rt->in_poll = true;
    int more = tr_script_step(rt->script, self->now, TURNS);
    rt->in_poll = false;
    if (self->failed) return tr_error_set(error, self->failed, "%s", tr_error_default_text(self->failed));
    if (!more && tr_core_next_deadline(rt->core) > self->now && next_due(self) > self->now) return 0;
  }
  return tr_error_set(error, TR_ELIMIT, "%s does not come to rest: it is at work for ever at one time of the record", self->agent);
}

static int64_t next_time(const tr_rerun *self, size_t at) {
  int64_t next = tr_core_next_deadline(self->rt->core), answer_at = next_due(self);
  if (at < self->lines.count && self->lines.items[at].t < next) next = self->lines.items[at].t;
  return answer_at < next ? answer_at : next;
}

/* How many requests the agent has answered. */
static size_t answers(const tr_rerun *self, const tr_rerun_lines *lines) {
  size_t n = 0;
  for (size_t i = 0; i < lines->count; i++) n += tr_slice_is(lines->items[i].at, "answered") && tr_rerun_is_ours(self, lines->items[i].from);
  return n;
}

/* The run is over with the record's last line; but for answers that come a little later now: on a busy machine the clock of then ran on
 * while the agent worked, by which a deadline came sooner. */
static bool is_over(const tr_rerun *self, int64_t next, int64_t end) {
  if (next <= end) return false;
  return next > end + TR_SECONDS(5) || answers(self, &self->done) >= answers(self, &self->lines);
}

static int go_through(tr_rerun *self, tr_error *error) {
  int64_t end = self->end;
  size_t at = 0;
  int rc = settle(self, error);
  while (!rc) {
    int64_t next = next_time(self, at);
    if (is_over(self, next, end)) break;
    if (next > self->now) self->now = next;
    tr_core_set_now(self->rt->core, self->now);
    for (; !rc && at < self->lines.count && self->lines.items[at].t <= self->now; at++)
      if (tr_rerun_is_input(self, &self->lines.items[at])) {
        rc = give(self, &self->lines.items[at], error);
        if (!rc) rc = settle(self, error);
      }
    if (!rc) rc = settle(self, error);
  }
  self->end = end;
  return rc;
}

/* ---- from outside ---- */

int tr_rerun_runtime(tr_rerun *self, const troupe_options_t *options, troupe_t **out, tr_error *error) {
  troupe_options_t own = *options;
  self->given = *options;
  self->now = self->begin;
  own.userdata = self;
  own.clock_us = on_clock;
  own.log = on_log;
  own.threads = 1;
  int rc = troupe_new(&self->rt, &own);
  *out = self->rt;
  if (rc) return tr_error_set(error, rc, "%s", tr_error_default_text(rc));
  int64_t seed = integer_of(self->head, "seed", 1);
  const tr_looks looks = { .fn = tr_rerun_look_at, .ud = self, .turns = true, .seed = (uint64_t)seed };
  tr_random_init(&self->random, looks.seed);
  self->core_begin = integer_of(self->head, "now", 0);
  return tr_script_set_looks(self->rt->script, &looks, error);
}

static int restore(tr_rerun *self, tr_error *error) {
  tr_slice text;
  const tr_value *value = tr_value_get(self->head, TR_SLICE_LITERAL("snapshot"));
  const char *const only[] = { self->agent, NULL };
  const troupe_state_options_t options = { .size = sizeof options, .only = only };
  if (!value || !tr_value_as_string(value, &text)) return 0;
  tr_buf bytes;
  tr_buf_init(&bytes, self->mem);
  int rc = tr_base64_read(&bytes, text);
  self->rt->restored_at = self->begin;
  if (!rc) rc = troupe_restore_bytes(self->rt, (const char *)bytes.data, bytes.len, &options);
  tr_buf_fini(&bytes);
  if (rc > 0) tr_rerun_tell(self, "not all of the states at the beginning could be restored");
  return rc < 0 ? tr_error_set(error, rc, "the states at the record's beginning: %s", troupe_error(self->rt)) : 0;
}

static tr_slice own_type(const tr_rerun *self) { return tr_slice_make(self->agent, strcspn(self->agent, "/")); }

bool tr_rerun_stand_in(tr_rerun *self, const char *path) {
  if (tr_core_find_class(self->rt->core, own_type(self)) || !tr_script_is_loaded(self->rt->script, path)) return false;
  tr_script_unload(self->rt->script, path);
  tr_script_set_untyped(self->rt->script, own_type(self));
  return true;
}

static int not_loaded(const tr_rerun *self, tr_slice type, tr_error *error) {
  const tr_core *core = self->rt->core;
  tr_script_source source;
  char found[240] = "";
  size_t n = 0;
  for (tr_route_type *it = NULL; n < sizeof found && (it = tr_router_next_type(tr_core_router(core), tr_core_local(core), it));)
    if (tr_script_where(self->rt->script, tr_name_view(it->name), &source))
      n += (size_t)snprintf(found + n, sizeof found - n, "%s\"%s\" of %s", n ? ", " : "", it->name->text, source.file);
  return tr_error_set(error, TR_ENOT_FOUND,
                      "no agent type \"%.*s\" is in what was loaded (%s%s): give the agent `type = \"%.*s\"`, or load the file that has it (--script FILE)",
                      TR_SLICE_ARG(type), n ? found : "none at all is", n < sizeof found ? "" : "…", TR_SLICE_ARG(type));
}

static int start(tr_rerun *self, tr_error *error) {
  tr_slice type = own_type(self);
  const tr_class *class_ = tr_core_find_class(self->rt->core, type);
  if (!class_) return not_loaded(self, type, error);
  if (tr_class_is_program(class_)) return tr_error_set(error, TR_EINVALID, "%.*s is a program: those do not run again", TR_SLICE_ARG(type));
  int rc = restore(self, error);
  self->rt->started = true; /* the others do not begin */
  return rc ? rc : tr_script_start_type(self->rt->script, type, error);
}

int tr_rerun_run(tr_rerun *self, tr_error *error) {
  if (find_calls(self) || tr_rerun_find_looks(self)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  tr_core_observe(self->rt->core, on_seen, self);
  tr_core_intercept(self->rt->core, on_message, self);
  int rc = start(self, error);
  if (!rc) rc = go_through(self, error);
  bool has_states = self->has_states;
  if (!rc && has_states) {
    rc = tr_record_states(self->rt, self->agent, keep_line, self, error);
    if (rc > 0) tr_rerun_tell(self, "not all of the states at the end could be had");
    if (rc > 0) rc = 0;
  }
  if (!rc && self->failed) rc = tr_error_set(error, self->failed, "%s", tr_error_default_text(self->failed));
  return rc ? rc : tr_rerun_make_results(self, error);
}

static void free_lines(tr_mem *mem, tr_rerun_lines *lines) {
  for (size_t i = 0; i < lines->count; i++) tr_value_free(lines->items[i].value);
  tr_free(mem, lines->items, lines->cap * sizeof *lines->items);
}

static void free_text(tr_mem *mem, char *text) {
  if (text) tr_free(mem, text, strlen(text) + 1);
}

void tr_rerun_free(tr_rerun *self) {
  if (!self) return;
  tr_mem *mem = self->mem;
  if (self->rt) tr_core_observe(self->rt->core, NULL, NULL);
  for (tr_link *link; (link = tr_list_pop(&self->due));) {
    due *item = TR_CONTAINER(link, due, link);
    item->msg->reply_to = item->reply_to;
    if (item->call) tr_msg_fail(item->msg, TR_ECANCELLED, NULL); /* the agent's call ends */
    tr_msg_unref(item->msg);
    TR_DELETE(mem, item);
  }
  troupe_free(self->rt);
  for (size_t i = 0; i < 2 * self->result_count; i++) tr_buf_fini(&self->texts[i]);
  tr_free(mem, self->results, self->results ? (self->result_count + 1) * sizeof *self->results : 0);
  tr_free(mem, self->texts, self->texts ? (2 * self->result_count + 1) * sizeof *self->texts : 0);
  tr_free(mem, self->calls, self->calls ? (self->lines.count + 1) * sizeof *self->calls : 0);
  tr_rerun_free_looks(self);
  free_lines(mem, &self->lines);
  free_lines(mem, &self->done);
  for (size_t i = 0; i < self->note_count; i++) free_text(mem, self->notes[i]);
  tr_value_free(self->head);
  free_text(mem, self->path);
  free_text(mem, self->agent);
  TR_DELETE(mem, self);
}
