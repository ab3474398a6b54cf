/* SPDX-License-Identifier: MIT
 * Messages of package `agents` as JSON value trees, the way protobuf's own JSON has them (fields by their names of
 * the .proto, bytes in base64, what is unset left out): to compare with spec/data/wire/golden. */
#ifndef WIRE_GOLDEN_H
#define WIRE_GOLDEN_H

#include "codec/value.h"

/* The tree of a message by its full name ("agents.Message"), decoded by nanopb; NULL where it is malformed. With
 * `again` the same, encoded and decoded once more. Allocates from check_mem. */
tr_value *golden_tree(const char *message, tr_slice bytes, bool again, tr_error *error);

/* Read JSON text; fails the check where it is wrong. */
tr_value *golden_json(tr_slice text);
/* As JSON text (from check_mem), with the members of maps in the order of their keys, so that equal trees have equal
 * texts. */
void golden_text(const tr_value *value, tr_buf *out);

#endif
