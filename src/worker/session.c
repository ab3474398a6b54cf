/* SPDX-License-Identifier: MIT
 * One session: a connection with an OpenChannel stream on it, and everything rpc tells about them.
 *
 * AutoGen's host sends the stream's response headers only with its first message, so nothing waits for them. A troupe host sends
 * them at once, with troupe-version; until then the host is taken for AutoGen's. What differs: troupe's is pinged when it is
 * silent (AutoGen's punishes pings: GOAWAY too_many_pings), and its client-id is used again.
 *
 * A session is *proven* by an answer on it: the stream's headers or a unary call's end, or by having lived a while.
 * The end of the stream is the session's end, whatever the status; so is the connection's. After GOAWAY the stream goes on as
 * long as the host lets it (answers that are open may still come), unless there is more to ask by unary calls. */
#include "wire/note.h"
#include "worker/internal.h"

#define INADEQUATE_SECURITY 12 /* of HTTP/2 */

void tr_worker_touch(tr_worker *w) {
  if (w->dirty || w->link != TR_LINK_UP) return;
  w->dirty = true;
  if (w->o.dirty) w->o.dirty(w->o.ud, w);
}

void tr_worker_prove(tr_worker *w) {
  if (w->proven || w->over) return;
  w->proven = true;
  if (w->state != TR_WORKER_JOINED) return;
  w->tries = 0;
  w->told = 0;
}

bool tr_worker_was_heard(const tr_worker *w) { return w->answered || (w->proven && w->heard - w->since >= TR_SECONDS(1)); }

/* ---- silence ---- */

static void on_watch(tr_timer *timer);

static void watch_at(tr_worker *w, tr_time when) { tr_timer_start(w->timers, &w->watch, when, on_watch); }

/* Who was asked to register our types answers that, whoever it is. */
static void watch_asking(tr_worker *w, tr_time now) {
  tr_time latest = w->heard + TR_WORKER_SILENCE + TR_WORKER_PATIENCE;
  if (w->asking == 0) return;
  if (now >= latest) tr_worker_over(w, false, "the host does not answer");
  else watch_at(w, latest);
}

static void watch_pings(tr_worker *w, tr_time now) {
  if (!w->troupe) {
    watch_asking(w, now);
    return;
  }
  if (w->pinged && now - w->pinged_at >= TR_WORKER_PATIENCE) {
    tr_worker_over(w, false, "the host has fallen silent");
  } else if (w->pinged) {
    watch_at(w, w->pinged_at + TR_WORKER_PATIENCE);
  } else if (now - w->heard >= TR_WORKER_SILENCE) {
    w->pinged = true;
    w->pinged_at = now;
    tr_rpc_ping(w->rpc, w->session);
    tr_worker_touch(w);
    watch_at(w, now + TR_WORKER_PATIENCE);
  } else {
    watch_at(w, w->heard + TR_WORKER_SILENCE);
  }
}

static void on_watch(tr_timer *timer) {
  tr_worker *w = TR_CONTAINER(timer, tr_worker, watch);
  tr_time now = tr_core_now(w->core);
  if (!w->rpc || w->over) return;
  if (!w->heard_any) {
    if (now - w->since >= TR_WORKER_PATIENCE) tr_worker_over(w, false, "it takes connections, but does not answer");
    else watch_at(w, w->since + TR_WORKER_PATIENCE);
    return;
  }
  if (now - w->since >= TR_WORKER_PROOF) tr_worker_prove(w);
  watch_pings(w, now);
}

/* ---- what rpc tells ---- */

static bool is_current(const tr_worker *w, const tr_worker_call *record) { return w->rpc && record->session == w->session; }

static void on_headers(void *ud, tr_rpc_call *call) {
  tr_worker *w = ud;
  if (call != w->channel) return;
  w->answered = true;
  tr_worker_prove(w);
  tr_worker_resumed(w, tr_rpc_call_header(call, TR_RECEIVED_HEADER));
  tr_slice version = tr_rpc_call_header(call, "troupe-version");
  if (!version.p) return;
  w->troupe = true;
  version.n = tr_utf8_cut(version, sizeof w->host_version - 1);
  if (version.n) memcpy(w->host_version, version.p, version.n);
  w->host_version[version.n] = 0;
  tr_slice accepts = tr_rpc_call_header(call, "troupe-accepts");
  w->native = tr_slice_starts(accepts, TR_SLICE_LITERAL("native")); /* a list: ours begins so */
  watch_at(w, tr_core_now(w->core) + TR_WORKER_SILENCE);
}

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  (void)framed;
  tr_worker *w = ud;
  tr_worker_call *record = tr_rpc_call_ud(call);
  if (!record || w->over) return;
  w->received += call == w->channel;
  if (call == w->channel) tr_worker_message(w, bytes);
  else if (call == w->control) w->o.control(w->o.ud, w, bytes);
  else if (record->method == TR_WORKER_POLL) tr_worker_polled(w, bytes);
}

static void on_oversize(void *ud, tr_rpc_call *call, tr_slice head, uint64_t size) {
  tr_worker *w = ud;
  w->received += call == w->channel;
  if (call == w->channel && !w->over) tr_worker_oversize(w, head, size);
  else tr_log_write(w->log, TR_LOG_WARN, "uplink.oversize", "host=%s size=%llu", w->address, (unsigned long long)size);
}

/* A host that cannot read gzip refuses the stream for it (gRPC: UNIMPLEMENTED, naming the encoding). */
static bool refused_gzip(const tr_worker *w, const tr_rpc_status *status) {
  static const tr_slice name = { "encoding", 8 };
  if (status->status != TR_GRPC_UNIMPLEMENTED || !w->o.compress_from || w->no_gzip) return false;
  for (size_t i = 0; i + name.n <= status->message.n; i++)
    if (memcmp(status->message.p + i, name.p, name.n) == 0) return true;
  return false;
}

static bool is_lasting(int status) {
  return status == TR_GRPC_UNAUTHENTICATED || status == TR_GRPC_PERMISSION_DENIED || status == TR_GRPC_UNIMPLEMENTED;
}

static void channel_closed(tr_worker *w, const tr_rpc_status *status) {
  w->channel = NULL;
  if (w->leave == TR_LEAVE_CANCEL) return;
  if (refused_gzip(w, status)) {
    w->no_gzip = true;
    tr_worker_over(w, false, "the host takes no compressed messages; joining again without");
    return;
  }
  tr_slice text = status->message;
  text.n = tr_utf8_cut(text, 160);
  w->refused_as = tr_error_from_grpc(status->status);
  w->turned_away |= !w->proven && status->status == TR_GRPC_UNAVAILABLE && text.n; /* by who stands before the host */
  tr_worker_over(w, is_lasting(status->status), "the host ended the stream (%s%s%.*s)",
                 status->status ? tr_error_name(tr_error_from_grpc(status->status)) : "ok", text.n ? ": " : "", (int)text.n,
                 text.n ? text.p : "");
}

static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  tr_worker *w = ud;
  tr_worker_call *record = tr_rpc_call_ud(call);
  if (!record) return;
  tr_worker_call told = *record;
  tr_rpc_call_set_ud(call, NULL);
  TR_DELETE(w->mem, record);
  if (!is_current(w, &told)) return;
  if (told.method == TR_WORKER_CHANNEL) {
    if (w->in_output) tr_worker_rewind(w, true); /* how much of it left can no longer be known */
    channel_closed(w, status);
    return;
  }
  if (told.method == TR_WORKER_CONTROL) { /* nothing else changes */
    w->control = NULL;
    return;
  }
  w->answered |= status->status != TR_GRPC_UNAVAILABLE;
  if (w->answered) tr_worker_prove(w);
  switch (told.method) {
  case TR_WORKER_REGISTER: tr_worker_registered(w, told.item, status); break;
  case TR_WORKER_SUBSCRIBE: tr_worker_subscribed(w, told.item, status); break;
  case TR_WORKER_POLL: tr_worker_poll_ended(w); break;
  case TR_WORKER_BARRIER: tr_worker_leave_barrier(w, status->status == TR_GRPC_OK); break;
  default: break;
  }
}

static void on_goaway(void *ud, tr_rpc_conn *conn, uint32_t error, tr_slice debug) {
  (void)conn;
  tr_worker *w = ud;
  w->goaway = true;
  tr_log_write(w->log, w->o.inside ? TR_LOG_DEBUG : TR_LOG_INFO, "uplink.goaway", "host=%s error=%u reason=\"%.*s\"", w->address, (unsigned)error,
               (int)tr_utf8_cut(debug, 160), debug.n ? debug.p : "");
  if (error == INADEQUATE_SECURITY) {
    w->turned_away = true;
    tr_worker_over(w, false, "the host refuses the connection: %.*s", (int)tr_utf8_cut(debug, 160), debug.n ? debug.p : "");
  }
  if (w->state == TR_WORKER_JOINING) tr_worker_over(w, false, "the host is shutting down");
}

static void on_dirty(void *ud, tr_rpc_conn *conn) {
  (void)conn;
  tr_worker_touch(ud);
}

static void on_pong(void *ud, tr_rpc_conn *conn, uint64_t payload) {
  (void)conn;
  tr_worker_resume_pong(ud, payload);
  tr_worker_leave_pong(ud, payload); /* else: that bytes came is all that counts */
}

/* A path is no authority (RFC 3986, 3.2); like gRPC's own libraries, "localhost" stands for a Unix socket. */
static const char *authority(const tr_worker *w) {
  if (strncmp(w->address, "unix:", 5) == 0) return "localhost";
  return strncmp(w->address, "tls:", 4) == 0 && strchr(w->address + 4, ':') ? w->address + 4 : w->address;
}

static const tr_rpc_handlers handlers = {
  .headers = on_headers,
  .message = on_message,
  .oversize = on_oversize,
  .closed = on_closed,
  .goaway = on_goaway,
  .dirty = on_dirty,
  .pong = on_pong,
};

/* ---- beginning and end ---- */

int tr_worker_session_open(tr_worker *w) {
  char agent[64] = "troupe/";
  size_t n = tr_utf8_cut(tr_slice_of(w->version), sizeof agent - 8);
  memcpy(agent + 7, w->version, n);
  agent[7 + n] = 0;
  tr_rpc_options options = {
    .mem = w->mem, .log = w->log, .handlers = &handlers, .ud = w, .max_message = w->o.max_message,
    .high_water = UINT32_MAX, .gzip = &w->gzip, .user_agent = agent, .authority = authority(w), .secure = w->o.tls,
  };
  w->session++;
  w->joins = 0;
  w->host_version[0] = 0;
  w->troupe = w->native = w->heard_any = w->turned_away = w->proven = w->answered = w->goaway = w->over = w->refused = w->pinged = w->reopen = false;
  w->since = w->heard = tr_core_now(w->core);
  w->register_tries = 0;
  w->rpc = tr_rpc_conn_new(&options);
  if (w->rpc) w->channel = tr_worker_call_new(w, TR_WORKER_CHANNEL, NULL, NULL);
  if (!w->channel) return TR_EMEMORY; /* the caller ends the session */
  if (w->o.control && w->o.register_types) w->control = tr_worker_call_new(w, TR_WORKER_CONTROL, NULL, NULL); /* or none: it can do without */
  w->fresh = w->dest.down = false;
  watch_at(w, w->since + TR_WORKER_PROOF);
  tr_worker_touch(w);
  tr_worker_set_state(w, TR_WORKER_JOINING, NULL);
  tr_worker_poll(w);
  if (w->leave) tr_worker_leave_advance(w);
  else tr_worker_register_all(w);
  return 0;
}

void tr_worker_session_end(tr_worker *w) {
  tr_rpc_conn *rpc = w->rpc;
  if (!rpc) return;
  w->rpc = NULL;
  w->channel = w->control = NULL;
  w->dest.down = true;
  w->dirty = false;
  /* A troupe host's headers come at once; where there was no time for them, what the last session's host was counts. */
  bool brief = !tr_worker_was_heard(w) || tr_core_now(w->core) - w->since < TR_WORKER_PROOF;
  w->reopen = w->troupe || (w->known && brief);
  w->known = w->known && w->reopen;
  tr_worker_resume_stop(w);
  w->polling = false;
  w->asking = 0;
  tr_timer_stop(w->timers, &w->watch);
  tr_timer_stop(w->timers, &w->poll_timer);
  tr_rpc_conn_free(rpc); /* tells the end of every call; none is current any more */
  int refused = w->refused ? w->refused_as : 0;
  w->over = w->refused = false;
  tr_worker_register_reset(w);
  tr_worker_forget_leaves(w);
  tr_worker_rewind(w, false);
  if (!w->known && !w->heard_any) tr_worker_requeue(w, true, 0, true); /* not a byte came: who knows whom it was written to */
  bool says_more = w->o.inside || !w->heard_any || w->turned_away || refused; /* it was no host, or not for us */
  tr_worker_requests_fail(w, true, refused ? refused : TR_EUNAVAILABLE, says_more ? w->reason : "the connection to the host was lost");
  tr_worker_cancel_jobs(w); /* the host has told their callers that it lost us */
}

void tr_worker_control(tr_worker *worker, tr_blob *frame) {
  if (!worker->control || tr_rpc_queued(worker->control) + frame->len > worker->o.queue_bytes) return;
  tr_rpc_send(worker->control, frame);
  tr_worker_touch(worker);
}

/* ---- bytes ---- */

int tr_worker_feed(tr_worker *worker, tr_slice bytes, tr_error *error) {
  if (!worker->rpc) return 0;
  tr_time now = tr_core_now(worker->core);
  worker->heard = now;
  if (worker->pinged) watch_at(worker, now + TR_WORKER_SILENCE);
  worker->pinged = false;
  int rc = tr_rpc_feed(worker->rpc, bytes, now, error);
  if (rc < 0) {
    tr_worker_over(worker, false, "%s", error && error->text[0] ? error->text : "it does not speak HTTP/2");
    /* Its owner hangs up once what is left was sent; if it does not, we do. */
    tr_timer_start(worker->timers, &worker->over_timer, now + TR_SECONDS(1), worker->over_timer.fn);
    return rc;
  }
  worker->heard_any = true;
  return 0;
}

int tr_worker_output(tr_worker *worker, tr_buf *out, size_t limit) {
  worker->dirty = false;
  if (!worker->rpc) return 0;
  size_t before = out->len;
  tr_worker_pump(worker, limit);
  worker->in_output = true;
  int rc = tr_rpc_output(worker->rpc, out, limit);
  worker->in_output = false;
  if (!out->failed) tr_worker_written(worker);
  if (out->len > before) return rc;
  if (worker->leave) tr_worker_leave_advance(worker);
  /* Nothing to say and nothing more to hear: it broke here, for want of memory most likely. */
  if (worker->leave != TR_LEAVE_CANCEL && tr_rpc_finished(worker->rpc)) tr_worker_over(worker, false, "the connection broke");
  return rc;
}
