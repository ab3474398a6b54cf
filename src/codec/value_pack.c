/* SPDX-License-Identifier: MIT
 * Values from and to C variables by a format, as printf and scanf: what an embedder uses instead of ten constructor
 * calls.
 *
 * The formats' grammar (blanks are skipped):
 *   value  = letter | "{" [member {"," member}] "}" | "[" [value {"," value}] "]"
 *   member = "s" [ "?" ] ":" value                            "?" only in unpack
 *   letter = one of s S i I F b n v, as value.h says
 * Both directions are one descent over it. Packing takes values (`v`) over: when something fails, the rest of the
 * format is still read, only to free those. That ends at a letter it does not know, for then the arguments behind it
 * are unknown too.
 *
 * To add a letter: one case in pack_letter, release_rest, unpack_letter, skip_letter each, and the line in value.h. */
#include <limits.h>
#include <stdio.h>

#include "base/text.h"
#include "codec/value.h"

/* ---- packing ---- */

typedef struct packing {
  tr_mem *mem;
  tr_error *error;
  const char *format, *at;
  unsigned depth;
  va_list args;
} packing;

static tr_value *pack_value(packing *self);

static char next_char(const char **at) {
  while (**at == ' ') ++*at;
  return **at;
}

static bool take_char(const char **at, char c) {
  if (next_char(at) != c) return false;
  ++*at;
  return true;
}

static tr_value *bad_format(packing *self) {
  tr_error_set(self->error, TR_EINVALID, "format \"%s\": wrong at character %d", self->format,
               (int)(self->at - self->format) + 1);
  return NULL;
}

static tr_value *pack_text(packing *self, tr_slice text) {
  if (!text.p) return tr_value_null(self->mem);
  tr_value *value = tr_value_string(self->mem, text);
  if (!value && !tr_utf8_valid(text)) tr_error_set(self->error, TR_EINVALID, "a string is not UTF-8");
  return value;
}

static tr_value *pack_letter(packing *self) {
  switch (*self->at++) {
    case 's': return pack_text(self, tr_slice_of(va_arg(self->args, const char *)));
    case 'S': return pack_text(self, va_arg(self->args, tr_slice));
    case 'i': return tr_value_integer(self->mem, va_arg(self->args, int));
    case 'I': return tr_value_integer(self->mem, va_arg(self->args, int64_t));
    case 'F': return tr_value_number(self->mem, va_arg(self->args, double));
    case 'b': return tr_value_boolean(self->mem, va_arg(self->args, int) != 0);
    case 'n': return tr_value_null(self->mem);
    case 'v': {
      tr_value *value = va_arg(self->args, tr_value *);
      return value ? value : tr_value_null(self->mem);
    }
    default: break;
  }
  self->at--;
  return bad_format(self);
}

/* own: takes list (frees it on failure). */
static tr_value *fail_list(tr_value *list) {
  tr_value_free(list);
  return NULL;
}

static tr_value *pack_list(packing *self, char end) {
  tr_value *list = end == '}' ? tr_value_map(self->mem) : tr_value_array(self->mem);
  self->at++;
  if (!list || take_char(&self->at, end)) return list;
  do {
    tr_slice key = { 0, 0 };
    if (end == '}') {
      if (!take_char(&self->at, 's')) return bad_format(self), fail_list(list);
      key = tr_slice_of(va_arg(self->args, const char *));
      if (!key.p || !take_char(&self->at, ':')) return bad_format(self), fail_list(list);
    }
    tr_value *item = pack_value(self);
    int err = !item ? TR_EMEMORY : end == '}' ? tr_value_set(list, key, item) : tr_value_push(list, item);
    if (err == TR_EINVALID) tr_error_set(self->error, err, "a key is not UTF-8");
    if (err) return fail_list(list);
  } while (take_char(&self->at, ','));
  if (!take_char(&self->at, end)) return bad_format(self), fail_list(list);
  return list;
}

static tr_value *pack_value(packing *self) {
  char c = next_char(&self->at);
  if (c != '{' && c != '[') return pack_letter(self);
  if (self->depth == TR_DEPTH_MAX) return bad_format(self);
  self->depth++;
  tr_value *list = pack_list(self, c == '{' ? '}' : ']');
  self->depth--;
  return list;
}

static void release_rest(packing *self) {
  for (;;) {
    switch (*self->at++) {
      case 's': (void)va_arg(self->args, const char *); break;
      case 'S': (void)va_arg(self->args, tr_slice); break;
      case 'i':
      case 'b': (void)va_arg(self->args, int); break;
      case 'I': (void)va_arg(self->args, int64_t); break;
      case 'F': (void)va_arg(self->args, double); break;
      case 'v': tr_value_free(va_arg(self->args, tr_value *)); break;
      case 'n': case '{': case '}': case '[': case ']': case ',': case ':': case '?': case ' ': break;
      default: return;
    }
  }
}

tr_value *tr_value_packv(tr_mem *mem, tr_error *error, const char *format, va_list args) {
  packing self = { .mem = mem, .error = error, .format = format, .at = format };
  va_copy(self.args, args);
  tr_value *value = pack_value(&self);
  if (value && next_char(&self.at) != 0) {
    bad_format(&self);
    value = fail_list(value);
  }
  if (!value) {
    release_rest(&self);
    tr_error_set(error, TR_EMEMORY, "out of memory"); /* unless something else was said */
  }
  va_end(self.args);
  return value;
}

/* ---- unpacking ---- */

typedef struct unpacking {
  tr_error *error;
  const char *format, *at;
  char path[200]; /* of the member being read: size.w, list[3] */
  size_t length;
  unsigned depth;
  va_list args;
} unpacking;

static int unpack_value(unpacking *self, const tr_value *value, bool present);

static int bad_unpack_format(unpacking *self) {
  return tr_error_set(self->error, TR_EINVALID, "format \"%s\": wrong at character %d", self->format,
                      (int)(self->at - self->format) + 1);
}

static int expected(unpacking *self, const char *what) {
  return tr_error_set(self->error, TR_EINVALID, "%s: expected %s", self->length ? self->path : "the value", what);
}

/* Enter a member or an item; the length to leave with is returned. */
static size_t enter(unpacking *self, const char *name, size_t i) {
  size_t before = self->length, room = sizeof self->path - before;
  char *to = self->path + before;
  int n = name ? snprintf(to, room, before ? ".%s" : "%s", name) : snprintf(to, room, "[%zu]", i + 1);
  if (n > 0) self->length = (size_t)n < room ? before + (size_t)n : sizeof self->path - 1;
  return before;
}

static void leave(unpacking *self, size_t before) {
  self->length = before;
  self->path[before] = 0;
}

static int unpack_int(unpacking *self, const tr_value *value, int *out) {
  int64_t number;
  if (!tr_value_as_integer(value, &number)) return expected(self, "an integer");
  if (number < INT_MIN || number > INT_MAX) return expected(self, "an integer of 32 bits");
  *out = (int)number;
  return 0;
}

static int unpack_text(unpacking *self, const tr_value *value, tr_slice *out) {
  if (!tr_value_as_string(value, out)) return expected(self, "a string");
  return 0;
}

static int unpack_letter(unpacking *self, const tr_value *value) {
  tr_slice text;
  bool truth;
  int err;
  switch (*self->at++) {
    case 's':
      err = unpack_text(self, value, &text);
      if (!err) *va_arg(self->args, const char **) = text.p;
      return err;
    case 'S': return unpack_text(self, value, va_arg(self->args, tr_slice *));
    case 'i': return unpack_int(self, value, va_arg(self->args, int *));
    case 'I': return tr_value_as_integer(value, va_arg(self->args, int64_t *)) ? 0 : expected(self, "an integer");
    case 'F': return tr_value_as_number(value, va_arg(self->args, double *)) ? 0 : expected(self, "a number");
    case 'b':
      if (!tr_value_as_boolean(value, &truth)) return expected(self, "a boolean");
      *va_arg(self->args, int *) = truth;
      return 0;
    case 'n': return tr_value_get_kind(value) == TR_VALUE_NULL ? 0 : expected(self, "null");
    case 'v': *va_arg(self->args, const tr_value **) = value; return 0;
    default: break;
  }
  self->at--;
  return bad_unpack_format(self);
}

static int skip_letter(unpacking *self) {
  switch (*self->at++) {
    case 'n': return 0;
    case 's': case 'S': case 'i': case 'I': case 'F': case 'b': case 'v':
      (void)va_arg(self->args, void *); /* all of them are pointers */
      return 0;
    default: break;
  }
  self->at--;
  return bad_unpack_format(self);
}

static int unpack_member(unpacking *self, const tr_value *map, bool present) {
  if (!take_char(&self->at, 's')) return bad_unpack_format(self);
  const char *name = va_arg(self->args, const char *);
  bool optional = take_char(&self->at, '?');
  if (!name || !take_char(&self->at, ':')) return bad_unpack_format(self);
  const tr_value *value = present ? tr_value_get(map, tr_slice_of(name)) : NULL;
  size_t before = enter(self, name, 0);
  bool null = tr_value_get_kind(value) == TR_VALUE_NULL; /* absent, too */
  if (present && !value && !optional) return expected(self, "a value; it is missing");
  int err = unpack_value(self, value, present && !(optional && null));
  leave(self, before);
  return err;
}

static int unpack_items(unpacking *self, const tr_value *array, bool present) {
  size_t count = 0;
  do {
    const tr_value *item = tr_value_at(array, count);
    if (present && !item) return expected(self, "more items");
    size_t before = enter(self, NULL, count++);
    int err = unpack_value(self, item, present);
    if (err) return err;
    leave(self, before);
  } while (take_char(&self->at, ','));
  return present && count < tr_value_length(array) ? expected(self, "fewer items") : 0;
}

static int unpack_list(unpacking *self, const tr_value *value, bool present) {
  bool map = *self->at++ == '{';
  char end = map ? '}' : ']';
  if (present && tr_value_get_kind(value) != (map ? TR_VALUE_MAP : TR_VALUE_ARRAY))
    return expected(self, map ? "a map" : "an array");
  if (take_char(&self->at, end))
    return present && !map && tr_value_length(value) ? expected(self, "an empty array") : 0;
  int err = 0;
  if (!map) err = unpack_items(self, value, present);
  else do {
    err = unpack_member(self, value, present);
  } while (!err && take_char(&self->at, ','));
  return err ? err : take_char(&self->at, end) ? 0 : bad_unpack_format(self);
}

static int unpack_value(unpacking *self, const tr_value *value, bool present) {
  char c = next_char(&self->at);
  if (c != '{' && c != '[') return present ? unpack_letter(self, value) : skip_letter(self);
  if (self->depth == TR_DEPTH_MAX) return bad_unpack_format(self);
  self->depth++;
  int err = unpack_list(self, value, present);
  self->depth--;
  return err;
}

int tr_value_unpackv(const tr_value *value, tr_error *error, const char *format, va_list args) {
  unpacking self = { .error = error, .format = format, .at = format };
  va_copy(self.args, args);
  int err = unpack_value(&self, value, true);
  if (!err && next_char(&self.at) != 0) err = bad_unpack_format(&self);
  va_end(self.args);
  return err;
}
