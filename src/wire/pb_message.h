/* SPDX-License-Identifier: MIT
 * Whole generated messages: from bytes, into frames. Inside the wire room only. */
#ifndef TR_WIRE_PB_MESSAGE_H
#define TR_WIRE_PB_MESSAGE_H

#include <pb_decode.h>
#include <pb_encode.h>

#include "agent_worker.pb.h"
#include "base/blob.h"
#include "base/error.h"

/* Decode into `message`, zeroed by the caller (repeated fields set up). err: TR_EINVALID, "malformed NAME: why". */
int tr_pb_decode(tr_slice bytes, const pb_msgdesc_t *fields, void *message, const char *name, tr_error *error);

/* A gRPC-framed message. `tag` not 0: it is member `tag` of an agents.Message. NULL: out of memory. */
tr_blob *tr_pb_frame(tr_mem *mem, uint32_t tag, const pb_msgdesc_t *fields, const void *message);

/* gRPC's prefix of an uncompressed message of n bytes. */
void tr_wire_prefix(uint8_t out[5], size_t n);

#endif
