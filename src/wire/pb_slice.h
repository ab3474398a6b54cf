/* SPDX-License-Identifier: MIT
 * What the generated nanopb code needs from us: slices as the C type of `string` and `bytes`, a function for each
 * element of a repeated message. The generated `..._init_default` and `..._init_zero` do not fit: initialise messages
 * with `= { 0 }`. */
#ifndef TR_WIRE_PB_SLICE_H
#define TR_WIRE_PB_SLICE_H

#include <pb.h>

#include "base/slice.h"

/* A repeated message field. Set the functions before decoding or encoding; either may be NULL (elements are skipped;
 * none are written). A message inside a oneof cannot have such a field: nanopb clears it when it comes to the oneof. */
typedef struct tr_pb_each {
  bool (*read)(void *ud, pb_istream_t *element); /* decode it with pb_decode */
  /* Write all elements, each with its tag. Called twice: to measure, and to write. */
  bool (*write)(void *ud, pb_ostream_t *output, const pb_field_t *field);
  void *ud;
} tr_pb_each;

/* A stream that tr_pb_slice can decode from. */
pb_istream_t tr_pb_input(tr_slice bytes);
/* What is left in such a stream; it counts as read. */
tr_slice tr_pb_take(pb_istream_t *input);

/* Reads or writes one field; nanopb calls it for each of them (proto/ *.options name it).
 * Strings that are not UTF-8 fail the decoding with "invalid utf8". A plain field is written when it is not empty, an
 * `optional` one when p is not NULL, the chosen member of a oneof always.
 * own: a decoded slice borrows the buffer that was decoded. */
bool tr_pb_slice(pb_istream_t *input, pb_ostream_t *output, const pb_field_t *field);

/* What nanopb's object is linked to instead of realloc and free: nothing is allocated, no field is a pointer. */
void *tr_pb_realloc(void *pointer, size_t size);
void tr_pb_free(void *pointer);

#endif
