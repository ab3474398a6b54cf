/* SPDX-License-Identifier: MIT
 * What AutoGen's protocol has no field for rides as metadata of a request or answer and as attributes of an event:
 * texts by key, which its hosts and workers pass on untouched. This file gives each key its meaning, in both
 * directions.
 *
 * They are read whoever sent them: between two troupe processes there may be a host that knows nothing of them.
 *
 * To add one: its name in keys.h, its description in proto/troupe.proto, a case in tr_wire_key_apply, a line in
 * tr_wire_pairs_of (for answers: in decode.c and encode.c). */
#include "wire/keys.h"

#include <stdio.h>

#include "base/text.h"
#include "core/core.h"
#include "wire/wire.h"

#define KEEP_MOST 3600000u /* milliseconds that a result is kept at most */

/* ---- reading ---- */

static bool read_digits(tr_slice text, unsigned base, uint64_t *out) {
  uint64_t value = 0;
  if (text.n == 0) return false;
  for (size_t i = 0; i < text.n; i++) {
    char c = text.p[i];
    unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
    if (digit >= base || value > (UINT64_MAX - digit) / base) return false;
    value = value * base + digit;
  }
  *out = value;
  return true;
}

static void apply_timeout(tr_msg *msg, tr_slice value) {
  uint64_t ms;
  tr_time now = tr_core_now(msg->core);
  if (!read_digits(value, 10, &ms) || ms > (uint64_t)(INT64_MAX - now) / 1000) return; /* longer than time itself */
  msg->deadline = now + TR_MILLISECONDS(ms);
}

/* "CHAIN.MARK.MARK", the newest first; "~" at the end: there are more. */
static void apply_chain(tr_msg *msg, tr_slice value) {
  tr_path path = { .count = 0 };
  uint64_t chain = 0, *to = &chain;
  if (value.n && value.p[value.n - 1] == '~') path.cut = true, value.n--;
  for (;;) {
    const char *dot = value.n ? memchr(value.p, '.', value.n) : NULL;
    tr_slice part = dot ? tr_slice_make(value.p, (size_t)(dot - value.p)) : value;
    if (!read_digits(part, 16, to)) return;
    if (!dot) break;
    value = tr_slice_make(dot + 1, value.n - part.n - 1);
    if (path.count == TR_PATH_MOST) {
      path.cut = true;
      break;
    }
    to = &path.marks[path.count++];
  }
  msg->chain = chain;
  msg->path = path;
}

/* Of a key that is there twice the last one counts, also where that is empty: whoever looks without decoding, for rights and signatures
 * (attributes.c), must not have seen another. */
static void apply_name(tr_msg *msg, tr_slice value, tr_name **to) {
  tr_name *name = value.n > 0 ? tr_name_new(tr_core_names(msg->core), value) : NULL;
  tr_name_unref(*to);
  *to = name;
}

static void apply_as(tr_msg *msg, tr_slice value) {
  if (tr_msg_get_more(msg)) apply_name(msg, value, &msg->more->as);
}

static void apply_oneway(tr_msg *msg, tr_slice value) {
  if (msg->kind == TR_MSG_REQUEST && tr_slice_is(value, "1")) msg->kind = TR_MSG_SEND;
}

static void apply_stream(tr_msg *msg, tr_slice value) {
  uint64_t parts;
  if (read_digits(value, 10, &parts)) msg->window = parts < UINT8_MAX ? (uint8_t)parts : UINT8_MAX;
}

/* Which agent types an event is for: what a host says where types are shared. Not what a worker says. */
static void apply_for(tr_msg *msg, tr_slice value, bool only) {
  tr_name *types = msg->kind == TR_MSG_EVENT ? tr_name_new(tr_core_names(msg->core), value) : NULL;
  if (!types || !tr_msg_get_more(msg) || msg->more->types) {
    tr_name_unref(types);
    return;
  }
  msg->more->types = types;
  msg->more->only_types = only;
}

uint8_t tr_wire_priority(tr_slice value) {
  if (tr_slice_is(value, "high")) return TR_PRIORITY_HIGH;
  return tr_slice_is(value, "low") ? TR_PRIORITY_LOW : TR_PRIORITY_NORMAL;
}

static void apply_keep(tr_msg *msg, tr_slice value) {
  uint64_t ms;
  if (!read_digits(value, 10, &ms) || !tr_msg_get_more(msg)) return; /* then the answer has the content */
  msg->more->keep_ms = ms < KEEP_MOST ? (uint32_t)ms : KEEP_MOST;
}

/* How many hosts sent it on before this one; whether it may go further is for the host to say. */
static void apply_hops(tr_msg *msg, tr_slice value) {
  uint64_t hops;
  if (!read_digits(value, 10, &hops) || hops == 0 || !tr_msg_get_more(msg)) return;
  msg->more->hops = hops < UINT8_MAX ? (uint8_t)hops : UINT8_MAX;
}

static void apply_resend(tr_msg *msg, tr_slice value) {
  uint64_t high, low;
  if (value.n != 32 || !read_digits(tr_slice_make(value.p, 16), 16, &high) || !read_digits(tr_slice_make(value.p + 16, 16), 16, &low)) return;
  if (high == 0 || !tr_msg_get_more(msg)) return; /* then it may be handled twice */
  msg->more->token[0] = high;
  msg->more->token[1] = low;
}

bool tr_wire_key_apply(tr_msg *msg, tr_slice key, tr_slice value) {
  if (tr_slice_is(key, TR_KEY_PRIORITY)) {
    msg->priority = tr_wire_priority(value);
    return true;
  }
  if (!tr_slice_starts(key, TR_SLICE_LITERAL(TR_KEY_OURS))) return false;
  msg->troupe_peer = true; /* nobody else writes such keys, and every request of ours has one */
  if (tr_slice_is(key, TR_KEY_TIMEOUT)) apply_timeout(msg, value);
  else if (tr_slice_is(key, TR_KEY_CHAIN)) apply_chain(msg, value);
  else if (tr_slice_is(key, TR_KEY_ID)) apply_name(msg, value, &msg->id);
  else if (tr_slice_is(key, TR_KEY_ONEWAY)) apply_oneway(msg, value);
  else if (tr_slice_is(key, TR_KEY_AS)) apply_as(msg, value);
  else if (tr_slice_is(key, TR_KEY_STREAM)) apply_stream(msg, value);
  else if (tr_slice_is(key, TR_KEY_HOPS)) apply_hops(msg, value);
  else if (tr_slice_is(key, TR_KEY_KEEP)) apply_keep(msg, value);
  else if (tr_slice_is(key, TR_KEY_RESEND)) apply_resend(msg, value);
  else if (tr_slice_is(key, TR_KEY_NOT_FOR)) apply_for(msg, value, false);
  else if (tr_slice_is(key, TR_KEY_ONLY_FOR)) apply_for(msg, value, true);
  return true; /* a newer troupe's are not the script's business, either */
}

bool tr_wire_key_reserved(tr_slice key) {
  static const char *const keys[] = { TR_KEY_CONTENT_TYPE, TR_KEY_SCHEMA,   TR_KEY_SENDER_TYPE,  TR_KEY_SENDER_KEY,
                                      TR_KEY_KIND,         TR_KEY_PRIORITY, TR_META_CONTENT_TYPE };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (tr_slice_is(key, keys[i])) return true;
  return tr_slice_starts(key, TR_SLICE_LITERAL(TR_KEY_OURS));
}

/* ---- writing ---- */

void tr_wire_pairs_add(tr_wire_pairs *pairs, const char *key, tr_slice value) {
  pairs->pairs[pairs->count].key = tr_slice_of(key);
  pairs->pairs[pairs->count++].value = value;
}

static void add_more(tr_wire_pairs *pairs, const tr_msg_more *more) {
  if (more->keep_ms) {
    int n = snprintf(pairs->keep, sizeof pairs->keep, "%u", (unsigned)more->keep_ms);
    tr_wire_pairs_add(pairs, TR_KEY_KEEP, tr_slice_make(pairs->keep, (size_t)n));
  }
  if (more->as) tr_wire_pairs_add(pairs, TR_KEY_AS, tr_name_view(more->as));
  if (more->token[0]) {
    int n = snprintf(pairs->token, sizeof pairs->token, "%016llx%016llx", (unsigned long long)more->token[0],
                     (unsigned long long)more->token[1]);
    tr_wire_pairs_add(pairs, TR_KEY_RESEND, tr_slice_make(pairs->token, (size_t)n));
  }
  if (more->refs) tr_wire_pairs_add(pairs, TR_KEY_REFS, tr_blob_view(more->refs));
}

static tr_slice chain_text(const tr_msg *msg, char *out, size_t size) {
  tr_path path = { .count = 0 };
  if (msg->kind == TR_MSG_REQUEST && msg->chain) tr_msg_get_path(msg, &path);
  size_t n = (size_t)snprintf(out, size, "%llx", (unsigned long long)msg->chain);
  for (uint8_t i = 0; i < path.count; i++) n += (size_t)snprintf(out + n, size - n, ".%llx", (unsigned long long)path.marks[i]);
  if (path.cut) out[n++] = '~';
  return tr_slice_make(out, n);
}

void tr_wire_pairs_of(tr_wire_pairs *pairs, const tr_msg *msg) {
  pairs->meta = msg->meta;
  if (msg->priority != TR_PRIORITY_NORMAL)
    tr_wire_pairs_add(pairs, TR_KEY_PRIORITY, tr_slice_of(msg->priority == TR_PRIORITY_HIGH ? "high" : "low"));
  if (msg->deadline != TR_NEVER) {
    tr_time left = msg->deadline - tr_core_now(msg->core);
    int n = snprintf(pairs->timeout, sizeof pairs->timeout, "%lld", left > 0 ? (long long)((left + 999) / 1000) : 0LL);
    tr_wire_pairs_add(pairs, TR_KEY_TIMEOUT, tr_slice_make(pairs->timeout, (size_t)n));
  }
  if (msg->chain || msg->kind != TR_MSG_EVENT) { /* of a request always: by it a peer knows us */
    tr_wire_pairs_add(pairs, TR_KEY_CHAIN, chain_text(msg, pairs->chain, sizeof pairs->chain));
  }
  if (msg->window) {
    int n = snprintf(pairs->stream, sizeof pairs->stream, "%u", msg->window);
    tr_wire_pairs_add(pairs, TR_KEY_STREAM, tr_slice_make(pairs->stream, (size_t)n));
  }
  if (msg->kind == TR_MSG_SEND) tr_wire_pairs_add(pairs, TR_KEY_ONEWAY, TR_SLICE_LITERAL("1"));
  if (msg->more && msg->kind != TR_MSG_EVENT && !msg->from_wire) add_more(pairs, msg->more);
  if (msg->more && msg->more->hops) {
    int n = snprintf(pairs->hops, sizeof pairs->hops, "%u", msg->more->hops);
    tr_wire_pairs_add(pairs, TR_KEY_HOPS, tr_slice_make(pairs->hops, (size_t)n));
  }
  if (msg->more && msg->more->again) tr_wire_pairs_add(pairs, TR_KEY_AGAIN, TR_SLICE_LITERAL("1"));
  /* The id of a request from the wire may be its request_id, good for one stream only. */
  if (msg->kind != TR_MSG_EVENT && msg->id && !msg->from_wire)
    tr_wire_pairs_add(pairs, TR_KEY_ID, tr_name_view(msg->id));
}

/* ---- content types ---- */

static const char *const content_types[] = {
  [TR_FORMAT_JSON] = "application/json", [TR_FORMAT_PROTOBUF] = "application/x-protobuf",
  [TR_FORMAT_TEXT] = "text/plain", [TR_FORMAT_BYTES] = "application/octet-stream",
  [TR_FORMAT_NATIVE] = TR_WIRE_NATIVE
};

tr_slice tr_wire_content_type(tr_format format, const tr_meta *meta) {
  tr_slice own = tr_meta_get(meta, TR_SLICE_LITERAL(TR_META_CONTENT_TYPE));
  return format == TR_FORMAT_BYTES && own.n > 0 ? own : tr_slice_of(content_types[format]);
}

bool tr_wire_format(tr_slice content_type, tr_format *format) {
  *format = TR_FORMAT_JSON; /* so do CloudEvents say */
  if (content_type.n == 0) return true;
  for (int i = 0; i <= TR_FORMAT_NATIVE; i++) {
    *format = (tr_format)i;
    if (tr_slice_is(content_type, content_types[i])) return true;
  }
  *format = TR_FORMAT_BYTES;
  return false;
}
