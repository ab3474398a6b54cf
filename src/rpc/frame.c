/* SPDX-License-Identifier: MIT
 * The prefix of a gRPC message: one byte "compressed?", four bytes of length, big-endian. Messages are queued with
 * it, so that one blob serves however many receivers. */
#include "rpc/internal.h"

tr_blob *tr_rpc_frame(tr_mem *mem, tr_slice bytes) {
  if (bytes.n > UINT32_MAX - TR_RPC_PREFIX) return NULL;
  tr_blob *blob = tr_blob_new(mem, bytes.n + TR_RPC_PREFIX);
  if (!blob) return NULL;
  blob->data[0] = 0;
  for (int i = 0; i < 4; i++) blob->data[1 + i] = (uint8_t)(bytes.n >> (24 - 8 * i));
  if (bytes.n) memcpy(blob->data + TR_RPC_PREFIX, bytes.p, bytes.n);
  return blob;
}
