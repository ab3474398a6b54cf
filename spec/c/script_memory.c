/* SPDX-License-Identifier: MIT
 * Memory that runs out: anywhere over a scenario, and over the limit of the state. */
#include <stdlib.h>

#include "script_host.h"

static const char scenario[] =
  "local helper = require 'helper'\n"
  "return {\n"
  "  { type = 'a', state = { n = 0, list = { 1 } }, methods = { add = function(self) self.n = self.n + 1 end }, subscriptions = { 'chat', { 'x', key = 'k' }, 'troupe.dead_letter' }, priority = { Tick = 'high', Lost = 'low' },\n"
  "    messages = { Chat = { text = 'string' }, Ask = { schema = { properties = { k = { type = 'string' }, list = { items = { ['$ref'] = '#/$defs/x' } } }, ['$defs'] = { x = { type = { 'integer', 'object' } } } } },\n"
  "      Y = { m = 'table', t = 'table' }, List = { { a = 'string' } } }, timers = { Tick = 5 }, replies = { Q = 'R' }, on = {\n"
  "    Chat = function(self, m, ctx) self:add() ctx:send('nobody', 'Lost', m) ctx:send('b', 'Raw', 'x', { encoding = 'bytes', metadata = { traceparent = 't' } }) if #ctx:subscriptions() ~= 3 then error() end ctx:publish('y', 'Y', { m = m, t = { troupe.null, troupe.array {} } }) end,\n"
  "    Ask = function(self, m, ctx) ctx:after(1, 'Tick') return ctx:call('b/' .. m.k, 'Echo', m, { timeout = 5, metadata = { a = 'b' }, id = 'id' }) end,\n"
  "    Futures = function(self, m, ctx) local b, token = ctx:agent('b/1'), troupe.token()\n"
  "      local x = b:Echo { k = 1 } local y = b:Echo({ x = x, k = 2 }, { metadata = { a = 'b' } }) ctx:async('b/2', 'Echo', { k = 'x' })\n"
  "      local f = ctx:async('b/3', 'Shaky', { l = { y } }, { retry = 2, cancel = token, metadata = { a = 'b' } })\n"
  "      local ok, e = pcall(troupe.all, { f, y }) self.e = tostring(e) token:cancel() ctx:call('b/4', 'Echo', y)\n"
  "      return { y, b:Echo { x = x, k = y } } end,\n"
  "    Parts = function(_, _, ctx) local n = 0 for part in ctx:stream('b/5', 'Parts', { n = 40 }) do n = n + part.n if n > 300 then break end end\n"
  "      return { n = n, m = ctx:stream('b/6', 'Parts', { n = 20 }):result() } end,\n"
  "    Fail = function() error { code = 'not_found', message = 'x' } end,\n"
  "    DeadLetter = function(self, m) self.letter = m end, Json = function(_, m) return m end, Tick = function(self) self.n = self.n + 1 end } },\n"
  "  { type = 'b', state = function(id) return { id = id } end, init = function(self, ctx) ctx:sleep(0.01) end, on_request = {\n"
  "    Shaky = function() error { code = 'unavailable' } end,\n"
  "    Parts = function(_, m, ctx) for i = 1, m.n do ctx:yield { n = i, t = 'x' } end return { sum = m.n } end,\n"
  "    Echo = { { match = function(_, m) return m.k ~= 'x' end, handle = function(self, m) return { m = m, id = self.id } end } } } },\n"
  "  { type = 'c', limits = { memory = '64K', instructions = 20000, timers = 2, messages = 3 }, failures = { limit = 3, action = 'restart' }, on = {\n"
  "    Hog = function() local t = {} for i = 1, 1e6 do t[i] = { i } end end, Loop = function() pcall(function() while true do end end) end,\n"
  "    Deep = function() local function f() return 1 + f() end return f() end, Sort = function() table.sort({ 3, 2, 1 }, function() error {} end) end,\n"
  "    Load = function() return load('return 1 +') end, Tostring = function() return tostring(setmetatable({}, { __tostring = function() return 5 end })) end,\n"
  "    Bytes = function() return load('\\27Lua') == nil and #string.pack('z', 'x') end, Gc = function() setmetatable({}, { __gc = print }) end,\n"
  "    Timers = function(_, _, ctx) for _ = 1, 3 do ctx:after(9, 'T') end end, Send = function(_, _, ctx) for _ = 1, 4 do ctx:send('b/1', 'T') end end } },\n"
  "}\n";

/* Whatever is refused, there is an answer or an error, nothing leaks, and afterwards it works. */
static void play(host *h) {
  static const char *const errors[] = { "Hog", "Loop", "Deep", "Sort", "Load", "Tostring", "Bytes", "Gc", "Timers", "Send" };
  host_file(h, "helper.lua", "return {}");
  host_file(h, "a.lua", scenario);
  int rc = host_load(h, "a.lua");
  if (rc) {
    if (rc != TR_EMEMORY) CHECK_FAIL("load: %d %s", rc, h->error.text);
    return;
  }
  host_publish(h, "chat", "Chat", "{\"text\":\"hello\"}");
  const char *text = host_call(h, "a", "Ask", "{\"k\":\"1\",\"list\":[1,2,{\"a\":null}]}");
  if (strcmp(text, "no answer") == 0) CHECK_FAIL("no answer");
  text = host_call(h, "a", "Futures", "{}");
  if (strcmp(text, "no answer") == 0) CHECK_FAIL("no answer");
  if (!check_mem_refused() && !strstr(text, "\"id\":\"b/1\"")) CHECK_FAIL("%s", text);
  text = host_call(h, "a", "Parts", "{}");
  if (strcmp(text, "no answer") == 0) CHECK_FAIL("no answer");
  if (!check_mem_refused() && !strstr(text, "\"n\":325")) CHECK_FAIL("%s", text);
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(host_call(h, "c", errors[i], NULL), "no answer") == 0) CHECK_FAIL("%s: no answer", errors[i]);
  host_call(h, "a", "Fail", NULL);
  host_call(h, "a", "Json", "[1,\"text\",{\"deep\":[{}]}]");
  host_run(h, 11);
  size_t changed;
  host_file(h, "helper.lua", "return { 1 }");
  rc = host_reload(h, &changed);
  if (rc && rc != TR_EMEMORY) CHECK_FAIL("reload: %d %s", rc, h->error.text);
  tr_reload_options back = { .to = 1, .trial = true };
  for (int i = 0; i < 2; i++, back.trial = false) {
    tr_reloading *plan;
    rc = tr_script_reload_begin(h->script, &back, &changed, &plan, &h->error);
    if (rc && rc != TR_EMEMORY) CHECK_FAIL("going back: %d %s", rc, h->error.text);
    if (!rc) tr_script_reload_end(plan, !back.trial);
  }
  host_run(h, 1);
  text = host_call(h, "a/last", "Json", "[1]");
  if (!check_mem_refused()) CHECK_STR(text, "Json [1]");
}

CHECK_CASE(out_of_memory_anywhere_is_an_error_of_that_step) {
  CHECK_ALLOCATIONS_FAIL(7) {
    host h = { 0 };
    if (host_try_open(&h)) continue;
    play(&h);
    if (check_mem_refused()) { /* there is memory again: everything goes on */
      if (host_source(&h, "z.lua", "return { on = { Q = function(_, m) return m.n + 1 end } }"))
        CHECK_FAIL("%s", h.error.text);
      CHECK_STR(host_call(&h, "z", "Q", "{\"n\":1}"), "Q 2");
    }
    host_close(&h);
  }
}

/* Here memory stays refused, so that even Lua's emergency collection does not help. */
CHECK_CASE(a_limit_of_any_size_is_survived) {
  for (size_t limit = 30000; limit < 160000; limit += 300) {
    host h = { .memory_limit = limit };
    if (host_try_open(&h)) continue;
    host_file(&h, "helper.lua", "return {}");
    host_file(&h, "a.lua", scenario);
    int rc = host_load(&h, "a.lua");
    if (rc && rc != TR_EMEMORY) CHECK_FAIL("limit %zu: %d %s", limit, rc, h.error.text);
    host_publish(&h, "chat", "Chat", "{\"text\":\"hello\"}");
    const char *text = host_call(&h, "a", "Ask", "{\"k\":\"1\",\"list\":[1,2,{\"a\":null}]}");
    if (strcmp(text, "no answer") == 0) CHECK_FAIL("limit %zu: no answer", limit);
    if (!rc && strncmp(text, "Echo", 4) != 0 && strncmp(text, "out_of_memory", 13) != 0 &&
        strncmp(text, "construction_failed", 19) != 0)
      CHECK_FAIL("limit %zu: %s", limit, text);
    host_call(&h, "a", "Fail", NULL);
    host_run(&h, 11);
    size_t changed;
    host_file(&h, "helper.lua", "return { 1 }");
    host_reload(&h, &changed);
    host_run(&h, 6);
    host_close(&h);
  }
}

CHECK_CASE(memory_limit_ends_the_turn_not_the_state) {
  host h = { .memory_limit = 4u << 20 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { on = { Hog = function() local t = {} for i = 1, 1e9 do t[i] = { i } end end,"
                                     " String = function() local s = 'x' while true do s = s .. s end end,"
                                     " Keep = function(self) self.t = {} for i = 1, 1e9 do self.t[i] = { i } end end,"
                                     " Ask = function() return 'fine' end } }"), ==, 0);
  for (int i = 0; i < 3; i++) {
    CHECK_STR(host_call(&h, "a", "Hog", NULL), "out_of_memory: out of memory");
    CHECK_STR(host_call(&h, "a", "String", NULL), "out_of_memory: out of memory");
    CHECK_STR(host_call(&h, "a/b", "Ask", NULL), "Ask \"fine\"");
  }
  host_close(&h);
}

CHECK_CASE(nothing_is_left_of_open_turns) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { { type = 'a', on = { Call = function(_, _, ctx) local c <close> = setmetatable({}, { __close = function()"
                                     " print(pcall(ctx.publish, ctx, 'x', 'T')) end }) ctx:call('b', 'Wait', { 1, 2 }) end } },"
                                     " { type = 'b', timers = { T = 1 }, on = { Wait = function(_, _, ctx) ctx:every(1, 'T', { x = 1 }) ctx:sleep(1000) end } },"
                                     " function(ctx) ctx:subscribe('x') ctx:receive() end }"), ==, 0);
  host_send(&h, "a", "Call", NULL);
  host_send(&h, "a", "Call", "{\"queued\":1}");
  host_settle(&h);
  CHECK_INT(check_mem_blocks(), >, 10);
  tr_script_free(h.script);
  CHECK(h.printed && strstr(h.printed, "false\tinvalid: ctx was used outside a turn of its agent"));
  tr_core_free(h.core);
  free(h.printed);
  free(h.logged);
}
