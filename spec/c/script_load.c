/* SPDX-License-Identifier: MIT
 * Loading, starting, programs and their statuses, warnings, agents from the outside. */
#include <stdio.h>

#include "script_host.h"

static int load_with(host *h, const char *source, const char *a, const char *b) {
  tr_slice args[2] = { tr_slice_of(a), tr_slice_of(b) };
  tr_error_init(&h->error);
  int rc = tr_script_load(h->script, "dir/my agent.lua", tr_slice_of(source), args, 2, &h->error);
  return rc ? rc : tr_script_start(h->script, &h->error);
}

CHECK_CASE(load_hands_arguments_to_chunk_and_program) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(load_with(&h, "local a, b, c = ... return { { type = a, on = { X = function(_, _, ctx) return b end } },"
                          " function(ctx, args) assert(#args == 2 and args[1] == 'first' and c == nil and ctx.id == 'my_agent/default') return 3 end }",
                      "first", "second"), ==, 0);
  host_run(&h, 1);
  CHECK(h.exited);
  CHECK_INT(h.status, ==, 3);
  CHECK_STR(host_call(&h, "first", "X", NULL), "X \"second\"");
  CHECK_STR(host_call(&h, "my_agent", "X", NULL), "cant_handle: my_agent has no handler for `X`");
  host_close(&h);
}

static int status_of(const char *source, const char *log) {
  host h = { 0 };
  host_open(&h);
  if (host_source(&h, "p.lua", source)) CHECK_FAIL("%s: %s", source, h.error.text);
  CHECK(tr_script_has_program(h.script) && tr_script_programs_running(h.script));
  host_run(&h, 100);
  CHECK(h.exited && !tr_script_programs_running(h.script));
  if (log && !host_logged(&h, log)) CHECK_FAIL("not in the log: %s\n%s", log, h.logged ? h.logged : "");
  int status = h.status;
  host_close(&h);
  return status;
}

CHECK_CASE(programs_end_with_their_status) {
  CHECK_INT(status_of("return function() end", NULL), ==, 0);
  CHECK_INT(status_of("return function() return 7 end", NULL), ==, 7);
  CHECK_INT(status_of("return function() return true end", NULL), ==, 0);
  CHECK_INT(status_of("return function() return false end", NULL), ==, 1);
  CHECK_INT(status_of("return function() return 256 end", NULL), ==, 1);
  CHECK_INT(status_of("return function() return 'x' end", NULL), ==, 1);
  CHECK_INT(status_of("return function(ctx) ctx:sleep(1) error('bad') end",
                      "error program.failed agent=p/default type=program error=\"handler_error: p.lua:1: bad\""), ==,
                          1);
  CHECK_INT(status_of("return function(ctx) while true do end end", "limit_exceeded"), ==, 1);
  CHECK_INT(status_of("return { { on = {} }, function(ctx) assert(ctx.id == 'p-program/default') end }", NULL), ==, 0);
}

CHECK_CASE(exit_calls_the_hook_and_stop_ends_the_agent) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { on = { Exit = function(_, m, ctx) ctx:exit(m.status) end, Stop = function(_, _, ctx) ctx:stop() end } }"), ==, 0);
  CHECK(!tr_script_has_program(h.script));
  CHECK_STR(host_call(&h, "a", "Exit", "{\"status\":256}"), "invalid: exit takes a status from 0 to 255");
  CHECK(!h.exited);
  host_call(&h, "a", "Exit", "{\"status\":4}");
  CHECK(h.exited && h.status == 4);
  h.exited = false;
  host_call(&h, "a", "Stop", NULL); /* ends the agent, not the program */
  host_settle(&h);
  CHECK(!h.exited);
  CHECK(!tr_class_find(tr_core_find_class(h.core, TR_SLICE_LITERAL("a")), TR_SLICE_LITERAL("default")));
  host_close(&h);
}

CHECK_CASE(load_is_all_or_nothing) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { on = { X = function() return 1 end } }"), ==, 0);
  CHECK_INT(host_source(&h, "b.lua", "return { { type = 'b', on = {} }, { type = 'a', on = {} } }"), ==, TR_EEXISTS);
  CHECK(strstr(h.error.text, "b.lua: agent type `a` is there already"));
  CHECK_STR(host_call(&h, "b", "X", NULL), "not_found: no agent type \"b\" here (1 type is known)");
  CHECK_STR(host_call(&h, "a", "X", NULL), "X 1");
  CHECK_INT(host_source(&h, "s.lua", "return {\n  type = 'x',\n  on = = {},\n}"), ==, TR_EINVALID);
  CHECK_STR(h.error.text, "s.lua:3: unexpected symbol near '='");
  CHECK_INT(host_load(&h, "missing.lua"), ==, TR_ENOT_FOUND);
  CHECK_STR(h.error.text, "missing.lua: no such file");
  CHECK_INT(host_source(&h, "c.lua", "\x1bLuaS"), ==, TR_EINVALID);
  CHECK_STR(h.error.text, "c.lua: compiled Lua is not taken, only source text");
  CHECK_INT(host_source(&h, "d.lua", "\xef\xbb\xbf#!/usr/bin/troupe run\nreturn 5"), ==, TR_EINVALID);
  CHECK_STR(h.error.text,
            "d.lua: returned a number; a script returns an agent (a table), a list of agents, or a program (a function)");
  CHECK_INT(host_source(&h, "e.lua", "#!/usr/bin/env troupe\nreturn { onn = 1 }"), ==, TR_EINVALID);
  CHECK_STR(h.error.text, "e.lua:2: `onn` is not a key of an agent; did you mean `on`?");
  CHECK_INT(host_source(&h, "f.lua", "error({ code = 'not_found', message = 'text' })"), ==, TR_ENOT_FOUND);
  CHECK_STR(h.error.text, "f.lua: text");
  CHECK_INT(host_source(&h, "g.lua", "coroutine.yield(1)"), <, 0);
  CHECK(strstr(h.error.text, "coroutine.yield outside a coroutine"));
  host_close(&h);
}

CHECK_CASE(autostart_makes_instances_once) {
  host h = { 0 };
  host_open(&h);
  const char *source = "return { { type = 'a', autostart = true, init = function(_, ctx) print(ctx.id) end, on = {} },"
                       " { type = 'b', autostart = 'one', init = function(_, ctx) print(ctx.id) end, on = {} },"
                       " { type = 'c', autostart = { 'x', 'y' }, init = function(_, ctx) print(ctx.id) end, on = {} },"
                       " { type = 'd', autostart = false, init = function(_, ctx) print(ctx.id) end, on = {} } }";
  CHECK_INT(host_source(&h, "a.lua", source), ==, 0);
  CHECK_INT(tr_script_start(h.script, &h.error), ==, 0);
  host_settle(&h);
  CHECK_STR(h.printed, "a/default\nb/one\nc/x\nc/y\n");
  host_close(&h);
}

CHECK_CASE(json_bodies_arrive_and_leave) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { { type = 'a', on = { Echo = function(_, m) return m end, Kind = function(_, m) return type(m) end,"
                        " Len = function(_, m) return #m.list end, Bytes = function() return troupe.bytes('\\xff\\0') end } },"
                        " { type = 'keep', nulls = 'keep', on = { Echo = function(_, m) return m end } } }"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Echo", "{}"), "Echo {}");
  CHECK_STR(host_call(&h, "a", "Echo", NULL), "Echo {}");
  CHECK_STR(host_call(&h, "a", "Echo", "[]"), "Echo []");
  CHECK_STR(host_call(&h, "a", "Echo", "[{},[],[[]]]"), "Echo [{},[],[[]]]");
  CHECK_STR(host_call(&h, "a", "Echo", "9223372036854775807"), "Echo 9223372036854775807");
  CHECK_STR(host_call(&h, "a", "Echo", "-9223372036854775808"), "Echo -9223372036854775808");
  CHECK_STR(host_call(&h, "a", "Echo", "1.5"), "Echo 1.5");
  CHECK_STR(host_call(&h, "a", "Echo", "2.0"), "Echo 2.0");
  CHECK_STR(host_call(&h, "a", "Echo", "\"\\u00fc\\u0000\""), "Echo \"\xc3\xbc\\u0000\"");
  CHECK_STR(host_call(&h, "a", "Echo", "{\"x\":null}"), "Echo {}");
  CHECK_STR(host_call(&h, "a", "Echo", "{\"x\":1,\"x\":null}"), "Echo {}");
  CHECK_STR(host_call(&h, "keep", "Echo", "{\"x\":null}"), "Echo {\"x\":null}");
  CHECK_STR(host_call(&h, "a", "Echo", "[1,null]"), "Echo [1,null]");
  CHECK_STR(host_call(&h, "a", "Kind", "null"), "Kind \"nil\"");
  CHECK_STR(host_call(&h, "keep", "Echo", "null"), "Echo null");
  CHECK_STR(host_call(&h, "a", "Kind", "true"), "Kind \"boolean\"");
  CHECK_STR(host_call(&h, "a", "Bytes", NULL), "Bytes \"/wA=\"");
  CHECK(strncmp(host_call(&h, "a", "Echo", "{\"x\":"), "invalid: ", 9) == 0);
  CHECK(strncmp(host_call(&h, "a", "Echo", "9223372036854775808"), "invalid: ", 9) == 0);
  CHECK_STR(host_call(&h, "a", "Len", "{\"list\":[1,2,3]}"), "Len 3");
  host_close(&h);
}

CHECK_CASE(a_foreign_caller_gets_null_rather_than_an_unknown_type) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { replies = { R = 'Declared' }, on = { Q = function() return { n = 1 } end, R = function() return 1 end,"
                                     " T = function() return 1, 'T2' end } }"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Q", NULL), "Q {\"n\":1}");
  CHECK_STR(host_foreign_call(&h, "a", "Q", NULL), "null null");
  CHECK_STR(host_foreign_call(&h, "a", "Q", NULL), "null null");
  CHECK_STR(host_foreign_call(&h, "a", "R", NULL), "Declared 1");
  CHECK_STR(host_foreign_call(&h, "a", "T", NULL), "T2 1");
  CHECK_INT(host_log_count(&h, "reply.untyped agent_type=a type=Q"), ==, 1);
  host_close(&h);
}

CHECK_CASE(events_are_copied_for_each_receiver) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "local function own(self, m, ctx) assert(m.list[1] == 'fresh') m.list[1] = ctx.id m.seen = (m.seen or 0) + 1 assert(m.seen == 1)"
                        " print(ctx.id) end return { { type = 'a', subscriptions = { 'e' }, on = { E = own } }, { type = 'b', subscriptions = { 'e' }, on = { E = own } },"
                        " { type = 'c', subscriptions = { 'e' }, on = { E = own } }, { type = 's', on = { Go = function(_, _, ctx)"
                        " local m = { list = { 'fresh' } } ctx:publish('e', 'E', m) m.list[1] = 'changed' end } } }"),
                            ==, 0);
  host_send(&h, "s", "Go", NULL);
  host_settle(&h);
  CHECK_STR(h.printed, "a/default\nb/default\nc/default\n");
  host_publish(&h, "e", "E", "{\"list\":[\"fresh\"]}");
  host_settle(&h);
  CHECK(!host_logged(&h, "failed"));
  host_close(&h);
}

CHECK_CASE(builder_and_walk_carry_values_for_c) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { on = { E = function(_, m) return m end } }"), ==, 0);
  for (int broken = 0; broken < 2; broken++) {
    tr_error_init(&h.error);
    tr_body body = { .kind = TR_BODY_NONE };
    tr_script_builder *builder = tr_script_build_begin(h.script, &h.error);
    CHECK(builder);
    tr_sink sink = tr_script_build_sink(builder);
    CHECK_INT(sink.begin_map(sink.ud, 2), ==, 0);
    CHECK_INT(sink.key(sink.ud, TR_SLICE_LITERAL("list")), ==, 0);
    CHECK_INT(sink.begin_array(sink.ud, TR_SIZE_UNKNOWN), ==, 0);
    CHECK_INT(sink.integer(sink.ud, 1), ==, 0);
    CHECK_INT(sink.number(sink.ud, 1.5), ==, 0);
    CHECK_INT(sink.boolean(sink.ud, true), ==, 0);
    CHECK_INT(sink.null(sink.ud), ==, 0);
    CHECK_INT(sink.string(sink.ud, TR_SLICE_LITERAL("text")), ==, 0);
    CHECK_INT(sink.bytes(sink.ud, TR_SLICE_LITERAL("b")), ==, 0);
    if (broken) {
      tr_script_build_end(builder, &body);
      CHECK_INT(body.kind, ==, TR_BODY_NONE);
      break;
    }
    CHECK_INT(sink.end_array(sink.ud), ==, 0);
    CHECK_INT(sink.end_map(sink.ud), ==, 0);
    tr_script_build_end(builder, &body);
    uint32_t slot = body.slot;
    CHECK_INT(slot, >, 0);
    CHECK_INT(body.size, ==, 8 * TR_VALUE_SIZE + 9);
    const tr_body_ops *ops = tr_core_body_ops(h.core);
    uint32_t copy = ops->copy(ops->ud, slot);
    tr_buf json;
    tr_buf_init(&json, check_mem());
    CHECK_INT(ops->encode(ops->ud, copy, TR_FORMAT_JSON, &json, &h.error), ==, 0);
    CHECK_SLICE(tr_buf_view(&json), "{\"list\":[1,1.5,true,null,\"text\",\"Yg==\"]}");
    CHECK_INT(ops->encode(ops->ud, copy, TR_FORMAT_TEXT, &json, &h.error), ==, TR_EINVALID);
    tr_buf_fini(&json);
    ops->release(ops->ud, copy);
    ops->release(ops->ud, slot);
  }
  host_close(&h);
}

CHECK_CASE(failures_are_told_once_with_traceback) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { on = {\n F = function() error('boom') end } }"), ==, 0);
  CHECK_STR(host_call(&h, "a", "F", NULL), "handler_error: a.lua:2: boom");
  CHECK(host_logged(&h, "traceback=\"[C]: in function 'error' | a.lua:2: in function <a.lua:2>\""));
  for (int i = 0; i < 2000; i++) {
    char type[32];
    snprintf(type, sizeof type, "Unknown%d", i % 1500);
    host_send(&h, "a", type, NULL);
    host_settle(&h);
  }
  host_settle(&h);
  CHECK_INT(host_log_count(&h, "message.unhandled"), ==, 1000); /* bounded */
  CHECK_INT(host_log_count(&h, "type=Unknown7 "), ==, 1);
  host_close(&h);
}
