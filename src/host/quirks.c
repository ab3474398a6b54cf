/* SPDX-License-Identifier: MIT
 * What a .NET worker (user-agent "grpc-dotnet/…") cannot take. In it an exception in the read pump drops the stream and
 * opens a new one, losing what it had read; so what would throw there is not sent there.
 *
 *   events    need proto_data and the attribute dataschema; a source that is a legal key; legal sender ids
 *   requests  payload.data is a serialized Any: application/x-protobuf only; ids by its rules
 *   answers   without payload, with an error, or in another content type: the read pump throws. There is no way to fail
 *             such a caller: withheld, counted, logged.
 *
 * Its ids: type ^[a-zA-Z_][a-zA-Z0-9_]*$, key printable ASCII and not blank. */
#include "host/internal.h"

static bool legal_type(tr_slice type) {
  for (size_t i = 0; i < type.n; i++) {
    char c = type.p[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return type.n > 0;
}

static bool legal_key(tr_slice key) {
  bool blank = true;
  for (size_t i = 0; i < key.n; i++) {
    if (key.p[i] < ' ' || key.p[i] > '~') return false;
    if (key.p[i] != ' ') blank = false;
  }
  return !blank;
}

/* ---- just enough of protobuf to find payload.data_content_type ---- */

static bool varint(tr_slice *s, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
    uint8_t byte = (uint8_t)*s->p++;
    s->n--;
    *out |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

/* The last length-delimited field with this number; the message was found well-formed before. */
static tr_slice field(tr_slice s, unsigned number) {
  tr_slice found = { NULL, 0 };
  uint64_t tag, n;
  while (s.n && varint(&s, &tag)) {
    switch (tag & 7) {
    case 0:
      if (!varint(&s, &n)) return found;
      continue;
    case 1: n = 8; break;
    case 5: n = 4; break;
    case 2:
      if (!varint(&s, &n)) return found;
      break;
    default: return found;
    }
    if (n > s.n) return found;
    if ((tag & 7) == 2 && tag >> 3 == number) found = (tr_slice){ s.p, (size_t)n };
    s.p += n;
    s.n -= (size_t)n;
  }
  return found;
}

static bool is_protobuf(tr_slice payload) { return tr_slice_is(field(payload, 2), "application/x-protobuf"); }

/* ---- the rules ---- */

bool tr_quirk_event(const tr_wire_span *span) {
  tr_slice type = tr_wire_event_attribute(span->inner, "agagentsendertype");
  tr_slice key = tr_wire_event_attribute(span->inner, "agagentsenderkey");
  return span->has_proto_data && tr_wire_event_attribute(span->inner, "dataschema").p && legal_key(span->topic_source) &&
         (!type.p || legal_type(type)) && (!key.p || legal_key(key));
}

bool tr_quirk_request(const tr_wire_span *span) {
  return is_protobuf(field(span->inner, 5)) && legal_type(span->target_type) && legal_key(span->target_key) &&
         (!span->has_source || (legal_type(span->source_type) && legal_key(span->source_key)));
}

bool tr_quirk_answer(const tr_wire_span *span) {
  return !span->error.n && span->has_payload && is_protobuf(field(span->inner, 2));
}

void tr_quirk_withhold(tr_client *client, const char *what, const tr_wire_span *event, tr_slice which) {
  tr_host *host = client->host;
  tr_host_dead letter = { .kind = event ? "event" : "answer", .client = tr_client_id(client), .code = TR_ECANT_HANDLE,
                          .reason = "a .NET worker cannot take it" };
  host->stats.withheld++;
  if (event) tr_deliver_describe(event, &letter);
  if (host->o.dead) host->o.dead(host->o.ud, &letter);
  if (!tr_guard_worth_a_line(++client->withheld)) return;
  tr_log_write(host->log, TR_LOG_WARN, "withheld",
               "client=%s count=%llu what=\"%s\" of=%.*s reason=\"a .NET worker cannot take it\"", client->id,
               (unsigned long long)client->withheld, what, TR_BRIEF(which));
}
