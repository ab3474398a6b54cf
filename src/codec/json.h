/* SPDX-License-Identifier: MIT
 * JSON (RFC 8259) as source and sink. Parsing is yajl's (streaming, so it needs no tree); writing is ours, since
 * yajl_gen stops at depth 127 and writes doubles with 20 digits. */
#ifndef TR_CODEC_JSON_H
#define TR_CODEC_JSON_H

#include "base/buf.h"
#include "codec/sink.h"

/* Parse exactly one value (white space around it allowed) into the sink. Whole numbers within int64 are integers,
 * beyond it TR_EINVALID; others are numbers. A repeated key: the last wins is the sink's matter (each is reported).
 * err: TR_EINVALID with line, column and reason (also: a lone surrogate escape, depth, trailing bytes), TR_EMEMORY,
 * or what the sink returned. Allocates from mem only. */
int tr_json_parse(tr_mem *mem, tr_slice text, const tr_sink *sink, tr_error *error);

/* A writer appending to `out`. Compact (no spaces), UTF-8 unescaped, shortest digits that read back equal; whole
 * doubles get ".0" so that they stay numbers. NaN and infinities: TR_EINVALID. The caller looks at out->failed at the
 * end. */
typedef struct tr_json_writer {
  tr_buf *out;
  tr_error *error;
  unsigned depth;
  bool comma, after_key;
  uint8_t kinds[TR_DEPTH_MAX + 1];
} tr_json_writer;
void tr_json_writer_init(tr_json_writer *writer, tr_buf *out, tr_error *error);
tr_sink tr_json_sink(tr_json_writer *writer);

#endif
