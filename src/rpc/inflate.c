/* SPDX-License-Identifier: MIT
 * Compressed messages: zlib's inflate with a bound on what comes out, since a megabyte of zeros is a kilobyte on
 * the wire. The output grows step by step and stops at the bound; the inflater's state (about 40 KB) lives only as long as
 * the message.  The functions of zmem.h, by which zlib takes its memory from us, stand here too. */
#include "rpc/zmem.h"

#ifdef TR_HOSTILE
#define STEP 7
#else
#define STEP 4096 /* first size of the output */
#endif

union size_before { size_t size; max_align_t align; };

voidpf tr_zmem_take(voidpf mem, uInt items, uInt size) {
  size_t n = (size_t)items * size;
  if (items && n / items != size) return Z_NULL;
  union size_before *block = tr_alloc(mem, n + sizeof *block);
  if (!block) return Z_NULL;
  block->size = n;
  return block + 1;
}

void tr_zmem_give(voidpf mem, voidpf address) {
  union size_before *block = (union size_before *)address - 1;
  tr_free(mem, block, block->size + sizeof *block);
}

/* One round of inflate into the free end of out, at most up to `limit` + 1 bytes: the one more tells "full" from "too much". */
static int step(z_stream *z, uint32_t limit, tr_buf *out) {
  size_t room = (size_t)limit + 1 - out->len;
  size_t want = out->len > STEP ? out->len : STEP; /* doubling */
  if (want > room) want = room;
  if (!tr_buf_reserve(out, want)) return Z_MEM_ERROR;
  z->next_out = out->data + out->len;
  z->avail_out = (uInt)want;
  int result = inflate(z, Z_NO_FLUSH);
  out->len += want - z->avail_out;
  return result;
}

static int run(z_stream *z, uint32_t limit, tr_buf *out) {
  for (;;) {
    int result = step(z, limit, out);
    if (result == Z_MEM_ERROR) return TR_EMEMORY;
    if (out->len > limit) {
      out->len = limit;
      return TR_ETOO_LARGE;
    }
    if (result == Z_STREAM_END) return z->avail_in == 0 ? 0 : TR_EINVALID;
    if (result != Z_OK) return TR_EINVALID; /* Z_BUF_ERROR: the input is cut */
  }
}

tr_blob *tr_rpc_plain(tr_mem *mem, tr_blob *framed) {
  if (!framed->data[0]) return tr_blob_ref(framed);
  tr_buf plain;
  tr_buf_init(&plain, mem);
  tr_slice small = tr_slice_make(framed->data + TR_RPC_PREFIX, framed->len - TR_RPC_PREFIX);
  int err = tr_rpc_inflate(mem, TR_RPC_GZIP, small, INT32_MAX, &plain);
  tr_blob *frame = err ? NULL : tr_rpc_frame(mem, tr_buf_view(&plain));
  tr_buf_fini(&plain);
  return frame;
}

int tr_rpc_inflate(tr_mem *mem, tr_rpc_encoding encoding, tr_slice bytes, uint32_t limit, tr_buf *out) {
  union { const char *in; Bytef *out; } input = { .in = bytes.p }; /* zlib's pointer is not const, but it only reads */
  z_stream z = { .zalloc = tr_zmem_take, .zfree = tr_zmem_give, .opaque = mem, .next_in = input.out, .avail_in = (uInt)bytes.n };
  if (inflateInit2(&z, encoding == TR_RPC_GZIP ? 15 + 16 : 15) != Z_OK) return TR_EMEMORY;
  int err = run(&z, limit, out);
  inflateEnd(&z);
  return err;
}
