/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as JSON. What is read must be written as a text that reads as the same value. */
#include <stdlib.h>

#include "codec/json.h"
#include "codec/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tr_value *parse(tr_mem *mem, tr_slice text) {
  tr_value_builder builder;
  tr_error error;
  tr_error_init(&error);
  tr_value_builder_init(&builder, mem, &error);
  tr_sink sink = tr_value_sink(&builder);
  int err = tr_json_parse(mem, text, &sink, &error);
  if ((err != 0) != (error.code != 0)) abort();
  tr_value *value = err ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

static tr_buf write(tr_mem *mem, const tr_value *value) {
  tr_buf out;
  tr_json_writer writer;
  tr_buf_init(&out, mem);
  tr_json_writer_init(&writer, &out, NULL);
  tr_sink sink = tr_json_sink(&writer);
  if (tr_value_walk(value, &sink, NULL)) abort();
  return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem mem;
  tr_mem_init(&mem);
  tr_value *value = parse(&mem, tr_slice_make(data, size));
  if (value) {
    tr_buf once = write(&mem, value);
    tr_value *again = parse(&mem, tr_buf_view(&once));
    if (!again) abort();
    tr_buf twice = write(&mem, again);
    if (!tr_slice_equal(tr_buf_view(&once), tr_buf_view(&twice))) abort();
    tr_buf_fini(&once);
    tr_buf_fini(&twice);
    tr_value_free(again);
    tr_value_free(value);
  }
  if (mem.used) abort();
  return 0;
}
