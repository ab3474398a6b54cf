/* SPDX-License-Identifier: MIT
 * Error codes and error texts, for every room.
 *
 * One table gives each failure its number, its name (what a script, a peer and a user see), and the gRPC
 * status it becomes on the wire. C functions return 0 or a negative TR_E…; the detail text is kept beside it in a
 * tr_error that the caller owns, and the first text wins, since the first failure is the cause.
 * To add a code: one row here, the same row in include/troupe.h (src/runtime checks that they agree). */
#ifndef TR_BASE_ERROR_H
#define TR_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/hint.h"
#include "base/slice.h"

/* X(NAME, name, number, gRPC status, default text) */
#define TR_ERROR_MAP(X)                                                                           \
  X(CANT_HANDLE, cant_handle, 1, 12, "the agent has no handler for this message type")            \
  X(HANDLER, handler_error, 2, 2, "the handler raised an error")                                  \
  X(TIMEOUT, timeout, 3, 4, "no answer within the deadline")                                      \
  X(OVERLOADED, overloaded, 4, 8, "the receiver's queue is full")                                 \
  X(INVALID, invalid, 5, 3, "invalid argument")                                                   \
  X(DEADLOCK, deadlock, 6, 9, "the call closes a circle of waiting agents")                       \
  X(CONSTRUCTION, construction_failed, 7, 13, "the agent could not be made")                      \
  X(LIMIT, limit_exceeded, 8, 10, "a limit of the agent was exceeded")                            \
  X(TOO_LARGE, too_large, 9, 11, "the message is too large")                                      \
  X(MEMORY, out_of_memory, 10, 8, "out of memory")                                                \
  X(DATA_LOSS, data_loss, 11, 15, "stored data is damaged")                                       \
  X(NOT_FOUND, not_found, 12, 5, "not found")                                                     \
  X(CANCELLED, cancelled, 13, 1, "cancelled")                                                     \
  X(UNAVAILABLE, unavailable, 14, 14, "unavailable")                                              \
  X(UNAUTHENTICATED, unauthenticated, 15, 16, "not authenticated")                                \
  X(PERMISSION, permission_denied, 16, 7, "not permitted")                                        \
  X(EXISTS, already_exists, 17, 6, "already exists")                                              \
  X(IO, io_error, 18, 14, "input or output failed")                                               \
  X(INTERNAL, internal, 19, 13, "internal error")

enum {
  TR_OK = 0,
#define TR_ERROR_ENUM(NAME, name, number, grpc, text) TR_E##NAME = -(number),
  TR_ERROR_MAP(TR_ERROR_ENUM)
#undef TR_ERROR_ENUM
};

/* gRPC status codes that the rooms name (wire.md: "GRPC Core status codes"). */
enum {
  TR_GRPC_OK = 0, TR_GRPC_CANCELLED = 1, TR_GRPC_UNKNOWN = 2, TR_GRPC_INVALID_ARGUMENT = 3,
  TR_GRPC_DEADLINE_EXCEEDED = 4, TR_GRPC_NOT_FOUND = 5, TR_GRPC_ALREADY_EXISTS = 6,
  TR_GRPC_PERMISSION_DENIED = 7, TR_GRPC_RESOURCE_EXHAUSTED = 8, TR_GRPC_FAILED_PRECONDITION = 9,
  TR_GRPC_ABORTED = 10, TR_GRPC_OUT_OF_RANGE = 11, TR_GRPC_UNIMPLEMENTED = 12, TR_GRPC_INTERNAL = 13,
  TR_GRPC_UNAVAILABLE = 14, TR_GRPC_DATA_LOSS = 15, TR_GRPC_UNAUTHENTICATED = 16
};

#define TR_ERROR_TEXT 512

typedef struct tr_error {
  int code;                  /* 0 or TR_E… */
  char text[TR_ERROR_TEXT];  /* NUL-terminated UTF-8, cut at a character's border; no code in front */
} tr_error;

/* "not_found" for TR_ENOT_FOUND; "ok" for 0; "internal" for a number not in the table. */
const char *tr_error_name(int code);
/* The row's default text. */
const char *tr_error_default_text(int code);
/* The code with this name, or 0 where no row has it. */
int tr_error_from_name(tr_slice name);
/* gRPC status of a code, and the nearest code of a gRPC status (OK → 0). */
int tr_error_grpc(int code);
int tr_error_from_grpc(int status);

/* Clear. */
void tr_error_init(tr_error *error);
/* Set code and text unless one is set already; `error` may be NULL. Returns `code`, so that
 * `return tr_error_set(error, TR_EINVALID, "…", …);` is the idiom. */
int tr_error_set(tr_error *error, int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    TR_COLD;
int tr_error_setv(tr_error *error, int code, const char *format, va_list args) TR_COLD;
/* Split "code: message" as peers send it. Where the part before ": " names no row, code is TR_EHANDLER and
 * the whole text is the message. */
void tr_error_parse(tr_error *error, tr_slice text);

#endif
