/* SPDX-License-Identifier: MIT
 * What stands in gRPC's header values: percent coding, the status, the timeout. */
#include "rpc/internal.h"
#include "rpc_peers.h"

#define CHECK_CODED(text, wanted)                                                                       \
  do {                                                                                                  \
    char coded[256], back[256];                                                                         \
    size_t n = tr_rpc_percent_encode(TR_SLICE_LITERAL(text), coded, sizeof coded);                      \
    CHECK_MEM(coded, n, wanted, sizeof(wanted) - 1);                                                    \
    size_t m = tr_rpc_percent_decode(tr_slice_make(coded, n), back);                                    \
    CHECK_MEM(back, m, text, sizeof(text) - 1);                                                         \
  } while (0)

CHECK_CASE(rpc_percent_coding) {
  CHECK_CODED("", "");
  CHECK_CODED("plain ~!", "plain ~!");
  CHECK_CODED("é 100%~\n\"x\"", "%C3%A9 100%25~%0A\"x\"");
  CHECK_CODED("\xff\x80", "%FF%80");
  CHECK_CODED("\x7f", "%7F");
  CHECK_CODED("a\0b", "a%00b");
}

CHECK_CASE(rpc_percent_decoding_leaves_what_is_not_coded) {
  static const struct { const char *coded, *text; } rows[] = {
    { "%", "%" }, { "%4", "%4" }, { "%zz", "%zz" }, { "%4z", "%4z" }, { "%%41", "%A" }, { "%c3%A9", "é" }, { "50%", "50%" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[32];
    size_t n = tr_rpc_percent_decode(tr_slice_of(rows[i].coded), text);
    CHECK_MEM(text, n, rows[i].text, strlen(rows[i].text));
  }
}

CHECK_CASE(rpc_percent_coding_cuts_no_character) {
  char out[16];
  for (size_t cap = 0; cap <= 12; cap++) {
    size_t n = tr_rpc_percent_encode(TR_SLICE_LITERAL("a€b"), out, cap);
    CHECK_INT(n, ==, cap < 1 ? 0 : cap < 10 ? 1 : cap < 11 ? 10 : 11);
  }
}

CHECK_CASE(rpc_timeouts) {
  static const struct { const char *text; long long us; } rows[] = {
    { "1H", 3600000000 }, { "2M", 120000000 }, { "3S", 3000000 }, { "2510m", 2510000 }, { "299967u", 299967 }, { "1n", 1 },
    { "1000n", 1 }, { "1001n", 2 }, { "0S", 0 }, { "99999999H", 99999999 * 3600000000LL },
    { "", -1 }, { "5", -1 }, { "S", -1 }, { "5s", -1 }, { "-5S", -1 }, { "+5S", -1 }, { " 5S", -1 }, { "5 S", -1 },
    { "123456789S", -1 }, { "5SS", -1 }, { "0x5S", -1 },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK_INT(tr_rpc_timeout_parse(tr_slice_of(rows[i].text)), ==, rows[i].us);
}

CHECK_CASE(rpc_timeouts_are_written_so_that_none_passes_early) {
  static const long long rows[] = { 0, 1, 999, 1000, 99999999, 100000000, 100000001, 123456789012, 3600000000001,
                                    99999999LL * 1000000 + 1, INT64_MAX };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[16];
    size_t n = tr_rpc_timeout_format(rows[i], text);
    CHECK_INT(n, <=, 9);
    long long back = tr_rpc_timeout_parse(tr_slice_make(text, n));
    if (rows[i] == INT64_MAX) CHECK_INT(back, ==, 99999999LL * 3600000000LL);
    else CHECK_INT(back, >=, rows[i]);
    if (rows[i] <= 99999999) CHECK_INT(back, ==, rows[i]);
  }
  char text[16];
  CHECK_MEM(text, tr_rpc_timeout_format(2500000, text), "2500000u", 8);
}

CHECK_CASE(rpc_status_numbers) {
  CHECK_INT(tr_rpc_status_parse(tr_slice_of(NULL)), ==, -1);
  CHECK_INT(tr_rpc_status_parse(tr_slice_of("0")), ==, 0);
  CHECK_INT(tr_rpc_status_parse(tr_slice_of("16")), ==, 16);
  CHECK_INT(tr_rpc_status_parse(tr_slice_of("17")), ==, TR_GRPC_UNKNOWN);
  CHECK_INT(tr_rpc_status_parse(tr_slice_of("")), ==, TR_GRPC_UNKNOWN);
  CHECK_INT(tr_rpc_status_parse(tr_slice_of("-1")), ==, TR_GRPC_UNKNOWN);
  CHECK_INT(tr_rpc_status_parse(tr_slice_of("99999999999999999999")), ==, TR_GRPC_UNKNOWN);
  static const struct { const char *http; int status; } http[] = {
    { "400", 13 }, { "401", 16 }, { "403", 7 }, { "404", 12 }, { "429", 14 }, { "502", 14 }, { "503", 14 }, { "504", 14 },
    { "500", 2 }, { "200", 2 }, { "", 2 }, { "x", 2 },
  };
  for (size_t i = 0; i < sizeof http / sizeof *http; i++)
    CHECK_INT(tr_rpc_status_of_http(tr_slice_of(http[i].http)), ==, http[i].status);
  static const int reset[] = { 13, 13, 13, 13, 13, 2, 13, 14, 1, 13, 13, 8, 7, 13 }; /* by HTTP/2 error */
  for (uint32_t i = 0; i < sizeof reset / sizeof *reset; i++) CHECK_INT(tr_rpc_status_of_reset(i), ==, reset[i]);
}

CHECK_CASE(rpc_headers_are_found_the_last_of_a_name) {
  tr_rpc_headers headers = { 0 };
  CHECK(!tr_rpc_headers_get(&headers, "a").p);
  CHECK(tr_rpc_headers_add(&headers, check_mem(), tr_slice_of("client-id"), tr_slice_of("first")));
  CHECK(tr_rpc_headers_add(&headers, check_mem(), tr_slice_of("empty"), tr_slice_of("")));
  CHECK(tr_rpc_headers_add(&headers, check_mem(), tr_slice_of("client-id"), tr_slice_of("last")));
  tr_rpc_headers_trim(&headers, check_mem());
  CHECK_INT(headers.cap, ==, headers.len);
  CHECK_SLICE(tr_rpc_headers_get(&headers, "client-id"), "last");
  CHECK(tr_rpc_headers_get(&headers, "empty").p != NULL);
  CHECK(!tr_rpc_headers_get(&headers, "client").p);
  tr_rpc_headers_free(&headers, check_mem());
}
