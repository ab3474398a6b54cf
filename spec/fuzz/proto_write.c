/* SPDX-License-Identifier: MIT
 * Fuzz target: JSON into a message; the first byte chooses its type and the writer's flags. What was written can be
 * read, but where that has a limit of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "codec/proto.h"
#include "codec/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(tr_proto_pool *pool, const char *path) {
  static char bytes[1 << 16];
  FILE *in = fopen(path, "rb");
  if (!in) abort();
  size_t n = fread(bytes, 1, sizeof bytes, in);
  fclose(in);
  if (tr_proto_pool_add(pool, tr_slice_make(bytes, n), NULL)) abort();
}

static const tr_proto_type *choose(unsigned by) {
  static const char *const names[] = { "demo.Order", "demo.Lists", "demo.Maps", "demo.Tree", "demo.Scalars", "demo.Wide",
                                       "legacy.Settings", "google.protobuf.Any" };
  static tr_mem mem;
  static tr_proto_pool *pool; /* made once */
  if (!pool) {
    tr_mem_init(&mem);
    pool = tr_proto_pool_new(&mem, 1);
    load(pool, "spec/data/proto/demo.desc");
    load(pool, "spec/data/proto/legacy.desc");
  }
  return tr_proto_pool_find(pool, tr_slice_of(names[by & 7]));
}

/* An Any given as bytes, and unknown fields, may hold what is malformed once it is read. */
static bool may_be_malformed(tr_slice json) {
  for (size_t i = 0; i + 4 < json.n; i++)
    if (!memcmp(json.p + i, "_unk", 4) || !memcmp(json.p + i, "type", 4) || json.p[i] == '\\') return true;
  return false;
}

static void read_back(tr_mem *mem, const tr_proto_type *type, tr_slice bytes, bool trusted) {
  tr_value_builder builder;
  tr_error error;
  tr_error_init(&error);
  tr_value_builder_init(&builder, mem, &error);
  tr_sink sink = tr_value_sink(&builder);
  int err = tr_proto_parse(mem, type, bytes, &sink, &error);
  if (err && trusted && !strstr(error.text, "128 levels")) {
    fprintf(stderr, "%s\n", error.text);
    abort();
  }
  tr_value_builder_fini(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  tr_slice json = tr_slice_make(data + 1, size - 1);
  const tr_proto_type *type = choose(data[0]), *whole = data[0] & 16 ? choose(7) : type;
  unsigned flags = (data[0] & 8 ? TR_PROTO_BASE64 : 0) | (data[0] & 16 ? TR_PROTO_ANY : 0);
  tr_mem mem;
  tr_buf out;
  tr_proto_writer writer;
  tr_error error;
  tr_mem_init(&mem);
  tr_buf_init(&out, &mem);
  tr_error_init(&error);
  tr_proto_writer_init(&writer, &out, type, flags, &error);
  tr_sink sink = tr_proto_sink(&writer);
  int err = tr_json_parse(&mem, json, &sink, &error);
  if (err != error.code) abort();
  tr_proto_writer_fini(&writer);
  if (!err) read_back(&mem, whole, tr_buf_view(&out), !may_be_malformed(json));
  tr_buf_fini(&out);
  if (mem.used) abort();
  return 0;
}
