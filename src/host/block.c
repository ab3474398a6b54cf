/* SPDX-License-Identifier: MIT
 * --slow-consumer block: where a worker does not take what comes for it, those who send are held back, instead of losing what does
 * not fit (the default). The host returns no stream credit to a sender that gave a full receiver something, until half of what that
 * has waiting is gone. Credit of the connection is returned as ever, so others on it are not held.
 *
 * What a sender has credit for already still comes, and is taken: one stream window of each that is held, however small the bound is
 * (what it compressed may be more: up to twice the receiver's bound). Past that, and from agents of this process, who have no stream, all is
 * as by default. Answers, which nobody can hold back, may come on top of that. A receiver that takes nothing at all for PATIENCE
 * is not waited for any longer: until it has emptied its queue to the half it, too, is as by default. So one that is frozen stalls its
 * senders once, and not for ever.
 *
 * A sender is held for one receiver at a time; when that lets go and another is full, its next message there holds it again. */
#include "host/internal.h"

#define PATIENCE TR_SECONDS(30)

static void let_go(tr_client *to) {
  for (tr_link *link; (link = tr_list_pop(&to->holding));) {
    tr_host_stream *stream = TR_CONTAINER(link, tr_host_stream, held);
    tr_rpc_hold(stream->call, false);
    tr_host_conn_touch(stream->conn);
  }
}

static void on_patience(tr_timer *timer) {
  tr_client *to = TR_CONTAINER(timer, tr_client, patience);
  tr_host *host = to->host;
  size_t queued = to->stream ? tr_rpc_queued(to->stream->call) : 0;
  if (queued <= host->o.session_bytes / 2) {
    tr_block_release(to);
    return;
  }
  if (queued < to->stuck_at) { /* slow, but it moves */
    to->stuck_at = queued;
    tr_timer_start(host->timers, timer, tr_core_now(host->core) + PATIENCE, on_patience);
    return;
  }
  tr_log_write(host->log, TR_LOG_WARN, "client.frozen", "client=%s queued=%zu (its senders are held back no longer)", to->id, queued);
  to->given_up = true;
  let_go(to);
}

bool tr_block_holds(tr_client *to, uint64_t queued) {
  tr_host *host = to->host;
  tr_host_stream *from = host->sending ? host->sending->stream : NULL;
  uint64_t most = host->o.session_bytes * 2;
  if (!from || to->given_up) return false;
  bool held = tr_link_in(&from->held);
  if (held && queued > most && from->since_held > TR_RPC_STREAM_WINDOW) return false;
  if (queued > most && queued - most > to->past_bound) to->past_bound = queued - most;
  if (held) return true;
  from->since_held = 0;
  if (tr_list_empty(&to->holding)) {
    to->stuck_at = tr_rpc_queued(to->stream->call);
    tr_timer_start(host->timers, &to->patience, tr_core_now(host->core) + PATIENCE, on_patience);
    if (tr_guard_worth_a_line(++to->held_back))
      tr_log_write(host->log, TR_LOG_INFO, "client.slow", "client=%s count=%llu queued=%zu (its senders are held back)", to->id,
                   (unsigned long long)to->held_back, to->stuck_at);
  }
  host->stats.held++;
  tr_list_push(&to->holding, &from->held);
  tr_rpc_hold(from->call, true);
  return true;
}

void tr_block_sends(tr_client *from, size_t size) {
  from->host->sending = from;
  if (from->stream && tr_link_in(&from->stream->held)) from->stream->since_held += size;
}

void tr_block_release(tr_client *to) {
  to->given_up = false;
  to->past_bound = 0;
  tr_timer_stop(to->host->timers, &to->patience);
  let_go(to);
}
