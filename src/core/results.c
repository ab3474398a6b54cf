/* SPDX-License-Identifier: MIT
 * Results that stay where they were made, for a caller in another process that only passes them on.
 *
 * A request from there may ask for that (tr_msg_more.keep_ms). Its answer is then kept here, encoded, and what goes out is where it is: a
 * TR_BODY_REF, "TYPE/ID", the agent type that made it and 32 hex digits (of several isolates the last two say which one has it). Whoever has that text can ask for the content, or let go of it,
 * by a message to the agent TYPE/troupe.result.ID: so it finds its way as any message does, through whichever host owns
 * the type's name to the process that has it, and needs no other address.
 *
 * A result is there until its caller lets go of it, or its time is over (a caller that still holds it renews that; one that is gone does
 * not); of too many, or too many bytes, the next one is not kept: its
 * content goes out in the answer, as if nobody had asked. So nothing here can fail a call. */
#include <stdio.h>

#include "core/internal.h"

#ifdef TR_HOSTILE
#define RESULTS_MOST 64u
#else
#define RESULTS_MOST 10000u
#endif
#define BYTES_MOST ((size_t)64 << 20)
#define COST 256 /* counted beside a result's bytes */
#define DIGITS 32

#define FETCH TR_RESERVED "fetch" /* message types */
#define RELEASE TR_RESERVED "release"
#define RENEW TR_RESERVED "renew"

typedef struct result {
  tr_core *core;
  tr_name *key, *type;
  tr_body body; /* bytes */
  tr_time keep; /* how long after it was last wanted */
  tr_timer timer;
} result;

static result *find(const tr_core *core, tr_slice key) { return tr_map_get(&core->results, key); }

const tr_body *tr_result_find(const tr_core *core, tr_slice key) {
  const result *r = find(core, key);
  return r ? &r->body : NULL;
}

static void drop(result *r) {
  tr_core *core = r->core;
  tr_map_remove(&core->results, tr_name_view(r->key));
  tr_timer_stop(core->timers, &r->timer);
  core->stats.results--;
  core->stats.result_bytes -= r->body.bytes->len + COST;
  tr_body_release(core, &r->body);
  tr_name_unref(r->key);
  tr_name_unref(r->type);
  TR_DELETE(core->mem, r);
}

static void time_is_up(tr_timer *timer) { drop(TR_CONTAINER(timer, result, timer)); }

void tr_results_init(tr_core *core) { tr_map_init(&core->results, core->mem, core->seed); }

void tr_results_fini(tr_core *core) {
  size_t at = 0;
  tr_slice key;
  void *r;
  while (core->timers && tr_map_next(&core->results, &at, &key, &r)) drop(r);
  tr_map_fini(&core->results);
}

/* ---- keeping ---- */

static bool has_room(const tr_core *core, size_t size) {
  return core->stats.results < RESULTS_MOST && core->stats.result_bytes + size + COST <= BYTES_MOST;
}

static void renew(result *r) { tr_timer_start(r->core->timers, &r->timer, r->core->now + r->keep, time_is_up); }

/* own: nothing. NULL: out of memory. */
static result *add(tr_core *core, tr_name *type, tr_blob *bytes, uint8_t format) {
  char key[sizeof TR_RESULT_KEY + DIGITS];
  unsigned long long high = tr_random_next(&core->random), low = tr_random_next(&core->random);
  if (core->far) low = (low & ~(unsigned long long)UINT8_MAX) | core->index; /* whoever asks for it finds the way */
  int n = snprintf(key, sizeof key, TR_RESULT_KEY "%016llx%016llx", high, low);
  result *r = TR_NEW(core->mem, result);
  if (!r) return NULL;
  r->core = core;
  r->key = tr_name_new(core->names, tr_slice_make(key, (size_t)n));
  if (!r->key || tr_map_put(&core->results, tr_name_view(r->key), r, NULL)) {
    tr_name_unref(r->key);
    TR_DELETE(core->mem, r);
    return NULL;
  }
  r->type = tr_name_ref(type);
  r->body = (tr_body){ .kind = TR_BODY_BYTES, .format = format, .bytes = tr_blob_ref(bytes) };
  core->stats.results++;
  core->stats.result_bytes += bytes->len + COST;
  return r;
}

/* "TYPE/ID" */
static tr_blob *text_of(const result *r, const tr_name *owner) {
  tr_blob *text = tr_blob_new(r->core->mem, owner->len + 1 + DIGITS);
  if (!text) return NULL;
  memcpy(text->data, owner->text, owner->len);
  text->data[owner->len] = '/';
  memcpy(text->data + owner->len + 1, r->key->text + sizeof TR_RESULT_KEY - 1, DIGITS);
  return text;
}

/* By its type's name this process is found again; not where others have the type, too. */
static bool is_found_by_type(const tr_core *core, const tr_name *type) {
  const tr_class *class_ = tr_core_find_class(core, tr_name_view(type));
  return !class_ || !class_->shared;
}

void tr_result_keep(tr_msg *request, tr_reply *reply) {
  tr_core *core = request->core;
  tr_body *body = &reply->body;
  tr_format format;
  tr_blob *bytes = NULL;
  tr_error error = { 0 };
  if (!request->more->keep_ms || reply->code || (body->kind != TR_BODY_SLOT && body->kind != TR_BODY_BYTES)) return;
  if (body->format == TR_FORMAT_OTHER || !is_found_by_type(core, request->target_type)) return;
  if (tr_body_bytes(core, body, (tr_format)body->format, &bytes, &format, &error)) return; /* sending it will say why */
  tr_body_release(core, body);
  *body = (tr_body){ .kind = TR_BODY_BYTES, .format = (uint8_t)format, .bytes = bytes };
  result *r = !core->closing && has_room(core, bytes->len) ? add(core, reply->type, bytes, (uint8_t)format) : NULL;
  tr_blob *text = r ? text_of(r, request->target_type) : NULL;
  if (text) {
    r->keep = TR_MILLISECONDS((tr_time)request->more->keep_ms);
    renew(r);
    tr_body_release(core, body);
    *body = (tr_body){ .kind = TR_BODY_REF, .bytes = text };
  } else if (r) {
    drop(r);
  }
}

/* ---- being asked ---- */

unsigned tr_result_isolate(const tr_core *core, tr_slice key) {
  unsigned at = 0;
  for (size_t i = key.n - 2; core->far && i < key.n; i++) at = at * 16 + (unsigned)(key.p[i] <= '9' ? key.p[i] - '0' : key.p[i] - 'a' + 10);
  return core->far && at < core->isolates ? at : core->index;
}

int tr_result_serve(tr_core *core, tr_msg *msg) {
  result *r = find(core, tr_name_view(msg->target_key));
  tr_slice type = tr_name_view(msg->type);
  if (msg->kind == TR_MSG_SEND) {
    if (r && tr_slice_is(type, RELEASE)) drop(r);
    else if (r && tr_slice_is(type, RENEW)) renew(r);
    return 0;
  }
  if (!tr_slice_is(type, FETCH)) return tr_core_undeliverable(core, msg, TR_ECANT_HANDLE, NULL);
  if (!r) return tr_core_undeliverable(core, msg, TR_EUNAVAILABLE, "the result is not kept any more");
  tr_reply reply = { .type = r->type, .body = r->body };
  tr_blob_ref(r->body.bytes);
  tr_msg_answer(msg, &reply);
  return 0;
}

/* ---- asking ---- */

static size_t slash_of(tr_slice ref) {
  size_t at = ref.n > DIGITS ? ref.n - DIGITS - 1 : 0;
  return at > 0 && ref.p[at] == '/' ? at : 0;
}

bool tr_ref_check(tr_slice ref) {
  size_t slash = slash_of(ref);
  tr_error error = { 0 };
  for (size_t i = slash + 1; i < ref.n; i++) {
    char c = ref.p[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return slash > 0 && tr_agent_type_check(tr_slice_make(ref.p, slash), &error) == 0;
}

static tr_msg *message(tr_core *core, tr_slice ref, tr_msg_kind kind, const char *type) {
  char key[sizeof TR_RESULT_KEY + DIGITS] = TR_RESULT_KEY;
  size_t slash = slash_of(ref);
  tr_msg *msg = tr_msg_new(core, kind);
  if (!msg) return NULL;
  memcpy(key + sizeof TR_RESULT_KEY - 1, ref.p + slash + 1, DIGITS);
  msg->type = tr_name_new(core->names, tr_slice_of(type));
  msg->target_type = tr_name_new(core->names, tr_slice_make(ref.p, slash));
  msg->target_key = tr_name_new(core->names, tr_slice_make(key, sizeof key - 1));
  msg->troupe_peer = true;
  msg->body.kind = TR_BODY_NULL;
  if (msg->type && msg->target_type && msg->target_key) return msg;
  tr_msg_unref(msg);
  return NULL;
}

tr_call *tr_core_fetch(tr_core *core, tr_slice ref, uint32_t via, tr_time deadline, tr_reply_fn fn, void *ud) {
  tr_msg *msg = message(core, ref, TR_MSG_REQUEST, FETCH);
  if (!msg) return NULL;
  msg->deadline = deadline;
  msg->via = via;
  return tr_core_call(core, msg, fn, ud);
}

static void tell(tr_core *core, tr_slice ref, uint32_t via, const char *type) {
  tr_msg *msg = message(core, ref, TR_MSG_SEND, type);
  if (!msg) return;
  msg->via = via;
  tr_core_post(core, msg);
}

void tr_core_release(tr_core *core, tr_slice ref, uint32_t via) { tell(core, ref, via, RELEASE); } /* without memory its time will end it */
void tr_core_renew(tr_core *core, tr_slice ref, uint32_t via) { tell(core, ref, via, RENEW); }
