/* SPDX-License-Identifier: MIT
 * What consoles do with an agent: look at it, evaluate in it, end its turns; with odd values, with no memory, in the wrong moment. */
#include <stdio.h>
#include <string.h>

#include "script_host.h"

static const char agents[] =
  "word = 'global'\n"
  "local circle = { name = 'c' } circle.self = circle\n"
  "return { { type = 'a', state = { n = 1, list = { 1, 2.5, 'x' }, circle = circle, f = print, ['odd key'] = true, [3] = 'three', inf = 1 / 0, bytes = troupe.bytes 'ab', text = 'a\"\\n\\200' },\n"
  "  methods = { twice = function(self) return 2 * self.n end }, timers = { Tick = 5 }, subscriptions = { 'chat' }, limits = { instructions = 1e6 },\n"
  "  on = { Wait = function(_, _, ctx) ctx:sleep(100) return 'slept' end, Loop = function() while true do end end, Fail = function() error('no') end, Echo = function(_, m) return m end, Tick = function() end } },\n"
  "  { type = 'deep', state = function() local t = {} local at = t for i = 1, 100 do at.t = {} at = at.t end t.many = {} for i = 1, 5000 do t.many[i] = ('x'):rep(20) end return t end, on = { Echo = function(_, m) return m end } },\n"
  "  function(ctx) ctx:sleep(1) end }\n";

typedef struct reply { bool there; char text[4000]; host *h; } reply;

static void on_reply(void *ud, tr_call *call, tr_reply *answer) {
  reply *r = ud;
  tr_blob *bytes;
  tr_format format;
  tr_error error;
  (void)call;
  r->there = true;
  tr_error_init(&error);
  if (answer->code) {
    snprintf(r->text, sizeof r->text, "%s: %.*s", tr_error_name(answer->code), TR_SLICE_ARG(answer->error));
  } else if (tr_body_bytes(r->h->core, &answer->body, TR_FORMAT_JSON, &bytes, &format, &error)) {
    snprintf(r->text, sizeof r->text, "%s", error.text);
  } else {
    snprintf(r->text, sizeof r->text, "%.*s", (int)bytes->len, (const char *)bytes->data);
    tr_blob_unref(bytes);
  }
}

static tr_agent *find(host *h, const char *type, const char *key) {
  tr_class *class_ = tr_core_find_class(h->core, tr_slice_of(type));
  return class_ ? tr_class_find(class_, tr_slice_of(key)) : NULL;
}

static const char *evaluate(host *h, const char *key, const char *code) {
  static reply r;
  tr_error error;
  r = (reply){ .h = h };
  tr_error_init(&error);
  tr_agent *agent = find(h, "a", key);
  if (!agent) return "no agent";
  if (!tr_script_visit(agent, tr_slice_of(code), h->now + TR_SECONDS(5), on_reply, &r, &error)) return "not asked";
  host_settle(h);
  return r.there ? r.text : "no answer";
}

static void begin(host *h) {
  host_open(h);
  host_source(h, "a.lua", agents);
  host_call(h, "a/1", "Echo", "1");
}

CHECK_CASE(a_console_evaluates_in_the_agent) {
  host h = { 0 };
  begin(&h);
  CHECK_STR(evaluate(&h, "1", "self.n, self:twice(), word, ctx.id"), "{\"values\":[\"1\",\"2\",\"\\\"global\\\"\",\"\\\"a/1\\\"\"]}");
  CHECK_STR(evaluate(&h, "1", "self.n = 5"), "{\"values\":[]}");
  CHECK(strstr(evaluate(&h, "1", "for i = 1, 2 do print(i, self.n) end"), "\"output\":\"1\\t5\\n2\\t5\\n\""));
  CHECK_STR(evaluate(&h, "1", "x = = 1"), "{\"error\":\"console:1: unexpected symbol near '='\"}");
  const char *text = evaluate(&h, "1", "local x = nil\nreturn x.y");
  CHECK(strstr(text, "\"error\":\"console:2: attempt to index a nil value (local 'x')\""));
  CHECK(strstr(text, "\"traceback\":\"stack traceback:"));
  CHECK_STR(evaluate(&h, "1", "ctx:call('a/2', 'Echo', { x = 1 })"), "{\"values\":[\"{ x = 1 }\",\"\\\"Echo\\\"\"]}");
  CHECK(strstr(evaluate(&h, "1", "while true do pcall(function() while true do end end) end"), "limit_exceeded: a/1, console: console:1: more than 1000000"));
  CHECK(strstr(evaluate(&h, "1", "string.pack('c200000000', 'x')"), "\"error\":\"limit_exceeded: a/1, console: more than 65536 KB of memory (limits.memory;"));
  CHECK_STR(evaluate(&h, "1", ""), "{\"values\":[]}");
  host_call(&h, "a/1", "Fail", NULL);
  tr_script_agent about;
  CHECK(tr_script_agent_about(find(&h, "a", "1"), &about));
  CHECK_INT(about.failures, ==, 1); /* what was typed wrongly does not count */
  CHECK_STR(about.failed, "handler_error: a.lua:5: no");
  host_close(&h);
}

CHECK_CASE(a_console_that_goes_away_ends_what_computes_for_it) {
  host h = { 0 };
  reply r = { .h = &h };
  tr_error error;
  tr_error_init(&error);
  begin(&h);
  tr_agent *agent = find(&h, "a", "1");
  for (int waits = 0; waits < 2; waits++) {
    tr_slice code = waits ? TR_SLICE_LITERAL("ctx:sleep(1000)") : TR_SLICE_LITERAL("while true do end");
    tr_call *call = tr_script_visit(agent, code, TR_NEVER, on_reply, &r, &error);
    CHECK(call != NULL);
    for (int i = 0; i < 3; i++) tr_script_step(h.script, h.now, 1);
    CHECK_INT(tr_agent_turn_count(agent), ==, 1);
    tr_script_unvisit(agent, call);
    for (int i = 0; i < 3; i++) tr_script_step(h.script, h.now, 1); /* the limits would end it after hundreds of slices */
    CHECK_INT(tr_agent_turn_count(agent), ==, 0);
  }
  CHECK(!r.there);
  CHECK_STR(evaluate(&h, "1", "self.n"), "{\"values\":[\"1\"]}");
  host_close(&h);
}

CHECK_CASE(a_console_shows_whatever_there_is) {
  host h = { 0 };
  tr_buf out;
  tr_error error;
  tr_error_init(&error);
  begin(&h);
  tr_buf_init(&out, check_mem());
  CHECK_INT(tr_script_inspect(find(&h, "a", "1"), 10000, &out, &error), ==, 0);
  tr_buf_byte(&out, 0);
  CHECK(strstr((char *)out.data, "\"subscriptions\":[{\"topic\":\"chat\"}]}"));
  CHECK(strstr((char *)out.data, "\"timers\":[{\"type\":\"Tick\",\"in_s\":5.000,\"every_s\":5}],\"turns_open\":[],"));
  CHECK_STR(strstr((char *)out.data, "\"state\""), ("\"state\":{\"bytes\":\"<2 bytes>\",\"circle\":{\"name\":\"c\",\"self\":\"<the table above>\"},\"f\":\"<function>\",\"inf\":\"inf\",\"list\":[1,2.5,\"x\"],"
                                 "\"n\":1,\"odd key\":true,\"text\":\"a\\\"\\n\\u00c8\",\"3\":\"three\"}"));
  CHECK_STR(evaluate(&h, "1", "{ 1, { a = 1.0, ['b c'] = {} }, troupe.null }"), "{\"values\":[\"{ 1, { a = 1.0, [\\\"b c\\\"] = {} }, troupe.null }\"]}");
  host_call(&h, "deep", "Echo", NULL);
  tr_buf_clear(&out);
  CHECK_INT(tr_script_inspect(find(&h, "deep", "default"), 2000, &out, &error), ==, 0);
  CHECK_INT(out.len, <, 4000);
  tr_buf_byte(&out, 0);
  CHECK(strstr((char *)out.data, "\"…\"]"));
  tr_buf_fini(&out);
  host_close(&h);
}

CHECK_CASE(a_console_reaches_and_ends_turns) {
  host h = { 0 };
  tr_buf out;
  tr_error error;
  tr_error_init(&error);
  begin(&h);
  tr_buf_init(&out, check_mem());
  CHECK_INT(tr_script_break(find(&h, "a", "1"), true, &out, &error), ==, TR_EINVALID);
  host_send(&h, "a/w", "Wait", "{}");
  host_send(&h, "a/w", "Echo", "{}");
  host_settle(&h);
  CHECK_STR(evaluate(&h, "w", "self.n"), "{\"values\":[\"1\"]}"); /* in the middle of the turn that waits */
  CHECK_STR(tr_agent_doing(find(&h, "a", "w")), "working");
  tr_error_init(&error);
  CHECK_INT(tr_script_break(find(&h, "a", "w"), false, &out, &error), ==, TR_EINVALID);
  CHECK(strstr(error.text, "a/w computes nothing now; it has 1 turn that waits"));
  CHECK_INT(tr_script_break(find(&h, "a", "w"), true, &out, &error), ==, 1);
  host_settle(&h);
  CHECK_STR(tr_agent_doing(find(&h, "a", "w")), "idle"); /* and it has taken its mail */
  tr_buf_byte(&out, 0);
  CHECK(strstr((char *)out.data, "a/w, Wait (waiting):\n[C]: in method 'sleep'\na.lua:5: in function <a.lua:5>\n"));
  tr_buf_fini(&out);
  host_close(&h);
}

CHECK_CASE(a_console_completes_without_running_anything) {
  host h = { 0 };
  tr_buf out;
  tr_error error;
  tr_error_init(&error);
  begin(&h);
  static const struct { const char *text, *answer; } cases[] = {
    { "wo", "[\"word\"]" }, { "self.tw", "[\"self.twice\"]" }, { "x = self:tw", "[\"x = self:twice\"]" }, { "sel", "[\"select\",\"self\"]" },
    { "self.circle.self.na", "[\"self.circle.self.name\"]" }, { "string.form", "[\"string.format\"]" }, { "self.nothing.x", "[]" },
    { "self.n.x", "[]" }, { "\"a", "[]" }, { "table.co", "[\"table.concat\"]" }, { "..", "[]" }, { "self.odd", "[]" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tr_buf_init(&out, check_mem());
    CHECK_INT(tr_script_complete(find(&h, "a", "1"), tr_slice_of(cases[i].text), &out, &error), ==, 0);
    tr_buf_byte(&out, 0);
    CHECK_STR((char *)out.data, cases[i].answer);
    tr_buf_fini(&out);
  }
  host_close(&h);
}

CHECK_CASE(a_console_refuses_programs) {
  host h = { 0 };
  tr_error error;
  tr_error_init(&error);
  begin(&h);
  tr_agent *program = NULL;
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(h.core, class_));)
    if (tr_class_is_program(class_)) program = tr_class_next_mailbox(class_, NULL);
  CHECK(program != NULL);
  CHECK(!tr_script_visit(program, TR_SLICE_LITERAL("1"), TR_NEVER, on_reply, NULL, &error));
  CHECK(strstr(error.text, "is a program: only in agents that come from files Lua can be evaluated"));
  host_close(&h);
}

/* Whatever is refused, there is an answer or an error, and afterwards it works. */
CHECK_CASE(a_console_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    host h = { 0 };
    if (host_try_open(&h)) continue;
    if (host_source(&h, "a.lua", agents) == 0) {
      tr_buf out;
      tr_error error;
      tr_error_init(&error);
      tr_buf_init(&out, check_mem());
      host_call(&h, "a/1", "Echo", "1");
      const char *text = evaluate(&h, "1", "print(self) return self.list, { x = 1 }");
      if (strcmp(text, "no answer") == 0) CHECK_FAIL("no answer");
      host_send(&h, "a/1", "Wait", "{}");
      host_settle(&h);
      const tr_agent *agent = find(&h, "a", "1");
      if (agent) tr_script_inspect(agent, 1000, &out, &error);
      if (agent) tr_script_complete(agent, TR_SLICE_LITERAL("self."), &out, &error);
      if (agent) tr_script_break(find(&h, "a", "1"), true, &out, &error);
      host_settle(&h);
      host_call(&h, "a/1", "Fail", NULL);
      tr_buf_fini(&out);
      text = evaluate(&h, "1", "1 + 1");
      if (!check_mem_refused()) CHECK_STR(text, "{\"values\":[\"2\"]}");
    }
    host_close(&h);
  }
}
