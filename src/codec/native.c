/* SPDX-License-Identifier: MIT
 * The native format, both ways; native.h describes it.
 *
 * Reading is one loop with a stack of open containers, so that hostile depth costs no C stack, and a count is compared
 * with the bytes that are left before anybody makes room for it. Writing asks for room once a value and then stores;
 * with three fields either takes less than 100 ns. */
#include "codec/native.h"

#include "base/text.h"

enum {
  SMALL_STRING = 0x40, SMALL_MAP = 0x60, SMALL_ARRAY = 0x70,
  NIL = 0x80, NO, YES, INTEGER, NUMBER, STRING, BYTES, ARRAY, MAP, OPEN_ARRAY, OPEN_MAP, END,
  NEGATIVE = 0xE0
};
enum { IN_ARRAY = 1, IN_MAP = 2 };

/* ---- reading ---- */

typedef struct reader {
  const uint8_t *start, *p, *end;
  const tr_sink *sink;
  tr_error *error;
  unsigned depth;
  struct { size_t left; bool map; } stack[TR_DEPTH_MAX]; /* left is TR_SIZE_UNKNOWN up to an end mark */
} reader;

static int bad(reader *self, const char *reason) {
  return tr_error_set(self->error, TR_EINVALID, "native format, byte %zu: %s", (size_t)(self->p - self->start), reason);
}

static size_t bytes_left(const reader *self) { return (size_t)(self->end - self->p); }

static int read_varint(reader *self, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned shift = 0; self->p < self->end; shift += 7) {
    uint8_t byte = *self->p;
    if (shift == 63 && byte > 1) return bad(self, "an integer of more than 64 bits");
    self->p++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return *out = value, 0;
  }
  return bad(self, "cut short");
}

static int read_text(reader *self, uint64_t n, bool utf8, tr_slice *out) {
  if (n > bytes_left(self)) return bad(self, "cut short");
  *out = tr_slice_make(self->p, (size_t)n);
  uint8_t high = 0;
  if (utf8 && n < 16) /* nearly all keys: not worth a call */
    for (size_t i = 0; i < n; i++) high |= self->p[i];
  if (utf8 && (n >= 16 || high >= 0x80) && !tr_utf8_valid(*out)) return bad(self, "not UTF-8");
  self->p += n;
  return 0;
}

static int read_key(reader *self) {
  tr_slice key = { 0, 0 };
  uint64_t n = 0;
  uint8_t tag = self->p < self->end ? *self->p : 0;
  if (self->p == self->end) return bad(self, "cut short");
  if (tag != STRING && (tag < SMALL_STRING || tag >= SMALL_MAP)) return bad(self, "a key that is not a string");
  self->p++;
  int err = 0;
  if (tag == STRING) err = read_varint(self, &n);
  else n = tag - SMALL_STRING;
  if (!err) err = read_text(self, n, true, &key);
  return err ? err : self->sink->key(self->sink->ud, key);
}

/* A member takes two bytes at least, an item one. */
static int open_counted(reader *self, bool map, uint64_t count) {
  if (count > bytes_left(self) / (map ? 2 : 1)) return bad(self, "cut short");
  if (self->depth == TR_DEPTH_MAX) return bad(self, "more than 128 levels deep");
  self->stack[self->depth].map = map;
  self->stack[self->depth++].left = (size_t)count;
  if (map) return self->sink->begin_map(self->sink->ud, (size_t)count);
  return self->sink->begin_array(self->sink->ud, (size_t)count);
}

static int open_uncounted(reader *self, bool map) {
  if (self->depth == TR_DEPTH_MAX) return bad(self, "more than 128 levels deep");
  self->stack[self->depth].map = map;
  self->stack[self->depth++].left = TR_SIZE_UNKNOWN;
  if (map) return self->sink->begin_map(self->sink->ud, TR_SIZE_UNKNOWN);
  return self->sink->begin_array(self->sink->ud, TR_SIZE_UNKNOWN);
}

static int read_number(reader *self) {
  uint64_t bits = 0;
  double value;
  if (bytes_left(self) < 8) return bad(self, "cut short");
  for (int i = 8; i-- > 0;) bits = bits << 8 | self->p[i];
  self->p += 8;
  memcpy(&value, &bits, 8);
  return self->sink->number(self->sink->ud, value);
}

/* Those with a varint behind the tag. */
static int read_long(reader *self, uint8_t tag) {
  uint64_t n;
  tr_slice text;
  int err = read_varint(self, &n);
  if (err) return err;
  if (tag == INTEGER) return self->sink->integer(self->sink->ud, (int64_t)(n >> 1 ^ (~(n & 1) + 1)));
  if (tag == ARRAY || tag == MAP) return open_counted(self, tag == MAP, n);
  err = read_text(self, n, tag == STRING, &text);
  if (err) return err;
  return tag == STRING ? self->sink->string(self->sink->ud, text) : self->sink->bytes(self->sink->ud, text);
}

static int read_value(reader *self) {
  const tr_sink *sink = self->sink;
  if (self->p == self->end) return bad(self, "cut short");
  uint8_t tag = *self->p++;
  if (tag < SMALL_STRING) return sink->integer(sink->ud, tag);
  if (tag >= NEGATIVE) return sink->integer(sink->ud, (int)tag - 256);
  if (tag < SMALL_MAP) {
    tr_slice text;
    int err = read_text(self, tag - SMALL_STRING, true, &text);
    return err ? err : sink->string(sink->ud, text);
  }
  if (tag < NIL) return open_counted(self, tag < SMALL_ARRAY, tag & 15);
  switch (tag) {
    case NIL: return sink->null(sink->ud);
    case NO: case YES: return sink->boolean(sink->ud, tag == YES);
    case INTEGER: case STRING: case BYTES: case ARRAY: case MAP: return read_long(self, tag);
    case NUMBER: return read_number(self);
    case OPEN_ARRAY: case OPEN_MAP: return open_uncounted(self, tag == OPEN_MAP);
    default: break;
  }
  self->p--;
  return bad(self, tag == END ? "an end without a begin" : "not the tag of a value");
}

/* Is the innermost container at its end? */
static bool at_end(reader *self) {
  size_t left = self->stack[self->depth - 1].left;
  if (left != TR_SIZE_UNKNOWN) return left == 0;
  if (self->p == self->end || *self->p != END) return false;
  self->p++;
  return true;
}

static int step(reader *self) {
  const tr_sink *sink = self->sink;
  bool map = self->stack[self->depth - 1].map;
  if (at_end(self)) {
    self->depth--;
    return map ? sink->end_map(sink->ud) : sink->end_array(sink->ud);
  }
  if (self->stack[self->depth - 1].left != TR_SIZE_UNKNOWN) self->stack[self->depth - 1].left--;
  int err = map ? read_key(self) : 0;
  return err ? err : read_value(self);
}

int tr_native_parse(tr_slice bytes, const tr_sink *sink, tr_error *error) {
  reader self;
  self.start = self.p = bytes.n ? (const uint8_t *)bytes.p : (const uint8_t *)"";
  self.end = self.p + bytes.n;
  self.sink = sink;
  self.error = error;
  self.depth = 0; /* what is above it in the stack stays unset: it is 2 KiB */
  if (bytes.n == 0) return bad(&self, "empty");
  if (*self.p != TR_NATIVE_VERSION) return bad(&self, "a version that is not known here");
  self.p++;
  int err = read_value(&self);
  while (!err && self.depth > 0) err = step(&self);
  if (!err && self.p != self.end) err = bad(&self, "bytes behind the value");
  return err;
}

/* ---- writing ---- */

static int misuse(tr_native_writer *writer, const char *what) {
  return tr_error_set(writer->error, TR_EINVALID, "writing the native format: %s", what);
}

static int no_memory(tr_native_writer *writer) {
  return tr_error_set(writer->error, TR_EMEMORY, "writing the native format: out of memory");
}

/* Where the next n bytes go; NULL: no memory. */
static uint8_t *room(tr_native_writer *writer, size_t n) {
  tr_buf *out = writer->out;
  if ((out->failed || out->cap - out->len < n) && !tr_buf_reserve(out, n)) return NULL;
  return out->data + out->len;
}

static int put_byte(tr_native_writer *writer, uint8_t byte) {
  uint8_t *to = room(writer, 1);
  if (!to) return no_memory(writer);
  *to = byte;
  writer->out->len++;
  return 0;
}

static int put_varint(tr_native_writer *writer, uint8_t tag, uint64_t value) {
  uint8_t *to = room(writer, 11);
  if (!to) return no_memory(writer);
  *to++ = tag;
  for (; value >= 0x80; value >>= 7) *to++ = (uint8_t)(value | 0x80);
  *to++ = (uint8_t)value;
  writer->out->len = (size_t)(to - writer->out->data);
  return 0;
}

/* What a value needs to be in its place. */
static int before(tr_native_writer *writer) {
  if (writer->depth == 0) {
    if (writer->done) return misuse(writer, "a second value");
    writer->done = true;
    return put_byte(writer, TR_NATIVE_VERSION);
  }
  if (writer->kinds[writer->depth] == IN_MAP) {
    if (!writer->after_key) return misuse(writer, "a value without a key");
    writer->after_key = false;
    return 0;
  }
  size_t *left = &writer->left[writer->depth];
  if (*left == 0) return misuse(writer, "more items than were announced");
  if (*left != TR_SIZE_UNKNOWN) --*left;
  return 0;
}

static int put_text(tr_native_writer *writer, uint8_t tag, tr_slice text) {
  int err;
  if (tag == STRING && text.n < 32) {
    uint8_t *to = room(writer, 1 + text.n);
    if (!to) return no_memory(writer);
    *to = (uint8_t)(SMALL_STRING + text.n);
    if (text.n) memcpy(to + 1, text.p, text.n);
    writer->out->len += 1 + text.n;
    return 0;
  }
  err = put_varint(writer, tag, text.n);
  if (!err && !tr_buf_slice(writer->out, text)) err = no_memory(writer);
  return err;
}

static int on_null(void *ud) {
  int err = before(ud);
  return err ? err : put_byte(ud, NIL);
}

static int on_boolean(void *ud, bool value) {
  int err = before(ud);
  return err ? err : put_byte(ud, value ? YES : NO);
}

static int on_integer(void *ud, int64_t value) {
  int err = before(ud);
  if (err) return err;
  if (value >= -32 && value < 64) return put_byte(ud, (uint8_t)value);
  uint64_t bits = (uint64_t)value;
  return put_varint(ud, INTEGER, bits << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static int on_number(void *ud, double value) {
  tr_native_writer *writer = ud;
  int err = before(writer);
  if (err) return err;
  uint64_t bits;
  memcpy(&bits, &value, 8);
  uint8_t *to = room(writer, 9);
  if (!to) return no_memory(writer);
  *to++ = NUMBER;
  for (unsigned i = 0; i < 8; i++) to[i] = (uint8_t)(bits >> (8 * i));
  writer->out->len += 9;
  return 0;
}

static int on_string(void *ud, tr_slice utf8) {
  int err = before(ud);
  return err ? err : put_text(ud, STRING, utf8);
}

static int on_bytes(void *ud, tr_slice bytes) {
  int err = before(ud);
  return err ? err : put_text(ud, BYTES, bytes);
}

static int on_key(void *ud, tr_slice utf8) {
  tr_native_writer *writer = ud;
  if (writer->depth == 0 || writer->kinds[writer->depth] != IN_MAP || writer->after_key)
    return misuse(writer, "a key where none belongs");
  size_t *left = &writer->left[writer->depth];
  if (*left == 0) return misuse(writer, "more members than were announced");
  if (*left != TR_SIZE_UNKNOWN) --*left;
  writer->after_key = true;
  return put_text(writer, STRING, utf8);
}

static int begin(tr_native_writer *writer, uint8_t kind, size_t count) {
  if (writer->depth == TR_DEPTH_MAX)
    return tr_error_set(writer->error, TR_EINVALID, "more than %d levels deep", TR_DEPTH_MAX);
  int err = before(writer);
  if (err) return err;
  writer->kinds[++writer->depth] = kind;
  writer->left[writer->depth] = count;
  bool map = kind == IN_MAP;
  if (count == TR_SIZE_UNKNOWN) return put_byte(writer, map ? OPEN_MAP : OPEN_ARRAY);
  if (count < 16) return put_byte(writer, (uint8_t)((map ? SMALL_MAP : SMALL_ARRAY) + count));
  return put_varint(writer, map ? MAP : ARRAY, count);
}

static int end(tr_native_writer *writer, uint8_t kind) {
  if (writer->depth == 0 || writer->kinds[writer->depth] != kind || writer->after_key)
    return misuse(writer, "an end without a begin");
  size_t left = writer->left[writer->depth--];
  if (left == TR_SIZE_UNKNOWN) return put_byte(writer, END);
  return left ? misuse(writer, "fewer items than were announced") : 0;
}

static int on_begin_array(void *ud, size_t count) { return begin(ud, IN_ARRAY, count); }
static int on_begin_map(void *ud, size_t count) { return begin(ud, IN_MAP, count); }
static int on_end_array(void *ud) { return end(ud, IN_ARRAY); }
static int on_end_map(void *ud) { return end(ud, IN_MAP); }

void tr_native_writer_init(tr_native_writer *writer, tr_buf *out, tr_error *error) {
  writer->out = out;
  writer->error = error;
  writer->depth = 0;
  writer->done = writer->after_key = false;
}

tr_sink tr_native_sink(tr_native_writer *writer) {
  return (tr_sink){ .null = on_null, .boolean = on_boolean, .integer = on_integer, .number = on_number,
                    .string = on_string, .bytes = on_bytes, .begin_array = on_begin_array, .end_array = on_end_array,
                    .begin_map = on_begin_map, .key = on_key, .end_map = on_end_map, .ud = writer };
}
