/* SPDX-License-Identifier: MIT
 * Files of tokens: what is one, whose it is, and what is said of a line that is none (never what stands there). */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/tokens.h"

static int parse(const char *text, tr_tokens **tokens, tr_error *error) {
  tr_error_init(error);
  return tr_tokens_parse(check_mem(), tr_slice_of(text), "tokens", tokens, error);
}

CHECK_CASE(a_token_is_somebodys_or_nobodys) {
  tr_tokens *tokens;
  tr_error error;
  CHECK_INT(parse("# who\n\nci   0123456789abcdef\r\n\tanna@x.example ABCDEFGHIJKLMNOP+/=", &tokens, &error), ==, 0);
  CHECK_STR(tr_tokens_find(tokens, TR_SLICE_LITERAL("0123456789abcdef")), "ci");
  CHECK_STR(tr_tokens_find(tokens, TR_SLICE_LITERAL("ABCDEFGHIJKLMNOP+/=")), "anna@x.example");
  static const char *const others[] = { "", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "ci" };
  for (size_t i = 0; i < 5; i++) CHECK_STR(tr_tokens_find(tokens, tr_slice_of(others[i])), NULL);
  tr_tokens_free(tokens);
}

CHECK_CASE(a_token_may_be_given_by_its_hash) {
  tr_tokens *tokens;
  tr_error error;
  /* sha256 of "abc": FIPS 180-2 */
  CHECK_INT(parse("x sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015AD", &tokens, &error), ==, 0);
  CHECK_STR(tr_tokens_find(tokens, TR_SLICE_LITERAL("abc")), "x");
  CHECK_STR(tr_tokens_find(tokens, TR_SLICE_LITERAL("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015AD")), NULL);
  tr_tokens_free(tokens);
}

CHECK_CASE(a_line_that_is_no_token_is_named_and_not_shown) {
  static const char *const bad[][2] = {
    { "ci secret", "tokens:1: a token has 16 to 4096 characters, this one 6" }, { "\nci", "tokens:2: a line is NAME TOKEN" },
    { "c:i secretsecretsecret", "tokens:1: a name is" }, { "ci secretsecretsecret x", "tokens:1: a line is" },
    { "ci sha256:secret", "tokens:1: sha256: wants 64" }, { "ci secretsecretsecr\303\244", "tokens:1: a token is printable" },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_tokens *tokens;
    tr_error error;
    CHECK_INT(parse(bad[i][0], &tokens, &error), ==, TR_EINVALID);
    if (!strstr(error.text, bad[i][1])) CHECK_FAIL("%zu: %s", i, error.text);
    CHECK(!strstr(error.text, "secret"));
  }
  char *many = malloc(TR_TOKENS_MAX * 20 + 40);
  tr_tokens *tokens;
  tr_error error;
  CHECK(many != NULL);
  for (int i = 0; i <= TR_TOKENS_MAX; i++) memcpy(many + i * 19, "a 0123456789abcdef\n", 20);
  CHECK_INT(parse(many, &tokens, &error), ==, TR_EINVALID);
  CHECK(strstr(error.text, "tokens:10001: more than 10000 tokens") != NULL);
  free(many);
}

CHECK_CASE(reading_tokens_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_tokens *tokens;
    tr_error error;
    int rc = parse("a 0123456789abcdef\nb 0123456789abcdef\nc 0123456789abcdef\nd 0123456789abcdef\ne 0123456789abcdef\n"
                   "f 0123456789abcdef\ng 0123456789abcdef\nh 0123456789abcdef\ni 0123456789abcdef\n", &tokens, &error);
    CHECK_INT(rc, ==, check_mem_refused() ? TR_EMEMORY : 0);
    if (!rc) tr_tokens_free(tokens);
  }
}
