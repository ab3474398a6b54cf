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
#include "host/share.h"
#include "wire/keys.h"

bool tr_host_is_telling(const tr_host *host) { return host->telling; }

void tr_deliver_describe(const tr_wire_span *span, tr_host_dead *letter) {
  letter->topic = span->topic_type;
  letter->source = span->topic_source;
  letter->type = tr_wire_event_attribute(span->inner, TR_KEY_SCHEMA);
  letter->sender = tr_wire_event_attribute(span->inner, TR_KEY_SENDER_TYPE);
  letter->sender_key = tr_wire_event_attribute(span->inner, TR_KEY_SENDER_KEY);
}

static void count_dead(tr_host *host, tr_slice client, const tr_wire_span *span, int code, const char *why) {
  host->stats.dead_letters++;
  if (span && host->o.dead) {
    tr_host_dead letter = { .kind = "event", .client = client, .code = code, .reason = why };
    tr_deliver_describe(span, &letter);
    host->o.dead(host->o.ud, &letter);
  }
}

void tr_deliver_dead(tr_client *client, const tr_wire_span *span, int code, const char *why) {
  tr_host *host = client->host;
  count_dead(host, tr_client_id(client), span, code, why);
  if (code == TR_EOVERLOADED) host->stats.overloaded++;
  if (tr_guard_worth_a_line(++client->dropped))
    tr_log_write(host->log, TR_LOG_WARN, "event.dead", "client=%s count=%llu code=%s reason=\"%s\"", client->id,
                 (unsigned long long)client->dropped, tr_error_name(code), why);
}

void tr_deliver_nowhere(tr_host *host, const tr_wire_span *span, int code, const char *why) {
  count_dead(host, (tr_slice){ NULL, 0 }, span, code, why);
  if (tr_guard_worth_a_line(++host->n_nowhere))
    tr_log_write(host->log, TR_LOG_WARN, "event.dead", "count=%llu code=%s reason=\"%s\"", (unsigned long long)host->n_nowhere,
                 tr_error_name(code), why);
}

void tr_deliver_lost(tr_host *host, tr_client *client, tr_blob *frame, int code, const char *why, bool tell) {
  tr_wire_span span = { 0 };
  bool event = !tr_wire_walk(tr_wire_framed(frame), &span, NULL) && span.kind == TR_WIRE_EVENT;
  if (client) tr_deliver_dead(client, event ? &span : NULL, code, why);
  else tr_deliver_nowhere(host, event ? &span : NULL, code, why);
  if (event && tell) tr_deliver_tell(host, span.whole, code, why);
}

static const char *reason(int code) {
  return code == TR_EOVERLOADED ? "the queue to its worker is full" : tr_error_default_text(code);
}

/* ---- from a client ---- */

static bool check_topic(tr_client *from, const tr_wire_span *span) {
  tr_slice topic = span->topic_type, source = span->topic_source;
  tr_error error;
  char missing[TR_ERROR_TEXT];
  tr_error_init(&error);
  if (from->host->rights && !tr_access_event(from, span, missing, sizeof missing)) tr_error_set(&error, TR_EPERMISSION, "permission_denied: %s", missing);
  else if (tr_name_reserved(topic) || tr_name_reserved(source))
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

/* A worker that was away for so long that it is known no more sends again what it knows no answer to; clients look for themselves. */
static void to_core_once(tr_client *from, tr_slice bytes, const tr_wire_span *span) {
  if (!from->troupe || !tr_again_had(&from->host->again, from->host->mem, span)) to_core(from, bytes);
}

/* One that only passes through is decoded to be told of, where somebody listens; once, however many did not get it. */
void tr_deliver_tell(tr_host *host, tr_slice bytes, int code, const char *why) {
  tr_core *core = host->core;
  tr_wire_in in = { 0 };
  tr_error error;
  tr_error_init(&error);
  tr_name *letters = tr_name_new(tr_core_names(core), TR_SLICE_LITERAL(TR_RESERVED "dead_letter"));
  bool wanted = letters && tr_core_wanted(core, letters);
  tr_name_unref(letters);
  if (!wanted || tr_wire_decode_unsealed(core, bytes, &in, &error)) return;
  host->telling = true;
  tr_core_dead_letter(core, in.msg, code, why);
  host->telling = false;
  tr_wire_in_fini(&in);
}

/* One event on its way: the frame as it came, and as some of its receivers want it (transcode.c). */
typedef struct variant { unsigned takes; bool troupe; int code; tr_blob *frame; tr_error error; } variant;
typedef struct delivery {
  tr_client *from;
  tr_slice bytes, framed;
  const tr_wire_span *span;
  tr_blob *frame;
  variant variants[4];
  size_t count;
} delivery;

/* Encoded once, however many want it so (four different ones: more than there are). Its frame is NULL where it can go as it came. */
static const variant *variant_for(delivery *d, const tr_client *to) {
  for (size_t i = 0; i < d->count; i++)
    if (d->variants[i].takes == to->takes && d->variants[i].troupe == to->troupe) return &d->variants[i];
  size_t at = d->count < 4 ? d->count++ : 3;
  variant *v = &d->variants[at];
  tr_blob_unref(v->frame);
  *v = (variant){ .takes = to->takes, .troupe = to->troupe };
  tr_error_init(&v->error);
  v->code = tr_transcode(to, d->span, &v->frame, &v->error);
  return v;
}

static bool fits_dotnet(const delivery *d, const tr_blob *other) {
  tr_wire_span span = { 0 };
  if (!other) return tr_quirk_event(d->span);
  return !tr_wire_walk(tr_wire_framed(other), &span, NULL) && tr_quirk_event(&span);
}

/* 0, or why this client does not get it; the text is in *why, as long as d. */
static int deliver_to(delivery *d, tr_client *to, const char **why) {
  const variant *v = tr_transcode_due(d->from, to) ? variant_for(d, to) : NULL;
  int err = v ? v->code : 0;
  if (err) {
    tr_deliver_dead(to, d->span, err, *why = v->error.text);
    return err;
  }
  if (to->dotnet && !fits_dotnet(d, v ? v->frame : NULL)) {
    tr_quirk_withhold(to, "an event", d->span, d->span->topic_type);
    return 0;
  }
  if (!d->frame && !(v && v->frame)) d->frame = frame_of(to->host, d->bytes, d->framed);
  tr_blob *frame = v && v->frame ? v->frame : d->frame;
  to->host->gzip.shared = frame;
  err = frame ? tr_client_send_lane(to, frame, false, d->span->priority) : TR_EMEMORY;
  if (err) tr_deliver_dead(to, d->span, err, *why = reason(err));
  return err;
}

/* ---- where types are shared: share_event.c ---- */

static bool any_shared(tr_dest *const *dests, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (dests[i]->ops == &tr_share_ops) return true;
  return false;
}

/* It takes the event, though not for some of its types. */
static int deliver_part(delivery *d, tr_client *to, tr_slice types, const char **why) {
  tr_error error;
  tr_error_init(&error);
  tr_blob *other = NULL;
  tr_wire_span span = *d->span;
  int err = tr_transcode_due(d->from, to) ? tr_transcode_walk(to, &span, &other, &error) : 0;
  tr_blob *frame = err ? NULL : tr_share_marked(to->host, &span, TR_KEY_NOT_FOR, types);
  if (!err) err = frame ? tr_client_send_lane(to, frame, false, d->span->priority) : TR_EMEMORY;
  if (err) tr_deliver_dead(to, d->span, err, *why = reason(err));
  tr_blob_unref(frame);
  tr_blob_unref(other);
  return err;
}

typedef struct outcome { tr_dest *const *dests; size_t count; int dead; const char *why; bool others; } outcome;

static void deliver_once(delivery *d, tr_client *to, outcome *o) {
  if (to->given == to->host->n_given) return;
  to->given = to->host->n_given;
  tr_buf types;
  tr_buf_init(&types, to->host->mem);
  bool good = !to->troupe || tr_share_not_for(to, o->dests, o->count, d->span->topic_source, &types);
  int err = !good ? TR_EMEMORY : types.len ? deliver_part(d, to, tr_buf_view(&types), &o->why) : deliver_to(d, to, &o->why);
  if (!good) tr_deliver_dead(to, d->span, err, o->why = reason(err));
  if (err) o->dead = err;
  tr_buf_fini(&types);
}

/* The id that it is for moves: it follows. */
static void hold(delivery *d, tr_share *share, tr_move *move, outcome *o) {
  tr_blob *frame = tr_share_marked(share->host, d->span, TR_KEY_ONLY_FOR, tr_share_name(share));
  int err = frame ? tr_move_hold_event(move, frame, (uint8_t)tr_transcode_sends(share->host, d->from), d->span->priority) : TR_EMEMORY;
  tr_blob_unref(frame);
  if (!err) return;
  o->why = err == TR_EOVERLOADED ? "too much waits for an agent that is on its way to another worker" : reason(err);
  tr_deliver_nowhere(share->host, d->span, o->dead = err, o->why);
}

static void deliver_shared(delivery *d, outcome *o) {
  tr_slice key = d->span->topic_source;
  tr_move *move;
  d->from->host->n_given++;
  for (size_t i = 0; i < o->count; i++) { /* first of all each id gets its place */
    tr_share *share = tr_share_of(o->dests[i]);
    if (!share || tr_share_receiver(share, key, d->span->priority, &move)) continue;
    if (move) hold(d, share, move, o);
    else tr_deliver_nowhere(d->from->host, d->span, o->dead = TR_EMEMORY, o->why = reason(TR_EMEMORY));
  }
  for (size_t i = 0; i < o->count; i++) {
    tr_share *share = tr_share_of(o->dests[i]);
    tr_client *to = share ? tr_share_receiver(share, key, d->span->priority, &move) : NULL;
    if (!share && o->dests[i]->ops == &tr_client_ops) to = tr_client_of(o->dests[i]);
    if (to) deliver_once(d, to, o);
    else if (!share) o->others = true;
  }
}

void tr_deliver(tr_client *from, tr_slice bytes, tr_slice framed, const tr_wire_span *span) {
  tr_host *host = from->host;
  host->stats.events++;
  if (from->troupe) tr_resume_owes(from);
  if (!check_topic(from, span)) return;
  tr_replay_note(from, span);
  if (*host->has_types) tr_transcode_learn(from, span);
  size_t count = 0;
  tr_dest *const *dests = tr_router_match(host->router, span->topic_type, &count);
  delivery d;
  d.from = from, d.bytes = bytes, d.framed = framed, d.span = span, d.frame = NULL, d.count = 0;
  for (size_t i = 0; i < 4; i++) d.variants[i].frame = NULL;
  outcome o = { dests, count, 0, NULL, false };
  if (host->n_shares && any_shared(dests, count)) {
    deliver_shared(&d, &o);
    count = 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (dests[i]->ops != &tr_client_ops) {
      o.others = true;
      continue;
    }
    int err = deliver_to(&d, tr_client_of(dests[i]), &o.why);
    if (err) o.dead = err;
  }
  tr_rpc_gzip_forget(&host->gzip);
  tr_blob_unref(d.frame);
  for (size_t i = 0; i < d.count; i++) tr_blob_unref(d.variants[i].frame);
  if (o.dead) tr_deliver_tell(host, bytes, o.dead, o.why); /* now that `dests` is not needed any more */
  if (o.others || tr_core_tapped(host->core, span->topic_type)) to_core_once(from, bytes, span);
  else if (!o.count && host->o.unheard) host->o.unheard(host->o.ud, span->topic_type, tr_wire_event_attribute(span->inner, TR_KEY_SCHEMA));
}

/* ---- from an agent of this process ---- */

#define LOCAL (UINT64_C(1) << 63) /* in tr_client.given: the number is the core's */

static void dead_local(tr_client *to, tr_msg *msg, int code, const char *why) {
  tr_deliver_dead(to, NULL, code, why);
  tr_core_dead_letter(to->host->core, msg, code, why);
}

int tr_deliver_frame(tr_client *to, tr_blob **frame, uint8_t lane, bool plain, tr_error *error) {
  bool as_it_is = !tr_transcode_due(NULL, to) && (plain || tr_transcode_plain(to) == TR_FORMAT_NATIVE);
  int err = as_it_is ? 0 : tr_transcode_frame(to, frame, error);
  if (err) return err;
  tr_slice bytes = tr_wire_framed(*frame);
  tr_wire_span span = { 0 };
  if (bytes.n > to->host->o.max_message) return TR_ETOO_LARGE;
  if (to->dotnet && (tr_wire_walk(bytes, &span, NULL) || !tr_quirk_event(&span))) {
    tr_quirk_withhold(to, "an event", span.kind == TR_WIRE_EVENT ? &span : NULL, span.topic_type);
    return 0;
  }
  err = tr_client_send_lane(to, *frame, false, lane);
  return err ? tr_error_set(error, err, "%s", reason(err)) : 0;
}

/* Put `types` under `key` into the frame. */
static int mark(tr_client *to, const char *key, tr_slice types, tr_blob **frame, tr_error *error) {
  tr_wire_span span = { 0 };
  int err = tr_wire_walk(tr_wire_framed(*frame), &span, error);
  tr_blob *marked = err ? NULL : tr_share_marked(to->host, &span, key, types);
  if (!err && !marked) err = TR_EMEMORY;
  if (!marked) return err;
  tr_blob_unref(*frame);
  *frame = marked;
  return 0;
}

/* Of its shared types some are not to have it. */
static int mark_not_for(tr_client *to, tr_msg *msg, tr_blob **frame, tr_error *error) {
  tr_buf types;
  size_t count;
  tr_buf_init(&types, to->host->mem);
  tr_dest *const *dests = tr_router_match(to->host->router, tr_name_view(msg->target_type), &count);
  int err = tr_share_not_for(to, dests, count, tr_name_view(msg->target_key), &types) ? 0 : TR_EMEMORY;
  if (!err && types.len) err = mark(to, TR_KEY_NOT_FOR, tr_buf_view(&types), frame, error);
  tr_buf_fini(&types);
  return err;
}

/* only: of its types for this one alone; NULL: as it is. */
static void deliver_local(tr_client *to, tr_msg *msg, const tr_share *only) {
  tr_blob *frame = NULL;
  tr_error error;
  tr_error_init(&error);
  bool cached = msg->frame != NULL; /* for an earlier receiver, who may take the native format */
  int err = tr_wire_encode_event_as(msg, (tr_slice){ NULL, 0 }, tr_transcode_plain(to), &frame, &error);
  if (!err && only) err = mark(to, TR_KEY_ONLY_FOR, tr_share_name(only), &frame, &error);
  else if (!err && to->troupe && !tr_list_empty(&to->shares)) err = mark_not_for(to, msg, &frame, &error);
  if (!err) err = tr_deliver_frame(to, &frame, msg->priority, !cached, &error);
  if (err) dead_local(to, msg, err, error.text[0] ? error.text : tr_error_default_text(err));
  tr_blob_unref(frame);
}

void tr_deliver_from_local(tr_dest *dest, tr_msg *msg) {
  tr_client *to = tr_client_of(dest);
  if (to->host->n_shares) { /* it may be named twice, by itself and by a shared type */
    if (to->given == (msg->number | LOCAL)) return;
    to->given = msg->number | LOCAL;
  }
  deliver_local(to, msg, NULL);
}

void tr_deliver_held(tr_client *to, tr_share *share, tr_msg *msg) { deliver_local(to, msg, to->troupe ? share : NULL); }
