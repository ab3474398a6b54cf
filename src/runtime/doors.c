/* SPDX-License-Identifier: MIT
 * The doors: listeners (this runtime is a host) and uplinks (it is a worker). Ties the protocol ends, which know no sockets,
 * to the sockets, which know no protocol. */
#include <stdio.h>
#include <string.h>

#include "runtime/fabric.h"
#include "runtime/operator.h"
#include "runtime/secure.h"
#include "runtime/staged.h"
#include "wire/wire.h"

/* ---- listeners ---- */

/* What comes is of now, not of when an agent ran last: a deadline in it counts from here. */
static void tick(const tr_host_conn *conn) {
  troupe_t *rt = tr_host_conn_ud(conn);
  tr_core_set_now(rt->core, tr_runtime_now(rt));
}

static int host_data(void *ud, tr_net_conn *socket, tr_slice bytes) {
  (void)socket;
  tr_error error;
  tr_error_init(&error);
  tick(ud);
  return tr_host_feed(ud, bytes, &error);
}
static int host_output(void *ud, tr_net_conn *socket, tr_buf *out, size_t limit) {
  (void)socket;
  return tr_host_output(ud, out, limit);
}
static bool host_finished(void *ud, tr_net_conn *socket) {
  (void)socket;
  return tr_host_conn_finished(ud);
}
static void host_closed(void *ud, tr_net_conn *socket, const char *reason) {
  (void)socket;
  (void)reason;
  tick(ud);
  tr_host_conn_closed(ud);
}
static const tr_net_handlers host_handlers = { host_data, host_output, host_finished, host_closed };

static void host_control(void *ud, const tr_wire_control *message) { tr_runtime_control(ud, NULL, message); }

static void host_dead(void *ud, const tr_host_dead *dead) {
  troupe_t *rt = ud;
  tr_letter letter = { .kind = dead->kind, .type = dead->type, .target = dead->topic, .key = dead->source, .sender = dead->sender,
                       .sender_key = dead->sender_key, .to = dead->client, .code = dead->code, .reason = dead->reason };
  tr_undelivered_note(&rt->undelivered, &letter, tr_wall_us());
}

static void host_unheard(void *ud, tr_slice topic, tr_slice type) {
  tr_undelivered_unheard(&((troupe_t *)ud)->undelivered, topic, type, tr_wall_us());
}

static void host_dirty(void *ud, tr_host_conn *conn) {
  const troupe_t *rt = ud;
  if (!rt->fabric) tr_net_conn_dirty(tr_host_conn_socket(conn));
}

static void *on_accept(void *ud, tr_net_conn *socket, tr_slice peer, const tr_net_handlers **handlers) {
  troupe_t *rt = ud;
  tr_error error;
  tr_error_init(&error);
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  *handlers = &host_handlers;
  return tr_host_accept(rt->host, peer, socket, &error); /* which logs what it refuses */
}

void tr_runtime_set_host_options(troupe_t *rt, const tr_host_options *options) { rt->host_options = *options; }
void tr_runtime_set_compress(troupe_t *rt, uint32_t from) { rt->options.compress_from = from; }
tr_host *tr_runtime_host(troupe_t *rt) { return rt->host; }

int tr_runtime_open_host(troupe_t *rt) {
  if (rt->host) return 0;
  rt->host_options.core = rt->core;
  rt->host_options.compress_from = rt->options.compress_from;
  rt->host_options.codecs = rt->codecs;
  rt->host_options.version = TR_VERSION;
  rt->host_options.dirty = host_dirty;
  rt->host_options.control = host_control;
  rt->host_options.asked = tr_operator_asked;
  rt->host_options.unasked = tr_operator_unasked;
  rt->host_options.worker_says = tr_operator_worker_says;
  rt->host_options.identify = tr_secure_identify;
  rt->host_options.dead = host_dead;
  rt->host_options.unheard = host_unheard;
  rt->host_options.ud = rt;
  rt->host_options.restore = tr_runtime_take_state;
  rt->host = tr_host_new(&rt->host_options);
  if (!rt->host) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  tr_secure_apply(rt);
  return 0;
}

int troupe_listen(troupe_t *rt, const char *address, const char **bound) {
  tr_error *error = tr_runtime_error(rt);
  int rc = tr_runtime_loop_open(rt);
  if (rc == 0) rc = tr_runtime_open_host(rt);
  if (rc) return rc;
  rc = tr_net_listen(rt->net, tr_slice_of(address), on_accept, rt, rt->bound, NULL, error);
  if (rc) {
    if (rt->listeners == 0 && !rt->fabric) { /* made for this one */
      tr_host_free(rt->host);
      rt->host = NULL;
    }
    return rc;
  }
  rt->listeners++;
  if (bound) *bound = rt->bound;
  return 0;
}

/* ---- uplinks ---- */

static int uplink_data(void *ud, tr_net_conn *socket, tr_slice bytes) {
  (void)socket;
  tr_uplink *uplink = ud;
  tr_error error;
  tr_error_init(&error);
  tr_core_set_now(uplink->rt->core, tr_runtime_now(uplink->rt));
  int rc = tr_worker_feed(uplink->worker, bytes, &error);
  if (rc) tr_log_write(&uplink->rt->log, TR_LOG_WARN, "uplink.protocol", "host=%s error=\"%s\"", uplink->address, error.text);
  return rc;
}
static int uplink_output(void *ud, tr_net_conn *socket, tr_buf *out, size_t limit) {
  tr_uplink *uplink = ud;
  return uplink->conn == socket ? tr_worker_output(uplink->worker, out, limit) : 0;
}
static bool uplink_finished(void *ud, tr_net_conn *socket) {
  (void)ud;
  (void)socket;
  return false; /* the worker says when, by hang_up */
}
static void uplink_closed(void *ud, tr_net_conn *socket, const char *reason) {
  tr_uplink *uplink = ud;
  if (uplink->conn != socket) return; /* hung up by us; a newer one may be there */
  uplink->conn = NULL;
  tr_core_set_now(uplink->rt->core, tr_runtime_now(uplink->rt));
  tr_worker_disconnected(uplink->worker, reason ? reason : "closed");
}
static const tr_net_handlers uplink_handlers = { uplink_data, uplink_output, uplink_finished, uplink_closed };

static void on_dialed(void *ud, tr_net_conn *conn, const char *reason) {
  tr_uplink *uplink = ud;
  uplink->dial = NULL;
  uplink->conn = conn;
  tr_core_set_now(uplink->rt->core, tr_runtime_now(uplink->rt));
  if (conn) tr_worker_connected(uplink->worker);
  else tr_worker_disconnected(uplink->worker, reason);
}

static void worker_dial(void *ud, tr_worker *worker) {
  tr_uplink *uplink = ud;
  tr_error error;
  tr_error_init(&error);
  if (uplink->link) tr_fabric_dial(uplink->link);
  else if (tr_net_connect(uplink->rt->net, tr_slice_of(uplink->address), &uplink_handlers, uplink, on_dialed, uplink, &uplink->dial, &error))
    tr_worker_disconnected(worker, error.text);
}

static void worker_hang_up(void *ud, tr_worker *worker) {
  (void)worker;
  tr_uplink *uplink = ud;
  if (uplink->link) tr_fabric_hang_up(uplink->link);
  if (uplink->dial) tr_net_dial_cancel(uplink->dial);
  if (uplink->conn) tr_net_conn_drop(uplink->conn);
  uplink->dial = NULL;
  uplink->conn = NULL;
}

static void worker_dirty(void *ud, tr_worker *worker) {
  (void)worker;
  tr_uplink *uplink = ud;
  if (uplink->conn) tr_net_conn_dirty(uplink->conn);
}

static void worker_control(void *ud, tr_worker *worker, tr_slice bytes) {
  tr_uplink *uplink = ud;
  tr_wire_control message = { 0 };
  tr_error error;
  (void)worker;
  tr_error_init(&error);
  if (tr_wire_walk_control(bytes, &message, &error))
    tr_log_write(&uplink->rt->log, TR_LOG_WARN, "control.malformed", "host=%s error=\"%s\"", uplink->address, error.text);
  else tr_runtime_control(uplink->rt, uplink, &message);
}

static void worker_changed(void *ud, tr_worker *worker, tr_worker_state state, const char *reason) {
  tr_uplink *uplink = ud;
  if (reason) snprintf(uplink->reason, sizeof uplink->reason, "%s", reason);
  else if (state == TR_WORKER_JOINED) uplink->reason[0] = 0;
  if (reason && state == TR_WORKER_DIALING)
    tr_log_write(&uplink->rt->log, TR_LOG_WARN, "uplink.away", "host=%s reason=\"%s\" (trying again)", uplink->address, reason);
  else if (state == TR_WORKER_JOINED)
    tr_log_write(&uplink->rt->log, tr_worker_rejoins(worker) ? TR_LOG_DEBUG : TR_LOG_INFO, "uplink.joined", "host=%s",
                 uplink->address);
  if (state == TR_WORKER_JOINED) tr_shared_give_again(uplink);
  if (uplink->fn) uplink->fn(uplink->ud, uplink, state, reason);
}

static tr_slice worker_authorization(void *ud) { return tr_secure_authorization(((tr_uplink *)ud)->rt); }

/* `shape` says who hears of it, and by what it goes; its worker is made of the options. */
static tr_uplink *start_uplink(troupe_t *rt, const tr_uplink *shape, tr_worker_options *options) {
  tr_uplink *uplink = TR_NEW(&rt->mem, tr_uplink);
  if (!uplink) {
    tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
    return NULL;
  }
  *uplink = *shape;
  uplink->rt = rt;
  options->core = rt->core;
  options->address = uplink->address;
  options->compress_from = rt->options.compress_from;
  options->version = TR_VERSION;
  options->has_types = tr_codecs_has_types(rt->codecs);
  options->authorization = worker_authorization;
  options->dial = worker_dial;
  options->hang_up = worker_hang_up;
  options->dirty = worker_dirty;
  options->changed = worker_changed;
  if (!options->bound) options->control = worker_control;
  if (!options->bound) options->reload = tr_staged_asked;
  options->leave = tr_shared_leave;
  options->take = tr_shared_take;
  options->drop = tr_shared_drop;
  options->given = tr_shared_given;
  options->have = tr_shared_have;
  options->ud = uplink;
  uplink->worker = tr_worker_new(options);
  if (!uplink->worker) {
    TR_DELETE(&rt->mem, uplink);
    tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
    return NULL;
  }
  tr_list_push(&rt->uplinks, &uplink->all);
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_worker_start(uplink->worker);
  return uplink;
}

static tr_uplink *make_uplink(troupe_t *rt, const char *address, tr_worker_options *options, tr_uplink_fn fn, void *ud) {
  tr_address parsed;
  tr_uplink shape = { .fn = fn, .ud = ud };
  if (tr_address_parse(tr_slice_of(address), &parsed, tr_runtime_error(rt)) || tr_runtime_loop_open(rt) || tr_secure_dial(rt, &parsed)) return NULL;
  tr_address_format(&parsed, shape.address, sizeof shape.address);
  options->tls = parsed.tls;
  return start_uplink(rt, &shape, options);
}

int tr_runtime_connect_by(troupe_t *rt, const char *name, tr_fabric_link *link, tr_uplink **out) {
  tr_worker_options options = { .register_types = true };
  tr_uplink shape = { .link = link };
  snprintf(shape.address, sizeof shape.address, "%s", name);
  *out = start_uplink(rt, &shape, &options);
  return *out ? 0 : rt->error.code;
}

int tr_runtime_connect(troupe_t *rt, const char *address, bool register_types, uint32_t max_message, tr_uplink_fn fn, void *ud,
                       tr_uplink **out) {
  tr_worker_options options = { .max_message = max_message, .register_types = register_types };
  tr_uplink *uplink = make_uplink(rt, address, &options, fn, ud);
  if (!uplink) return rt->error.code;
  if (out) *out = uplink;
  return 0;
}

tr_uplink *tr_runtime_member(troupe_t *rt, const char *address, tr_uplink_fn fn, void *ud) {
  tr_worker_options options = { .bound = true, .events = TR_UPLINK_NONE };
  tr_uplink *uplink = make_uplink(rt, address, &options, fn, ud);
  if (uplink) uplink->member = true;
  return uplink;
}

void tr_runtime_free_uplink(tr_uplink *uplink) {
  tr_link_remove(&uplink->all);
  worker_hang_up(uplink, uplink->worker);
  tr_worker_free(uplink->worker);
  TR_DELETE(&uplink->rt->mem, uplink);
}

static tr_uplink *find_uplink(troupe_t *rt, const char *address) {
  for (tr_link *l = rt->uplinks.next; l != &rt->uplinks; l = l->next) {
    tr_uplink *uplink = TR_CONTAINER(l, tr_uplink, all);
    if (!uplink->member && strcmp(uplink->address, address) == 0) return uplink;
  }
  return NULL;
}

/* An uplink that a script asks for takes what is bound to it and nothing else: neither what nobody here knows nor events. Our types
 * are known there, so that agents there find those here. */
tr_uplink *tr_runtime_uplink_to(troupe_t *rt, const char *text, tr_error *error) {
  tr_address parsed;
  char address[TR_ADDRESS_MAX];
  tr_worker_options options = { .register_types = true, .bound = true, .events = TR_UPLINK_NONE };
  if (tr_address_parse(tr_slice_of(text), &parsed, error)) return NULL;
  tr_address_format(&parsed, address, sizeof address);
  tr_uplink *uplink = find_uplink(rt, address);
  if (!uplink) uplink = make_uplink(rt, address, &options, NULL, NULL);
  if (!uplink) tr_error_set(error, rt->error.code, "%s", rt->error.text);
  return uplink;
}

int tr_runtime_uplink(void *ud, tr_slice text, uint32_t *number, tr_error *error) {
  troupe_t *rt = ud;
  tr_address parsed;
  char address[TR_ADDRESS_MAX];
  int rc = tr_address_parse(text, &parsed, error);
  if (rc) return rc;
  tr_address_format(&parsed, address, sizeof address);
  if (!find_uplink(rt, address)) {
    if (!tr_runtime_may(rt, "net", address))
      return tr_error_set(error, TR_EPERMISSION, "scripts may not connect to %s here (--allow net=%s grants it)", address, address);
    if (rt->stage != TR_STAGE_RUNNING) return tr_error_set(error, TR_EUNAVAILABLE, "the runtime is stopping");
  }
  tr_uplink *uplink = tr_runtime_uplink_to(rt, address, error);
  if (!uplink) return error->code;
  *number = tr_worker_dest(uplink->worker)->number;
  return *number ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

int troupe_connect(troupe_t *rt, const char *address) { return tr_runtime_connect(rt, address, true, 0, NULL, NULL, NULL); }

tr_worker *tr_uplink_worker(const tr_uplink *uplink) { return uplink->worker; }
const char *tr_uplink_address(const tr_uplink *uplink) { return uplink->address; }

/* ---- all of them ---- */

#define FOR_EACH_UPLINK(rt, uplink)                                                                        \
  for (tr_link *l_ = (rt)->uplinks.next; l_ != &(rt)->uplinks; l_ = l_->next)                              \
    for (tr_uplink *uplink = TR_CONTAINER(l_, tr_uplink, all); uplink; uplink = NULL)

void tr_runtime_sync_uplinks(void *ud) {
  troupe_t *rt = ud;
  FOR_EACH_UPLINK(rt, uplink) tr_worker_sync(uplink->worker);
}

void tr_runtime_leave(troupe_t *rt, tr_time deadline) {
  tr_runtime_stop_processes(rt, deadline);
  FOR_EACH_UPLINK(rt, uplink) tr_worker_stop(uplink->worker, deadline);
  if (rt->host) tr_host_drain(rt->host, deadline);
}

bool tr_runtime_left(const troupe_t *rt) {
  FOR_EACH_UPLINK(rt, uplink) if (tr_worker_get_state(uplink->worker) != TR_WORKER_OFF) return false;
  return tr_list_empty(&rt->launched) && (!rt->host || tr_host_drained(rt->host));
}

/* Before the core goes: workers leave it; host connections close with the sockets (tr_runtime_loop_close). */
void tr_runtime_close_doors(troupe_t *rt) {
  tr_fabric_leave(rt);
  tr_runtime_close_tunnels(rt);
  tr_runtime_free_pools(rt);
  while (!tr_list_empty(&rt->uplinks)) tr_runtime_free_uplink(TR_CONTAINER(rt->uplinks.next, tr_uplink, all));
}
