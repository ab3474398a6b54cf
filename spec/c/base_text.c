/* SPDX-License-Identifier: MIT
 * UTF-8, "did you mean", random numbers and UUIDs. */
#include "base/text.h"
#include "check.h"

static bool valid(const char *bytes) { return tr_utf8_valid(tr_slice_of(bytes)); }

CHECK_CASE(utf8_is_that_of_rfc_3629) {
  CHECK(valid(""));
  CHECK(valid("plain text, longer than eight bytes"));
  CHECK(valid("ä€𝄞\xF4\x8F\xBF\xBF"));
  CHECK(tr_utf8_valid(tr_slice_make("a\0b", 3)));
  static const char *const wrong[] = {
    "\x80", "\xBF", "\xC3", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x80\x80\xAF", "\xF0\x8F\xBF\xBF",
    "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF",
    "12345678\xC3", "\xE2\x82", "\xF0\x9D\x84", "\xC3(", "\xE2(\xA1", "\xF0(\x8C\xBC", NULL };
  for (int i = 0; wrong[i]; i++) CHECK_INT(valid(wrong[i]) ? i : -1, ==, -1);
}

CHECK_CASE(one_byte_above_127_is_found_wherever_it_is) {
  char text[101];
  memset(text, 127, sizeof text);
  for (size_t n = 0; n <= sizeof text; n++) {
    CHECK(tr_is_ascii(tr_slice_make(text, n)));
    for (size_t at = 0; at < n; at++) {
      text[at] = (char)0x80;
      if (tr_is_ascii(tr_slice_make(text, n))) CHECK_FAIL("not found at %zu of %zu", at, n);
      text[at] = 127;
    }
  }
}

CHECK_CASE(every_code_point_is_decoded_as_it_is_written) {
  for (int32_t c = 0; c <= 0x10FFFF; c++) {
    char bytes[4];
    size_t n, at = 0;
    if (c < 0x80) { bytes[0] = (char)c; n = 1; }
    else if (c < 0x800) { bytes[0] = (char)(0xC0 | c >> 6); n = 2; }
    else if (c < 0x10000) { bytes[0] = (char)(0xE0 | c >> 12); n = 3; }
    else { bytes[0] = (char)(0xF0 | c >> 18); n = 4; }
    for (size_t i = 1; i < n; i++) bytes[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3F));
    int32_t read = tr_utf8_next(tr_slice_make(bytes, n), &at);
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (read != (surrogate ? -1 : c) || at != (surrogate ? 0 : n)) CHECK_FAIL("U+%04X is read as %d", (unsigned)c, read);
    for (size_t cut = 0; cut < n && !surrogate; cut++)
      if (tr_utf8_cut(tr_slice_make(bytes, n), cut) != 0) CHECK_FAIL("U+%04X is cut at %zu", (unsigned)c, cut);
  }
}

CHECK_CASE(cutting_keeps_whole_characters) {
  tr_slice text = tr_slice_of("aä€𝄞z"); /* 1 + 2 + 3 + 4 + 1 */
  static const size_t at[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
  for (size_t max = 0; max < sizeof at / sizeof *at; max++) CHECK_INT(tr_utf8_cut(text, max), ==, at[max]);
}

static unsigned distance(const char *a, const char *b, unsigned max) { return tr_text_distance(tr_slice_of(a), tr_slice_of(b), max); }

CHECK_CASE(edit_distance_counts_up_to_its_bound) {
  CHECK_INT(distance("", "", 3), ==, 0);
  CHECK_INT(distance("", "abc", 3), ==, 3);
  CHECK_INT(distance("abc", "", 2), ==, 3);
  CHECK_INT(distance("kitten", "sitting", 5), ==, 3);
  CHECK_INT(distance("kitten", "sitting", 2), ==, 3);
  CHECK_INT(distance("flaw", "lawn", 3), ==, 2);
  CHECK_INT(distance("ab", "ba", 2), ==, 1);       /* a swap is one edit */
  CHECK_INT(distance("same", "same", 0), ==, 0);
  CHECK_INT(distance("same", "sane", 0), ==, 1);
  CHECK_INT(distance("aaaaaaaaaaaaaaaaaaaa", "b", 3), ==, 4);
  CHECK_INT(distance("aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb", 15), ==, 16);
  CHECK_INT(distance("aaaaaaaaaaaaaaabcdef", "aaaaaaaaaaaaaaafedcb", 15), ==, 4);
}

CHECK_CASE(the_nearest_name_is_suggested_only_when_it_is_near) {
  static const char *const names[] = { "subscriptions", "state", "timers", "type", "on", NULL };
  CHECK_STR(tr_text_nearest(tr_slice_of("subscription"), names), "subscriptions");
  CHECK_STR(tr_text_nearest(tr_slice_of("timer"), names), "timers");
  CHECK_STR(tr_text_nearest(tr_slice_of("tpye"), names), "type");
  CHECK_STR(tr_text_nearest(tr_slice_of("state"), names), "state");
  CHECK(tr_text_nearest(tr_slice_of("zebra"), names) == NULL);
  CHECK(tr_text_nearest(tr_slice_of("x"), names) == NULL);
  CHECK(tr_text_nearest(tr_slice_of(""), names) == NULL);
}

CHECK_CASE(uuids_are_of_version_4_and_differ) {
  tr_random a, b;
  char one[37], two[37], same[37];
  tr_random_init(&a, 7);
  tr_random_init(&b, 7);
  tr_uuid(&a, one);
  tr_uuid(&a, two);
  tr_uuid(&b, same);
  CHECK_STR(one, same); /* the seed decides */
  CHECK(strcmp(one, two) != 0);
  for (int i = 0; i < 36; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    CHECK(dash ? one[i] == '-' : strchr("0123456789abcdef", one[i]) != NULL);
  }
  CHECK_INT(one[14], ==, '4');
  CHECK(strchr("89ab", one[19]) != NULL);
}

CHECK_CASE(a_list_in_a_text_has_a_word_or_has_it_not) {
  static const char *const in[] = { "a", "a,b", "b,a", " a , b", "b, a ", ",a", "a,,b" };
  static const char *const out[] = { "", ",", "ab", "b", "b,ab,ba", "A", "a b" };
  for (size_t i = 0; i < sizeof in / sizeof *in; i++) CHECK(tr_text_lists(tr_slice_of(in[i]), tr_slice_of("a")));
  for (size_t i = 0; i < sizeof out / sizeof *out; i++) CHECK(!tr_text_lists(tr_slice_of(out[i]), tr_slice_of("a")));
  CHECK(!tr_text_lists((tr_slice){ NULL, 0 }, tr_slice_of("a")));
}
