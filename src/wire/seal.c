/* SPDX-License-Identifier: MIT
 * Which parts of a message a signature is over: its kind, id, type, sender, target or topic, what it stands for, and the body with its
 * content type, as they are on the wire; the time and a number used once are in the signature. Not the request_id, which each
 * host writes anew, nor what may change on the way (the deadline that is left, the chain of callers).
 *
 * It rides as metadata of a request, as an attribute of an event, so peers that know nothing of it pass it on. A host that
 * brings a body into another format breaks it; so what is signed goes out in JSON, which all but .NET's workers take. */
#include "core/core.h"
#include "wire/keys.h"
#include "wire/wire.h"

#define PARTS 11

static size_t collect(tr_slice *parts, tr_wire_kind kind, tr_slice id, tr_slice type, tr_slice sender_type, tr_slice sender_key,
                      tr_slice target_type, tr_slice target_key, tr_slice as, tr_slice oneway, tr_slice content_type, tr_slice data) {
  const tr_slice all[PARTS] = { kind == TR_WIRE_EVENT ? TR_SLICE_LITERAL("event") : TR_SLICE_LITERAL("request"),
                                id, type, sender_type, sender_key, target_type, target_key, as, oneway, content_type, data };
  memcpy(parts, all, sizeof all);
  return PARTS;
}

static tr_slice pair_of(const tr_wire_pairs *pairs, const char *key) {
  for (size_t i = 0; i < pairs->count; i++)
    if (tr_slice_is(pairs->pairs[i].key, key)) return pairs->pairs[i].value;
  return (tr_slice){ NULL, 0 };
}

int tr_wire_sign(const tr_msg *msg, tr_slice content_type, tr_slice data, tr_wire_pairs *pairs, tr_buf *signature) {
  const tr_seal *seal = tr_core_seal(msg->core);
  tr_slice parts[PARTS];
  char text[TR_MSG_ID_MAX];
  bool event = msg->kind == TR_MSG_EVENT;
  if (!seal || !seal->sign) return 0;
  tr_slice sender_type = event ? pair_of(pairs, TR_KEY_SENDER_TYPE) : tr_name_view(msg->sender_type);
  tr_slice sender_key = event ? pair_of(pairs, TR_KEY_SENDER_KEY) : tr_name_view(msg->sender_key);
  size_t n = collect(parts, event ? TR_WIRE_EVENT : TR_WIRE_REQUEST, event ? tr_msg_id(msg, text) : pair_of(pairs, TR_KEY_ID), tr_name_view(msg->type),
                     sender_type, sender_key, tr_name_view(msg->target_type), tr_name_view(msg->target_key), pair_of(pairs, TR_KEY_AS),
                     pair_of(pairs, TR_KEY_ONEWAY), content_type, data);
  int err = seal->sign(seal->ud, parts, n, signature);
  if (!err && signature->len) tr_wire_pairs_add(pairs, TR_KEY_SIGNATURE, tr_buf_view(signature));
  return err;
}

int tr_wire_verify(const tr_core *core, const tr_wire_span *span, tr_error *error) {
  const tr_seal *seal = tr_core_seal(core);
  tr_slice parts[PARTS];
  tr_wire_body body;
  if (!seal || !seal->verify || (span->kind != TR_WIRE_REQUEST && span->kind != TR_WIRE_EVENT)) return 0;
  tr_wire_read_body(span, &body);
  tr_slice in = span->inner;
  if (span->kind == TR_WIRE_EVENT) {
    size_t n = collect(parts, TR_WIRE_EVENT, span->event_id, body.type, tr_wire_event_attribute(in, TR_KEY_SENDER_TYPE),
                       tr_wire_event_attribute(in, TR_KEY_SENDER_KEY), span->topic_type, span->topic_source, tr_wire_event_attribute(in, TR_KEY_AS),
                       tr_wire_event_attribute(in, TR_KEY_ONEWAY), body.content_type, body.data);
    return seal->verify(seal->ud, parts, n, tr_wire_event_attribute(in, TR_KEY_SIGNATURE), error);
  }
  size_t n = collect(parts, TR_WIRE_REQUEST, tr_wire_metadata(in, TR_WIRE_REQUEST, TR_KEY_ID), body.type, span->source_type, span->source_key,
                     span->target_type, span->target_key, tr_wire_metadata(in, TR_WIRE_REQUEST, TR_KEY_AS),
                     tr_wire_metadata(in, TR_WIRE_REQUEST, TR_KEY_ONEWAY), body.content_type, body.data);
  return seal->verify(seal->ud, parts, n, tr_wire_metadata(in, TR_WIRE_REQUEST, TR_KEY_SIGNATURE), error);
}
