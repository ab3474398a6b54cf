/* SPDX-License-Identifier: MIT
 * Signatures: good ones, each way in which they are not, what came before, files that are no keys, memory that runs out. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/signer.h"

static const tr_slice parts[] = { TR_SLICE_LITERAL("event"), TR_SLICE_LITERAL("id"), TR_SLICE_LITERAL("Type"), TR_SLICE_LITERAL(""), TR_SLICE_LITERAL("{\"a\":1}") };
#define PARTS (sizeof parts / sizeof *parts)
#define NOW INT64_C(1700000000000)

static tr_buf private_line, public_line;

static void make_keys(void) {
  tr_buf_init(&private_line, check_mem());
  tr_buf_init(&public_line, check_mem());
  CHECK_INT(tr_signer_make("anna", &private_line, &public_line), ==, 0);
}

static void drop_keys(void) {
  tr_buf_fini(&private_line);
  tr_buf_fini(&public_line);
}

static tr_signer *signer_of(tr_slice sign, tr_slice verify) {
  tr_signer *signer;
  tr_error error;
  tr_error_init(&error);
  if (tr_signer_new(check_mem(), sign, sign.p ? "sign" : NULL, verify, verify.p ? "verify" : NULL, &signer, &error)) CHECK_FAIL("%s", error.text);
  return signer;
}

static int verify(tr_signer *v, int64_t now, tr_slice signature, const char *why) {
  tr_error error;
  tr_error_init(&error);
  int rc = tr_signer_verify(v, now, parts, PARTS, signature, &error);
  if (why ? !strstr(error.text, why) : rc) CHECK_FAIL("%d: %s", rc, error.text);
  return rc;
}

static void both_ways(tr_slice sign, tr_slice believed) {
  const tr_slice none = { NULL, 0 };
  tr_signer *s = signer_of(sign, none), *v = signer_of(none, believed);
  tr_buf a, b;
  tr_buf_init(&a, check_mem());
  tr_buf_init(&b, check_mem());
  CHECK(tr_signer_signs(s) && !tr_signer_signs(v) && tr_signer_verifies(v));
  CHECK_INT(tr_signer_sign(s, NOW, parts, PARTS, &a), ==, 0);
  CHECK_INT(tr_signer_sign(s, NOW, parts, PARTS, &b), ==, 0);
  CHECK_INT(verify(v, NOW + 1000, tr_buf_view(&a), NULL), ==, 0);
  CHECK_INT(verify(v, NOW + 1000, tr_buf_view(&a), "has been here before"), ==, TR_EPERMISSION);
  CHECK_INT(verify(v, NOW + 1000, tr_buf_view(&b), NULL), ==, 0); /* the same words, signed anew */
  for (size_t i = 0; i < a.len; i++) { /* each character counts */
    uint8_t was = a.data[i];
    tr_error error;
    tr_error_init(&error);
    a.data[i] = was == 'A' ? 'B' : 'A';
    CHECK(tr_signer_verify(v, NOW, parts, PARTS, tr_buf_view(&a), &error) != 0);
    a.data[i] = was;
  }
  for (size_t i = 0; i < PARTS; i++) { /* and each part, also moved into the next */
    tr_slice other[PARTS];
    memcpy(other, parts, sizeof parts);
    other[i] = TR_SLICE_LITERAL("x");
    CHECK_INT(tr_signer_verify(v, NOW, other, PARTS, tr_buf_view(&a), NULL), ==, TR_EPERMISSION);
  }
  const tr_slice moved[] = { TR_SLICE_LITERAL("even"), TR_SLICE_LITERAL("tid"), TR_SLICE_LITERAL("Type"), TR_SLICE_LITERAL(""), TR_SLICE_LITERAL("{\"a\":1}") };
  CHECK_INT(tr_signer_verify(v, NOW, moved, PARTS, tr_buf_view(&a), NULL), ==, TR_EPERMISSION);
  for (size_t n = 0; n < a.len; n++) CHECK(tr_signer_verify(v, NOW, parts, PARTS, tr_slice_make(a.data, n), NULL) != 0);
  tr_buf_fini(&a);
  tr_buf_fini(&b);
  tr_signer_free(s);
  tr_signer_free(v);
}

CHECK_CASE(a_signature_of_ed25519_is_believed_once) {
  make_keys();
  both_ways(tr_buf_view(&private_line), tr_buf_view(&public_line));
  drop_keys();
}

CHECK_CASE(a_signature_of_hmac_is_believed_once) {
  both_ways(TR_SLICE_LITERAL("me hmac 0123456789abcdef\n"), TR_SLICE_LITERAL("# those\nyou hmac xxxxxxxxxxxxxxxx\nme hmac 0123456789abcdef"));
}

CHECK_CASE(a_signature_is_good_for_a_while_and_by_whom_it_says) {
  const tr_slice none = { NULL, 0 };
  make_keys();
  tr_signer *s = signer_of(tr_buf_view(&private_line), none), *v = signer_of(none, tr_buf_view(&public_line));
  tr_buf a;
  tr_buf_init(&a, check_mem());
  CHECK_INT(tr_signer_sign(s, NOW, parts, PARTS, &a), ==, 0);
  verify(v, NOW + TR_SIGNER_WINDOW_MS + 5000, tr_buf_view(&a), "it was signed 305 s ago");
  verify(v, NOW - TR_SIGNER_WINDOW_MS - 5000, tr_buf_view(&a), "it was signed 305 s ahead");
  verify(v, NOW, none, "it is not signed");
  verify(v, NOW, TR_SLICE_LITERAL("v2;a;b"), "cannot be read");
  verify(v, NOW - TR_SIGNER_WINDOW_MS + 1, tr_buf_view(&a), NULL); /* remembered as long as it is good */
  verify(v, NOW, tr_buf_view(&a), "has been here before");
  verify(v, NOW + TR_SIGNER_WINDOW_MS, tr_buf_view(&a), "has been here before");
  tr_signer *next = signer_of(none, tr_buf_view(&public_line));
  tr_signer_inherit(next, v);
  verify(next, NOW + TR_SIGNER_WINDOW_MS, tr_buf_view(&a), "has been here before");
  tr_signer *other = signer_of(none, TR_SLICE_LITERAL("bob hmac 0123456789abcdef"));
  verify(other, NOW, tr_buf_view(&a), "its signature is not anna's, or it was changed");
  tr_signer_free(other);
  tr_signer_free(next);
  tr_buf_fini(&a);
  tr_signer_free(s);
  tr_signer_free(v);
  drop_keys();
}

CHECK_CASE(a_line_that_is_no_key_is_named_and_not_shown) {
  static const char *const bad[][2] = {
    { "me hmac secret", "verify:1: a secret has 16 to 256" }, { "\nme rsa secretsecret", "verify:2: expected NAME ed25519 BASE64" },
    { "me ed25519 secretsecret", "verify:1: the key is not 32 bytes" }, { "m;e hmac secretsecretsecret", "verify:1: a name is" }, { "me", "verify:1: expected" },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_signer *signer;
    tr_error error;
    tr_error_init(&error);
    CHECK_INT(tr_signer_new(check_mem(), tr_slice_of(""), NULL, tr_slice_of(bad[i][0]), "verify", &signer, &error), ==, TR_EINVALID);
    if (!strstr(error.text, bad[i][1]) || strstr(error.text, "secretsecret")) CHECK_FAIL("%zu: %s", i, error.text);
  }
  tr_signer *signer;
  CHECK_INT(tr_signer_new(check_mem(), TR_SLICE_LITERAL("# none"), "sign", tr_slice_of(""), NULL, &signer, NULL), ==, TR_EINVALID);
  CHECK_INT(tr_signer_new(check_mem(), TR_SLICE_LITERAL("a hmac 0123456789abcdef\nb hmac 0123456789abcdef"), "sign", tr_slice_of(""), NULL, &signer, NULL), ==, TR_EINVALID);
}

CHECK_CASE(signing_without_memory) {
  make_keys();
  CHECK_EACH_ALLOCATION_FAILS {
    tr_signer *s;
    tr_buf a;
    tr_buf_init(&a, check_mem());
    int rc = tr_signer_new(check_mem(), tr_buf_view(&private_line), "sign", tr_buf_view(&public_line), "verify", &s, NULL);
    if (!rc) rc = tr_signer_sign(s, NOW, parts, PARTS, &a);
    if (!rc) rc = tr_signer_verify(s, NOW, parts, PARTS, tr_buf_view(&a), NULL);
    CHECK_INT(rc, ==, check_mem_refused() ? TR_EMEMORY : 0);
    if (s) tr_signer_free(s);
    tr_buf_fini(&a);
  }
  drop_keys();
}
