/* SPDX-License-Identifier: MIT
 * The rules of ids: wire.md's, which are those of AutoGen's Python workers. */
#include "core/id.h"
#include "core/letters.h"
#include "check.h"

static int type(const char *text) { return tr_agent_type_check(tr_slice_of(text), NULL); }
static int topic(const char *text) { return tr_topic_type_check(tr_slice_of(text), NULL); }

CHECK_CASE(agent_types_are_letters_digits_and_three_marks) {
  static const char *const good[] = { "a", "worker1", "a-b.c_d", "9", "-", ".", "größe", "工作者", "агент", "x²", "Ⅷ", "٣", NULL };
  static const char *const bad[] = { "", " ", "a b", "a/b", "a:b", "a=b", "a\n", "a\tb", "ä\xCC", "\xFF", "a!", "€", "a\xE2\x80\x8B",
                                     "e\xCC\x81", "😀", NULL };
  for (int i = 0; good[i]; i++) CHECK_INT(type(good[i]) ? i : -1, ==, -1);
  for (int i = 0; bad[i]; i++) CHECK_INT(type(bad[i]) == TR_EINVALID ? -1 : i, ==, -1);
  CHECK_INT(tr_agent_type_check(tr_slice_make("a\0b", 3), NULL), ==, TR_EINVALID);
}

CHECK_CASE(topic_types_have_colon_and_equals_as_well) {
  CHECK_INT(topic("worker1:rpc_request=a/b"), ==, TR_EINVALID);
  CHECK_INT(topic("worker1:rpc_request=a"), ==, 0);
  CHECK_INT(topic(""), ==, TR_EINVALID);
}

CHECK_CASE(letters_are_those_of_pythons_isalnum) {
  /* From Python 3.11: [c for c in … if chr(c).isalnum()] at some borders of ranges. */
  static const int32_t yes[] = { '0', 'Z', 'z', 0xAA, 0xB2, 0xB5, 0xBC, 0x2C1, 0x370, 0x5D0, 0x660, 0x4E00, 0x9FFF, 0xAC00, 0xD7A3,
                                 0x1D7FF, 0x2F800, 0x30000, 0x3134A };
  static const int32_t no[] = { '_', '-', '@', '[', '`', '{', 0x7F, 0xA0, 0xB1, 0xD7, 0xF7, 0x2C2, 0x300, 0x200B, 0x20AC, 0xD800,
                                0xE000, 0xFFFD, 0x1F600, 0x3134B, 0x10FFFF };
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) CHECK_INT(tr_letter_or_digit(yes[i]) ? 0 : yes[i], ==, 0);
  for (size_t i = 0; i < sizeof no / sizeof *no; i++) CHECK_INT(tr_letter_or_digit(no[i]) ? no[i] : 0, ==, 0);
  long count = 0;
  for (int32_t c = 0; c <= 0x10FFFF; c++) count += tr_letter_or_digit(c);
  CHECK_INT(count, ==, 133547);
}

CHECK_CASE(the_message_names_the_first_offending_character) {
  tr_error error = { 0 };
  CHECK_INT(tr_agent_type_check(tr_slice_of("my agent!"), &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "the agent type \"my agent!\" has the character \" \": only letters, digits, _ - . are allowed");
  tr_error_init(&error);
  tr_topic_type_check(tr_slice_of("a→b"), &error);
  CHECK(strstr(error.text, "\"→\"") != NULL);
  tr_error_init(&error);
  tr_topic_type_check(tr_slice_of("a\nb"), &error);
  CHECK(strstr(error.text, "U+000A at byte 1") != NULL);
  tr_error_init(&error);
  tr_agent_type_check(tr_slice_of("a:b\xff" "c"), &error); /* what comes later is not shown, if it is no text */
  CHECK_STR(error.text, "the agent type \"a…\" has the character \":\": only letters, digits, _ - . are allowed");
  tr_error_init(&error);
  tr_key_check(tr_slice_of("ab\xFF"), &error);
  CHECK_STR(error.text, "the agent key is not UTF-8: byte 0xFF at 2");
}

CHECK_CASE(keys_are_anything_in_utf8_up_to_a_length) {
  static char text[TR_ID_MAX + 2];
  memset(text, 'k', sizeof text);
  CHECK_INT(tr_key_check(tr_slice_make(NULL, 0), NULL), ==, 0);
  CHECK_INT(tr_key_check(tr_slice_of("any thing / at all\n"), NULL), ==, 0);
  CHECK_INT(tr_key_check(tr_slice_make("a\0b", 3), NULL), ==, TR_EINVALID); /* it would be agent "a" in the end */
  CHECK_INT(tr_key_check(tr_slice_make(text, TR_ID_MAX), NULL), ==, 0);
  CHECK_INT(tr_key_check(tr_slice_make(text, TR_ID_MAX + 1), NULL), ==, TR_EINVALID);
  CHECK_INT(tr_agent_type_check(tr_slice_make(text, TR_ID_MAX), NULL), ==, 0);
  CHECK_INT(tr_agent_type_check(tr_slice_make(text, TR_ID_MAX + 1), NULL), ==, TR_EINVALID);
}

CHECK_CASE(an_id_is_split_at_its_first_slash) {
  tr_agent_id id;
  tr_topic_id at;
  CHECK_INT(tr_agent_id_parse(tr_slice_of("greeter/bob/x"), tr_slice_of("default"), &id, NULL), ==, 0);
  CHECK_SLICE(id.type, "greeter");
  CHECK_SLICE(id.key, "bob/x");
  CHECK_INT(tr_agent_id_parse(tr_slice_of("greeter"), tr_slice_of("default"), &id, NULL), ==, 0);
  CHECK_SLICE(id.key, "default");
  CHECK_INT(tr_agent_id_parse(tr_slice_of("greeter/"), tr_slice_of("default"), &id, NULL), ==, 0);
  CHECK_INT(id.key.n, ==, 0);
  CHECK_INT(tr_agent_id_parse(tr_slice_of("/key"), tr_slice_of("default"), &id, NULL), ==, TR_EINVALID);
  CHECK_INT(tr_agent_id_parse(tr_slice_make(NULL, 0), tr_slice_of("default"), &id, NULL), ==, TR_EINVALID);
  CHECK_INT(tr_topic_id_parse(tr_slice_of("a:b/source"), tr_slice_of("me"), &at, NULL), ==, 0);
  CHECK_SLICE(at.type, "a:b");
  CHECK_SLICE(at.source, "source");
  CHECK_INT(tr_topic_id_parse(tr_slice_of("chat"), tr_slice_of("me"), &at, NULL), ==, 0);
  CHECK_SLICE(at.source, "me");
}
