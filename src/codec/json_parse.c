/* SPDX-License-Identifier: MIT
 * JSON text into a sink, by yajl, without a tree in between.
 *
 * yajl is left to do the grammar. What it does not do, or not as bodies need it, is done here:
 *  - it does not look at what its allocator returns. Its blocks are therefore kept in a list, and a failed allocation
 *    leaves yajl by longjmp, back into tr_json_parse, which frees the list. No sink may allocate through yajl, and
 *    none does.
 *  - its UTF-8 check lets surrogates and overlong forms pass: the whole text is checked once before.
 *  - it turns a lone surrogate escape into "?" or into invalid UTF-8: escapes are looked through before as well.
 *  - its integers and doubles have their own range rules: numbers come as text and go through number.c.
 *  - its errors have an offset at best: line and column are counted from that.
 *
 * yajl takes five or six blocks even for a small text (2.4 KB with an escape in it). They come from a block on the
 * stack as long as they fit: three fields are read in 175 ns, through malloc in 260.
 *
 * Read next: json.h for what is promised, number.c, json_write.c. */
#include <setjmp.h>
#include <stdalign.h>
#include <yajl/yajl_parse.h>

#include "base/text.h"
#include "codec/json.h"
#include "codec/number.h"

typedef struct block { /* in front of everything yajl allocates */
  struct block *next, *prev;
  size_t size;   /* of the whole, head included */
  bool on_stack; /* from parse.first: not in the list, not freed */
} block;

#ifdef TR_HOSTILE
#define FIRST_BYTES 64 /* so that all but one take the other way */
#else
#define FIRST_BYTES 4096
#endif

typedef struct parse {
  tr_mem *mem;
  const tr_sink *sink;
  tr_error *error;
  tr_slice text;
  yajl_handle yajl;
  unsigned depth;
  int err;            /* why a callback stopped yajl */
  const char *reason; /* its text, where the sink has not set one */
  size_t token;       /* length of the token that is to blame */
  block *blocks;
  jmp_buf out_of_memory;
  uint8_t *first; /* FIRST_BYTES on the stack */
  size_t first_used;
} parse;

/* ---- where in the text ---- */

static int fail_at(parse *self, size_t at, const char *reason) {
  size_t line = 1, column = 1;
  if (at > self->text.n) at = self->text.n;
  for (size_t i = 0; i < at; i++) {
    if (self->text.p[i] == '\n') line++, column = 1;
    else if (((uint8_t)self->text.p[i] & 0xC0) != 0x80) column++;
  }
  return tr_error_set(self->error, TR_EINVALID, "JSON, line %zu, column %zu: %s", line, column, reason);
}

/* ---- before yajl: what it would let pass ---- */

static int check_utf8(parse *self) {
  if (tr_utf8_valid(self->text)) return 0;
  size_t at = 0;
  while (tr_utf8_next(self->text, &at) >= 0) {}
  return fail_at(self, at, "not UTF-8");
}

/* The code unit of "\uXXXX" at `at`; -1 where there is no such escape. */
static int32_t unit_at(tr_slice text, size_t at) {
  int32_t unit = 0;
  if (text.n < 6 || at > text.n - 6 || text.p[at] != '\\' || text.p[at + 1] != 'u') return -1;
  for (size_t i = at + 2; i < at + 6; i++) {
    char c = text.p[i], low = (char)(c | 0x20);
    int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/* In JSON a backslash occurs only inside strings; where it does not, yajl will say so. */
static int check_escapes(parse *self) {
  tr_slice text = self->text;
  const char *end = text.p + text.n;
  for (const char *p = text.p; (p = memchr(p, '\\', (size_t)(end - p))) != NULL;) {
    size_t at = (size_t)(p - text.p);
    int32_t unit = unit_at(text, at);
    bool high = unit >= 0xD800 && unit <= 0xDBFF, low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (high) {
      int32_t next = unit_at(text, at + 6);
      low = next < 0xDC00 || next > 0xDFFF;
    }
    if (low) return fail_at(self, at, "a lone surrogate escape stands for no character");
    p += high ? 12 : unit >= 0 ? 6 : 2;
    if (p >= end) break;
  }
  return 0;
}

/* ---- yajl's memory ---- */

static void unlink_block(parse *self, block *old) {
  if (old->next) old->next->prev = old->prev;
  if (old->prev) old->prev->next = old->next;
  else self->blocks = old->next;
}

static void link_block(parse *self, block *new) {
  new->prev = NULL;
  new->next = self->blocks;
  if (new->next) new->next->prev = new;
  self->blocks = new;
}

static void *allocate(void *ctx, size_t size) {
  parse *self = ctx;
  size_t whole = (sizeof(block) + size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
  if (whole <= FIRST_BYTES - self->first_used) {
    block *new = (block *)(void *)(self->first + self->first_used);
    self->first_used += whole;
    *new = (block){ .size = whole, .on_stack = true };
    return new + 1;
  }
  block *new = tr_alloc(self->mem, whole);
  if (!new) longjmp(self->out_of_memory, 1);
  *new = (block){ .size = whole };
  link_block(self, new);
  return new + 1;
}

static void release(void *ctx, void *ptr) {
  parse *self = ctx;
  if (!ptr) return;
  block *old = (block *)ptr - 1;
  if (old->on_stack) return;
  unlink_block(self, old);
  tr_free(self->mem, old, old->size);
}

static void *resize(void *ctx, void *ptr, size_t size) {
  void *new = allocate(ctx, size); /* yajl doubles its buffers: in-place growth would save little */
  if (!ptr) return new;
  size_t old = ((block *)ptr - 1)->size - sizeof(block);
  memcpy(new, ptr, old < size ? old : size);
  release(ctx, ptr);
  return new;
}

static void release_all(parse *self) {
  while (self->blocks) release(self, self->blocks + 1);
}

/* ---- yajl's callbacks: 1 goes on, 0 stops ---- */

static int given(parse *self, int err) {
  self->err = err;
  return err == 0;
}

static int refuse(parse *self, size_t token, const char *reason) {
  self->reason = reason;
  self->token = token;
  return given(self, TR_EINVALID);
}

static int on_null(void *ctx) {
  parse *self = ctx;
  return given(self, self->sink->null(self->sink->ud));
}

static int on_boolean(void *ctx, int value) {
  parse *self = ctx;
  return given(self, self->sink->boolean(self->sink->ud, value != 0));
}

static int on_number(void *ctx, const char *text, size_t length) {
  parse *self = ctx;
  tr_number value;
  int err = tr_number_read(self->mem, tr_slice_make(text, length), &value);
  if (err == TR_EINVALID)
    return refuse(self, length,
                  value.is_integer ? "an integer beyond 64 bits" : "a number beyond the range of doubles");
  if (err) return given(self, tr_error_set(self->error, err, "reading JSON: out of memory"));
  if (value.is_integer) return given(self, self->sink->integer(self->sink->ud, value.integer));
  return given(self, self->sink->number(self->sink->ud, value.number));
}

static int on_string(void *ctx, const unsigned char *text, size_t length) {
  parse *self = ctx;
  return given(self, self->sink->string(self->sink->ud, tr_slice_make(text, length)));
}

static int on_key(void *ctx, const unsigned char *text, size_t length) {
  parse *self = ctx;
  return given(self, self->sink->key(self->sink->ud, tr_slice_make(text, length)));
}

static bool deeper(parse *self) {
  return ++self->depth <= TR_DEPTH_MAX || refuse(self, 1, "more than 128 levels deep");
}

static int on_begin_map(void *ctx) {
  parse *self = ctx;
  return deeper(self) && given(self, self->sink->begin_map(self->sink->ud, TR_SIZE_UNKNOWN));
}

static int on_begin_array(void *ctx) {
  parse *self = ctx;
  return deeper(self) && given(self, self->sink->begin_array(self->sink->ud, TR_SIZE_UNKNOWN));
}

static int on_end_map(void *ctx) {
  parse *self = ctx;
  self->depth--;
  return given(self, self->sink->end_map(self->sink->ud));
}

static int on_end_array(void *ctx) {
  parse *self = ctx;
  self->depth--;
  return given(self, self->sink->end_array(self->sink->ud));
}

static const yajl_callbacks callbacks = {
  .yajl_null = on_null, .yajl_boolean = on_boolean, .yajl_number = on_number, .yajl_string = on_string,
  .yajl_start_map = on_begin_map, .yajl_map_key = on_key, .yajl_end_map = on_end_map,
  .yajl_start_array = on_begin_array, .yajl_end_array = on_end_array,
};

/* ---- errors ---- */

/* yajl's own: "parse error: reason\n". Its offset is where it had read to: behind the token it did not want, but at
 * the offending character inside a token. */
static int yajl_failed(parse *self, size_t consumed) {
  unsigned char *text = yajl_get_error(self->yajl, 0, NULL, 0);
  char reason[160];
  const char *from = strstr((const char *)text, ": ");
  bool lexical = strncmp((const char *)text, "lexical", 7) == 0;
  from = from ? from + 2 : (const char *)text;
  size_t n = strcspn(from, "\n");
  while (n > 0 && from[n - 1] == '.') n--;
  if (n >= sizeof reason) n = sizeof reason - 1;
  memcpy(reason, from, n);
  reason[n] = 0;
  bool at_it = lexical && !strstr(reason, "invalid char in json");
  return fail_at(self, consumed > 0 && !at_it ? consumed - 1 : consumed, reason);
}

static int explain(parse *self, yajl_status status, size_t consumed) {
  if (status == yajl_status_ok) return 0;
  if (status == yajl_status_error) return yajl_failed(self, consumed);
  if (consumed > self->text.n) consumed = self->text.n;
  if (self->reason) return fail_at(self, consumed > self->token ? consumed - self->token : 0, self->reason);
  return self->err;
}

/* ---- the function ---- */

static int run(parse *self) {
  yajl_alloc_funcs functions = { .malloc = allocate, .realloc = resize, .free = release, .ctx = self };
  if (setjmp(self->out_of_memory)) {
    release_all(self);
    return tr_error_set(self->error, TR_EMEMORY, "reading JSON: out of memory");
  }
  self->yajl = yajl_alloc(&callbacks, &functions, self);
  yajl_config(self->yajl, yajl_dont_validate_strings, 1);
  yajl_status status = yajl_parse(self->yajl, (const unsigned char *)self->text.p, self->text.n);
  size_t consumed = yajl_get_bytes_consumed(self->yajl);
  if (status == yajl_status_ok) {
    status = yajl_complete_parse(self->yajl); /* gives it one space more, and counts from there */
    consumed = self->text.n + 1;
  }
  int err = explain(self, status, consumed);
  release_all(self); /* instead of yajl_free: nothing else hangs on it */
  return err;
}

int tr_json_parse(tr_mem *mem, tr_slice text, const tr_sink *sink, tr_error *error) {
  alignas(max_align_t) uint8_t first[FIRST_BYTES];
  parse self = { .mem = mem, .sink = sink, .error = error, .text = text.p ? text : TR_SLICE_LITERAL(""), .first = first };
  int err = check_utf8(&self);
  if (!err) err = check_escapes(&self);
  return err ? err : run(&self);
}
