/* SPDX-License-Identifier: MIT
 * What the generated nanopb code needs from us: slices as the C type of `string` and `bytes`, and its allocator.
 * The generated `..._init_default` and `..._init_zero` do not fit slices: initialise messages with `= { 0 }`. */
#ifndef TR_WIRE_PB_SLICE_H
#define TR_WIRE_PB_SLICE_H

#include <pb.h>

#include "base/slice.h"

/* Reads or writes one string or bytes field; nanopb calls it for each of them (proto/ *.options name it).
 * Decodes only from pb_istream_from_buffer; a string that is not UTF-8 fails the decoding with "invalid utf8".
 * p NULL: the field is absent, not written. Any other is written, also when n is 0.
 * own: a decoded slice borrows the buffer that was decoded. */
bool tr_pb_slice(pb_istream_t *input, pb_ostream_t *output, const pb_field_t *field);

/* What nanopb calls instead of realloc and free (the build renames them in its object): repeated fields and maps. */
void *tr_pb_realloc(void *pointer, size_t size);
void tr_pb_free(void *pointer);

#endif
