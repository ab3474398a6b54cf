/* SPDX-License-Identifier: MIT
 * Slices as the C type of all `string` and `bytes` fields of the generated messages.
 *
 * Debian builds nanopb with 16-bit sizes, so pb_bytes_array_t ends at 65 535 bytes, and its char * strings would lose
 * NUL bytes, which AutoGen's keys may hold. Here a field is a pointer and a length into the very buffer being decoded:
 * no limit, no copy, nothing to free. nanopb hands us a sub-stream that holds just the field; it is a copy of the
 * outer stream with another length, so the state of a stream made by tr_pb_input *is* the read position.
 *
 * Only for a field whose wire type is not "length-delimited" nanopb makes a stream of its own, over a buffer on its
 * stack, which must not be borrowed. It is told apart by its callback; such a field is ignored, as an unknown one
 * would be (so do Google's decoders).
 *
 * Read next: proto/agent_worker.options, which maps the fields to this; pb_message.c. */
#include "wire/pb_slice.h"

#include <pb_decode.h>
#include <pb_encode.h>

#include "base/text.h"

static bool read_bytes(pb_istream_t *stream, pb_byte_t *to, size_t count) {
  if (to) memcpy(to, stream->state, count);
  stream->state = (pb_byte_t *)stream->state + count;
  return true;
}

pb_istream_t tr_pb_input(tr_slice bytes) {
  return (pb_istream_t){ .callback = read_bytes, .state = (void *)(uintptr_t)bytes.p, .bytes_left = bytes.n };
}

/* (pb_read into NULL would copy it, 16 bytes at a time.) */
tr_slice tr_pb_take(pb_istream_t *input) {
  tr_slice all = tr_slice_make(input->state, input->bytes_left);
  input->state = (pb_byte_t *)input->state + input->bytes_left;
  input->bytes_left = 0;
  return all;
}

static bool read_slice(pb_istream_t *input, const pb_field_t *field) {
  tr_slice value = tr_pb_take(input);
  if (input->callback != read_bytes) return true;
  if (PB_LTYPE(field->type) == PB_LTYPE_STRING && !tr_utf8_valid(value)) PB_RETURN_ERROR(input, "invalid utf8");
  /* For a member of a oneof nanopb leaves it to the callback to say which one is there. */
  if (PB_HTYPE(field->type) == PB_HTYPE_ONEOF) *(pb_size_t *)field->pSize = field->tag;
  *(tr_slice *)field->pData = value;
  return true;
}

static bool write_slice(pb_ostream_t *output, const pb_field_t *field) {
  const tr_slice *value = field->pData;
  bool there = PB_HTYPE(field->type) == PB_HTYPE_OPTIONAL ? value->p != NULL : value->n > 0;
  if (!there && PB_HTYPE(field->type) != PB_HTYPE_ONEOF) return true;
  if (!pb_encode_tag(output, PB_WT_STRING, field->tag)) return false;
  return pb_encode_string(output, (const pb_byte_t *)value->p, value->n);
}

static bool read_each(pb_istream_t *input, const pb_field_t *field) {
  const tr_pb_each *each = field->pData;
  if (each->read && input->callback == read_bytes) return each->read(each->ud, input);
  tr_pb_take(input);
  return true;
}

static bool write_each(pb_ostream_t *output, const pb_field_t *field) {
  const tr_pb_each *each = field->pData;
  return !each->write || each->write(each->ud, output, field);
}

bool tr_pb_slice(pb_istream_t *input, pb_ostream_t *output, const pb_field_t *field) {
  bool repeated = PB_HTYPE(field->type) == PB_HTYPE_REPEATED;
  if (input) return repeated ? read_each(input, field) : read_slice(input, field);
  return repeated ? write_each(output, field) : write_slice(output, field);
}

void *tr_pb_realloc(void *pointer, size_t size) { return (void)pointer, (void)size, NULL; }
void tr_pb_free(void *pointer) { (void)pointer; }
