/* SPDX-License-Identifier: MIT
 * The other end of launch.c: this process was launched, and serves one agent of the process that did it.
 *
 * It is a host with one client, over the descriptor it was born with, and that client is its uplink at the same time: what it
 * publishes goes there and nowhere else, to come back if an agent here is to hear it, and what it does not have is looked for there.
 * Of the agent's type only that one key is served. When the stream ends, whatever the cause, this process drains and ends. */
#include <string.h>

#include "net/process.h"
#include "runtime/launch.h"

static int on_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  troupe_t *rt = ud;
  tr_error error;
  tr_error_init(&error);
  (void)conn;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  return tr_host_feed(rt->parent, bytes, &error);
}
static int on_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  (void)conn;
  return tr_host_output(((troupe_t *)ud)->parent, out, limit);
}
static bool on_finished(void *ud, tr_net_conn *conn) {
  (void)conn;
  return tr_host_conn_finished(((troupe_t *)ud)->parent);
}
static void on_closed(void *ud, tr_net_conn *conn, const char *reason) {
  troupe_t *rt = ud;
  (void)conn;
  (void)reason;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_host_conn_closed(rt->parent);
  rt->parent = NULL;
  if (rt->stage == TR_STAGE_RUNNING) troupe_stop(rt, rt->drain);
}
static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

static void *on_accept(void *ud, tr_net_conn *conn, tr_slice peer, const tr_net_handlers **out) {
  troupe_t *rt = ud;
  tr_error error;
  tr_error_init(&error);
  *out = &handlers;
  rt->parent = tr_host_accept(rt->host, peer, conn, &error);
  return rt->parent ? rt : NULL;
}

static void on_dirty(void *ud, tr_host_conn *conn) {
  (void)ud;
  tr_net_conn_dirty(tr_host_conn_socket(conn));
}

/* ctx:stop of the agent that this process is there for. */
void tr_runtime_on_stopped(void *ud, const tr_agent *agent) {
  troupe_t *rt = ud;
  if (!rt->leaf_class || agent->class_ != rt->leaf_class || !tr_slice_equal(tr_name_view(agent->key), tr_name_view(rt->leaf_key))) return;
  troupe_stop(rt, rt->drain);
}

static int limit(troupe_t *rt, const tr_agent_id *id, bool moved) {
  int rc = 0;
  rt->leaf_key = tr_name_new(tr_core_names(rt->core), id->key);
  rt->leaf_class = tr_core_find_class(rt->core, id->type);
  if (!rt->leaf_key) return TR_EMEMORY;
  for (tr_class *class_ = NULL; moved && !rc && (class_ = tr_core_next_class(rt->core, class_));)
    rc = tr_class_serve_only(class_, (tr_slice){ NULL, 0 });
  return rc ? rc : tr_class_serve_only(rt->leaf_class, id->key);
}

int tr_runtime_serve_parent(troupe_t *rt, const char *agent, bool moved) {
  tr_error *error = tr_runtime_error(rt);
  tr_agent_id id;
  int rc = tr_agent_id_parse(tr_slice_of(agent), TR_SLICE_LITERAL("default"), &id, error);
  if (rc == 0) rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  if (tr_script_has_program(rt->script)) return tr_runtime_fail(rt, TR_EINVALID, "it holds a program; only agents can be launched");
  if (!tr_core_find_class(rt->core, id.type))
    return tr_runtime_fail(rt, TR_ENOT_FOUND, "it has no agent of type \"%.*s\" (give `type`)", TR_SLICE_ARG(id.type));
  tr_host_options options = {
    .core = rt->core, .version = TR_VERSION, .dirty = on_dirty, .ud = rt, .parent = true, .restore = tr_runtime_take_state,
    .max_message = TR_LAUNCHED_MAX_MESSAGE, .session_bytes = 4ull * TR_LAUNCHED_MAX_MESSAGE, .call_timeout = TR_NEVER,
  };
  rt->host = tr_host_new(&options);
  if (!rt->host || limit(rt, &id, moved)) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  tr_core_set_leaf(rt->core);
  rt->listeners++;
  return tr_net_adopt(rt->net, TR_PROCESS_FD, on_accept, rt, error);
}
