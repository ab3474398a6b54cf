/* SPDX-License-Identifier: MIT
 * Messages that go compressed: gzip, each by itself, as gRPC has it. A tr_rpc_gzip is shared by all connections of one owner, so that
 * zlib's 256 KB are had once, when the first message wants them, and so that an event for many receivers is compressed
 * once: the last blob that is `shared`, or that others hold too, is remembered with its result.
 *
 * A message that would not get smaller goes as it is; so does one for which memory is short. Speed before size: level 1
 * takes a third of the time of gRPC's usual 6 for a tenth more bytes of JSON.
 *
 * Whether a call may compress is settled in its headers: call.c. Reading what comes compressed: inflate.c. */
#include <zlib.h>

#include "rpc/zmem.h"

#define LEAST 1024 /* bytes below which gzip's own 18 and the time are not worth it */
#define LEVEL 1

void tr_rpc_gzip_init(tr_rpc_gzip *gzip, tr_mem *mem, uint32_t from) {
  *gzip = (tr_rpc_gzip){ .mem = mem, .from = from ? from : LEAST, .offers = from > 0 };
}

void tr_rpc_gzip_forget(tr_rpc_gzip *gzip) {
  gzip->shared = NULL;
  if (!gzip->plain) return;
  tr_blob_unref(gzip->plain);
  tr_blob_unref(gzip->small);
  gzip->plain = gzip->small = NULL;
}

void tr_rpc_gzip_fini(tr_rpc_gzip *gzip) {
  tr_rpc_gzip_forget(gzip);
  if (!gzip->stream) return;
  deflateEnd(gzip->stream);
  tr_free(gzip->mem, gzip->stream, sizeof(z_stream));
  gzip->stream = NULL;
}

static z_stream *stream_of(tr_rpc_gzip *gzip) {
  if (gzip->stream) return deflateReset(gzip->stream) == Z_OK ? gzip->stream : NULL;
  z_stream *z = TR_NEW(gzip->mem, z_stream);
  if (!z) return NULL;
  *z = (z_stream){ .zalloc = tr_zmem_take, .zfree = tr_zmem_give, .opaque = gzip->mem };
  if (deflateInit2(z, LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    TR_DELETE(gzip->mem, z);
    return NULL;
  }
  gzip->stream = z;
  return z;
}

/* A frame with flag 1; NULL: it would not be smaller, or no memory. */
static tr_blob *deflated(tr_rpc_gzip *gzip, const tr_blob *framed) {
  union { const uint8_t *in; Bytef *out; } input = { .in = framed->data + TR_RPC_PREFIX }; /* zlib only reads it */
  z_stream *z = stream_of(gzip);
  tr_blob *small = z ? tr_blob_new(gzip->mem, framed->len - 1) : NULL;
  if (!small) return NULL;
  z->next_in = input.out;
  z->avail_in = framed->len - TR_RPC_PREFIX;
  z->next_out = small->data + TR_RPC_PREFIX;
  z->avail_out = framed->len - 1 - TR_RPC_PREFIX;
  bool done = deflate(z, Z_FINISH) == Z_STREAM_END;
  size_t n = framed->len - 1 - TR_RPC_PREFIX - z->avail_out;
  tr_blob *fitting = done ? tr_blob_new(gzip->mem, TR_RPC_PREFIX + n) : NULL; /* a blob's size is its block's */
  if (fitting) {
    fitting->data[0] = 1;
    for (int i = 0; i < 4; i++) fitting->data[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    memcpy(fitting->data + TR_RPC_PREFIX, small->data + TR_RPC_PREFIX, n);
    gzip->stats.deflated++;
    gzip->stats.deflated_from += framed->len;
    gzip->stats.deflated_to += fitting->len;
  }
  tr_blob_unref(small);
  return fitting;
}

tr_blob *tr_rpc_deflate(tr_rpc_gzip *gzip, tr_blob *framed) {
  if (framed->len < gzip->from + TR_RPC_PREFIX || framed->data[0]) return tr_blob_ref(framed);
  if (framed == gzip->plain) return tr_blob_ref(gzip->small);
  tr_blob *small = deflated(gzip, framed);
  if (!small) small = tr_blob_ref(framed);
  if (framed != gzip->shared && framed->refs == 1) return small;
  tr_rpc_gzip_forget(gzip);
  gzip->plain = tr_blob_ref(framed);
  gzip->small = tr_blob_ref(small);
  return small;
}
