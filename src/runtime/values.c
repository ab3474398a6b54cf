/* SPDX-License-Identifier: MIT
 * The values of include/troupe.h: thin names for src/codec's value tree and JSON. */
#include <stdarg.h>

#include "codec/json.h"
#include "runtime/internal.h"

/* The public kinds are the internal ones. */
_Static_assert((int)TROUPE_MAP == (int)TR_VALUE_MAP && (int)TROUPE_STRING == (int)TR_VALUE_STRING, "kinds differ");

/* NULL for a value that could not be made is not the NULL of no body: what it is handed to fails (make_message). */
static troupe_value_t *checked(troupe_t *rt, troupe_value_t *value) {
  if (value) return value;
  if (!rt->error.code) tr_runtime_fail(rt, TR_EINVALID, "not a value");
  rt->bad_value = true;
  return NULL;
}

troupe_value_t *troupe_pack(troupe_t *rt, const char *format, ...) {
  va_list args;
  va_start(args, format);
  troupe_value_t *value = tr_value_packv(&rt->mem, tr_runtime_error(rt), format, args);
  va_end(args);
  return checked(rt, value);
}

int troupe_unpack(const troupe_value_t *value, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int rc = tr_value_unpackv(value, NULL, format, args);
  va_end(args);
  return rc;
}

troupe_value_t *troupe_value_bytes(troupe_t *rt, const void *bytes, size_t length) {
  return tr_value_bytes(&rt->mem, tr_slice_make(bytes, length));
}
troupe_value_t *troupe_value_array(troupe_t *rt) { return tr_value_array(&rt->mem); }
troupe_value_t *troupe_value_map(troupe_t *rt) { return tr_value_map(&rt->mem); }
int troupe_value_push(troupe_value_t *array, troupe_value_t *item) { return tr_value_push(array, item); }
int troupe_value_set(troupe_value_t *map, const char *key, troupe_value_t *item) {
  return tr_value_set(map, tr_slice_of(key), item);
}
troupe_kind troupe_value_kind(const troupe_value_t *value) { return (troupe_kind)tr_value_get_kind(value); }
size_t troupe_value_length(const troupe_value_t *value) { return tr_value_length(value); }
const troupe_value_t *troupe_value_at(const troupe_value_t *value, size_t index) { return tr_value_at(value, index); }
const troupe_value_t *troupe_value_get(const troupe_value_t *map, const char *key) {
  return tr_value_get(map, tr_slice_of(key));
}
bool troupe_value_boolean(const troupe_value_t *value, bool *out) { return tr_value_as_boolean(value, out); }
bool troupe_value_integer(const troupe_value_t *value, int64_t *out) { return tr_value_as_integer(value, out); }
bool troupe_value_number(const troupe_value_t *value, double *out) { return tr_value_as_number(value, out); }

const char *troupe_value_string(const troupe_value_t *value, size_t *length) {
  tr_slice text;
  if (!tr_value_as_string(value, &text)) return NULL;
  if (length) *length = text.n;
  return text.p;
}

troupe_value_t *troupe_value_from_json(troupe_t *rt, const char *json, size_t length) {
  tr_error *error = tr_runtime_error(rt);
  tr_value_builder builder;
  tr_value_builder_init(&builder, &rt->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  troupe_value_t *value = NULL;
  if (tr_json_parse(&rt->mem, tr_slice_make(json, length), &sink, error) == 0) value = tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return checked(rt, value);
}

char *troupe_value_to_json(troupe_t *rt, const troupe_value_t *value, size_t *length) {
  tr_error *error = tr_runtime_error(rt);
  tr_buf out;
  tr_buf_init(&out, &rt->mem);
  tr_json_writer writer;
  tr_json_writer_init(&writer, &out, error);
  tr_sink sink = tr_json_sink(&writer);
  int rc = tr_value_walk(value, &sink, error);
  char *text = NULL;
  if (rc == 0 && !out.failed) text = tr_strndup(&rt->mem, (const char *)out.data, out.len);
  if (rc == 0 && !text) tr_error_set(error, TR_EMEMORY, "out of memory");
  if (length) *length = out.len;
  tr_buf_fini(&out);
  return text;
}

void troupe_free_text(troupe_t *rt, char *text, size_t length) { tr_free(&rt->mem, text, text ? length + 1 : 0); }
void troupe_value_free(troupe_value_t *value) { tr_value_free(value); }
