/* SPDX-License-Identifier: MIT
 * Slices as the C type of all `string` and `bytes` fields of the generated messages.
 *
 * Debian builds nanopb with 16-bit sizes, so pb_bytes_array_t ends at 65 535 bytes, and its char * strings would lose
 * NUL bytes, which AutoGen's keys may hold. Here a field is a pointer and a length into the very buffer being decoded:
 * no limit, no copy, nothing to free. nanopb hands us a sub-stream that holds just the field, and the state of a
 * stream made by pb_istream_from_buffer *is* the read position.
 *
 * Read next: proto/agent_worker.options, which maps the fields to this. */
#include "wire/pb_slice.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>

#include "base/text.h"

static bool read_slice(pb_istream_t *input, const pb_field_t *field) {
  tr_slice value = tr_slice_make(input->state, input->bytes_left);
  if (PB_LTYPE(field->type) == PB_LTYPE_STRING && !tr_utf8_valid(value)) PB_RETURN_ERROR(input, "invalid utf8");
  if (!pb_read(input, NULL, value.n)) return false;
  /* For a member of a oneof nanopb leaves it to the callback to say which one is there. */
  if (PB_HTYPE(field->type) == PB_HTYPE_ONEOF) *(pb_size_t *)field->pSize = field->tag;
  *(tr_slice *)field->pData = value;
  return true;
}

static bool write_slice(pb_ostream_t *output, const pb_field_t *field) {
  const tr_slice *value = field->pData;
  bool chosen = PB_HTYPE(field->type) == PB_HTYPE_ONEOF;
  if (!value->p && !chosen) return true;
  return pb_encode_tag_for_field(output, field) && pb_encode_string(output, (const pb_byte_t *)value->p, value->n);
}

bool tr_pb_slice(pb_istream_t *input, pb_ostream_t *output, const pb_field_t *field) {
  return input ? read_slice(input, field) : write_slice(output, field);
}

void *tr_pb_realloc(void *pointer, size_t size) { return realloc(pointer, size); }

void tr_pb_free(void *pointer) { free(pointer); }
