/* SPDX-License-Identifier: MIT
 * A message's bytes into a sink.
 *
 * Protobuf lets fields come in any order, again and again, the last winning or all being merged; a sink wants each
 * member once, arrays in one piece. So each message is first scanned for where its fields are, then told to the sink
 * in the order of the type. What a scan finds is kept in one array of small entries, used as a stack: for a message
 * that is open one slot for each field of its type, one for the unknown ones, one for each oneof (the member that was
 * set last), then one entry for each occurrence, chained by field. An entry is 8 bytes, and no value is copied: it is
 * read again where it lies. A message that is merged from several pieces is a chain of several entries, so merging
 * costs nothing that is not there.
 *
 * Depth is limited by TR_DEPTH_MAX, so recursion is. What went wrong deep inside gets its path as the levels give up, each putting its
 * own part in front; so nothing is kept for it while all is well.
 *
 * Read next: proto.h for what is promised, proto_write.c for the way back. */
#include <stdio.h>

#include "base/text.h"
#include "codec/proto_types.h"
#include "codec/proto_wire.h"

#ifdef TR_HOSTILE
#define FIRST_ENTRIES 4
#else
#define FIRST_ENTRIES 128 /* on the stack */
#endif

/* A slot: the first and last entry of its chain, 0 where there is none (a oneof's slot: the member's index + 1).
 * An occurrence: where its key is, and the next of the chain. */
typedef struct entry { uint32_t at, next; } entry;
enum { WHOLE = 1 }; /* the entry that stands for the whole input; entry 0 is none */

typedef struct parser {
  tr_mem *mem;
  const tr_sink *sink;
  tr_error *error;
  const uint8_t *base;
  size_t size;
  unsigned depth;
  uint64_t values_left;
  entry *entries;
  size_t count, cap;
  entry first[FIRST_ENTRIES];
  size_t path_at; /* of what went wrong: path[path_at…] */
  bool path_cut;  /* there is more in front of it */
  char path[120];
} parser;

typedef struct level { const tr_proto_type *type; size_t base; } level; /* base: of its slots */

static int bad(parser *self, const tr_proto_type *type, size_t at, const char *why) {
  tr_slice name = type->symbol.name;
  return tr_error_set(self->error, TR_EINVALID, "protobuf %.*s, byte %zu: %s", TR_SLICE_ARG(name), at, why);
}

static int no_memory(parser *self) { return tr_error_set(self->error, TR_EMEMORY, "reading protobuf: out of memory"); }

/* An error comes up through this part. */
static int below(parser *self, int err, tr_slice part) {
  bool dot = self->path_at < sizeof self->path && self->path[self->path_at] != '[';
  if (err != TR_EINVALID || self->path_cut) return err;
  if ((self->path_cut = part.n + dot > self->path_at)) return err;
  if (dot) self->path[--self->path_at] = '.';
  self->path_at -= part.n;
  if (part.n) memcpy(self->path + self->path_at, part.p, part.n);
  return err;
}

static int below_item(parser *self, int err, size_t number) {
  char text[32];
  return below(self, err, tr_slice_make(text, (size_t)snprintf(text, sizeof text, "[%zu]", number)));
}

static void tell_path(parser *self) {
  size_t n = strlen(self->error->text);
  snprintf(self->error->text + n, sizeof self->error->text - n, " (at %s%.*s)", self->path_cut ? "…" : "",
           (int)(sizeof self->path - self->path_at), self->path + self->path_at);
}

/* ---- entries ---- */

static int make_room(parser *self, size_t more) {
  if (more <= self->cap - self->count) return 0;
  size_t cap = self->cap * 2;
  while (cap - self->count < more) cap *= 2;
  if (cap > UINT32_MAX) return tr_error_set(self->error, TR_ETOO_LARGE, "protobuf: too many fields");
  bool on_heap = self->entries != self->first;
  entry *moved = tr_realloc(self->mem, on_heap ? self->entries : NULL, on_heap ? self->cap * sizeof *moved : 0,
                            cap * sizeof *moved);
  if (!moved) return no_memory(self);
  if (!on_heap) memcpy(moved, self->first, self->count * sizeof *moved);
  self->entries = moved;
  self->cap = cap;
  return 0;
}

static entry *slot(parser *self, level in, size_t index) { return &self->entries[in.base + index]; }

/* One more occurrence for a slot; where only the last counts it takes the place of the one before. */
static int note(parser *self, level in, size_t index, size_t at, bool only_last) {
  entry *head = slot(self, in, index);
  if (only_last && head->at) {
    self->entries[head->at].at = (uint32_t)at;
    return 0;
  }
  int err = make_room(self, 1);
  if (err) return err;
  head = slot(self, in, index);
  uint32_t new = (uint32_t)self->count++;
  self->entries[new] = (entry){ (uint32_t)at, 0 };
  if (head->at) self->entries[head->next].next = new;
  else head->at = new;
  head->next = new;
  return 0;
}

/* Read the occurrence again; it was well-formed when it was noted. */
static tr_proto_token token_at(parser *self, uint32_t index) {
  tr_proto_reader reader = { self->base + self->entries[index].at, self->base + self->size };
  tr_proto_token token = { 0 };
  tr_proto_read(&reader, &token);
  return token;
}

static tr_slice bytes_at(parser *self, uint32_t index) {
  return index == WHOLE ? tr_slice_make(self->base, self->size) : token_at(self, index).bytes;
}

static size_t offset_of(const parser *self, const void *p) { return (size_t)((const uint8_t *)p - self->base); }

static int spend(parser *self, size_t n) {
  if (self->values_left >= n) return self->values_left -= n, 0;
  return tr_error_set(self->error, TR_ETOO_LARGE, "protobuf: too many values in a message of this size");
}

/* ---- scanning ---- */

static bool fits(const tr_proto_field *field, uint8_t wire) {
  if (wire == field->wire) return true;
  return field->repeated && wire == TR_PROTO_LENGTH; /* packed; where the field is of length it fitted above */
}

static int note_field(parser *self, level in, const tr_proto_token *token, size_t at) {
  const tr_proto_field *field = tr_proto_field_by_number(in.type, token->number);
  if (!field || !fits(field, token->wire)) return note(self, in, in.type->count, at, false);
  if (field->oneof >= 0) {
    entry *chosen = slot(self, in, in.type->count + 1 + (size_t)field->oneof);
    if (chosen->at && chosen->at - 1 != field->index) *slot(self, in, chosen->at - 1) = (entry){ 0, 0 };
    chosen->at = (uint32_t)field->index + 1;
  }
  return note(self, in, field->index, at, !field->repeated && !field->message);
}

static int scan_piece(parser *self, level in, tr_slice bytes) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read, err = 0;
  const uint8_t *from = reader.p;
  while (!err && (read = tr_proto_read(&reader, &token)) != 0) {
    if (read < 0) return bad(self, in.type, offset_of(self, reader.p), "cut short or malformed");
    err = note_field(self, in, &token, offset_of(self, from));
    from = reader.p;
  }
  return err;
}

/* Open a level for a message whose pieces begin at entry `piece` (0: there is none); `one`: leave out the others. */
static int scan(parser *self, const tr_proto_type *type, uint32_t piece, bool one, level *out) {
  size_t slots = type->count + 1 + type->oneof_count;
  int err = spend(self, slots / 16); /* a large type takes its time even if hardly anything is set */
  if (!err) err = make_room(self, slots);
  if (err) return err;
  *out = (level){ type, self->count };
  memset(&self->entries[self->count], 0, slots * sizeof(entry));
  self->count += slots;
  while (piece && !err) {
    err = scan_piece(self, *out, bytes_at(self, piece));
    piece = one ? 0 : self->entries[piece].next;
  }
  return err;
}

static void drop(parser *self, level in) { self->count = in.base; }

/* ---- what the sink is given ---- */

static int deeper(parser *self, const tr_proto_type *type) {
  if (++self->depth <= TR_DEPTH_MAX) return spend(self, 1);
  return tr_error_set(self->error, TR_EINVALID, "protobuf %.*s: more than %d levels deep",
                      TR_SLICE_ARG(type->symbol.name), TR_DEPTH_MAX);
}

static int give_text(parser *self, const tr_proto_type *type, const tr_proto_field *field, tr_slice text) {
  if (field->type == TR_PROTO_T_BYTES) return self->sink->bytes(self->sink->ud, text);
  if (tr_utf8_valid(text)) return self->sink->string(self->sink->ud, text);
  return tr_error_set(self->error, TR_EINVALID, "protobuf %.*s, byte %zu: the string %.*s is not UTF-8",
                      TR_SLICE_ARG(type->symbol.name), offset_of(self, text.p), TR_SLICE_ARG(field->name));
}

static int give_scalar(parser *self, const tr_proto_field *field, uint64_t bits) {
  int err = spend(self, 1);
  return err ? err : tr_proto_give_scalar(self->sink, field, bits);
}

static int give_message(parser *self, const tr_proto_type *type, uint32_t piece, bool one);

/* The field's value at an entry; 0: the default. `one`: of a message only this piece. */
static int give_value(parser *self, const tr_proto_type *type, const tr_proto_field *field, uint32_t at, bool one) {
  if (field->message) return give_message(self, field->message, at, one);
  if (!tr_proto_is_text(field->type))
    return give_scalar(self, field, at ? token_at(self, at).value : field->default_bits);
  int err = spend(self, 1);
  if (err) return err;
  if (at) return give_text(self, type, field, token_at(self, at).bytes);
  tr_slice text = field->default_bytes; /* checked when it was loaded */
  if (field->type == TR_PROTO_T_BYTES) return self->sink->bytes(self->sink->ud, text);
  return self->sink->string(self->sink->ud, text);
}

/* ---- repeated fields ---- */

static unsigned width_of(const tr_proto_field *field) {
  return field->wire == TR_PROTO_FIXED64 ? 8 : field->wire == TR_PROTO_FIXED32 ? 4 : 0;
}

static bool is_packed(const tr_proto_field *field, const tr_proto_token *token) {
  return token->wire == TR_PROTO_LENGTH && field->wire != TR_PROTO_LENGTH;
}

static size_t count_items(parser *self, const tr_proto_field *field, uint32_t at) {
  size_t n = 0;
  for (; at; at = self->entries[at].next) {
    tr_proto_token token = token_at(self, at);
    if (!is_packed(field, &token)) n++;
    else if (width_of(field)) n += token.bytes.n / width_of(field);
    else
      for (size_t i = 0; i < token.bytes.n; i++) n += (uint8_t)token.bytes.p[i] < 0x80;
  }
  return n;
}

static int give_packed(parser *self, const tr_proto_type *type, const tr_proto_field *field, tr_slice bytes) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  unsigned width = width_of(field);
  int err = 0;
  while (!err && reader.p < reader.end) {
    uint64_t bits;
    if (!(width ? tr_proto_read_fixed(&reader, width, &bits) : tr_proto_read_varint(&reader, &bits)))
      return bad(self, type, offset_of(self, reader.p), "packed numbers, cut short or malformed");
    err = give_scalar(self, field, bits);
  }
  return err;
}

static int give_array(parser *self, const tr_proto_type *type, const tr_proto_field *field, uint32_t at) {
  int err = deeper(self, type);
  if (!err) err = self->sink->begin_array(self->sink->ud, count_items(self, field, at));
  for (size_t i = 1; at && !err; at = self->entries[at].next, i++) {
    tr_proto_token token = token_at(self, at);
    if (is_packed(field, &token)) err = give_packed(self, type, field, token.bytes);
    else err = below_item(self, give_value(self, type, field, at, true), i);
  }
  self->depth--;
  return err ? err : self->sink->end_array(self->sink->ud);
}

/* ---- maps ---- */

static int give_map_key(parser *self, const tr_proto_field *map, uint32_t at) {
  const tr_proto_field *key = tr_proto_map_key(map);
  tr_proto_token token = { 0 };
  if (at) token = token_at(self, at);
  if (key->type != TR_PROTO_T_STRING) return tr_proto_give_key(self->sink, key, token.value);
  if (tr_utf8_valid(token.bytes)) return self->sink->key(self->sink->ud, token.bytes);
  return bad(self, map->message, offset_of(self, token.bytes.p), "a map's key that is not UTF-8");
}

static int give_map(parser *self, const tr_proto_type *type, const tr_proto_field *map, uint32_t at) {
  size_t n = 0;
  for (uint32_t i = at; i; i = self->entries[i].next) n++;
  int err = deeper(self, type);
  if (!err) err = self->sink->begin_map(self->sink->ud, n);
  for (size_t number = 1; at && !err; at = self->entries[at].next, number++) {
    level pair = { map->message, self->count };
    err = scan(self, map->message, at, true, &pair);
    if (!err) err = give_map_key(self, map, slot(self, pair, 0)->at);
    if (!err) err = give_value(self, map->message, tr_proto_map_value(map), slot(self, pair, 1)->at, false);
    if (err) err = below_item(self, err, number);
    drop(self, pair);
  }
  self->depth--;
  return err ? err : self->sink->end_map(self->sink->ud);
}

/* ---- unknown fields ---- */

/* Where the occurrence is, key and all. */
static tr_slice span_at(parser *self, uint32_t index) {
  tr_proto_reader reader = { self->base + self->entries[index].at, self->base + self->size };
  const uint8_t *from = reader.p;
  tr_proto_token token;
  tr_proto_read(&reader, &token);
  return tr_slice_make(from, (size_t)(reader.p - from));
}

static int give_unknown(parser *self, uint32_t at) {
  tr_slice run = span_at(self, at);
  tr_buf joined;
  int err = spend(self, 1);
  if (!err) err = self->sink->key(self->sink->ud, TR_SLICE_LITERAL(TR_PROTO_UNKNOWN));
  if (err) return err;
  tr_buf_init(&joined, self->mem);
  while ((at = self->entries[at].next) != 0) {
    tr_slice more = span_at(self, at);
    if (more.p == run.p + run.n) { /* they nearly always lie side by side: nothing to copy */
      run.n += more.n;
      continue;
    }
    tr_buf_slice(&joined, run);
    run = more;
  }
  if (joined.len > 0) tr_buf_slice(&joined, run);
  if (joined.failed) err = no_memory(self);
  else err = self->sink->bytes(self->sink->ud, joined.len ? tr_buf_view(&joined) : run);
  tr_buf_fini(&joined);
  return err;
}

/* ---- messages ---- */

static int give_field_value(parser *self, level in, const tr_proto_field *field) {
  uint32_t at = slot(self, in, field->index)->at;
  if (!at && field->required)
    return tr_error_set(self->error, TR_EINVALID, "protobuf %.*s: the required field %.*s is missing",
                        TR_SLICE_ARG(in.type->symbol.name), TR_SLICE_ARG(field->name));
  if (!at && !field->always) return 0;
  int err = self->sink->key(self->sink->ud, field->name);
  if (err) return err;
  if (field->is_map) return give_map(self, in.type, field, at);
  if (field->repeated) return give_array(self, in.type, field, at);
  return give_value(self, in.type, field, at, false);
}

static int give_field(parser *self, level in, const tr_proto_field *field) {
  int err = give_field_value(self, in, field);
  return err ? below(self, err, field->name) : 0;
}

static bool has_unknown(parser *self, level in) { return slot(self, in, in.type->count)->at && !in.type->own_unknown; }

static int give_fields(parser *self, level in) {
  int err = 0;
  for (size_t i = 0; i < in.type->count && !err; i++) err = give_field(self, in, &in.type->fields[i]);
  if (!err && has_unknown(self, in)) err = give_unknown(self, slot(self, in, in.type->count)->at);
  return err;
}

static size_t count_members(parser *self, level in) {
  size_t n = in.type->always + has_unknown(self, in);
  for (size_t i = 0; i < in.type->count; i++) n += !in.type->fields[i].always && slot(self, in, i)->at;
  return n;
}

/* The type of what is in an Any, if it can be told by its fields: known, not an Any again (there would be two "@type"),
 * and nothing else is in it. */
static const tr_proto_type *inner_type(parser *self, level any, tr_slice *url) {
  uint32_t at = slot(self, any, 0)->at;
  if (!any.type->is_any || !at || slot(self, any, 2)->at) return NULL;
  *url = token_at(self, at).bytes;
  const tr_proto_type *type = tr_proto_type_of_url(any.type->pool, *url);
  return type && !type->is_any && !type->map_entry && tr_utf8_valid(*url) ? type : NULL;
}

static int give_any(parser *self, level any, const tr_proto_type *type, tr_slice url) {
  const tr_sink *sink = self->sink;
  level in;
  int err = scan(self, type, slot(self, any, 1)->at, true, &in);
  if (!err) err = spend(self, 1);
  if (!err) err = sink->begin_map(sink->ud, 1 + count_members(self, in));
  if (!err) err = sink->key(sink->ud, TR_SLICE_LITERAL(TR_PROTO_TYPE_KEY));
  if (!err) err = sink->string(sink->ud, url);
  return err ? err : give_fields(self, in);
}

static int give_message(parser *self, const tr_proto_type *type, uint32_t piece, bool one) {
  tr_slice url;
  level in = { type, self->count };
  int err = deeper(self, type);
  if (!err) err = scan(self, type, piece, one, &in);
  const tr_proto_type *inner = err ? NULL : inner_type(self, in, &url);
  if (inner) {
    err = give_any(self, in, inner, url);
  } else if (!err) {
    err = self->sink->begin_map(self->sink->ud, count_members(self, in));
    if (!err) err = give_fields(self, in);
  }
  drop(self, in);
  self->depth--;
  return err ? err : self->sink->end_map(self->sink->ud);
}

int tr_proto_parse(tr_mem *mem, const tr_proto_type *type, tr_slice bytes, const tr_sink *sink, tr_error *error) {
  if (bytes.n > TR_PROTO_SIZE_MAX) return tr_error_set(error, TR_ETOO_LARGE, "protobuf: a message of 2 GiB or more");
  parser self;
  self.mem = mem;
  self.sink = sink;
  self.error = error;
  self.base = bytes.n ? (const uint8_t *)bytes.p : (const uint8_t *)"";
  self.size = bytes.n;
  self.depth = 0;
  self.values_left = (UINT64_C(1) << 20) + 4 * (uint64_t)bytes.n;
  self.entries = self.first;
  self.count = WHOLE + 1;
  self.cap = FIRST_ENTRIES;
  self.path_at = sizeof self.path;
  self.path_cut = false;
  self.first[0] = self.first[WHOLE] = (entry){ 0, 0 };
  int err = give_message(&self, type, WHOLE, false);
  if (self.entries != self.first) tr_free(mem, self.entries, self.cap * sizeof(entry));
  if (err == TR_EINVALID && error && self.path_at < sizeof self.path) tell_path(&self);
  return err;
}
