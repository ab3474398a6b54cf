/* SPDX-License-Identifier: MIT
 * The payload value model as a stream of events: a *source* (JSON text, a value tree, a Lua value, later protobuf and
 * the native format) calls a *sink* (a JSON writer, a tree builder, the Lua stack). Any source joins any sink, so n
 * formats need n sources and n sinks, no n² converters, and nothing is built in between.
 *
 * Model: null, boolean, integer (int64), number (finite double), string (UTF-8), bytes, array, map with string keys
 * in order. Integers and numbers stay what they are; an empty array is not an empty map. Depth is at most
 * TR_DEPTH_MAX. */
#ifndef TR_CODEC_SINK_H
#define TR_CODEC_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define TR_DEPTH_MAX 128 /* arrays and maps inside each other: 128 is accepted, 129 is TR_EINVALID */
#define TR_SIZE_UNKNOWN SIZE_MAX

/* Each returns 0 or a negative code, which the source hands up at once (the text is in the error the sink was made
 * with). */
typedef struct tr_sink {
  int (*null)(void *ud);
  int (*boolean)(void *ud, bool value);
  int (*integer)(void *ud, int64_t value);
  int (*number)(void *ud, double value);
  int (*string)(void *ud, tr_slice utf8);
  int (*bytes)(void *ud, tr_slice bytes);      /* JSON has none: base64 text (RFC 4648) */
  int (*begin_array)(void *ud, size_t count);  /* count may be TR_SIZE_UNKNOWN */
  int (*end_array)(void *ud);
  int (*begin_map)(void *ud, size_t count);
  int (*key)(void *ud, tr_slice utf8);
  int (*end_map)(void *ud);
  void *ud;
} tr_sink;

#endif
