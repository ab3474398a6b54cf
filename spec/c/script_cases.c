/* SPDX-License-Identifier: MIT
 * Runs the Lua programs of spec/script/cases, each of which asserts what it expects and returns 0; and loads the
 * files of spec/script/bad, each of which must be refused with the text that its first line says:  --! text  ("FILE"
 * stands for the path). A case may say what must be in the log:  --? text */
#include <stdio.h>
#include <stdlib.h>

#include "script_host.h"

/* The rest of the n-th line that begins with `mark`; NULL: there is none. */
static char *marked(const char *text, const char *mark, int n) {
  for (const char *at = text; at; at = strchr(at, '\n')) {
    if (*at == '\n') at++;
    if (strncmp(at, mark, strlen(mark)) != 0 || n-- > 0) continue;
    const char *begin = at + strlen(mark), *end = strchr(begin, '\n');
    return strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
  }
  return NULL;
}

static void run_case(const char *path, void *ud) {
  host h = { 0 };
  size_t length;
  (void)ud;
  host_open(&h);
  h.from_disk = true;
  const char *text = check_file(path, &length);
  if (host_load(&h, path)) CHECK_FAIL("%s: %s", path, h.error.text);
  host_run(&h, 100000);
  if (!h.exited || h.status != 0)
    CHECK_FAIL("%s: %s %d\n%s%s", path, h.exited ? "status" : "has not returned", h.status, h.printed ? h.printed : "",
               h.logged ? h.logged : "");
  char *expected;
  for (int i = 0; (expected = marked(text, "--? ", i)); i++) {
    if (!host_logged(&h, expected)) CHECK_FAIL("%s: not in the log: %s\n%s", path, expected, h.logged ? h.logged : "");
    free(expected);
  }
  host_close(&h);
}

CHECK_CASE(script_programs) { check_each_file("spec/script/cases", ".lua", run_case, NULL); }

static void refuse_file(const char *path, void *ud) {
  host h = { 0 };
  size_t length;
  char full[1024];
  (void)ud;
  host_open(&h);
  h.from_disk = true;
  char *expected = marked(check_file(path, &length), "--! ", 0);
  if (!expected) CHECK_FAIL("%s: says no error", path);
  const char *rest = strncmp(expected, "FILE", 4) == 0 ? expected + 4 : NULL;
  snprintf(full, sizeof full, "%s%s", rest ? path : "", rest ? rest : expected);
  if (host_load(&h, path) == 0) CHECK_FAIL("%s: was taken", path);
  if (strncmp(h.error.text, full, strlen(full)) != 0) CHECK_FAIL("%s: expected %s\n  got %s", path, full, h.error.text);
  CHECK_INT(tr_script_next_file(h.script, NULL) == NULL, ==, 1);
  free(expected);
  host_close(&h);
}

CHECK_CASE(script_refusals) { check_each_file("spec/script/bad", ".lua", refuse_file, NULL); }
