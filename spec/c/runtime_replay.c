/* SPDX-License-Identifier: MIT
 * Recording, and running a record again, with the n-th allocation failing: a record that lacks something has ended and says so, a replay that
 * lacks something is an error and no difference. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/record.h"
#include "runtime_kit.h"

static const char agents[] =
  "local born = math.random(1e9)\n"
  "return {\n"
  "  { type = 'greeter', state = { count = 0 }, shards = { 'log' }, on = {\n"
  "    Greet = function(self, m, ctx)\n"
  "      self.count = self.count + 1\n"
  "      self.log = { m.name, math.random(1e9), os.time(), ctx:now(), born }\n"
  "      ctx:publish('chat', 'Said', { text = m.name })\n"
  "      ctx:after(0.01, 'Later', {})\n"
  "      return { text = 'hello ' .. ctx:call('store', 'Get', { key = m.name }).value, raw = troupe.bytes('\\xff') }\n"
  "    end,\n"
  "    Later = function(self) self.count = self.count + 10 end, Bad = function() error('bad') end } },\n"
  "  { type = 'store', on = { Get = function(_, m) return { value = m.key:upper() } end } } }";

static const char *record_path(void) {
  static char path[100];
  snprintf(path, sizeof path, "%s.jsonl", kit_path());
  return path;
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)ud;
  (void)status;
  (void)text;
  (void)type;
  (void)body;
}

/* By the clock of the machine (a replay's needs the times of one) or, for many runs, by the kit's. */
static int make_record(bool real) {
  static const char *const files[] = { "a.lua" };
  const tr_record_options options = { .path = record_path(), .files = files, .file_count = 1 };
  kit_clock = !real;
  kit_log[0] = 0;
  troupe_t *rt = kit_new();
  int rc = rt ? tr_runtime_will_record(rt) : TROUPE_EMEMORY;
  if (!rc) rc = troupe_load(rt, "a.lua", agents, 0);
  if (!rc) rc = tr_runtime_record(rt, &options);
  if (rc && rc != TROUPE_EMEMORY) CHECK_FAIL("%d %s", rc, troupe_error(rt));
  if (!rc) {
    troupe_call(rt, "greeter/desk", "Greet", troupe_pack(rt, "{s:s}", "name", "anna"), 0, on_reply, NULL);
    kit_work(rt);
    troupe_call(rt, "greeter/desk", "Bad", NULL, 0, on_reply, NULL);
    if (real) troupe_run_until_idle(rt, 10000000);
    else kit_pass(rt, 2);
    troupe_stop(rt, 0);
    kit_work(rt);
  }
  troupe_free(rt);
  return rc;
}

CHECK_CASE(recording_without_memory) {
  CHECK_ALLOCATIONS_FAIL(7) {
    int rc = make_record(false);
    bool refused = check_mem_refused();
    CHECK(rc == 0 || refused);
    if (rc == 0 && !refused) CHECK(!strstr(kit_log, "record."));
    /* What is there is a record, or it says why not. */
    size_t n;
    const char *text = rc ? NULL : check_file(record_path(), &n);
    if (text && !strstr(text, "\"why\":\"stopped\"")) CHECK(strstr(text, "\"why\":\"full\"") && strstr(kit_log, "record.ended"));
  }
}

static int replay(tr_error *error, bool *equal) {
  tr_rerun *run;
  troupe_t *rt;
  const troupe_options_t options = { .size = sizeof options, .seed = 1, .allocate = kit_allocate };
  int rc = tr_rerun_open(check_mem(), record_path(), "greeter", &run, error);
  if (rc) return rc;
  rc = tr_rerun_runtime(run, &options, &rt, error);
  if (!rc && (rc = troupe_load(rt, "a.lua", agents, 0))) tr_error_set(error, rc, "%s", troupe_error(rt));
  if (!rc) rc = tr_rerun_run(run, error);
  const tr_reran *result = rc ? NULL : tr_rerun_result(run, 0);
  *equal = result && tr_slice_equal(result->recorded, result->replayed);
  if (!rc && !*equal && !check_mem_refused()) CHECK_FAIL("%.*s\n%.*s", TR_SLICE_ARG(result->recorded), TR_SLICE_ARG(result->replayed));
  tr_rerun_free(run);
  return rc;
}

CHECK_CASE(replaying_without_memory) {
  CHECK_INT(make_record(true), ==, 0);
  CHECK_ALLOCATIONS_FAIL(7) {
    tr_error error;
    bool equal = false;
    tr_error_init(&error);
    int rc = replay(&error, &equal);
    if (!check_mem_refused()) CHECK(rc == 0 && equal);
    if (rc && rc != TROUPE_EMEMORY) CHECK_FAIL("%d %s", rc, error.text);
  }
}
