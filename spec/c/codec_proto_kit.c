/* SPDX-License-Identifier: MIT
 * See codec_proto_kit.h. */
#include "codec_proto_kit.h"

#include <stdio.h>

#include "check.h"
#include "codec/json.h"

tr_proto_pool *kit_pool(const char *name) {
  char path[256];
  size_t n;
  tr_error error = { 0 };
  snprintf(path, sizeof path, "spec/data/proto/%s.desc", name);
  const char *set = check_file(path, &n);
  tr_proto_pool *pool = tr_proto_pool_new(check_mem(), 42);
  if (tr_proto_pool_add(pool, tr_slice_make(set, n), &error)) CHECK_FAIL("%s: %s", path, error.text);
  return pool;
}

const tr_proto_type *kit_type(const tr_proto_pool *pool, const char *name) {
  const tr_proto_type *type = tr_proto_pool_find(pool, tr_slice_of(name));
  if (!type) CHECK_FAIL("no type %s", name);
  CHECK_SLICE(tr_proto_type_name(type), name);
  return type;
}

int kit_read(const tr_proto_type *type, tr_slice bytes, tr_buf *out, tr_error *error) {
  tr_json_writer writer;
  tr_error_init(error);
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  return tr_proto_parse(out->mem, type, bytes, &sink, error);
}

int kit_write(const tr_proto_type *type, tr_slice json, unsigned flags, tr_buf *out, tr_error *error) {
  tr_proto_writer writer;
  tr_error_init(error);
  tr_proto_writer_init(&writer, out, type, flags | TR_PROTO_BASE64, error);
  tr_sink sink = tr_proto_sink(&writer);
  int err = tr_json_parse(out->mem, json, &sink, error);
  tr_proto_writer_fini(&writer);
  return err;
}

void kit_reads(const tr_proto_type *type, tr_slice bytes, const char *json) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  if (kit_read(type, bytes, &out, &error)) CHECK_FAIL("%s: %s", json, error.text);
  CHECK_SLICE(tr_buf_view(&out), json);
  tr_buf_fini(&out);
}

void kit_read_fails(const tr_proto_type *type, tr_slice bytes, const char *text) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  CHECK_INT(kit_read(type, bytes, &out, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, text);
  tr_buf_fini(&out);
}

void kit_writes(const tr_proto_type *type, const char *json, tr_slice bytes) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  if (kit_write(type, tr_slice_of(json), 0, &out, &error)) CHECK_FAIL("%s: %s", json, error.text);
  CHECK_MEM(out.data, out.len, bytes.p, bytes.n);
  tr_buf_fini(&out);
}

void kit_write_fails(const tr_proto_type *type, const char *json, int code, const char *text) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  int err = kit_write(type, tr_slice_of(json), 0, &out, &error);
  CHECK_STR(error.text, text);
  CHECK_INT(err, ==, code);
  CHECK_INT(error.code, ==, code);
  tr_buf_fini(&out);
}

const char *kit_set_of(const char *path) { return strstr(path, "/legacy.") ? "legacy" : "demo"; }

const tr_proto_type *kit_type_of(const tr_proto_pool *pool, const char *path) {
  char name[128];
  const char *from = strrchr(path, '/') + 1;
  if (strncmp(from, "merged.", 7) == 0) from += 7;
  snprintf(name, sizeof name, "%s", from);
  name[strcspn(name, "-")] = 0;
  if (strcmp(name + strlen(name) - 4, ".bin") == 0) name[strlen(name) - 4] = 0;
  return kit_type(pool, name);
}
