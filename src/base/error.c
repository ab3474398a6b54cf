/* SPDX-License-Identifier: MIT
 * The error table's look-ups, and texts kept in a tr_error. Everything is generated from TR_ERROR_MAP, so a new code
 * needs no change here, except where two rows share a gRPC status: then tr_error_from_grpc says which one a peer's
 * status means. */
#include "base/error.h"

#include <stdio.h>

#include "base/text.h"

const char *tr_error_name(int code) {
  switch (code) {
  case TR_OK: return "ok";
#define TR_ERROR_CASE(NAME, name, number, grpc, text) case TR_E##NAME: return #name;
    TR_ERROR_MAP(TR_ERROR_CASE)
#undef TR_ERROR_CASE
  }
  return "internal";
}

const char *tr_error_default_text(int code) {
  switch (code) {
  case TR_OK: return "ok";
#define TR_ERROR_CASE(NAME, name, number, grpc, text) case TR_E##NAME: return text;
    TR_ERROR_MAP(TR_ERROR_CASE)
#undef TR_ERROR_CASE
  }
  return tr_error_default_text(TR_EINTERNAL);
}

int tr_error_from_name(tr_slice name) {
#define TR_ERROR_TEST(NAME, row_name, number, grpc, text) if (tr_slice_is(name, #row_name)) return TR_E##NAME;
  TR_ERROR_MAP(TR_ERROR_TEST)
#undef TR_ERROR_TEST
  return 0;
}

int tr_error_grpc(int code) {
  switch (code) {
  case TR_OK: return TR_GRPC_OK;
#define TR_ERROR_CASE(NAME, name, number, grpc, text) case TR_E##NAME: return grpc;
    TR_ERROR_MAP(TR_ERROR_CASE)
#undef TR_ERROR_CASE
  }
  return TR_GRPC_INTERNAL;
}

int tr_error_from_grpc(int status) {
  switch (status) {
  case TR_GRPC_OK: return TR_OK;
  /* statuses that several rows share: the one a peer is likelier to mean */
  case TR_GRPC_RESOURCE_EXHAUSTED: return TR_EOVERLOADED;
  case TR_GRPC_INTERNAL: return TR_EINTERNAL;
  case TR_GRPC_UNAVAILABLE: return TR_EUNAVAILABLE;
  default: break;
  }
#define TR_ERROR_TEST(NAME, name, number, grpc, text) if (status == (grpc)) return TR_E##NAME;
  TR_ERROR_MAP(TR_ERROR_TEST)
#undef TR_ERROR_TEST
  return TR_EHANDLER; /* UNKNOWN's row, for a status that gRPC has not defined */
}

void tr_error_init(tr_error *error) {
  error->code = TR_OK;
  error->text[0] = 0;
}

int tr_error_setv(tr_error *error, int code, const char *format, va_list args) {
  if (!error || error->code != TR_OK || code == TR_OK) return code;
  int n = vsnprintf(error->text, sizeof error->text, format, args);
  if (n < 0) error->text[0] = 0;
  size_t length = strlen(error->text);
  if (n >= (int)sizeof error->text) error->text[tr_utf8_cut(tr_slice_make(error->text, length), length)] = 0;
  error->code = code;
  return code;
}

int tr_error_set(tr_error *error, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  tr_error_setv(error, code, format, args);
  va_end(args);
  return code;
}

void tr_error_parse(tr_error *error, tr_slice text) {
  int code = TR_EHANDLER;
  for (size_t i = 0; i + 1 < text.n; i++) {
    if (text.p[i] != ':' || text.p[i + 1] != ' ') continue;
    int named = tr_error_from_name(tr_slice_make(text.p, i));
    if (named) {
      code = named;
      text = tr_slice_make(text.p + i + 2, text.n - i - 2);
    }
    break;
  }
  if (text.n == 0) text = tr_slice_of(tr_error_default_text(code));
  size_t length = text.n < TR_ERROR_TEXT ? text.n : tr_utf8_cut(text, TR_ERROR_TEXT - 1);
  memcpy(error->text, text.p, length);
  error->text[length] = 0;
  error->code = code;
}
