/* SPDX-License-Identifier: MIT
 * Parcels: what crosses from one isolate to another. See parcel.h for what lies where.
 *
 * A body that is a Lua value is walked into the native format, once for however many isolates get it, and is a Lua value again
 * as soon as it arrives: so all that happens then is as if it had been sent there. Bodies that are bytes are copied as they
 * are. Nothing of the sender's isolate is referred to, so neither side needs a lock or an atomic count. Next: crossing.c. */
#include "runtime/parcel.h"

#include <string.h>

#include "codec/native.h"

#define NONE UINT32_MAX
#define KEEP_MOST ((size_t)1 << 20)
#define DATA_MOST ((size_t)1 << 30)

/* ---- writing ---- */

void tr_draft_begin(tr_draft *draft, tr_parcel_kind kind) {
  memset(&draft->head, 0, sizeof draft->head);
  draft->head.kind = (uint8_t)kind;
  for (int i = 0; i < TR_TEXT_COUNT; i++) draft->head.texts[i] = NONE;
  if (draft->data.cap > KEEP_MOST) { /* one large body is not to be paid for for ever */
    tr_mem *mem = draft->data.mem;
    tr_buf_fini(&draft->data);
    tr_buf_init(&draft->data, mem);
  }
  tr_buf_clear(&draft->data);
}

void tr_draft_text(tr_draft *draft, int which, tr_slice text) {
  if (!text.p) return;
  draft->head.texts[which] = (uint32_t)text.n;
  tr_buf_slice(&draft->data, text);
}

static void add_name(tr_draft *draft, int which, const tr_name *name) {
  if (name) tr_draft_text(draft, which, tr_name_view(name));
}

static void add_pair(tr_buf *out, tr_slice a, tr_slice b) {
  uint32_t lengths[2] = { (uint32_t)a.n, b.p ? (uint32_t)b.n : NONE };
  tr_buf_append(out, lengths, sizeof lengths);
  tr_buf_slice(out, a);
  if (b.p) tr_buf_slice(out, b);
}

static void add_meta(tr_draft *draft, const tr_meta *meta) {
  size_t count = meta ? tr_meta_count(meta) : 0;
  for (size_t i = 0; i < count; i++) {
    tr_slice key, value;
    tr_meta_at(meta, i, &key, &value);
    add_pair(&draft->data, key, value.p ? value : TR_SLICE_LITERAL(""));
  }
  draft->head.metas = (uint32_t)count;
}

static int add_body(tr_draft *draft, tr_script *script, const tr_body *body, tr_error *error) {
  size_t before = draft->data.len;
  int rc = 0;
  draft->head.body_kind = body->kind;
  draft->head.body_format = body->format;
  draft->head.serializer = body->serializer;
  if (body->kind >= TR_BODY_BYTES) {
    tr_buf_slice(&draft->data, tr_blob_view(body->bytes));
  } else if (body->kind == TR_BODY_SLOT) {
    tr_native_writer writer;
    tr_native_writer_init(&writer, &draft->data, error);
    tr_sink sink = tr_native_sink(&writer);
    rc = tr_script_walk(script, body, &sink, error);
  }
  if (!rc && draft->data.failed) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc && draft->data.len > DATA_MOST) rc = tr_error_set(error, TR_ETOO_LARGE, "body: more than 1 GiB for another thread");
  draft->head.body = (uint32_t)(draft->data.len - before);
  return rc;
}

int tr_draft_message(tr_draft *draft, tr_script *script, const tr_msg *msg, tr_error *error) {
  tr_parcel *head = &draft->head;
  tr_draft_begin(draft, msg->kind == TR_MSG_EVENT ? TR_PARCEL_EVENT : TR_PARCEL_MESSAGE);
  head->msg_kind = msg->kind;
  head->priority = msg->priority;
  head->from_wire = msg->from_wire;
  head->troupe_peer = msg->troupe_peer;
  head->inside = msg->inside;
  head->shown = msg->shown;
  head->counted = msg->shown || !tr_core_is_intercepted(msg->core);
  head->origin = msg->origin; /* one that goes on from here */
  head->via = msg->via;
  head->window = msg->window;
  if (msg->kind == TR_MSG_REQUEST) tr_msg_get_path(msg, &head->path);
  if (msg->more) memcpy(head->resend, msg->more->token, sizeof head->resend);
  if (msg->more) head->keep_ms = msg->more->keep_ms;
  head->number = msg->number;
  head->chain = msg->chain;
  head->deadline = msg->deadline;
  add_name(draft, TR_TEXT_TYPE, msg->type);
  add_name(draft, TR_TEXT_SENDER_TYPE, msg->sender_type);
  add_name(draft, TR_TEXT_SENDER_KEY, msg->sender_key);
  add_name(draft, TR_TEXT_TARGET_TYPE, msg->target_type);
  add_name(draft, TR_TEXT_TARGET_KEY, msg->target_key);
  add_name(draft, TR_TEXT_ID, msg->id);
  if (msg->more && msg->more->refs) tr_draft_text(draft, TR_TEXT_REFS, tr_blob_view(msg->more->refs));
  add_meta(draft, msg->meta);
  return add_body(draft, script, &msg->body, error);
}

int tr_draft_answer(tr_draft *draft, tr_script *script, const tr_reply *reply, tr_error *error) {
  tr_draft_begin(draft, TR_PARCEL_ANSWER);
  draft->head.code = reply->code;
  draft->head.unresolved = reply->unresolved;
  add_name(draft, TR_TEXT_TYPE, reply->type);
  if (reply->code) tr_draft_text(draft, TR_TEXT_ERROR, reply->error);
  add_meta(draft, reply->meta);
  return add_body(draft, script, &reply->body, error);
}

/* ---- their memory ---- */

#define SMALL ((size_t)512) /* bytes of each of those that are kept */
#define SPARE_MOST 256

static size_t room_of(size_t size) { return size <= SMALL ? SMALL : size; }

void *tr_parcel_room(tr_parcels *parcels, size_t size) {
  tr_queued *spare = size <= SMALL ? parcels->spare : NULL;
  if (!spare) return parcels->mem->realloc_fn(parcels->mem->ud, NULL, 0, room_of(size));
  parcels->spare = spare->next;
  parcels->count--;
  return spare;
}

void tr_parcel_free(tr_parcels *parcels, tr_queued *item) {
  if (item->size > SMALL || parcels->count >= SPARE_MOST) {
    parcels->mem->realloc_fn(parcels->mem->ud, item, room_of(item->size), 0);
    return;
  }
  item->next = parcels->spare;
  parcels->spare = item;
  parcels->count++;
}

void tr_parcels_fini(tr_parcels *parcels) {
  for (tr_queued *next; parcels->spare; parcels->spare = next) {
    next = parcels->spare->next;
    parcels->mem->realloc_fn(parcels->mem->ud, parcels->spare, SMALL, 0);
  }
  parcels->count = 0;
}

tr_parcel *tr_draft_parcel(const tr_draft *draft, tr_parcels *parcels, unsigned from, tr_slice receivers) {
  size_t size = sizeof(tr_parcel) + draft->data.len + receivers.n;
  if (draft->data.failed) return NULL;
  tr_parcel *parcel = tr_parcel_room(parcels, size);
  if (!parcel) return NULL;
  *parcel = draft->head;
  parcel->queued = (tr_queued){ .size = size, .from = (uint8_t)from, .bounded = draft->head.kind <= TR_PARCEL_EVENT };
  parcel->receivers = (uint32_t)receivers.n;
  if (draft->data.len) memcpy(parcel->data, draft->data.data, draft->data.len);
  if (receivers.n) memcpy(parcel->data + draft->data.len, receivers.p, receivers.n);
  return parcel;
}

bool tr_receiver_add(tr_buf *receivers, tr_slice type, tr_slice key) {
  add_pair(receivers, type, key);
  return !receivers->failed;
}

/* ---- reading ---- */

tr_slice tr_parcel_text(const tr_parcel *parcel, int which) {
  size_t at = 0;
  if (parcel->texts[which] == NONE) return (tr_slice){ NULL, 0 };
  for (int i = 0; i < which; i++)
    if (parcel->texts[i] != NONE) at += parcel->texts[i];
  return tr_slice_make(parcel->data + at, parcel->texts[which]);
}

static size_t texts_size(const tr_parcel *parcel) {
  size_t size = 0;
  for (int i = 0; i < TR_TEXT_COUNT; i++)
    if (parcel->texts[i] != NONE) size += parcel->texts[i];
  return size;
}

static size_t read_pair(const char *data, tr_slice *a, tr_slice *b) {
  uint32_t lengths[2];
  memcpy(lengths, data, sizeof lengths);
  *a = tr_slice_make(data + sizeof lengths, lengths[0]);
  *b = lengths[1] == NONE ? (tr_slice){ NULL, 0 } : tr_slice_make(data + sizeof lengths + lengths[0], lengths[1]);
  return sizeof lengths + a->n + b->n;
}

static int read_meta(const tr_parcel *parcel, size_t *at, tr_mem *mem, tr_meta **out) {
  if (!parcel->metas) return 0;
  *out = tr_meta_new(mem);
  for (uint32_t i = 0; i < parcel->metas; i++) {
    tr_slice key, value;
    *at += read_pair(parcel->data + *at, &key, &value);
    if (!*out || tr_meta_set(*out, key, value)) return TR_EMEMORY;
  }
  return 0;
}

static int read_body(const tr_parcel *parcel, size_t at, tr_core *core, tr_script *script, tr_body *out, tr_error *error) {
  tr_slice bytes = tr_slice_make(parcel->data + at, parcel->body);
  tr_body body = { .kind = parcel->body_kind, .format = parcel->body_format, .serializer = parcel->serializer };
  if (body.kind >= TR_BODY_BYTES && !(body.bytes = tr_blob_copy(tr_core_mem(core), bytes)))
    return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (body.kind == TR_BODY_SLOT && !(body.slot = tr_script_read_native(script, bytes, error)))
    return error->code ? error->code : tr_error_set(error, TR_EMEMORY, "out of memory");
  if (body.kind == TR_BODY_SLOT) body.size = bytes.n;
  *out = body;
  return 0;
}

static bool take_name(const tr_parcel *parcel, int which, size_t *at, tr_names *names, tr_name **out) {
  if (parcel->texts[which] == NONE) return true;
  *out = tr_name_new(names, tr_slice_make(parcel->data + *at, parcel->texts[which]));
  *at += parcel->texts[which];
  return *out != NULL;
}

static bool read_more(const tr_parcel *parcel, size_t *at, tr_msg *msg) {
  bool refs = parcel->texts[TR_TEXT_REFS] != NONE;
  if (!parcel->resend[0] && !parcel->keep_ms && !refs) return true;
  tr_msg_more *more = tr_msg_get_more(msg);
  if (!more) return false;
  memcpy(more->token, parcel->resend, sizeof parcel->resend);
  more->keep_ms = parcel->keep_ms;
  if (!refs) return true;
  more->refs = tr_blob_copy(tr_core_mem(msg->core), tr_slice_make(parcel->data + *at, parcel->texts[TR_TEXT_REFS]));
  *at += parcel->texts[TR_TEXT_REFS];
  return more->refs != NULL;
}

tr_msg *tr_parcel_message(const tr_parcel *parcel, tr_core *core, tr_script *script, tr_error *error) {
  tr_names *names = tr_core_names(core);
  tr_msg *msg = tr_msg_new(core, (tr_msg_kind)parcel->msg_kind);
  size_t at = 0;
  if (!msg) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  msg->priority = parcel->priority;
  msg->from_wire = parcel->from_wire;
  msg->origin = parcel->origin;
  msg->troupe_peer = parcel->troupe_peer;
  msg->inside = parcel->inside;
  msg->shown = parcel->shown;
  msg->crossed = parcel->counted;
  msg->via = parcel->via;
  msg->window = parcel->window;
  msg->path = parcel->path;
  msg->number = parcel->number;
  msg->chain = parcel->chain;
  msg->deadline = parcel->deadline;
  bool whole = take_name(parcel, TR_TEXT_TYPE, &at, names, &msg->type) &&
               take_name(parcel, TR_TEXT_SENDER_TYPE, &at, names, &msg->sender_type) &&
               take_name(parcel, TR_TEXT_SENDER_KEY, &at, names, &msg->sender_key) &&
               take_name(parcel, TR_TEXT_TARGET_TYPE, &at, names, &msg->target_type) &&
               take_name(parcel, TR_TEXT_TARGET_KEY, &at, names, &msg->target_key) &&
               take_name(parcel, TR_TEXT_ID, &at, names, &msg->id) && read_more(parcel, &at, msg) &&
               read_meta(parcel, &at, tr_core_mem(core), &msg->meta) == 0;
  if (!whole) tr_error_set(error, TR_EMEMORY, "out of memory");
  if (whole && read_body(parcel, at, core, script, &msg->body, error) == 0) return msg;
  tr_msg_unref(msg);
  return NULL;
}

int tr_parcel_reply(const tr_parcel *parcel, tr_core *core, tr_script *script, tr_reply *out, tr_error *error) {
  tr_slice type = tr_parcel_text(parcel, TR_TEXT_TYPE);
  size_t at = texts_size(parcel);
  tr_meta *meta = NULL;
  *out = (tr_reply){ .code = parcel->code, .unresolved = parcel->unresolved, .error = tr_parcel_text(parcel, TR_TEXT_ERROR) };
  if (type.p) out->type = tr_name_new(tr_core_names(core), type);
  int rc = (type.p && !out->type) || read_meta(parcel, &at, tr_core_mem(core), &meta) ? tr_error_set(error, TR_EMEMORY, "out of memory") : 0;
  out->meta = meta;
  return rc ? rc : read_body(parcel, at, core, script, &out->body, error);
}

void tr_parcel_reply_fini(tr_reply *reply, tr_core *core) {
  tr_name_unref(reply->type);
  tr_body_release(core, &reply->body);
  if (reply->meta) tr_meta_free((tr_meta *)reply->meta);
}

bool tr_parcel_next_receiver(const tr_parcel *parcel, size_t *at, tr_slice *type, tr_slice *key) {
  size_t data = parcel->queued.size - sizeof *parcel - parcel->receivers;
  if (*at >= parcel->receivers) return false;
  *at += read_pair(parcel->data + data + *at, type, key);
  return true;
}
