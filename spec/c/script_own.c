/* SPDX-License-Identifier: MIT
 * Instances with a Lua state of their own: reload, life, memory of the process, and any allocation failing. What they do like any agent is
 * in spec/script/cases/own.lua, their saved states in runtime_own.c. */
#include <stdio.h>

#include "script_host.h"

static const char counter[] =
  "local helper = require 'helper'\n"
  "return { type = 'a', vm = 'own', version = %d, state = { n = 0 }, migrate = function(self, from) %s self.n = self.n + 100 * from end, on = {\n"
  "  Add = function(self) self.n = self.n + 1 return { self.n, '%s', helper } end,\n"
  "  Slow = function(_, _, ctx) ctx:sleep(5) return '%s' end,\n"
  "  Late = function() return require 'late' end } }";

static const char *file(int version, const char *migrate, const char *code) {
  static char text[2][2000];
  static int at;
  at ^= 1;
  snprintf(text[at], sizeof text[at], counter, version, migrate, code, code);
  return text[at];
}

static void open_counter(host *h) {
  host_open(h);
  host_file(h, "helper.lua", "return 'h1'");
  host_file(h, "a.lua", file(1, "", "v1"));
  CHECK_INT(host_load(h, "a.lua"), ==, 0);
}

CHECK_CASE(own_states_take_new_code_after_a_reload) {
  host h = { 0 };
  size_t changed;
  open_counter(&h);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add [1,\"v1\",\"h1\"]");
  host_file(&h, "helper.lua", "return 'h2'"); /* saved, not reloaded: nobody gets it */
  CHECK_STR(host_call(&h, "a/new", "Add", NULL), "Add [1,\"v1\",\"h1\"]");
  host_file(&h, "a.lua", file(2, "", "v2"));
  CHECK_INT(host_reload(&h, &changed), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add [102,\"v2\",\"h2\"]");
  CHECK_STR(host_call(&h, "a/other", "Add", NULL), "Add [1,\"v2\",\"h2\"]");
  CHECK_STR(host_call(&h, "a", "Late", NULL),
            "handler_error: a.lua:5: require \"late\": no such module (looked for late.lua)");
  host_file(&h, "late.lua", "return 'late'");
  CHECK_STR(host_call(&h, "a", "Late", NULL), "Late \"late\"");
  host_close(&h);
}

CHECK_CASE(own_states_finish_an_open_turn_on_its_code) {
  host h = { 0 };
  size_t changed;
  open_counter(&h);
  host_send(&h, "a", "Slow", NULL);
  host_settle(&h);
  host_file(&h, "a.lua", file(2, "", "v2"));
  CHECK_INT(host_reload(&h, &changed), ==, 0);
  host_run(&h, 10);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add [101,\"v2\",\"h1\"]");
  host_close(&h);
}

CHECK_CASE(own_states_that_cannot_follow_a_reload_stay_on_the_old_code) {
  host h = { 0 };
  size_t changed;
  open_counter(&h);
  host_call(&h, "a", "Add", NULL);
  host_file(&h, "a.lua", file(2, "error 'no way'", "v2"));
  CHECK_INT(host_reload(&h, &changed), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add [2,\"v1\",\"h1\"]");
  CHECK(host_logged(&h, "migrate.failed agent=a/default from=1 to=2 error=\"handler_error: a.lua:2: no way\" (it stays on the old version)"));
  CHECK_STR(host_call(&h, "a/new", "Add", NULL), "Add [1,\"v2\",\"h1\"]");
  host_file(&h, "a.lua", file(3, "", "v3"));
  CHECK_INT(host_reload(&h, &changed), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add [103,\"v3\",\"h1\"]");
  /* A file that is not good changes nothing, and neither may the kind of its state. */
  host_file(&h, "a.lua", "return {");
  CHECK_INT(host_reload(&h, &changed), ==, TR_EINVALID);
  host_file(&h, "a.lua", "return { type = 'a', on = {} }");
  CHECK_INT(host_reload(&h, &changed), ==, TR_EINVALID);
  CHECK_STR(h.error.text, "a.lua: `vm` of `a` changed: stop and start for that");
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add [104,\"v3\",\"h1\"]");
  host_close(&h);
}

CHECK_CASE(own_states_that_run_out_in_a_reload_stay_on_the_old_code) {
  static const char light[] = "return { type = 'a', vm = 'own', limits = { memory = '256K' }, state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 return self.n end } }";
  static char heavy[sizeof light + 100];
  host h = { 0 };
  size_t changed;
  host_open(&h);
  host_file(&h, "a.lua", light);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add 1");
  snprintf(heavy, sizeof heavy, "local t = ('x'):rep(300000) .. 'y'\n%s", light);
  host_file(&h, "a.lua", heavy);
  CHECK_INT(host_reload(&h, &changed), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add 2");
  CHECK_INT(host_log_count(&h, "reload.failed agent=a/default error=\"limit_exceeded: a: more than 256 KB of memory while its file was loaded"), ==, 1);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add 3"); /* told once, tried once */
  CHECK_INT(host_log_count(&h, "reload.failed"), ==, 1);
  CHECK(strstr(host_call(&h, "a/new", "Add", NULL), "construction_failed: a: more than 256 KB of memory while its file was loaded (limits.memory; "));
  host_close(&h);
}

CHECK_CASE(an_own_state_goes_with_its_instance) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { type = 'a', vm = 'own', idle = 10, state = { n = 0 }, init = function(self, ctx, restored) self.was = restored end,\n"
                         "close = function(_, ctx, why) print(ctx.key .. ' ' .. why) end, on = { Add = function(self) self.n = self.n + 1 return { self.n, self.was } end,\n"
                         "Stop = function(_, _, ctx) ctx:stop() end, Keep = function(self, _, ctx) self._f = ctx:async('b', 'Slow') self._c = ctx:callback('Add') end } }");
  host_source(&h, "b.lua", "return { type = 'b', on = { Slow = function(_, _, ctx) ctx:sleep(3) end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_call(&h, "b", "Slow", NULL);
  host_call(&h, "a/warm", "Add", NULL);
  host_send(&h, "a/warm", "Stop", NULL);
  host_run(&h, 1);
  size_t before = check_mem()->used;
  CHECK_STR(host_call(&h, "a/x", "Add", NULL), "Add [1,false]");
  CHECK_INT(check_mem()->used, >, before + 50000);
  host_send(&h, "a/x", "Keep", NULL);
  host_run(&h, 20);
  if (!h.printed || !strstr(h.printed, "x idle")) CHECK_FAIL("%s", h.logged);
  CHECK_INT(check_mem()->used, <, before + 10000); /* its kept state, no more */
  CHECK_STR(host_call(&h, "a/x", "Add", NULL), "Add [2,true]");
  host_send(&h, "a/x", "Stop", NULL);
  host_run(&h, 1);
  CHECK(strstr(h.printed, "x stop"));
  host_close(&h);
}

static const char scenario[] =
  "local helper = require 'helper'\n"
  "return {\n"
  "  { type = 'a', vm = 'own', state = { n = 0, list = { 1 } }, subscriptions = { 'chat' }, timers = { Tick = 5 }, idle = 20, messages = { Echo = { k = 'any' } },\n"
  "    limits = { memory = '256K' }, failures = { limit = 2, action = 'restart' }, on = {\n"
  "    Chat = function(self, m, ctx) self.n = self.n + 1 ctx:publish('y', 'Y', m) end,\n"
  "    Ask = function(self, m, ctx) ctx:after(1, 'Tick', m) return ctx:call('b/1', 'Echo', { k = m }, { timeout = 5 }) end,\n"
  "    Graph = function(_, _, ctx) local b, a = ctx:agent('b/1'), ctx:agent('a/2') local x = b:Echo { k = 1 } local y = a:Echo { k = x } return { y, b:Echo { k = { x, y } } } end,\n"
  "    Parts = function(_, _, ctx) local n = 0 for part in ctx:stream('a/5', 'Give', { n = 20 }) do n = n + part.n end return n end,\n"
  "    Give = function(_, m, ctx) for i = 1, m.n do ctx:yield { n = i } end end,\n"
  "    Echo = function(_, m) return m end, Fail = function() error { code = 'not_found' } end, Tick = function(self) self.n = self.n + 1 end,\n"
  "    Hog = function() local t = {} for i = 1, 1e7 do t[i] = { i } end end, Sub = function(_, _, ctx) return ctx:unsubscribe(ctx:subscribe('z')) end } },\n"
  "  { type = 'b', on = { Echo = function(_, m) return m end } } }";

static void play(host *h) {
  static const char *const calls[][2] = { { "Ask", "[1,null,{\"x\":\"y\"}]" }, { "Graph", "{}" }, { "Parts", "{}" }, { "Fail", "{}" }, { "Echo", "{\"k\":[]}" },
                                          { "Sub", "{}" }, { "Hog", "{}" } };
  host_file(h, "helper.lua", "return {}");
  host_file(h, "a.lua", scenario);
  int rc = host_load(h, "a.lua");
  if (rc) {
    if (rc != TR_EMEMORY) CHECK_FAIL("load: %d %s", rc, h->error.text);
    return;
  }
  host_publish(h, "chat", "Chat", "{\"text\":\"hello\"}");
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (strcmp(host_call(h, "a/1", calls[i][0], calls[i][1]), "no answer") == 0) CHECK_FAIL("%s: no answer", calls[i][0]);
  size_t changed;
  host_file(h, "helper.lua", "return { 1 }");
  rc = host_reload(h, &changed);
  if (rc && rc != TR_EMEMORY) CHECK_FAIL("reload: %d %s", rc, h->error.text);
  host_call(h, "a/1", "Echo", "{\"k\":1}");
  host_run(h, 60); /* idle: out of memory */
  const char *text = host_call(h, "a/1", "Echo", "{\"k\":[1]}");
  if (!check_mem_refused()) CHECK_STR(text, "Echo {\"k\":[1]}");
}

CHECK_CASE(own_states_survive_a_lack_of_memory_anywhere) {
  CHECK_ALLOCATIONS_FAIL(149) {
    host h = { 0 };
    if (host_try_open(&h)) continue;
    play(&h);
    if (check_mem_refused()) { /* there is memory again: everything goes on */
      if (host_source(&h, "z.lua", "return { vm = 'own', on = { Q = function(_, m) return m.n + 1 end } }")) CHECK_FAIL("%s", h.error.text);
      CHECK_STR(host_call(&h, "z", "Q", "{\"n\":1}"), "Q 2");
    }
    host_close(&h);
  }
}
