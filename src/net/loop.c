/* SPDX-License-Identifier: MIT
 * tr_net itself: what hangs on one loop, the flush before it sleeps, and the end of everything.
 * Read conn.c next. */
#include "net/internal.h"
#include "net/process.h"

static void on_prepare(uv_prepare_t *handle) { tr_net_flush(handle->data); }

tr_net *tr_net_new(tr_mem *mem, const tr_log *log, uv_loop_t *loop) {
  tr_net *net = TR_NEW(mem, tr_net);
  if (!net) return NULL;
  net->mem = mem;
  net->log = log;
  net->loop = loop;
  tr_list_init(&net->conns);
  tr_list_init(&net->listeners);
  tr_list_init(&net->dials);
  tr_list_init(&net->dirty);
  tr_list_init(&net->processes);
  tr_list_init(&net->handshakes);
  tr_buf_init(&net->out, mem);
  tr_buf_init(&net->sealed, mem);
  net->read_buffer = tr_alloc(mem, TR_NET_READ_SIZE);
  if (!net->read_buffer || !tr_buf_reserve(&net->out, TR_NET_WRITE_SIZE + 65536)) goto fail;
  uv_prepare_init(loop, &net->flush); /* cannot fail (libuv docs: always 0) */
  net->flush.data = net;
  uv_prepare_start(&net->flush, on_prepare);
  uv_unref((uv_handle_t *)&net->flush);
  uv_timer_init(loop, &net->late);
  net->late.data = net;
  uv_unref((uv_handle_t *)&net->late);
  net->flush_open = true;
  net->handles = 2;
  return net;
fail:
  tr_buf_fini(&net->out);
  tr_free(mem, net->read_buffer, TR_NET_READ_SIZE);
  TR_DELETE(mem, net);
  return NULL;
}

static void on_own_closed(uv_handle_t *handle) { ((tr_net *)handle->data)->handles--; }

void tr_net_close(tr_net *net) {
  net->closing = true;
  for (tr_link *l = net->dials.next, *next; l != &net->dials; l = next) {
    next = l->next;
    tr_net_dial_abort(tr_net_dial_of(l));
  }
  for (tr_link *l = net->listeners.next, *next; l != &net->listeners; l = next) {
    next = l->next;
    tr_net_listener_close(TR_CONTAINER(l, tr_net_listener, all));
  }
  for (tr_link *l = net->conns.next, *next; l != &net->conns; l = next) {
    next = l->next;
    tr_net_conn_close(TR_CONTAINER(l, tr_net_conn, all));
  }
  tr_process_drop_all(net);
  if (net->flush_open) {
    net->flush_open = false;
    uv_close((uv_handle_t *)&net->flush, on_own_closed);
    uv_close((uv_handle_t *)&net->late, on_own_closed);
  }
}

bool tr_net_idle(const tr_net *net) { return net->handles == 0; }

void tr_net_free(tr_net *net) {
  if (!net) return;
  tr_buf_fini(&net->out);
  tr_buf_fini(&net->sealed);
  if (net->plain) tr_free(net->mem, net->plain, TR_NET_PLAIN_SIZE);
  tr_tls_unref(net->tls_server);
  tr_tls_unref(net->tls_client);
  tr_free(net->mem, net->read_buffer, TR_NET_READ_SIZE);
  TR_DELETE(net->mem, net);
}

void tr_net_set_tls(tr_net *net, tr_tls *server, tr_tls *client) {
  tr_tls_ref(server);
  tr_tls_ref(client);
  tr_tls_unref(net->tls_server);
  tr_tls_unref(net->tls_client);
  net->tls_server = server;
  net->tls_client = client;
}

void tr_net_set_insecure(tr_net *net, bool insecure) { net->insecure = insecure; }

bool tr_net_reserve_tls(tr_net *net) {
  if (!net->plain) net->plain = tr_alloc(net->mem, TR_NET_PLAIN_SIZE);
  return net->plain && tr_buf_reserve(&net->sealed, TR_NET_WRITE_SIZE + 65536);
}

uv_loop_t *tr_net_loop(const tr_net *net) { return net->loop; }
