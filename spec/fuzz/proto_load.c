/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as a descriptor set. What is accepted is used: each of its types reads the set itself as a
 * message, and writes what it read. */
#include <stdlib.h>

#include "codec/native.h"
#include "codec/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(tr_mem *mem, const tr_proto_type *type, tr_slice bytes) {
  tr_native_writer native;
  tr_proto_writer writer;
  tr_buf read, written;
  tr_buf_init(&read, mem);
  tr_buf_init(&written, mem);
  tr_native_writer_init(&native, &read, NULL);
  tr_sink sink = tr_native_sink(&native);
  if (tr_proto_parse(mem, type, bytes, &sink, NULL) == 0) {
    tr_proto_writer_init(&writer, &written, type, TR_PROTO_ANY, NULL);
    sink = tr_proto_sink(&writer);
    (void)tr_native_parse(tr_buf_view(&read), &sink, NULL);
    tr_proto_writer_fini(&writer);
  }
  tr_buf_fini(&read);
  tr_buf_fini(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem mem;
  tr_error error;
  tr_mem_init(&mem);
  tr_error_init(&error);
  tr_proto_pool *pool = tr_proto_pool_new(&mem, 1);
  int err = tr_proto_pool_add(pool, tr_slice_make(data, size), &error), n = 0;
  if (err != error.code) abort();
  const tr_proto_type *type;
  for (size_t at = 0; (type = tr_proto_pool_next(pool, &at)) != NULL && n < 100; n++) {
    if (err) abort(); /* nothing of a refused set may stay */
    use(&mem, type, tr_slice_make(data, size < 4096 ? size : 4096));
  }
  tr_proto_pool_free(pool);
  if (mem.used) abort();
  return 0;
}
