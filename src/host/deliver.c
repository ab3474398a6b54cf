/* SPDX-License-Identifier: MIT
 * Events: each receiver once, one frame for all of them.
 *
 * Who wants a topic is the router's to say (cached by topic), and for C callers' taps the core's. A client gets the bytes
 * as they came; agents of this process share one decoded message, posted last, since what they do may change the
 * router's answer.
 *
 * A receiver that cannot take the event is skipped and the others get it: its queue is full (a dead letter), or it is a
 * .NET worker that the event would throw off (withheld). The sending client gets its own events too: other agents live
 * there, and its worker leaves out the sender. */
#include "host/internal.h"

void tr_deliver_dead(tr_client *client, int code, const char *why) {
  tr_host *host = client->host;
  host->stats.dead_letters++;
  if (code == TR_EOVERLOADED) host->stats.overloaded++;
  if (tr_guard_worth_a_line(++client->dropped))
    tr_log_write(host->log, TR_LOG_WARN, "event.dead", "client=%s count=%llu code=%s reason=\"%s\"", client->id,
                 (unsigned long long)client->dropped, tr_error_name(code), why);
}

static const char *reason(int code) {
  return code == TR_EOVERLOADED ? "the queue to its worker is full" : tr_error_default_text(code);
}

/* ---- from a client ---- */

static bool check_topic(tr_client *from, tr_slice topic, tr_slice source) {
  tr_error error;
  tr_error_init(&error);
  if (tr_name_reserved(topic) || tr_name_reserved(source))
    tr_error_set(&error, TR_EINVALID, "topics and sources that begin with \"" TR_RESERVED "\" are reserved");
  else if (!tr_topic_type_check(topic, &error)) return true;
  from->host->stats.refused++;
  if (tr_guard_worth_a_line(++from->dropped))
    tr_log_write(from->host->log, TR_LOG_WARN, "event.refused", "client=%s count=%llu reason=\"%s\"", from->id,
                 (unsigned long long)from->dropped, error.text);
  return false;
}

/* Made for the first receiver. */
static tr_blob *frame_of(tr_host *host, tr_slice bytes, tr_slice framed) {
  return framed.p ? tr_blob_copy(host->mem, framed) : tr_wire_frame(host->mem, bytes);
}

static void to_core(tr_client *from, tr_slice bytes) {
  tr_host *host = from->host;
  tr_wire_in in = { 0 };
  tr_error error;
  tr_error_init(&error);
  int err = tr_wire_decode(host->core, bytes, from->troupe, &in, &error);
  if (err) {
    host->stats.dead_letters++;
    tr_log_write(host->log, TR_LOG_WARN, "event.dead", "client=%s code=%s reason=\"%s\"", from->id,
                 tr_error_name(err), error.text);
    return;
  }
  tr_msg *msg = in.msg;
  in.msg = NULL;
  tr_wire_in_fini(&in);
  tr_core_post(host->core, msg);
}

/* One that only passes through is decoded to be told of, where somebody listens; once, however many did not get it. */
static void tell_dead(tr_client *from, tr_slice bytes, int code) {
  tr_core *core = from->host->core;
  tr_wire_in in = { 0 };
  tr_error error;
  tr_error_init(&error);
  tr_name *letters = tr_name_new(tr_core_names(core), TR_SLICE_LITERAL(TR_RESERVED "dead_letter"));
  bool wanted = letters && tr_core_wanted(core, letters);
  tr_name_unref(letters);
  if (!wanted || tr_wire_decode(core, bytes, from->troupe, &in, &error)) return;
  tr_core_dead_letter(core, in.msg, code, reason(code));
  tr_wire_in_fini(&in);
}

void tr_deliver(tr_client *from, tr_slice bytes, tr_slice framed, const tr_wire_span *span) {
  tr_host *host = from->host;
  host->stats.events++;
  if (!check_topic(from, span->topic_type, span->topic_source)) return;
  tr_replay_note(from, span);
  size_t count = 0;
  tr_dest *const *dests = tr_router_match(host->router, span->topic_type, &count);
  tr_blob *frame = NULL;
  bool others = false;
  int dead = 0;
  for (size_t i = 0; i < count; i++) {
    if (dests[i]->ops != &tr_client_ops) {
      others = true;
      continue;
    }
    tr_client *to = tr_client_of(dests[i]);
    if (to->dotnet && !tr_quirk_event(span)) {
      tr_quirk_withhold(to, "an event", span->topic_type);
      continue;
    }
    if (!frame) frame = frame_of(host, bytes, framed);
    int err = frame ? tr_client_send_lane(to, frame, false, span->priority) : TR_EMEMORY;
    if (!err) continue;
    tr_deliver_dead(to, err, reason(err));
    dead = err;
  }
  tr_blob_unref(frame);
  if (dead) tell_dead(from, bytes, dead); /* now that `dests` is not needed any more */
  if (others || tr_core_tapped(host->core, span->topic_type)) to_core(from, bytes);
}

/* ---- from an agent of this process ---- */

static void dead_local(tr_client *to, tr_msg *msg, int code, const char *why) {
  tr_deliver_dead(to, code, why);
  tr_core_dead_letter(to->host->core, msg, code, why);
}

void tr_deliver_from_local(tr_dest *dest, tr_msg *msg) {
  tr_client *to = tr_client_of(dest);
  tr_blob *frame = NULL;
  tr_error error;
  tr_error_init(&error);
  int err = tr_wire_encode_event(msg, (tr_slice){ NULL, 0 }, &frame, &error);
  if (err) {
    dead_local(to, msg, err, error.text[0] ? error.text : tr_error_default_text(err));
    return;
  }
  tr_slice bytes = { (const char *)frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX };
  tr_wire_span span = { 0 };
  if (bytes.n > to->host->o.max_message) {
    dead_local(to, msg, TR_ETOO_LARGE, tr_error_default_text(TR_ETOO_LARGE));
  } else if (to->dotnet && (tr_wire_walk(bytes, &span, NULL) || !tr_quirk_event(&span))) {
    tr_quirk_withhold(to, "an event", tr_name_view(msg->target_type));
  } else {
    err = tr_client_send_lane(to, frame, false, msg->priority);
    if (err) dead_local(to, msg, err, reason(err));
  }
  tr_blob_unref(frame);
}
