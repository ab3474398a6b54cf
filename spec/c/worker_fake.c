/* SPDX-License-Identifier: MIT
 * The scripted host of worker_stage.h: a server-side rpc connection that behaves as AutoGen's host does (wire.md §5, §10),
 * or, as far as a worker can tell, as troupe's. */
#include "worker_stage.h"

#include <stdio.h>

static void copy(char *out, size_t size, tr_slice text) { snprintf(out, size, "%.*s", (int)text.n, text.n ? text.p : ""); }

/* ---- what it keeps ---- */

static struct held *find(place *f, int kind, const char *topic, const char *type) {
  for (struct held *h = f->held; h; h = h->next)
    if (!h->removed && h->kind == kind && strcmp(h->type, type) == 0 && (kind < 0 || strcmp(h->topic, topic) == 0)) return h;
  return NULL;
}

bool fake_has(place *f, int kind, const char *topic, const char *type) { return find(f, kind, topic, type) != NULL; }

void fake_hold(place *f, int kind, const char *topic, const char *type, const char *client) {
  struct held *h = keep(sizeof *h), **end = &f->held;
  h->kind = kind;
  snprintf(h->topic, sizeof h->topic, "%s", topic);
  snprintf(h->type, sizeof h->type, "%s", type);
  snprintf(h->client, sizeof h->client, "%s", client);
  while (*end) end = &(*end)->next;
  *end = h;
}

static void forget(place *f, const char *client) {
  for (struct held *h = f->held; h && !f->holds; h = h->next)
    if (strcmp(h->client, client) == 0) h->removed = true;
}

/* ---- unary calls ---- */

void fcall_answer(fcall *c, int status, const char *text) {
  if (!c->call) return;
  if (status == 0) {
    tr_blob *frame = tr_wire_encode_empty(&c->conn->at->on->mem);
    tr_rpc_send(c->call, frame);
    tr_blob_unref(frame);
  }
  tr_rpc_finish(c->call, status, tr_slice_of(text));
}

static void serve_register(fcall *c, tr_slice bytes) {
  place *f = c->conn->at;
  tr_slice type;
  char name[64], text[200];
  CHECK_INT(tr_wire_decode_register(bytes, &type, NULL), ==, 0);
  copy(name, sizeof name, type);
  struct held *h = find(f, -1, "", name);
  if (h && !(f->troupe && strcmp(h->client, c->client) == 0)) {
    snprintf(text, sizeof text, "Agent type %s already registered with client %s.", name, h->client);
    fcall_answer(c, 3, text);
    return;
  }
  if (!h) fake_hold(f, -1, "", name, c->client);
  fcall_answer(c, 0, "");
}

static void serve_add(fcall *c, tr_slice bytes) {
  place *f = c->conn->at;
  tr_wire_subscription sub;
  bool present;
  char topic[64], type[64];
  CHECK_INT(tr_wire_decode_add_subscription(bytes, &sub, &present, NULL), ==, 0);
  CHECK(present && sub.has_kind && sub.id.n == 36);
  copy(topic, sizeof topic, sub.topic);
  copy(type, sizeof type, sub.agent_type);
  struct held *h = find(f, (int)sub.kind, topic, type);
  if (h && !(f->troupe && strcmp(h->client, c->client) == 0)) {
    fcall_answer(c, 3, "Subscription already exists");
    return;
  }
  if (!h) fake_hold(f, (int)sub.kind, topic, type, c->client);
  for (h = f->held; h->next;) h = h->next;
  copy(h->id, sizeof h->id, sub.id);
  fcall_answer(c, 0, "");
}

static void serve_remove(fcall *c, tr_slice bytes) {
  tr_slice id;
  char text[64];
  bool found = false;
  CHECK_INT(tr_wire_decode_remove_subscription(bytes, &id, NULL), ==, 0);
  copy(text, sizeof text, id);
  for (struct held *h = c->conn->at->held; h; h = h->next)
    if (!h->removed && h->kind >= 0 && strcmp(h->id, text) == 0) h->removed = found = true;
  fcall_answer(c, found ? 0 : 2, found ? "" : "Unexpected <class 'ValueError'>: Subscription does not exist");
}

static void serve_get(fcall *c) {
  place *f = c->conn->at;
  tr_mem *mem = &f->on->mem;
  tr_names *names = tr_names_new(mem, 1);
  tr_router *router = tr_router_new(mem, names, 1);
  unsigned n = 0;
  for (struct held *h = f->held; h; h = h->next) {
    char id[16];
    snprintf(id, sizeof id, "%u", n++);
    if (!h->removed && h->kind >= 0)
      tr_router_subscribe(router, (tr_sub_kind)h->kind, tr_slice_of(id), tr_slice_of(h->topic), tr_slice_of(h->type), NULL, NULL, NULL);
  }
  tr_blob *frame = tr_wire_encode_subscriptions(mem, router);
  tr_rpc_send(c->call, frame);
  tr_rpc_finish(c->call, 0, tr_slice_of(""));
  tr_blob_unref(frame);
  tr_router_free(router);
  tr_names_free(names);
}

static void serve(fcall *c) {
  place *f = c->conn->at;
  tr_slice bytes = c->first ? tr_slice_make(c->first->bytes, c->first->n) : tr_slice_make(NULL, 0);
  if (f->manual) return;
  if (strcmp(c->method, "RegisterAgent") == 0) serve_register(c, bytes);
  else if (strcmp(c->method, "AddSubscription") == 0) serve_add(c, bytes);
  else if (strcmp(c->method, "RemoveSubscription") == 0) serve_remove(c, bytes);
  else serve_get(c);
}

/* ---- what rpc tells ---- */

static void on_open(void *ud, tr_rpc_call *call, tr_slice path) {
  fconn *conn = ud;
  place *f = conn->at;
  fcall *c = keep(sizeof *c);
  CHECK(tr_slice_starts(path, TR_SLICE_LITERAL("/agents.AgentRpc/")));
  c->conn = conn;
  c->call = call;
  c->end = &c->first;
  c->status = -1;
  c->next = f->calls;
  f->calls = c;
  copy(c->method, sizeof c->method, tr_slice_make(path.p + 17, path.n - 17));
  copy(c->client, sizeof c->client, tr_rpc_call_header(call, "client-id"));
  copy(c->version, sizeof c->version, tr_rpc_call_header(call, "troupe-version"));
  CHECK_INT(strlen(c->client), ==, 36);
  tr_rpc_call_set_ud(call, c);
  if (strcmp(c->method, "RegisterAgent") == 0) f->registers++;
  if (strcmp(c->method, "AddSubscription") == 0) f->adds++;
  if (strcmp(c->method, "RemoveSubscription") == 0) f->removes++;
  if (strcmp(c->method, "GetSubscriptions") == 0) f->polls++;
  if (strcmp(c->method, "OpenChannel") != 0) return;
  f->opened++;
  if (f->refuse) {
    tr_rpc_finish(call, f->refuse, tr_slice_of(f->refuse_text ? f->refuse_text : "go away"));
    return;
  }
  f->channel = c;
  tr_rpc_header headers[] = { { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("1") },
                              { TR_SLICE_LITERAL("troupe-accepts"), TR_SLICE_LITERAL("native") } };
  if (f->troupe) tr_rpc_send_headers(call, headers, f->native ? 2 : 1); /* AutoGen's sends none before its first message */
}

/* AutoGen's host hands a request to its type's worker, and the answer back; here only where that is the sender itself. */
static void hand_back(fcall *c, tr_slice bytes) {
  place *f = c->conn->at;
  tr_wire_span span = { 0 };
  char type[64];
  if (f->manual || tr_wire_walk(bytes, &span, NULL)) return;
  copy(type, sizeof type, span.target_type);
  if (span.kind == TR_WIRE_REQUEST && strncmp(type, "troupe-barrier-", 15) == 0 && find(f, -1, "", type)) {
    copy(f->echo, sizeof f->echo, span.request_id);
  } else if (span.kind != TR_WIRE_RESPONSE || !f->echo[0] || !tr_slice_is(span.request_id, f->echo)) {
    return;
  }
  tr_blob *frame = tr_wire_frame(&f->on->mem, bytes);
  tr_rpc_send(c->call, frame);
  tr_blob_unref(frame);
}

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  fcall *c = tr_rpc_call_ud(call);
  (void)ud;
  (void)framed;
  fmessage *m = keep(sizeof *m + bytes.n);
  m->n = bytes.n;
  if (bytes.n) memcpy(m->bytes, bytes.p, bytes.n);
  *c->end = m;
  c->end = &m->next;
  c->count++;
  if (strcmp(c->method, "OpenChannel") == 0) hand_back(c, bytes);
}

static void on_half_closed(void *ud, tr_rpc_call *call) {
  (void)ud;
  serve(tr_rpc_call_ud(call));
}

static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  fconn *conn = ud;
  fcall *c = tr_rpc_call_ud(call);
  c->call = NULL;
  c->status = status->status;
  if (strcmp(c->method, "OpenChannel") == 0) forget(conn->at, c->client);
  if (conn->at->channel == c) conn->at->channel = NULL;
}

static const tr_rpc_handlers handlers = {
  .open = on_open, .message = on_message, .half_closed = on_half_closed, .closed = on_closed,
};

/* ---- connections ---- */

place *fake_new(stage *s, bool troupe) {
  place *f = place_new(s);
  f->troupe = troupe;
  return f;
}

fconn *fake_accept(place *f) {
  fconn *c = keep(sizeof *c);
  tr_rpc_options options = { .mem = &f->on->mem, .handlers = &handlers, .ud = c, .server = true, .max_message = 16 << 20 };
  c->at = f;
  c->rpc = tr_rpc_conn_new(&options);
  c->next = f->conns;
  f->conns = c;
  return c;
}

int fake_feed(void *to, tr_slice bytes) {
  fconn *c = to;
  tr_error error;
  tr_error_init(&error);
  if (!c->rpc || c->at->mute) return 0;
  return tr_rpc_feed(c->rpc, bytes, c->at->on->now, &error);
}

int fake_output(fconn *c, tr_buf *out) { return c->at->mute ? 0 : tr_rpc_output(c->rpc, out, 16384); }

void fake_break(place *f) {
  for (fconn *c = f->conns; c; c = c->next) {
    if (c->rpc) tr_rpc_conn_free(c->rpc);
    c->rpc = NULL;
  }
}

void fake_free(place *f) { fake_break(f); }

/* ---- its part in the talk ---- */

fcall *fake_call(place *f, const char *method, unsigned nth) {
  for (fcall *c = f->calls; c; c = c->next)
    if (strcmp(c->method, method) == 0 && nth-- == 0) return c;
  CHECK_FAIL("no such call: %s", method);
}

bool fake_silent(place *f) {
  stage_run(f->on);
  return !f->channel || !f->channel->first;
}

tr_slice fake_hear(place *f) {
  stage_run(f->on);
  fcall *c = f->channel;
  if (!c || !c->first) CHECK_FAIL("nothing was said");
  fmessage *m = c->first;
  c->first = m->next;
  if (!c->first) c->end = &c->first;
  c->count--;
  return tr_slice_make(m->bytes, m->n);
}

void fake_say(place *f, tr_slice message) {
  if (!f->channel || !f->channel->call) CHECK_FAIL("there is no stream");
  tr_blob *frame = tr_wire_frame(&f->on->mem, message);
  tr_rpc_send(f->channel->call, frame);
  tr_blob_unref(frame);
}

void fake_end(place *f, int status, const char *text) { tr_rpc_finish(f->channel->call, status, tr_slice_of(text)); }

/* ---- messages ---- */

static tr_slice kept_message(tr_blob *frame) {
  tr_slice bytes = { (char *)frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX };
  char *p = keep(bytes.n);
  memcpy(p, bytes.p, bytes.n);
  tr_blob_unref(frame);
  return tr_slice_make(p, bytes.n);
}

static tr_core *scribe(stage *s) {
  tr_core_options options = { .mem = &s->mem, .seed = 7, .now = s->now };
  return tr_core_new(&options);
}

static tr_slice encode(stage *s, tr_msg_kind kind, tr_slice id, const char *target, const char *key, const char *json) {
  tr_core *core = scribe(s);
  tr_msg *msg = message(core, kind, target, key, "Note", json);
  tr_blob *frame = NULL;
  if (kind == TR_MSG_EVENT) CHECK_INT(tr_wire_encode_event(msg, tr_slice_make(NULL, 0), &frame, NULL), ==, 0);
  else CHECK_INT(tr_wire_encode_request(msg, id, &frame, NULL), ==, 0);
  tr_slice bytes = kept_message(frame);
  tr_msg_unref(msg);
  tr_core_free(core);
  return bytes;
}

tr_slice a_request(stage *s, const char *id, const char *type, const char *key, const char *json) {
  return encode(s, TR_MSG_REQUEST, tr_slice_of(id), type, key, json);
}

tr_slice an_event(stage *s, const char *topic, const char *source, const char *json) {
  return encode(s, TR_MSG_EVENT, tr_slice_make(NULL, 0), topic, source, json);
}

tr_slice a_response(stage *s, tr_slice id, const char *json) {
  tr_core *core = scribe(s);
  tr_name *type = tr_name_new(tr_core_names(core), TR_SLICE_LITERAL("Answer"));
  tr_reply reply = { .type = type, .body = { .kind = TR_BODY_BYTES, .bytes = tr_blob_copy(&s->mem, tr_slice_of(json)) } };
  tr_blob *frame = NULL;
  CHECK_INT(tr_wire_encode_reply(core, &reply, id, &frame, NULL), ==, 0);
  tr_body_release(core, &reply.body);
  tr_name_unref(type);
  tr_core_free(core);
  return kept_message(frame);
}

/* RpcResponse{request_id, error}, as Python writes it: no metadata. */
tr_slice an_error(stage *s, tr_slice id, const char *text) {
  size_t n = strlen(text), inner = 2 + id.n + 2 + n;
  CHECK(id.n < 128 && n < 128 && inner < 128);
  (void)s;
  char *p = keep(inner + 2), *at = p;
  *at++ = 0x12; *at++ = (char)inner;
  *at++ = 0x0a; *at++ = (char)id.n;
  memcpy(at, id.p, id.n); at += id.n;
  *at++ = 0x1a; *at++ = (char)n;
  memcpy(at, text, n);
  return tr_slice_make(p, inner + 2);
}

tr_wire_span span_of(tr_slice message) {
  tr_wire_span span = { 0 };
  CHECK_INT(tr_wire_walk(message, &span, NULL), ==, 0);
  return span;
}

bool holds(tr_slice message, const char *text) {
  size_t n = strlen(text);
  for (size_t i = 0; i + n <= message.n; i++)
    if (memcmp(message.p + i, text, n) == 0) return true;
  return false;
}
