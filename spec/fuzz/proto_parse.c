/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as a message; the first byte chooses its type. What is read can be written, and is then read
 * as the same. */
#include <stdio.h>
#include <stdlib.h>

#include "codec/native.h"
#include "codec/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(tr_proto_pool *pool, const char *path) {
  static char bytes[1 << 16];
  FILE *in = fopen(path, "rb");
  if (!in) abort();
  size_t n = fread(bytes, 1, sizeof bytes, in);
  fclose(in);
  if (tr_proto_pool_add(pool, tr_slice_make(bytes, n), NULL)) abort();
}

static const tr_proto_type *choose(uint8_t by) {
  static const char *const names[] = { "demo.Order", "demo.Lists", "demo.Maps", "demo.Tree", "demo.Scalars", "demo.Wide",
                                       "legacy.Settings", "demo.OldOrder", "google.protobuf.Any", "legacy.Extremes" };
  static tr_mem mem;
  static tr_proto_pool *pool; /* made once */
  if (!pool) {
    tr_mem_init(&mem);
    pool = tr_proto_pool_new(&mem, 1);
    load(pool, "spec/data/proto/demo.desc");
    load(pool, "spec/data/proto/legacy.desc");
  }
  return tr_proto_pool_find(pool, tr_slice_of(names[by % (sizeof names / sizeof *names)]));
}

static int read_it(const tr_proto_type *type, tr_slice bytes, tr_buf *out) {
  tr_native_writer writer;
  tr_error error;
  tr_error_init(&error);
  tr_native_writer_init(&writer, out, &error);
  tr_sink sink = tr_native_sink(&writer);
  int err = tr_proto_parse(out->mem, type, bytes, &sink, &error);
  if (err != error.code) abort();
  return err;
}

static void write_it(const tr_proto_type *type, tr_slice native, tr_buf *out) {
  tr_proto_writer writer;
  tr_error error;
  tr_error_init(&error);
  tr_proto_writer_init(&writer, out, type, 0, &error);
  tr_sink sink = tr_proto_sink(&writer);
  if (tr_native_parse(native, &sink, &error)) {
    fprintf(stderr, "%s\n", error.text);
    abort();
  }
  tr_proto_writer_fini(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const tr_proto_type *type = choose(data[0]);
  tr_mem mem;
  tr_buf first, bytes, second;
  tr_mem_init(&mem);
  tr_buf_init(&first, &mem), tr_buf_init(&bytes, &mem), tr_buf_init(&second, &mem);
  if (read_it(type, tr_slice_make(data + 1, size - 1), &first) == 0) {
    write_it(type, tr_buf_view(&first), &bytes);
    if (read_it(type, tr_buf_view(&bytes), &second)) abort();
    if (!tr_slice_equal(tr_buf_view(&first), tr_buf_view(&second))) abort();
  }
  tr_buf_fini(&first), tr_buf_fini(&bytes), tr_buf_fini(&second);
  if (mem.used) abort();
  return 0;
}
