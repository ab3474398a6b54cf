/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as the native format. What is read is written as bytes that read as the same, through a tree (counts
 * known) and without one. */
#include <stdlib.h>

#include "codec/native.h"
#include "codec/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int rewrite(tr_slice bytes, tr_buf *out) {
  tr_native_writer writer;
  tr_error error;
  tr_error_init(&error);
  tr_native_writer_init(&writer, out, &error);
  tr_sink sink = tr_native_sink(&writer);
  int err = tr_native_parse(bytes, &sink, &error);
  if (err != error.code) abort();
  return err;
}

static void through_tree(tr_mem *mem, tr_slice bytes, tr_buf *out) {
  tr_value_builder builder;
  tr_native_writer writer;
  tr_value_builder_init(&builder, mem, NULL);
  tr_sink sink = tr_value_sink(&builder);
  if (tr_native_parse(bytes, &sink, NULL)) abort();
  tr_value *value = tr_value_builder_take(&builder);
  if (!value) abort();
  tr_native_writer_init(&writer, out, NULL);
  sink = tr_native_sink(&writer);
  if (tr_value_walk(value, &sink, NULL)) abort();
  tr_value_free(value);
  tr_value_builder_fini(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem mem;
  tr_mem_init(&mem);
  tr_buf once, twice;
  tr_buf_init(&once, &mem);
  tr_buf_init(&twice, &mem);
  if (rewrite(tr_slice_make(data, size), &once) == 0) {
    if (rewrite(tr_buf_view(&once), &twice)) abort();
    if (!tr_slice_equal(tr_buf_view(&once), tr_buf_view(&twice))) abort();
    tr_buf_clear(&once), tr_buf_clear(&twice);
    through_tree(&mem, tr_slice_make(data, size), &once);
    through_tree(&mem, tr_buf_view(&once), &twice);
    if (!tr_slice_equal(tr_buf_view(&once), tr_buf_view(&twice))) abort();
  }
  tr_buf_fini(&once);
  tr_buf_fini(&twice);
  if (mem.used) abort();
  return 0;
}
