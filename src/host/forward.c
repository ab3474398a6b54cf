/* SPDX-License-Identifier: MIT
 * Requests and their answers.
 *
 *   client → client   walked, request_id spliced, queued; the answer likewise with the caller's id put back
 *   client → agent    decoded, posted to the core; its reply encoded under the caller's id. So goes also what nobody here has,
 *                     where an uplink may know it
 *   agent → client    the core hands it to tr_forward_from_local; encoded; the answer decoded
 *
 * All three are a tr_pending. Whatever happens, a request ends in an answer: here at once where it cannot be delivered,
 * by the client's loss (client.c), or by the guard's deadline (pending.c). An answer is refused only for what its
 * receiver could not take (too large, .NET's quirks), and then the caller gets an error instead where it can take that. */
#include "host/share.h"
#include "wire/keys.h"
#include "wire/reader.h"

#include <stdio.h>

/* ---- what a request asks for beyond AutoGen's protocol ---- */

typedef struct terms { tr_time deadline; bool oneway, refers, resends; uint8_t priority; } terms;

static tr_time parse_ms(tr_slice text) {
  if (!text.n || text.n > 12) return TR_NEVER;
  tr_time ms = 0;
  for (size_t i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9') return TR_NEVER;
    ms = ms * 10 + (text.p[i] - '0');
  }
  return ms * 1000;
}

static tr_time oneway_latest(const tr_host *host, const tr_client *callee) {
  return tr_core_now(host->core) + (callee && !callee->troupe ? TR_ONEWAY_TIMEOUT : TR_ONEWAY_TROUPE);
}

/* In one pass, since every request is asked for them. callee NULL: not known yet. */
static terms read_terms(const tr_host *host, const tr_client *callee, const tr_wire_span *span) {
  tr_reader reader = tr_reader_of(span->inner);
  tr_field field;
  tr_slice key, value, timeout = { NULL, 0 };
  terms t = { TR_NEVER, false, false, false, TR_PRIORITY_NORMAL };
  while (span->has_metadata && tr_read_field(&reader, &field) > 0) {
    if (field.key != TR_FIELD_KEY(6) || !tr_wire_read_entry(field.value, false, &key, &value)) continue;
    if (tr_slice_is(key, TR_KEY_TIMEOUT)) timeout = value;
    else if (tr_slice_is(key, TR_KEY_ONEWAY)) t.oneway = tr_slice_is(value, "1");
    else if (tr_slice_is(key, TR_KEY_REFS)) t.refers = true;
    else if (tr_slice_is(key, TR_KEY_RESEND)) t.resends = true;
    else if (tr_slice_is(key, TR_KEY_PRIORITY)) t.priority = tr_wire_priority(value);
  }
  tr_time now = tr_core_now(host->core), own = parse_ms(timeout);
  t.deadline = tr_pending_deadline(host, own == TR_NEVER ? own : now + own);
  if (t.oneway && t.deadline > oneway_latest(host, callee)) t.deadline = oneway_latest(host, callee);
  return t;
}

/* ---- client → client ---- */

/* Where the callee cannot be given this request: a code, and why. */
static int check_callee(tr_client *callee, const tr_wire_span *span, size_t size, const char **why) {
  if (!callee->stream) {
    *why = "the agent's worker is not connected";
    return TR_EUNAVAILABLE;
  }
  if (!callee->troupe && tr_key_is_result(span->target_key)) {
    *why = "the agent's worker keeps no results";
    return TR_EUNAVAILABLE;
  }
  if (callee->dotnet && !tr_quirk_request(span)) {
    *why = "the agent's worker (.NET) takes application/x-protobuf and plain ids only";
    return TR_ECANT_HANDLE;
  }
  if (size > callee->host->o.max_message) {
    *why = "with the host's request id the message is larger than its limit";
    return TR_ETOO_LARGE;
  }
  if (!tr_client_has_room(callee, size)) {
    *why = "the queue to the agent's worker is full";
    return TR_EOVERLOADED;
  }
  return 0;
}

/* own: a frame for the caller; the request is open from now on. NULL: it was refused. */
static tr_blob *open_request(tr_client *caller, tr_client *callee, const tr_wire_span *span, const terms *t, tr_pending **out) {
  tr_host *host = caller->host;
  tr_pending *pending = *out = tr_pending_new(host, TR_PENDING_FORWARD, caller, callee, span->request_id, t->deadline);
  if (!pending) {
    tr_pending_refuse(caller, span->request_id, TR_EMEMORY, NULL);
    return NULL;
  }
  pending->oneway = t->oneway;
  pending->priority = t->priority;
  pending->resends = t->resends;
  char id[TR_PENDING_ID];
  tr_slot_write_id(&pending->slot, id);
  tr_blob *frame = tr_wire_splice(host->mem, span, tr_slice_make(id, sizeof id));
  if (!frame) tr_pending_fail(pending, TR_EMEMORY, NULL);
  return frame;
}

static void forward(tr_client *caller, tr_client *callee, const tr_wire_span *span) {
  tr_host *host = caller->host;
  static const char placeholder[TR_PENDING_ID] = { 0 };
  const char *why = NULL;
  int code = check_callee(callee, span, tr_wire_splice_size(span, tr_slice_make(placeholder, TR_PENDING_ID)), &why);
  if (code) {
    if (code == TR_EOVERLOADED) host->stats.overloaded++;
    tr_pending_refuse(caller, span->request_id, code, why);
    return;
  }
  terms t = read_terms(host, callee, span);
  if (t.refers && !callee->troupe) { /* it would see nulls */
    tr_pending_refuse_refs(caller, span->request_id);
    return;
  }
  tr_pending *pending;
  tr_blob *frame = open_request(caller, callee, span, &t, &pending);
  if (!frame) return;
  code = tr_client_send_lane(callee, frame, false, t.priority);
  tr_blob_unref(frame);
  if (code) tr_pending_fail(pending, code, NULL);
  else tr_replay_note(caller, span);
}

/* ---- to a type that several clients have ---- */

static void hold(tr_client *caller, tr_move *move, const tr_wire_span *span) {
  terms t = read_terms(caller->host, NULL, span);
  tr_pending *pending;
  tr_blob *frame = open_request(caller, NULL, span, &t, &pending);
  if (!frame) return;
  int code = tr_move_hold_request(move, pending, frame, (uint8_t)tr_transcode_sends(caller->host, caller), t.refers);
  tr_blob_unref(frame);
  if (code) tr_pending_fail(pending, code, "the agent is on its way to another worker");
  else tr_replay_note(caller, span);
}

void tr_forward_held(tr_pending *pending, tr_client *callee, tr_blob **frame, uint8_t sends, bool refers) {
  tr_error error;
  tr_error_init(&error);
  const char *why = NULL;
  tr_wire_span span = { 0 };
  int code = (sends & ~(unsigned)callee->takes) ? tr_transcode_frame(callee, frame, &error) : 0;
  if (!code) code = tr_wire_walk(tr_wire_framed(*frame), &span, &error);
  if (!code) code = check_callee(callee, &span, (*frame)->len - TR_WIRE_PREFIX, &why);
  if (!code && refers && !callee->troupe) code = TR_EUNAVAILABLE, why = "the agent's worker is not troupe's";
  if (!code) {
    pending->callee = callee;
    tr_list_push(&callee->work, &pending->by_callee);
    code = tr_client_send_lane(callee, *frame, false, pending->priority);
  }
  if (code) tr_pending_fail(pending, code, error.text[0] ? error.text : why);
}

static void to_client(tr_client *caller, tr_client *callee, const tr_wire_span *span) {
  if (!tr_transcode_due(caller, callee)) {
    forward(caller, callee, span);
    return;
  }
  tr_wire_span other = *span;
  tr_blob *frame = NULL;
  tr_error error;
  tr_error_init(&error);
  int code = tr_transcode_walk(callee, &other, &frame, &error);
  if (code) tr_pending_refuse(caller, span->request_id, code, error.text);
  else forward(caller, callee, &other);
  tr_blob_unref(frame);
}

static void to_shared(tr_client *caller, tr_share *share, const tr_wire_span *span) {
  tr_move *move;
  uint8_t priority = tr_wire_priority(tr_wire_metadata(span->inner, TR_WIRE_REQUEST, TR_KEY_PRIORITY));
  tr_client *callee = tr_share_receiver(share, span->target_key, priority, &move);
  if (move) hold(caller, move, span);
  else if (callee) to_client(caller, callee, span);
  else tr_pending_refuse(caller, span->request_id, TR_EMEMORY, NULL);
}

/* ---- client → agent of this process, or what may be behind another door of it ---- */

static tr_blob *encode_answer(tr_client *caller, tr_reply *reply, tr_slice id, tr_error *error) {
  tr_blob *frame = NULL;
  if (tr_wire_encode_reply_as(caller->host->core, reply, id, tr_transcode_plain(caller), &frame, error)) return NULL;
  if (tr_transcode_due(NULL, caller) && tr_transcode_frame(caller, &frame, error)) {
    tr_blob_unref(frame);
    return NULL;
  }
  size_t limit = caller->host->o.max_message;
  if (frame->len - TR_WIRE_PREFIX <= limit) return frame;
  tr_error_set(error, TR_ETOO_LARGE, "the answer's %u bytes are more than the host's limit of %zu",
               (unsigned)frame->len - TR_WIRE_PREFIX, limit);
  tr_blob_unref(frame);
  return NULL;
}

static bool takes(tr_client *caller, tr_blob *frame, tr_slice id) {
  if (!caller->dotnet) return true;
  tr_wire_span span = { 0 };
  tr_slice bytes = tr_wire_framed(frame);
  if (!tr_wire_walk(bytes, &span, NULL) && tr_quirk_answer(&span)) return true;
  tr_quirk_withhold(caller, "an answer", NULL, id);
  return false;
}

void tr_forward_local_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  tr_host *host = ud;
  tr_pending *pending = tr_slots_at(&host->slots, token);
  if (!pending || pending->msg != request) return;
  pending->msg = NULL;
  tr_client *caller = pending->caller;
  tr_error error;
  tr_error_init(&error);
  tr_blob *frame = encode_answer(caller, reply, tr_pending_id(pending), &error);
  if (!frame) {
    tr_pending_fail(pending, error.code ? error.code : TR_EMEMORY, error.code ? error.text : NULL);
    return;
  }
  int err = takes(caller, frame, tr_pending_id(pending)) ? tr_client_send_lane(caller, frame, true, request->priority) : 0;
  tr_blob_unref(frame);
  if (err == TR_EMEMORY) tr_pending_fail(pending, TR_EMEMORY, NULL);
  else tr_pending_free(pending);
}

/* A troupe callee sees no request; the sender's entry ends with a null answer. */
static void post_oneway(tr_client *caller, tr_msg *msg, tr_slice id) {
  int code = tr_core_post(caller->host->core, msg);
  if (code) {
    tr_pending_refuse(caller, id, code, NULL);
    return;
  }
  tr_reply none = { .body = { .kind = TR_BODY_NULL } };
  tr_blob *frame = encode_answer(caller, &none, id, NULL);
  if (frame && takes(caller, frame, id)) tr_client_send(caller, frame, true);
  tr_blob_unref(frame);
}

/* One for a type that nobody here has counts as sent on by one host more, and so may go up; but not back to the process that launched
 * this one. False: it has been sent on often enough, or there is no memory. */
static bool count_hop(const tr_client *caller, tr_msg *msg, bool owned, tr_error *error) {
  char text[TR_ERROR_TEXT];
  uint8_t before = msg->more ? msg->more->hops : 0;
  if (before) msg->more->hops = 0;
  if (owned || caller->host->o.parent) return true;
  if (before >= TR_HOPS_MOST) tr_error_set(error, TR_ENOT_FOUND, "%s", tr_core_unregistered(tr_name_view(msg->target_type), text));
  else if (!tr_msg_get_more(msg)) tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
  else msg->more->hops = before + 1;
  return !error->code;
}

/* owned: its type is one of this process. */
static void to_core(tr_client *caller, tr_slice bytes, const tr_wire_span *span, bool owned) {
  tr_host *host = caller->host;
  tr_wire_in in = { 0 };
  tr_error error;
  tr_error_init(&error);
  int err = tr_wire_decode(host->core, bytes, caller->troupe, &in, &error);
  if (err) {
    tr_pending_refuse(caller, span->request_id, err, error.text[0] ? error.text : NULL);
    return;
  }
  tr_msg *msg = in.msg;
  in.msg = NULL;
  tr_wire_in_fini(&in);
  tr_replay_note(caller, span);
  if (msg->more && msg->more->as) {
    tr_placed(caller, msg, span->request_id);
    return;
  }
  if (!count_hop(caller, msg, owned, &error)) {
    tr_msg_unref(msg);
    tr_pending_refuse(caller, span->request_id, error.code, error.text);
    return;
  }
  if (msg->kind != TR_MSG_REQUEST) {
    post_oneway(caller, msg, span->request_id);
    return;
  }
  tr_pending *pending = tr_pending_new(host, TR_PENDING_TO_LOCAL, caller, NULL, span->request_id,
                                       tr_pending_deadline(host, msg->deadline));
  if (!pending) {
    tr_msg_unref(msg);
    tr_pending_refuse(caller, span->request_id, TR_EMEMORY, NULL);
    return;
  }
  pending->resends = msg->more && (msg->more->token[0] || msg->more->token[1]);
  pending->msg = msg; /* borrowed: its last reference does not go before it is answered */
  msg->reply_to = (tr_reply_to){ .answer = tr_forward_local_answer, .ud = host, .token = tr_slot_token(&pending->slot) };
  if (msg->window) tr_pending_take_parts(pending);
  tr_core_post(host->core, msg);
}

/* ---- a request comes in ---- */

static bool admit(tr_client *caller, const tr_wire_span *span) {
  if (!span->has_target) {
    tr_pending_refuse(caller, span->request_id, TR_EINVALID, "the request names no target agent");
    return false;
  }
  char missing[TR_ERROR_TEXT];
  if (caller->host->rights && !tr_access_request(caller, span, missing, sizeof missing)) {
    tr_access_tell(caller, TR_RIGHT_CALL, missing);
    tr_pending_refuse(caller, span->request_id, TR_EPERMISSION, missing);
    return false;
  }
  if (tr_name_reserved(span->target_key) && !(caller->troupe && tr_key_is_result(span->target_key))) {
    tr_pending_refuse(caller, span->request_id, TR_EINVALID, "agent keys that begin with \"" TR_RESERVED "\" are reserved");
    return false;
  }
  if (caller->n_calls >= TR_CLIENT_OPEN_REQUESTS) {
    caller->host->stats.overloaded++;
    tr_pending_refuse(caller, span->request_id, TR_EOVERLOADED, "too many open requests");
    return false;
  }
  if (caller->host->draining && tr_list_empty(&caller->work)) { /* one who still has to answer may need to ask */
    tr_pending_refuse(caller, span->request_id, TR_EUNAVAILABLE, "the host is shutting down");
    return false;
  }
  return true;
}

typedef struct asker { tr_client *client; tr_slice key; } asker;

static bool may_hear_of(void *ud, tr_slice type) {
  const asker *a = ud;
  return !a->client->host->rights || tr_access_check(a->client, TR_RIGHT_CALL, type, a->key);
}

/* A misspelt type is the commonest mistake; who may not call the nearest does not hear of it. */
static void refuse_unregistered(tr_client *caller, const tr_wire_span *span) {
  char text[TR_ERROR_TEXT];
  asker who = { caller, span->target_key };
  const char *nearest = tr_router_nearest(caller->host->router, span->target_type, may_hear_of, &who);
  size_t n = strlen(tr_core_unregistered(span->target_type, text));
  if (nearest && strlen(nearest) < sizeof text - n - sizeof " (did you mean ?)") snprintf(text + n, sizeof text - n, " (did you mean %s?)", nearest);
  tr_pending_refuse(caller, span->request_id, TR_ENOT_FOUND, text);
}

void tr_forward_request(tr_client *caller, tr_slice bytes, const tr_wire_span *span) {
  caller->host->stats.requests++;
  if (!admit(caller, span)) return;
  tr_dest *dest = tr_router_owner(caller->host->router, span->target_type);
  if (dest && dest->ops == &tr_client_ops) {
    to_client(caller, tr_client_of(dest), span);
  } else if (dest && dest->ops == &tr_share_ops) {
    to_shared(caller, tr_share_of(dest), span);
  } else if (dest || tr_core_may_reach(caller->host->core, span->target_type)) {
    to_core(caller, bytes, span, dest != NULL);
  } else {
    refuse_unregistered(caller, span);
  }
}

/* ---- an answer comes in ---- */

static void hand_back(tr_pending *pending, const tr_wire_span *span) {
  tr_host *host = pending->host;
  tr_client *caller = pending->caller;
  tr_slice id = tr_pending_id(pending);
  if (caller->dotnet && !tr_quirk_answer(span)) {
    tr_quirk_withhold(caller, "an answer", NULL, id);
    tr_pending_free(pending);
    return;
  }
  if (tr_wire_splice_size(span, id) > host->o.max_message) {
    tr_pending_fail(pending, TR_ETOO_LARGE, "with its request id the answer is larger than the host's limit");
    return;
  }
  tr_blob *frame = tr_wire_splice(host->mem, span, id);
  int err = frame ? tr_client_send_lane(caller, frame, true, pending->priority) : TR_EMEMORY;
  tr_blob_unref(frame);
  if (err == TR_EMEMORY) tr_pending_fail(pending, TR_EMEMORY, NULL);
  else tr_pending_free(pending);
}

static void answer_client(tr_pending *pending, tr_client *callee, const tr_wire_span *span) {
  if (!tr_transcode_due(callee, pending->caller)) {
    hand_back(pending, span);
    return;
  }
  tr_wire_span other = *span;
  tr_blob *frame = NULL;
  tr_error error;
  tr_error_init(&error);
  int code = tr_transcode_walk(pending->caller, &other, &frame, &error);
  if (code) tr_pending_fail(pending, code, error.text);
  else hand_back(pending, &other);
  tr_blob_unref(frame);
}

static void answer_agent(tr_pending *pending, tr_client *callee, tr_slice bytes) {
  tr_core *core = pending->host->core;
  tr_wire_in in = { 0 };
  tr_error error;
  tr_error_init(&error);
  int err = tr_wire_decode(core, bytes, callee->troupe, &in, &error);
  if (err) {
    tr_pending_fail(pending, err, error.text[0] ? error.text : NULL);
    return;
  }
  tr_msg *msg = tr_msg_ref(pending->msg);
  tr_pending_free(pending);
  if (msg->kind == TR_MSG_REQUEST) {
    tr_msg_answer(msg, &in.reply);
  } else if (in.reply.code) {
    tr_core_dead_letter(core, msg, in.reply.code, in.error_text.text);
  }
  tr_wire_in_fini(&in);
  tr_msg_unref(msg);
}

void tr_forward_response(tr_client *callee, tr_slice bytes, const tr_wire_span *span) {
  tr_host *host = callee->host;
  host->stats.responses++;
  tr_pending *pending = tr_slots_find(&host->slots, span->request_id);
  if (!pending && tr_slots_had(&host->slots, span->request_id)) { /* its caller has given it up */
    tr_core_late(host->core);
    tr_log_write(host->log, TR_LOG_DEBUG, "answer.late", "client=%s id=%.*s", callee->id, TR_BRIEF(span->request_id));
  } else if (!pending || pending->callee != callee) {
    if (tr_guard_worth_a_line(++callee->strays))
      tr_log_write(host->log, TR_LOG_INFO, "answer.unknown", "client=%s count=%llu id=%.*s", callee->id,
                   (unsigned long long)callee->strays, TR_BRIEF(span->request_id));
  } else if (pending->kind == TR_PENDING_FROM_LOCAL) {
    answer_agent(pending, callee, bytes);
  } else {
    answer_client(pending, callee, span);
  }
}

/* ---- agent of this process → client ---- */

static void refuse_local(tr_core *core, tr_msg *msg, int code, const char *text) {
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, code, text);
  else tr_core_dead_letter(core, msg, code, text ? text : tr_error_default_text(code));
}

static int check_frame(tr_client *callee, const tr_blob *frame, const char **why) {
  tr_slice bytes = tr_wire_framed(frame);
  tr_wire_span span = { 0 };
  if (callee->dotnet && tr_wire_walk(bytes, &span, NULL)) return TR_EINTERNAL;
  return check_callee(callee, &span, bytes.n, why);
}

/* For a worker that is not troupe's. False: the message has its answer. */
static bool fits_foreign(tr_core *core, tr_msg *msg) {
  bool result = tr_key_is_result(tr_name_view(msg->target_key));
  if (msg->more) msg->more->keep_ms = 0;
  if (!result && !(msg->more && msg->more->refs)) return true;
  if (result) refuse_local(core, msg, TR_EUNAVAILABLE, "the agent's worker keeps no results");
  else if (msg->kind == TR_MSG_REQUEST) tr_msg_unresolved(msg, TR_EUNAVAILABLE, "the agent's worker is not troupe's");
  else refuse_local(core, msg, TR_EUNAVAILABLE, "the agent's worker is not troupe's");
  return false;
}

void tr_forward_from_local(tr_dest *dest, tr_msg *msg) {
  tr_client *callee = tr_client_of(dest);
  tr_host *host = callee->host;
  bool oneway = msg->kind == TR_MSG_SEND;
  if (!callee->stream) {
    refuse_local(host->core, msg, TR_EUNAVAILABLE, "the agent's worker is not connected");
    return;
  }
  if (!callee->troupe && !fits_foreign(host->core, msg)) return;
  tr_time deadline = tr_pending_deadline(host, msg->deadline);
  if (oneway && deadline > oneway_latest(host, callee)) deadline = oneway_latest(host, callee);
  tr_pending *pending = tr_pending_new(host, TR_PENDING_FROM_LOCAL, NULL, callee, (tr_slice){ NULL, 0 }, deadline);
  if (!pending) {
    refuse_local(host->core, msg, TR_EMEMORY, NULL);
    return;
  }
  pending->msg = tr_msg_ref(msg);
  pending->oneway = oneway;
  pending->priority = msg->priority;
  pending->holder.ops = &tr_pending_holder_ops;
  if (!oneway) msg->holder = &pending->holder;
  char id[TR_PENDING_ID];
  tr_slot_write_id(&pending->slot, id);
  tr_error error;
  tr_error_init(&error);
  const char *why = NULL;
  tr_blob *frame = NULL;
  int code = tr_wire_encode_request_as(msg, tr_slice_make(id, sizeof id), tr_transcode_plain(callee), &frame, &error);
  if (!code && tr_transcode_due(NULL, callee)) code = tr_transcode_frame(callee, &frame, &error);
  if (!code) code = check_frame(callee, frame, &why);
  if (!code) code = tr_client_send_lane(callee, frame, false, msg->priority);
  tr_blob_unref(frame);
  if (code == TR_EOVERLOADED) host->stats.overloaded++;
  if (code) tr_pending_fail(pending, code, error.text[0] ? error.text : why);
}
