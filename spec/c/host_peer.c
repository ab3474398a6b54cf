/* SPDX-License-Identifier: MIT
 * The stage of the host's specs: see host_peer.h. */
#include "host_peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- text that lives until the end of the case (every case has its own process) ---- */

static struct kept { struct kept *next; } *kept; /* the case's process ends soon; a list, so that it counts as no leak */

static char *keep(size_t n) {
  struct kept *block = calloc(1, sizeof *block + n + 16);
  if (!block) abort();
  block->next = kept;
  kept = block;
  return (char *)(block + 1);
}

const char *big(size_t n) { return memset(keep(n), 'x', n); }

tr_slice text(const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *p = keep(4096);
  int n = vsnprintf(p, 4096, format, args);
  va_end(args);
  return tr_slice_make(p, (size_t)n);
}

tr_slice join(tr_slice a, tr_slice b) {
  char *p = keep(a.n + b.n);
  if (a.n) memcpy(p, a.p, a.n);
  if (b.n) memcpy(p + a.n, b.p, b.n);
  return tr_slice_make(p, a.n + b.n);
}

/* ---- protobuf by hand ---- */

static size_t put_varint(char *p, uint64_t value) {
  size_t n = 0;
  for (; value > 127; value >>= 7) p[n++] = (char)(value | 128);
  p[n++] = (char)value;
  return n;
}

static bool get_varint(tr_slice *s, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; s->n; shift += 7) {
    uint8_t byte = (uint8_t)*s->p++;
    s->n--;
    *out |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

tr_slice pb_field(unsigned number, tr_slice value) {
  char *p = keep(20 + value.n);
  size_t n = put_varint(p, (uint64_t)number << 3 | 2);
  n += put_varint(p + n, value.n);
  if (value.n) memcpy(p + n, value.p, value.n);
  return tr_slice_make(p, n + value.n);
}

tr_slice pb_string(unsigned number, const char *value) { return pb_field(number, tr_slice_of(value)); }

static tr_slice scan(tr_slice message, unsigned number, unsigned *count) {
  tr_slice found = { NULL, 0 };
  uint64_t tag, n = 0;
  while (message.n && get_varint(&message, &tag)) {
    if ((tag & 7) == 0 && get_varint(&message, &n)) continue; /* of troupe's notes */
    if ((tag & 7) != 2) CHECK_FAIL("wire type %u is not expected here", (unsigned)(tag & 7));
    if (!get_varint(&message, &n) || n > message.n) CHECK_FAIL("a field is cut");
    if (tag >> 3 == number) {
      found = tr_slice_make(message.p, (size_t)n);
      ++*count;
    }
    message.p += n;
    message.n -= (size_t)n;
  }
  return found;
}

tr_slice pb_get(tr_slice message, unsigned number) {
  unsigned count = 0;
  return scan(message, number, &count);
}
unsigned pb_count(tr_slice message, unsigned number) {
  unsigned count = 0;
  scan(message, number, &count);
  return count;
}

tr_slice register_bytes(const char *type) { return pb_string(1, type); }

tr_slice subscription_bytes(const char *id, unsigned kind, const char *topic, const char *type) {
  tr_slice inner = join(pb_string(1, topic), pb_string(2, type));
  tr_slice sub_ = kind ? pb_field(kind, inner) : (tr_slice){ NULL, 0 };
  if (id) sub_ = join(pb_string(1, id), sub_);
  return pb_field(1, sub_);
}

tr_slice agent(const char *type, const char *key) { return join(pb_string(1, type), pb_string(2, key)); }

tr_slice payload(const char *type, const char *content_type, const char *data) {
  return join(join(pb_string(1, type), pb_string(2, content_type)), pb_string(3, data));
}

tr_slice request_with(const char *id, const char *type, const char *key, const char *data, tr_slice more) {
  tr_slice r = join(pb_string(1, id), pb_field(2, agent("asker", "a")));
  r = join(r, pb_field(3, agent(type, key)));
  r = join(r, pb_field(5, payload("Ask", "application/json", data)));
  return pb_field(1, join(r, more));
}

tr_slice request(const char *id, const char *type, const char *key, const char *data) {
  return request_with(id, type, key, data, (tr_slice){ NULL, 0 });
}

tr_slice metadata(const char *key, const char *value) { return pb_field(6, join(pb_string(1, key), pb_string(2, value))); }

tr_slice response(tr_slice id, const char *data) {
  return pb_field(2, join(pb_field(1, id), pb_field(2, payload("Answer", "application/json", data))));
}

tr_slice error_response(tr_slice id, const char *error) { return pb_field(2, join(pb_field(1, id), pb_string(3, error))); }

static tr_slice attribute(const char *key, const char *value) {
  return pb_field(5, join(pb_string(1, key), pb_field(2, pb_string(3, value))));
}

static tr_slice event_head(const char *topic, const char *source) {
  tr_slice e = join(pb_string(1, "event-id"), pb_string(2, source));
  return join(join(e, pb_string(3, "1.0")), pb_string(4, topic));
}

tr_slice event(const char *topic, const char *source, const char *data) {
  tr_slice e = join(event_head(topic, source), attribute("datacontenttype", "application/json"));
  e = join(e, attribute("dataschema", "Note"));
  e = join(e, join(attribute("agagentsendertype", "unknown"), attribute("agagentsenderkey", "unknown")));
  return pb_field(3, join(join(e, attribute("agmsgkind", "publish")), pb_string(6, data)));
}

tr_slice proto_event(const char *topic, const char *source, const char *type) {
  tr_slice e = join(event_head(topic, source), attribute("datacontenttype", "application/x-protobuf"));
  e = join(e, join(attribute("dataschema", type), attribute("agmsgkind", "publish")));
  return pb_field(3, join(e, pb_field(8, pb_field(1, text("type.googleapis.com/%s", type)))));
}

static tr_slice inner(tr_slice message) {
  for (unsigned kind = 1; kind <= 3; kind++)
    if (pb_count(message, kind)) return pb_get(message, kind);
  CHECK_FAIL("an empty agents.Message");
  return message;
}

tr_slice request_id(tr_slice message) { return pb_get(inner(message), 1); }
tr_slice error_of(tr_slice message) { return pb_get(pb_get(message, 2), 3); }
tr_slice topic_of(tr_slice message) { return pb_get(pb_get(message, 3), 4); }
tr_slice body_of(tr_slice message) {
  if (pb_count(message, 1)) return pb_get(pb_get(pb_get(message, 1), 5), 3);
  if (pb_count(message, 2)) return pb_get(pb_get(pb_get(message, 2), 2), 3);
  return pb_get(pb_get(message, 3), 6);
}

/* ---- the stage ---- */

static void on_log(void *ud, tr_log_level level, const char *name, const char *line) {
  stage *s = ud;
  if (getenv("VERBOSE")) fprintf(stderr, "  [%s] %s %s\n", tr_log_level_name(level), name, line);
  for (size_t i = 0; i < sizeof s->lines / sizeof *s->lines; i++) {
    if (s->lines[i].count && strcmp(s->lines[i].event, name) != 0) continue;
    snprintf(s->lines[i].event, sizeof s->lines[i].event, "%s", name);
    snprintf(s->lines[i].last, sizeof s->lines[i].last, "%s", line);
    s->lines[i].count++;
    s->lines[i].told += level <= TR_LOG_INFO;
    return;
  }
}

static int line_of(const stage *s, const char *name) {
  for (int i = 0; i < (int)(sizeof s->lines / sizeof *s->lines); i++)
    if (s->lines[i].count && strcmp(s->lines[i].event, name) == 0) return i;
  return -1;
}

unsigned stage_logged(const stage *s, const char *name) {
  int i = line_of(s, name);
  return i < 0 ? 0 : s->lines[i].count;
}

unsigned stage_told(const stage *s, const char *name) {
  int i = line_of(s, name);
  return i < 0 ? 0 : s->lines[i].told;
}

const char *stage_line(const stage *s, const char *name) {
  int i = line_of(s, name);
  return i < 0 ? "" : s->lines[i].last;
}

static void on_dead_letter(void *ud, tr_msg *msg, int code, const char *reason) {
  stage *s = ud;
  (void)msg;
  (void)reason;
  s->dead_letters++;
  s->dead_code = code;
}

static void on_host_dirty(void *ud, tr_host_conn *conn) {
  (void)ud;
  peer *p = tr_host_conn_socket(conn);
  p->dirty = true;
}

stage *stage_new(const tr_host_options *tweaks) {
  stage *s = (stage *)(void *)keep(sizeof *s);
  tr_mem_init(&s->mem);
  tr_random_init(&s->random, 7);
  s->now = TR_SECONDS(1000);
  s->log = (tr_log){ TR_LOG_DEBUG, on_log, s };
  tr_core_options options = { .mem = check_mem(), .log = &s->log, .seed = 42, .now = s->now,
                              .hooks = { NULL, on_dead_letter, s } };
  s->core = tr_core_new(&options);
  if (!s->core) return NULL;
  tr_host_options o = { 0 };
  if (tweaks) o = *tweaks;
  o.core = s->core;
  o.dirty = on_host_dirty;
  o.version = "9.9";
  s->host = tr_host_new(&o);
  if (s->host) return s;
  tr_core_free(s->core);
  return NULL;
}

void stage_free(stage *s) {
  for (peer *p = s->peers; p; p = p->next) {
    peer_cut(p);
    tr_rpc_conn_free(p->rpc);
    p->rpc = NULL;
  }
  tr_host_free(s->host);
  tr_core_free(s->core);
  for (pcall *c = s->calls; c; c = c->next)
    for (pmessage *m = c->first, *next; m; m = next) {
      next = m->next;
      free(m);
    }
  CHECK_INT(s->mem.used, ==, 0);
}

tr_host_stats stage_stats(const stage *s) {
  tr_host_stats stats;
  tr_host_get_stats(s->host, &stats);
  return stats;
}

/* ---- bytes from one end to the other ---- */

static bool feed(peer *p, const tr_buf *bytes, bool to_host) {
  stage *s = p->on;
  size_t at = 0;
  while (at < bytes->len) {
    size_t n = bytes->len - at;
    if (s->split && n > 1) n = 1 + (size_t)(tr_random_next(&s->random) % (n < 40 ? n : 40));
    tr_error error;
    tr_error_init(&error);
    tr_slice piece = tr_slice_make(bytes->data + at, n);
    int err = to_host ? tr_host_feed(p->conn, piece, &error) : tr_rpc_feed(p->rpc, piece, s->now, &error);
    if (err) return false;
    at += n;
  }
  return true;
}

/* Everything the host has for it now, if it was told that there is something. */
static bool pull(peer *p) {
  bool any = false;
  while (p->conn && p->dirty && !p->stalled) {
    tr_buf bytes;
    tr_buf_init(&bytes, &p->on->mem);
    p->dirty = false;
    tr_host_output(p->conn, &bytes, 65536);
    if (bytes.len) {
      any = p->dirty = true; /* a socket's writer asks until nothing comes */
      feed(p, &bytes, false);
    }
    tr_buf_fini(&bytes);
  }
  if (p->conn && tr_host_conn_finished(p->conn)) {
    peer_cut(p);
    return true;
  }
  return any;
}

static bool push(peer *p) {
  tr_buf bytes;
  tr_buf_init(&bytes, &p->on->mem);
  if (p->conn && !p->mute) tr_rpc_output(p->rpc, &bytes, 65536);
  bool any = bytes.len > 0;
  if (any && !feed(p, &bytes, true)) {
    p->dirty = true;
    pull(p);
    peer_cut(p);
  }
  tr_buf_fini(&bytes);
  return any;
}

void stage_run(stage *s) {
  for (int quiet = 0; quiet < 2; quiet++) {
    tr_core_set_now(s->core, s->now);
    for (peer *p = s->peers; p; p = p->next) {
      bool pushed = push(p), pulled = pull(p);
      if (pushed || pulled) quiet = -1;
    }
    if (tr_core_step(s->core, s->now, 100)) quiet = -1;
  }
}

void stage_sleep(stage *s, tr_time time) {
  tr_time end = s->now + time;
  stage_run(s);
  while (s->now < end) {
    tr_time next = tr_core_next_deadline(s->core);
    s->now = next <= s->now ? s->now + 1000 : next < end ? next : end;
    if (s->now > end) s->now = end;
    stage_run(s);
  }
}

/* ---- the client's side ---- */

static void on_headers(void *ud, tr_rpc_call *call) {
  (void)ud;
  pcall *c = tr_rpc_call_ud(call);
  c->headers = true;
  tr_slice version = tr_rpc_call_header(call, "troupe-version");
  snprintf(c->version, sizeof c->version, "%.*s", (int)version.n, version.p ? version.p : "");
  tr_slice received = tr_rpc_call_header(call, "troupe-received");
  snprintf(c->received, sizeof c->received, "%.*s", (int)received.n, received.p ? received.p : "");
}

/* How many messages the host has had: each few, or after a while. No case here is about these, and they come in between. */
static bool is_acknowledgement(tr_slice message) { return pb_count(message, 15) && pb_get(pb_get(message, 15), 1).n == 0; }

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  (void)ud;
  (void)framed;
  if (is_acknowledgement(bytes)) return;
  pcall *c = tr_rpc_call_ud(call);
  pmessage *m = malloc(sizeof *m + bytes.n);
  if (!m) abort();
  m->next = NULL;
  m->n = bytes.n;
  if (bytes.n) memcpy(m->bytes, bytes.p, bytes.n);
  *c->end = m;
  c->end = &m->next;
  c->count++;
}

static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  (void)ud;
  pcall *c = tr_rpc_call_ud(call);
  if (!c) return;
  c->call = NULL;
  c->closed = true;
  c->status = status->status;
  snprintf(c->text, sizeof c->text, "%.*s", (int)status->message.n, status->message.p ? status->message.p : "");
}

static void on_goaway(void *ud, tr_rpc_conn *conn, uint32_t error, tr_slice debug) {
  (void)conn;
  (void)error;
  (void)debug;
  ((peer *)ud)->goaway = true;
}

static void on_pong(void *ud, tr_rpc_conn *conn, uint64_t data) {
  (void)conn;
  (void)data;
  ((peer *)ud)->pongs++;
}

static const tr_rpc_handlers client_handlers = { .headers = on_headers, .message = on_message, .closed = on_closed,
                                                 .goaway = on_goaway, .pong = on_pong };

peer *peer_new(stage *s, const char *address, const char *user_agent) {
  peer *p = (peer *)(void *)keep(sizeof *p);
  p->on = s;
  snprintf(p->user_agent, sizeof p->user_agent, "%s", user_agent ? user_agent : "grpc-python-asyncio/1.70.0");
  tr_error error;
  tr_error_init(&error);
  tr_core_set_now(s->core, s->now);
  p->conn = tr_host_accept(s->host, tr_slice_of(address), p, &error);
  if (!p->conn) {
    CHECK_INT(error.code, !=, 0);
    return NULL;
  }
  tr_rpc_options options = { .mem = &s->mem, .handlers = &client_handlers, .ud = p, .max_message = 64u << 20,
                             .user_agent = p->user_agent, .authority = "host" };
  p->rpc = tr_rpc_conn_new(&options);
  CHECK(p->rpc != NULL);
  p->next = s->peers;
  s->peers = p;
  return p;
}

void peer_cut(peer *p) {
  if (!p->conn) return;
  tr_host_conn_closed(p->conn);
  p->conn = NULL;
}

pcall *call_open(peer *p, const char *method, const char *client_id, const tr_rpc_header *more, size_t count) {
  pcall *c = (pcall *)(void *)keep(sizeof *c);
  c->on = p;
  c->end = &c->first;
  c->next = p->on->calls;
  p->on->calls = c;
  tr_rpc_header headers[8];
  size_t n = 0;
  if (client_id) headers[n++] = (tr_rpc_header){ TR_SLICE_LITERAL("client-id"), tr_slice_of(client_id) };
  for (size_t i = 0; i < count; i++) headers[n++] = more[i];
  char path[96];
  snprintf(path, sizeof path, *method == '/' ? "%s" : "/agents.AgentRpc/%s", method);
  c->call = tr_rpc_call_new(p->rpc, tr_slice_of(path), headers, n, -1);
  if (c->call) tr_rpc_call_set_ud(c->call, c);
  else *c = (pcall){ .next = c->next, .on = p, .end = &c->first, .closed = true, .status = -1 };
  return c;
}

pcall *channel(peer *p, const char *client_id) {
  pcall *c = call_open(p, "OpenChannel", client_id, NULL, 0);
  stage_run(p->on);
  return c;
}

pcall *troupe_channel(peer *p, const char *client_id) {
  tr_rpc_header version = { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("0.1") };
  pcall *c = call_open(p, "OpenChannel", client_id, &version, 1);
  stage_run(p->on);
  return c;
}

void say(pcall *c, tr_slice message) {
  if (!c->call) CHECK_FAIL("the call is over: %d %s", c->status, c->text);
  tr_blob *frame = tr_rpc_frame(&c->on->on->mem, message);
  CHECK(frame != NULL);
  CHECK_INT(tr_rpc_send(c->call, frame), >=, 0);
  tr_blob_unref(frame);
}

void cancel(pcall *c) {
  tr_rpc_cancel(c->call);
  stage_run(c->on->on);
}

pcall *unary_call(peer *p, const char *method, const char *client_id, tr_slice request_, bool retried) {
  tr_rpc_header attempts = { TR_SLICE_LITERAL("grpc-previous-rpc-attempts"), TR_SLICE_LITERAL("1") };
  pcall *c = call_open(p, method, client_id, &attempts, retried);
  say(c, request_);
  tr_rpc_half_close(c->call);
  stage_run(p->on);
  if (!c->closed) CHECK_FAIL("%s: no answer", method);
  return c;
}

int unary(peer *p, const char *method, const char *client_id, tr_slice request_) {
  return unary_call(p, method, client_id, request_, false)->status;
}

static tr_slice take(pcall *c) {
  pmessage *m = c->first;
  c->first = m->next;
  if (!c->first) c->end = &c->first;
  c->count--;
  tr_slice copy = join(tr_slice_make(m->bytes, m->n), (tr_slice){ NULL, 0 });
  free(m);
  return copy;
}

tr_slice hear(pcall *c) {
  if (!c->first) stage_run(c->on->on);
  if (!c->first) CHECK_FAIL("nothing to hear (closed %d, status %d %s)", c->closed, c->status, c->text);
  return take(c);
}

bool silent(pcall *c) {
  stage_run(c->on->on);
  return c->first == NULL;
}

void hear_end(pcall *c, int status, const char *expected) {
  stage_run(c->on->on);
  CHECK(c->closed);
  if (expected) CHECK_STR(c->text, expected);
  CHECK_INT(c->status, ==, status);
}

/* ---- AutoGen's words ---- */

static void expect_ok(const pcall *c, const char *what) {
  if (c->status) CHECK_FAIL("%s: %d %s", what, c->status, c->text);
  CHECK_INT(c->count, ==, 1);
}

void reg(peer *p, const char *client_id, const char *type) {
  expect_ok(unary_call(p, "RegisterAgent", client_id, register_bytes(type), false), type);
}

void sub(peer *p, const char *client_id, const char *id, const char *topic, const char *type) {
  expect_ok(unary_call(p, "AddSubscription", client_id, subscription_bytes(id, 2, topic, type), false), topic);
}

void sub_prefix(peer *p, const char *client_id, const char *id, const char *prefix, const char *type) {
  expect_ok(unary_call(p, "AddSubscription", client_id, subscription_bytes(id, 3, prefix, type), false), prefix);
}

unsigned count_subscriptions(peer *p) {
  pcall *c = unary_call(p, "GetSubscriptions", "watcher", (tr_slice){ NULL, 0 }, false);
  expect_ok(c, "GetSubscriptions");
  return pb_count(take(c), 1);
}

void expect_error(pcall *c, const char *id, const char *beginning) {
  tr_slice message = hear(c);
  CHECK_TEXT(request_id(message), id);
  tr_slice error = error_of(message);
  if (!tr_slice_starts(error, tr_slice_of(beginning)))
    CHECK_FAIL("error \"%.*s\" does not begin with \"%s\"", TR_SLICE_ARG(error), beginning);
  CHECK(!pb_get(pb_get(message, 2), 2).p);
}

void serve(pcall *worker, const char *data) {
  tr_slice message = hear(worker);
  CHECK_INT(pb_count(message, 1), ==, 1);
  say(worker, response(request_id(message), data));
}

void expect_answer(pcall *caller, const char *id, const char *data) {
  tr_slice message = hear(caller);
  CHECK_INT(pb_count(message, 2), ==, 1);
  CHECK_INT(error_of(message).n, ==, 0);
  CHECK_TEXT(request_id(message), id);
  CHECK_TEXT(body_of(message), data);
}
