/* SPDX-License-Identifier: MIT
 * Whole generated messages. An agents.Message is a oneof around one of three; its tag and length are written and read
 * by hand around the inner one, because nanopb clears callbacks inside a oneof, and because it would measure the
 * inner message once more for each level of nesting. */
#include "wire/pb_message.h"

#include "wire/wire.h"

int tr_pb_decode(tr_slice bytes, const pb_msgdesc_t *fields, void *message, const char *name, tr_error *error) {
  pb_istream_t input = tr_pb_input(bytes);
  if (pb_decode(&input, fields, message)) return 0;
  return tr_error_set(error, TR_EINVALID, "malformed %s: %s", name, PB_GET_ERROR(&input));
}

void tr_wire_prefix(uint8_t out[5], size_t n) {
  out[0] = 0;
  out[1] = (uint8_t)(n >> 24);
  out[2] = (uint8_t)(n >> 16);
  out[3] = (uint8_t)(n >> 8);
  out[4] = (uint8_t)n;
}

tr_blob *tr_pb_frame(tr_mem *mem, uint32_t tag, const pb_msgdesc_t *fields, const void *message) {
  size_t size;
  pb_byte_t head[16];
  pb_ostream_t output = pb_ostream_from_buffer(head, sizeof head);
  if (!pb_get_encoded_size(&size, fields, message)) return NULL;
  if (tag && !(pb_encode_tag(&output, PB_WT_STRING, tag) && pb_encode_varint(&output, size))) return NULL;
  size_t n = output.bytes_written + size;
  tr_blob *blob = tr_blob_new(mem, TR_WIRE_PREFIX + n);
  if (!blob) return NULL;
  tr_wire_prefix(blob->data, n);
  memcpy(blob->data + TR_WIRE_PREFIX, head, output.bytes_written);
  output = pb_ostream_from_buffer(blob->data + TR_WIRE_PREFIX + output.bytes_written, size);
  if (pb_encode(&output, fields, message) && output.bytes_written == size) return blob;
  tr_blob_unref(blob);
  return NULL;
}
