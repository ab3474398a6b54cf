/* SPDX-License-Identifier: MIT
 * Error codes, their names and gRPC statuses, and the texts kept in a tr_error. */
#include "base/error.h"
#include "base/text.h"
#include "check.h"

CHECK_CASE(every_error_has_a_name_that_leads_back_to_it) {
#define ROW(NAME, name, number, grpc, text)                                                        \
  CHECK_INT(TR_E##NAME, ==, -(number));                                                            \
  CHECK_STR(tr_error_name(TR_E##NAME), #name);                                                     \
  CHECK_INT(tr_error_from_name(tr_slice_of(#name)), ==, TR_E##NAME);                               \
  CHECK_INT(tr_error_grpc(TR_E##NAME), ==, grpc);                                                  \
  CHECK(tr_error_default_text(TR_E##NAME)[0] != 0);                                                \
  CHECK_INT(tr_error_grpc(tr_error_from_grpc(grpc)), ==, grpc);
  TR_ERROR_MAP(ROW)
}

CHECK_CASE(codes_outside_the_table_are_internal_errors) {
  CHECK_STR(tr_error_name(-999), "internal");
  CHECK_STR(tr_error_name(0), "ok");
  CHECK_STR(tr_error_default_text(-999), tr_error_default_text(TR_EINTERNAL));
  CHECK_STR(tr_error_default_text(0), "ok");
  CHECK_INT(tr_error_grpc(-999), ==, TR_GRPC_INTERNAL);
  CHECK_INT(tr_error_grpc(0), ==, TR_GRPC_OK);
  CHECK_INT(tr_error_from_name(tr_slice_of("nonsense")), ==, 0);
  CHECK_INT(tr_error_from_name(tr_slice_of("ok")), ==, 0);
  CHECK_INT(tr_error_from_grpc(0), ==, TR_OK);
  CHECK_INT(tr_error_from_grpc(99), ==, TR_EHANDLER);
}

CHECK_CASE(a_shared_grpc_status_means_the_likelier_code) {
  CHECK_INT(tr_error_from_grpc(TR_GRPC_RESOURCE_EXHAUSTED), ==, TR_EOVERLOADED);
  CHECK_INT(tr_error_from_grpc(TR_GRPC_INTERNAL), ==, TR_EINTERNAL);
  CHECK_INT(tr_error_from_grpc(TR_GRPC_UNAVAILABLE), ==, TR_EUNAVAILABLE);
}

CHECK_CASE(the_first_error_text_wins) {
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_error_set(&error, TR_EINVALID, "first %d", 1), ==, TR_EINVALID);
  CHECK_INT(tr_error_set(&error, TR_EIO, "second"), ==, TR_EIO);
  CHECK_INT(error.code, ==, TR_EINVALID);
  CHECK_STR(error.text, "first 1");
  CHECK_INT(tr_error_set(NULL, TR_EIO, "nobody listens"), ==, TR_EIO);
}

CHECK_CASE(a_long_error_text_is_cut_between_characters) {
  char text[2 * TR_ERROR_TEXT];
  for (size_t shift = 0; shift < 3; shift++) {
    tr_error error;
    size_t n = 0;
    while (n < shift) text[n++] = 'a';
    while (n + 4 < sizeof text) n += (size_t)(memcpy(text + n, "€", 3), 3);
    text[n] = 0;
    tr_error_init(&error);
    tr_error_set(&error, TR_EINVALID, "%s", text);
    CHECK(tr_utf8_valid(tr_slice_of(error.text)));
    CHECK_INT(strlen(error.text), >, TR_ERROR_TEXT - 5);
    tr_error_parse(&error, tr_slice_of(text));
    CHECK(tr_utf8_valid(tr_slice_of(error.text)));
    CHECK_INT(strlen(error.text), >, TR_ERROR_TEXT - 5);
  }
}

CHECK_CASE(a_peers_error_text_is_split_where_it_names_a_code) {
  tr_error error;
  tr_error_parse(&error, tr_slice_of("not_found: no agent: here"));
  CHECK_INT(error.code, ==, TR_ENOT_FOUND);
  CHECK_STR(error.text, "no agent: here");
  tr_error_parse(&error, tr_slice_of("ValueError: bad thing"));
  CHECK_INT(error.code, ==, TR_EHANDLER);
  CHECK_STR(error.text, "ValueError: bad thing");
  tr_error_parse(&error, tr_slice_of("timeout:"));
  CHECK_INT(error.code, ==, TR_EHANDLER);
  CHECK_STR(error.text, "timeout:");
  tr_error_parse(&error, tr_slice_of("timeout: "));
  CHECK_INT(error.code, ==, TR_ETIMEOUT);
  CHECK_STR(error.text, tr_error_default_text(TR_ETIMEOUT));
  tr_error_parse(&error, tr_slice_of(""));
  CHECK_INT(error.code, ==, TR_EHANDLER);
  CHECK(error.text[0] != 0);
}
