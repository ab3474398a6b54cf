/* SPDX-License-Identifier: MIT
 * Every message of spec/data/wire/golden: decoded it must equal its .json, and so it must when encoded and decoded
 * again. */
#include "wire_golden.h"

#include <stdio.h>

#include "check.h"

#define FOLDER "spec/data/wire/golden"

static void compare(const char *path, const char *message, tr_slice bytes, const tr_value *expected, bool again) {
  tr_error error;
  tr_buf left, right;
  tr_error_init(&error);
  tr_value *tree = golden_tree(message, bytes, again, &error);
  if (!tree) CHECK_FAIL("%s: does not decode%s", path, again ? " when encoded again" : "");
  golden_text(tree, &left);
  golden_text(expected, &right);
  if (left.len != right.len || memcmp(left.data, right.data, left.len) != 0) printf("%s:\n", path);
  CHECK_MEM(left.data, left.len, right.data, right.len);
  tr_buf_fini(&left);
  tr_buf_fini(&right);
  tr_value_free(tree);
}

static void check_one(const char *json_path, void *ud) {
  char path[1024];
  size_t json_length, length;
  tr_slice message;
  if (strstr(json_path, "INDEX") || strstr(json_path, "event_json_1mib")) return; /* no .bin */
  snprintf(path, sizeof path, "%.*s.bin", (int)(strlen(json_path) - 5), json_path);
  const char *json = check_file(json_path, &json_length), *bytes = check_file(path, &length);
  tr_value *whole = golden_json(tr_slice_make(json, json_length));
  const tr_value *decoded = tr_value_get(whole, TR_SLICE_LITERAL("decoded"));
  CHECK(tr_value_as_string(tr_value_get(whole, TR_SLICE_LITERAL("message")), &message));
  compare(path, message.p, tr_slice_make(bytes, length), decoded, false);
  compare(path, message.p, tr_slice_make(bytes, length), decoded, true);
  tr_value_free(whole);
  ++*(int *)ud;
}

CHECK_CASE(wire_golden_messages_equal_their_json) {
  int count = 0;
  check_each_file(FOLDER, ".json", check_one, &count);
  CHECK_INT(count, >=, 36);
}

/* None of these may crash or read outside; most are errors. */
static void check_damaged(const char *path, void *ud) {
  size_t length;
  const char *bytes = check_file(path, &length);
  static const char *const names[] = { "agents.Message", "agents.AddSubscriptionRequest", "agents.ControlMessage", "agents.GetSubscriptionsResponse" };
  char copy[512];
  (void)ud;
  if (length > sizeof copy) return;
  for (size_t i = 0; i < length; i++) {
    for (int change = 0; change < 10; change++) {
      memcpy(copy, bytes, length);
      copy[i] = change < 8 ? (char)(copy[i] ^ 1 << change) : change == 8 ? 0 : (char)0xFF;
      for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        tr_value_free(golden_tree(names[k], tr_slice_make(copy, length), false, NULL));
    }
  }
}

CHECK_CASE(wire_golden_messages_with_bytes_changed_do_no_harm) { check_each_file(FOLDER, ".bin", check_damaged, NULL); }

static void check_cut(const char *path, void *ud) {
  size_t length;
  const char *bytes = check_file(path, &length);
  (void)ud;
  for (size_t n = 0; n < length; n++) {
    char *cut = memcpy(tr_alloc(check_mem(), n), bytes, n); /* of its own, so that ASan sees the end */
    tr_value_free(golden_tree("agents.Message", tr_slice_make(cut, n), true, NULL));
    tr_value_free(golden_tree("agents.ControlMessage", tr_slice_make(cut, n), true, NULL));
    tr_free(check_mem(), cut, n);
  }
}

CHECK_CASE(wire_golden_messages_cut_anywhere_do_no_harm) { check_each_file(FOLDER, ".bin", check_cut, NULL); }
