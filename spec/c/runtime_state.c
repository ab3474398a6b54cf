/* SPDX-License-Identifier: MIT
 * troupe_save and troupe_restore while a runtime lives: what they wait for, what they refuse, and a file that is cut or
 * flipped at every byte. The program's side is in spec/cli/state_spec.lua. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime_kit.h"

static char path[] = "/tmp/troupe-state-XXXXXX";
static char answer[300];

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  int64_t n = -1;
  (void)ud;
  (void)type;
  if (status) snprintf(answer, sizeof answer, "%s: %s", troupe_error_name(status), text);
  else snprintf(answer, sizeof answer, "%lld", troupe_value_integer(body, &n) ? (long long)n : -1);
}

static const char *ask(troupe_t *rt, const char *agent, const char *type) {
  snprintf(answer, sizeof answer, "no answer");
  int rc = troupe_call(rt, agent, type, NULL, 0, on_reply, NULL);
  if (rc) snprintf(answer, sizeof answer, "%s: %s", troupe_error_name(rc), troupe_error(rt));
  else troupe_run_until_idle(rt, 2000000);
  return answer;
}

static void temporary(void) {
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  close(fd);
  unlink(path);
}

#define COUNTER(version, more)                                                                                       \
  "return { { type = 'a', version = " version ", state = { n = 0 }, " more " on = { "                                \
  "Add = function(self) self.n = self.n + 1 return self.n end, Slow = function(self, _, ctx) ctx:sleep(60) end } } }"

CHECK_CASE(state_is_saved_and_restored_while_it_lives) {
  temporary();
  troupe_t *rt = kit_open(COUNTER("1", ""));
  CHECK_INT(troupe_restore(rt, path), ==, TROUPE_ENOT_FOUND);
  CHECK_STR(ask(rt, "a/1", "Add"), "1");
  CHECK_STR(ask(rt, "a/1", "Add"), "2");
  CHECK_INT(troupe_save(rt, path), ==, 0);
  CHECK_STR(ask(rt, "a/1", "Add"), "3");
  CHECK_INT(troupe_send(rt, "a/2", "Add", NULL), ==, 0);
  CHECK_INT(troupe_restore(rt, path), ==, 0);
  CHECK_STR(ask(rt, "a/1", "Add"), "3"); /* the live one was made anew */
  CHECK_INT(troupe_send(rt, "a/3", "Add", NULL), ==, 0);
  CHECK_INT(troupe_save(rt, path), ==, 0); /* with that mail */
  troupe_free(rt);
  rt = kit_open(COUNTER("2", "migrate = function(self, from) self.n = self.n + 100 * from end,"));
  CHECK_INT(troupe_restore(rt, path), ==, 0);
  CHECK_INT(troupe_save(rt, path), ==, 0); /* nobody has used it yet */
  CHECK_INT(troupe_restore(rt, path), ==, 0);
  CHECK_STR(ask(rt, "a/1", "Add"), "104");
  CHECK_STR(ask(rt, "a/2", "Add"), "102");
  CHECK_INT(troupe_save(rt, path), ==, 0);
  troupe_free(rt);
  rt = kit_open(COUNTER("1", ""));
  CHECK_INT(troupe_restore(rt, path), ==, TROUPE_EINVALID);
  CHECK(strstr(troupe_error(rt), "is of version 2, newer than the code's 1"));
  CHECK_STR(ask(rt, "a/1", "Add"), "1");
  troupe_free(rt);
  unlink(path);
}

CHECK_CASE(state_waits_for_open_turns_and_then_names_them) {
  temporary();
  troupe_t *rt = kit_open(COUNTER("1", ""));
  CHECK_INT(troupe_send(rt, "a/slow", "Slow", NULL), ==, 0);
  troupe_poll(rt, 0);
  CHECK_INT(troupe_save(rt, path), ==, TROUPE_ETIMEOUT);
  CHECK_STR(troupe_error(rt), "not saved: 1 agent is still at work: a/slow (Slow)");
  CHECK_INT(access(path, F_OK), !=, 0);
  troupe_free(rt);
}

CHECK_CASE(while_it_drains_new_messages_are_unavailable) {
  troupe_t *rt = kit_open(COUNTER("1", "close = function(self) print('closed ' .. self.n) end,"));
  CHECK_STR(ask(rt, "a", "Add"), "1");
  troupe_stop(rt, 1000000);
  troupe_stop(rt, 1000000);
  CHECK_STR(ask(rt, "a", "Add"), "unavailable: the runtime is stopping");
  CHECK_INT(troupe_send(rt, "a", "Add", NULL), ==, TROUPE_EUNAVAILABLE);
  CHECK_INT(troupe_publish(rt, "x", "Add", NULL), ==, TROUPE_EUNAVAILABLE);
  CHECK_INT(troupe_run(rt), ==, 0);
  CHECK_STR(kit_printed(), "closed 1");
  CHECK_INT(troupe_run(rt), ==, 0);
  troupe_stop(rt, 0);
  troupe_free(rt);
}

static void put(const char *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  CHECK(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
}

CHECK_CASE(a_state_file_cut_or_flipped_anywhere_restores_nothing) {
  temporary();
  troupe_t *rt = kit_open(COUNTER("1", ""));
  ask(rt, "a/1", "Add");
  CHECK_INT(troupe_send(rt, "a/1", "Add", NULL), ==, 0);
  CHECK_INT(troupe_save(rt, path), ==, 0);
  size_t length;
  const char *whole = check_file(path, &length);
  char *copy = malloc(length);
  CHECK(copy && length > 100);
  for (size_t i = 0; i < length; i++) {
    put(whole, i);
    CHECK_INT(troupe_restore(rt, path), <, 0);
    memcpy(copy, whole, length);
    copy[i] = (char)(copy[i] ^ 1 << i % 8);
    put(copy, length);
    CHECK_INT(troupe_restore(rt, path), <, 0);
  }
  free(copy);
  CHECK_STR(ask(rt, "a/1", "Add"), "3");
  troupe_free(rt);
  unlink(path);
}

CHECK_CASE(saving_and_restoring_without_memory) {
  temporary();
  CHECK_EACH_ALLOCATION_FAILS {
    unlink(path);
    troupe_t *rt = kit_open(COUNTER("1", ""));
    if (!rt) continue;
    ask(rt, "a/1", "Add");
    troupe_send(rt, "a/1", "Add", NULL);
    int saved = troupe_save(rt, path);
    int restored = saved < 0 ? saved : troupe_restore(rt, path);
    if (!check_mem_refused()) CHECK(saved == 0 && restored == 0);
    troupe_run_until_idle(rt, 2000000);
    ask(rt, "a/1", "Add");
    if (!check_mem_refused()) CHECK_STR(answer, "4"); /* 1 before, the mail twice, this one */
    troupe_free(rt);
  }
  unlink(path);
}
