/* SPDX-License-Identifier: MIT
 * troupe.serve for scripts, by the right listen=ADDRESS: a door for HTTP/1.1. Each request is a request message to the agent that serves, its
 * reply the answer; web/ reads and writes, net/ has the sockets, and what is between is here.
 *
 * Everything is bounded: connections (in all and waiting for an answer), the size of a request, the time until one is whole, until it is
 * answered, and between two. Plaintext only, so at a loopback address or a Unix socket (or with --insecure): TLS is what the proxy in front is for.
 * A server belongs to one instance, and ends with it: who is being answered still is. It lives in the thread that has the loop; one that
 * serves elsewhere has it done there. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "net/hmac.h"
#include "runtime/internal.h"
#include "web/web.h"

#define CONNECTIONS_MOST 1000
#define REQUEST_TIME TR_SECONDS(10) /* from its first byte until it is whole */
#define IDLE_TIME TR_SECONDS(30)    /* between two, and for an answer to be taken */

typedef struct tr_server {
  troupe_t *rt;
  tr_link all, peers;
  tr_net_listener *listener; /* NULL: it listens no more */
  tr_script_serve options;   /* its texts lie behind */
  size_t count;
  bool left;                 /* by who serves */
  uint64_t refused;          /* for there are too many */
  char bound[TR_ADDRESS_MAX];
  size_t size;
  char texts[];
} server;

typedef struct peer {
  server *server;
  tr_link all;
  tr_net_conn *socket; /* NULL: it is gone */
  tr_web_conn *web;
  tr_timer timer;
  bool begun, calling;
  char from[80];
} peer;

/* ---- the end ---- */

static void free_server(server *self) {
  tr_link_remove(&self->all);
  tr_free(&self->rt->mem, self, self->size);
}

/* When neither a socket nor a call needs it. */
static void free_peer(peer *p) {
  server *owner = p->server;
  if (p->socket || p->calling) return;
  tr_timer_stop(tr_core_timers(owner->rt->core), &p->timer);
  tr_web_conn_free(p->web);
  tr_link_remove(&p->all);
  owner->count--;
  TR_DELETE(&owner->rt->mem, p);
  if (owner->left && owner->count == 0) free_server(owner);
}

static void on_closed(void *ud, tr_net_conn *socket, const char *reason) {
  peer *p = ud;
  (void)socket;
  (void)reason;
  p->socket = NULL;
  free_peer(p);
}

/* ---- answers ---- */

static int status_of(int code) {
  switch (code) {
  case TR_EINVALID: return 400;
  case TR_EUNAUTHENTICATED: return 401;
  case TR_EPERMISSION: return 403;
  case TR_ENOT_FOUND: case TR_ECANT_HANDLE: return 404;
  case TR_ETOO_LARGE: return 413;
  case TR_EOVERLOADED: case TR_EUNAVAILABLE: case TR_ECANCELLED: return 503;
  case TR_ETIMEOUT: return 504;
  default: return 500;
  }
}

static void on_late(tr_timer *timer);

static void wait_for(peer *p, tr_time time) {
  troupe_t *rt = p->server->rt;
  tr_timer_start(tr_core_timers(rt->core), &p->timer, tr_runtime_now(rt) + time, on_late);
}

static void on_late(tr_timer *timer) {
  peer *p = TR_CONTAINER(timer, peer, timer);
  if (!p->socket || tr_web_is_busy(p->web)) return;
  tr_web_expire(p->web);
  if (p->begun) {
    p->begun = false;
    wait_for(p, REQUEST_TIME); /* for its last word */
    tr_net_conn_dirty(p->socket);
  } else {
    tr_net_conn_close(p->socket);
  }
}

static void answer(peer *p, int status, tr_slice headers, tr_slice body) {
  p->begun = false;
  wait_for(p, IDLE_TIME);
  tr_web_answer(p->web, status, headers, body);
  if (p->socket) tr_net_conn_dirty(p->socket);
}

static void answer_code(peer *p, int code) {
  char body[80];
  int n = snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", tr_error_name(code));
  answer(p, status_of(code), TR_SLICE_LITERAL("Content-Type: application/json\r\n"), tr_slice_make(body, (size_t)n));
}

/* `headers` of a reply onto lines; a wrong one is told, and left out. */
static void put_headers(const peer *p, const tr_value *headers, tr_buf *out) {
  for (size_t i = 0; i < tr_value_length(headers); i++) {
    tr_slice key = tr_value_key_at(headers, i), value;
    if (tr_value_as_string(tr_value_at(headers, i), &value) && tr_web_header_fits(key, value)) {
      tr_buf_slice(out, key);
      tr_buf_text(out, ": ");
      tr_buf_slice(out, value);
      tr_buf_text(out, "\r\n");
    } else {
      tr_log_write(&p->server->rt->log, TR_LOG_WARN, "serve.header", "agent=%s header=\"%.*s\" (left out)", p->server->options.agent, TR_SLICE_ARG(key));
    }
  }
}

/* Null is as good as none. */
static const tr_value *field(const tr_value *map, const char *name) {
  const tr_value *found = tr_value_get(map, tr_slice_of(name));
  return found && tr_value_get_kind(found) != TR_VALUE_NULL ? found : NULL;
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  peer *p = ud;
  troupe_t *rt = p->server->rt;
  int64_t number = 200;
  tr_slice bytes = { NULL, 0 };
  tr_buf headers;
  (void)text;
  (void)type;
  p->calling = false;
  if (!p->socket) {
    free_peer(p);
    return;
  }
  if (status) {
    answer_code(p, status);
    return;
  }
  tr_buf_init(&headers, &rt->mem);
  bool good = body && tr_value_get_kind(body) == TR_VALUE_MAP;
  const tr_value *at = good ? field(body, "status") : NULL;
  if (at) good = tr_value_as_integer(at, &number) && number >= 200 && number <= 599;
  at = good ? field(body, "body") : NULL;
  if (at) good = tr_value_as_string(at, &bytes);
  at = good ? field(body, "headers") : NULL;
  if (at && tr_value_length(at)) good = tr_value_get_kind(at) == TR_VALUE_MAP;
  if (at && good) put_headers(p, at, &headers);
  if (headers.failed) {
    answer_code(p, TR_EMEMORY);
  } else if (!good) {
    tr_log_write(&rt->log, TR_LOG_WARN, "serve.reply", "agent=%s error=\"a reply is { status, headers, body }: an integer from 200 to 599, a table, a string\"",
                 p->server->options.agent);
    answer_code(p, TR_EINTERNAL);
  } else {
    answer(p, (int)number, tr_buf_view(&headers), bytes);
  }
  tr_buf_fini(&headers);
}

/* ---- requests ---- */

static tr_value *text_value(troupe_t *rt, tr_slice text) {
  return tr_utf8_valid(text) ? tr_value_string(&rt->mem, text) : tr_value_bytes(&rt->mem, text);
}

static void set(tr_value *map, const char *key, tr_value *item, bool *good) {
  if (!item || tr_value_set(map, tr_slice_of(key), item)) *good = false; /* it takes the item in any case */
}

/* Names in lower case; of the same name joined by ", ". */
static tr_value *headers_value(troupe_t *rt, const tr_web_request *request) {
  tr_value *map = tr_value_map(&rt->mem);
  bool good = map != NULL;
  tr_buf text;
  tr_buf_init(&text, &rt->mem);
  for (size_t i = 0; good && i < request->header_count; i++) {
    char name[TR_WEB_HEAD_MOST];
    tr_slice given = request->headers[i].name;
    for (size_t k = 0; k < given.n; k++) name[k] = given.p[k] >= 'A' && given.p[k] <= 'Z' ? (char)(given.p[k] + 32) : given.p[k];
    name[given.n] = 0;
    tr_buf_clear(&text);
    for (size_t k = 0; k < request->header_count; k++) {
      if (!tr_web_name_is(request->headers[k].name, name)) continue;
      if (text.len) tr_buf_text(&text, ", ");
      tr_buf_slice(&text, request->headers[k].value);
    }
    if (text.failed) good = false;
    else set(map, name, text_value(rt, tr_buf_view(&text)), &good);
  }
  tr_buf_fini(&text);
  if (good) return map;
  tr_value_free(map);
  return NULL;
}

static tr_value *request_value(const peer *p, const tr_web_request *request) {
  troupe_t *rt = p->server->rt;
  tr_value *map = tr_value_map(&rt->mem);
  bool good = map != NULL;
  if (!good) return NULL;
  set(map, "method", text_value(rt, request->method), &good);
  set(map, "path", text_value(rt, request->path), &good);
  if (request->query.p) set(map, "query", text_value(rt, request->query), &good);
  set(map, "headers", headers_value(rt, request), &good);
  set(map, "body", text_value(rt, request->body), &good);
  set(map, "peer", text_value(rt, tr_slice_of(p->from)), &good);
  if (good) return map;
  tr_value_free(map);
  return NULL;
}

/* Is it signed by who knows the secret? */
static bool is_signed(const server *owner, const tr_web_request *request) {
  if (!owner->options.secret.p) return true;
  for (size_t i = 0; i < request->header_count; i++)
    if (tr_web_name_is(request->headers[i].name, owner->options.signature))
      return tr_hmac_check(owner->options.secret, request->body, request->headers[i].value);
  return false;
}

static void on_request(void *ud, const tr_web_request *request) {
  peer *p = ud;
  server *owner = p->server;
  troupe_t *rt = owner->rt;
  if (!is_signed(owner, request)) {
    answer_code(p, TR_EUNAUTHENTICATED);
    return;
  }
  tr_value *body = request_value(p, request);
  if (!body) {
    answer_code(p, TR_EMEMORY);
    return;
  }
  p->calling = true;
  int rc = owner->left ? TR_EUNAVAILABLE : troupe_call(rt, owner->options.agent, owner->options.type, body, owner->options.timeout, on_reply, p);
  if (owner->left) tr_value_free(body);
  if (!rc) return;
  p->calling = false;
  answer_code(p, rc);
}

/* ---- sockets ---- */

static int on_data(void *ud, tr_net_conn *socket, tr_slice bytes) {
  peer *p = ud;
  (void)socket;
  tr_core_set_now(p->server->rt->core, tr_runtime_now(p->server->rt));
  int rc = tr_web_feed(p->web, bytes);
  bool begun = tr_web_has_begun(p->web);
  if (begun && !p->begun) wait_for(p, REQUEST_TIME);
  p->begun = begun;
  return rc;
}

static int on_output(void *ud, tr_net_conn *socket, tr_buf *out, size_t limit) {
  (void)socket;
  return tr_web_output(((peer *)ud)->web, out, limit);
}

static bool on_finished(void *ud, tr_net_conn *socket) {
  (void)socket;
  return tr_web_finished(((peer *)ud)->web);
}

static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

static void *on_accept(void *ud, tr_net_conn *socket, tr_slice from, const tr_net_handlers **out) {
  server *owner = ud;
  troupe_t *rt = owner->rt;
  if (owner->count >= CONNECTIONS_MOST) {
    owner->refused++;
    if ((owner->refused & (owner->refused - 1)) == 0) /* the 1st, 2nd, 4th, … */
      tr_log_write(&rt->log, TR_LOG_WARN, "serve.crowded", "agent=%s connections=%zu refused=%llu", owner->options.agent, owner->count, (unsigned long long)owner->refused);
    return NULL;
  }
  peer *p = TR_NEW(&rt->mem, peer);
  if (!p) return NULL;
  tr_web_options options = { .mem = &rt->mem, .body_most = owner->options.most, .request = on_request, .ud = p };
  p->web = tr_web_conn_new(&options);
  if (!p->web) {
    TR_DELETE(&rt->mem, p);
    return NULL;
  }
  p->server = owner;
  p->socket = socket;
  snprintf(p->from, sizeof p->from, "%.*s", TR_SLICE_ARG(from));
  tr_list_push(&owner->peers, &p->all);
  owner->count++;
  wait_for(p, REQUEST_TIME);
  *out = &handlers;
  return p;
}

/* ---- the script's hooks ---- */

typedef struct serve_errand { troupe_t *rt; const tr_script_serve *asked; void **out; server *server; char *bound; tr_error *error; int rc; } serve_errand;

static server *new_server(troupe_t *rt, const tr_script_serve *asked) {
  size_t agent = strlen(asked->agent) + 1, type = strlen(asked->type) + 1, signature = strlen(asked->signature) + 1;
  size_t size = sizeof(server) + agent + type + signature + asked->secret.n;
  server *self = tr_calloc(&rt->mem, 1, size);
  if (!self) return NULL;
  self->rt = rt;
  self->size = size;
  self->options = *asked;
  self->options.agent = memcpy(self->texts, asked->agent, agent);
  self->options.type = memcpy(self->texts + agent, asked->type, type);
  self->options.signature = memcpy(self->texts + agent + type, asked->signature, signature);
  if (asked->secret.p) self->options.secret.p = memcpy(self->texts + agent + type + signature, asked->secret.p, asked->secret.n);
  tr_list_init(&self->peers);
  tr_list_push(&rt->servers, &self->all);
  return self;
}

static void start(void *ud) {
  serve_errand *e = ud;
  troupe_t *rt = e->rt;
  e->rc = tr_runtime_loop_open(rt);
  if (e->rc) {
    tr_error_set(e->error, e->rc, "%s", rt->error.text);
    return;
  }
  server *self = new_server(rt, e->asked);
  if (!self) {
    e->rc = tr_error_set(e->error, TR_EMEMORY, "out of memory");
    return;
  }
  e->rc = tr_net_listen(rt->net, e->asked->address, on_accept, self, e->bound, &self->listener, e->error);
  if (e->rc) {
    free_server(self);
    return;
  }
  *e->out = self;
  snprintf(self->bound, sizeof self->bound, "%s", e->bound);
}

int tr_runtime_serve(void *ud, const tr_script_serve *asked, void **out, char *bound, tr_error *error) {
  serve_errand self = { .rt = ud, .asked = asked, .out = out, .bound = bound, .error = error };
  char address[TR_ADDRESS_MAX];
  snprintf(address, sizeof address, "%.*s", TR_SLICE_ARG(asked->address));
  if (!tr_runtime_may(self.rt, "listen", address))
    return tr_error_set(error, TR_EPERMISSION, "scripts may not serve at %.200s here (--allow listen=%.200s grants it)", address, address);
  if (tr_slice_starts(asked->address, TR_SLICE_LITERAL("tls:")))
    return tr_error_set(error, TR_EINVALID, "%.200s: troupe.serve speaks plaintext; put a proxy with the certificate in front of it", address);
  return tr_runtime_errand(self.rt, start, &self) ? tr_error_set(error, TR_EUNAVAILABLE, "the runtime is ending") : self.rc;
}

/* No new ones; those that are being answered end with that. */
static void leave(server *self) {
  if (self->listener) tr_net_listener_close(self->listener);
  self->listener = NULL;
  self->left = true;
  if (self->count == 0) {
    free_server(self);
    return;
  }
  for (tr_link *l = self->peers.next; l != &self->peers; l = l->next) {
    peer *p = TR_CONTAINER(l, peer, all);
    tr_web_close(p->web);
    if (p->socket) tr_net_conn_dirty(p->socket);
  }
}

static void stop(void *ud) { leave(((serve_errand *)ud)->server); }

void tr_runtime_unserve(void *ud, void *server_) {
  serve_errand self = { .rt = ud, .server = server_ };
  (void)tr_runtime_errand(self.rt, stop, &self); /* else all ends */
}

const char *tr_runtime_next_served(const troupe_t *rt, const char *after) {
  const tr_link *l = after ? TR_CONTAINER(after, server, bound)->all.next : rt->servers.next;
  while (l != &rt->servers && !TR_CONTAINER(l, server, all)->listener) l = l->next;
  return l == &rt->servers ? NULL : TR_CONTAINER(l, server, all)->bound;
}

void tr_runtime_close_servers(troupe_t *rt) {
  for (tr_link *l = rt->servers.next; l != &rt->servers; l = l->next) {
    server *self = TR_CONTAINER(l, server, all);
    if (self->listener) tr_net_listener_close(self->listener);
    self->listener = NULL;
  }
}

void tr_runtime_free_servers(troupe_t *rt) {
  while (!tr_list_empty(&rt->servers)) free_server(TR_CONTAINER(rt->servers.next, server, all));
}
