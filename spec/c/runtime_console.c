/* SPDX-License-Identifier: MIT
 * The operator's questions about agents, asked by the process itself: what they answer, what they refuse, and with the n-th allocation
 * failing, for every n. Each is ended exactly once. */
#include <stdio.h>
#include <string.h>

#include "runtime/runtime.h"
#include "runtime_kit.h"

static const char agents[] =
  "return { { type = 'a', state = { n = 0 }, subscriptions = { 'news' }, on = { Add = function(self, m) self.n = self.n + m.n return self.n end,\n"
  "  Wait = function(_, _, ctx) ctx:sleep(100) end, News = function() error('broken') end } } }";

typedef struct answers { int count, over, code; char text[20000], why[400]; } answers;

static void on_reply(void *ud, tr_slice json) {
  answers *a = ud;
  size_t n = strlen(a->text);
  a->count++;
  snprintf(a->text + n, sizeof a->text - n, "%.*s\n", TR_SLICE_ARG(json));
}

static void on_over(void *ud, int code, tr_slice text) {
  answers *a = ud;
  a->over++;
  a->code = code;
  snprintf(a->why, sizeof a->why, "%.*s", TR_SLICE_ARG(text));
}

static const char *ask(troupe_t *rt, answers *a, const char *verb, const char *body) {
  memset(a, 0, sizeof *a);
  if (tr_runtime_ask(rt, verb, body, on_reply, on_over, a)) a->over = a->code = -1;
  else kit_work(rt);
  return a->text;
}

static void say(troupe_t *rt, const char *agent, const char *type) { troupe_send(rt, agent, type, troupe_pack(rt, "{s:i}", "n", 2)); }

CHECK_CASE(operator_answers_about_agents) {
  troupe_t *rt = kit_open(agents);
  static answers a, t;
  ask(rt, &t, "trace", "{\"only\":[\"a\"],\"types\":[\"A*\"],\"count\":2}");
  say(rt, "a/1", "Add");
  kit_work(rt);
  CHECK_INT(t.count, ==, 1);
  CHECK(strstr(t.text, "\"kind\":\"send\",\"type\":\"Add\",\"to\":\"a/1\",\"id\":\""));
  CHECK(strstr(t.text, "\"body\":{\"n\":2}}"));
  CHECK_STR(ask(rt, &a, "agents", "{}"), "{\"agents\":[{\"id\":\"a/1\",\"state\":\"idle\",\"program\":false}],\"types\":[{\"type\":\"a\",\"messages\":[\"News\",\"Add\",\"Wait\"],\"topics\":[\"news\"]}],\"more\":false}\n");
  CHECK(strstr(ask(rt, &a, "inspect", "{\"agent\":\"a\",\"window\":0}"), "{\"id\":\"a/1\",\"doing\":\"idle\"")); /* the only one of its type */
  CHECK_INT(a.over, ==, 1);
  CHECK_STR(ask(rt, &a, "eval", "{\"agent\":\"a/1\",\"code\":\"self.n\"}"), "{\"values\":[\"2\"]}\n");
  CHECK_STR(ask(rt, &a, "complete", "{\"agent\":\"a/1\",\"text\":\"self.\"}"), "[\"self.n\"]\n");
  troupe_publish(rt, "news/1", "News", NULL);
  kit_work(rt);
  CHECK(strstr(ask(rt, &a, "inspect", "{\"agent\":\"a/1\",\"window\":0}"), "\"failures\":{\"count\":1,\"last\":\"handler_error: "));
  troupe_free(rt);
  CHECK_INT(t.over, ==, 1); /* its end ends what goes on */
}

CHECK_CASE(operator_refuses_what_is_wrong) {
  static const struct { const char *verb, *body; int code; const char *why; } cases[] = {
    { "inspect", "{\"agent\":\"b/1\"}", TR_ENOT_FOUND, "did you mean a/1?" },
    { "inspect", "{}", TR_EINVALID, "whose id?" },
    { "inspect", "{\"agent\":\"a/\"}", TR_ENOT_FOUND, "no agent" },
    { "break", "{\"agent\":\"a/1\"}", TR_EINVALID, "no turn of it is open" },
    { "eval", "{\"agent\":\"a/1\"}", TR_EINVALID, "in which agent, and what" },
    { "eval", "{\"agent\":\"nobody\",\"code\":\"1\"}", TR_ENOT_FOUND, "no agent" },
    { "complete", "{\"agent\":\"a/1\",\"text\":7}", TR_EINVALID, "in which agent" },
    { "top", "{\"sort\":\"beauty\"}", TR_EINVALID, "it is one of" },
    { "trace", "{\"only\":[\"nobody\"]}", TR_ENOT_FOUND, "no agent" },
    { "dance", "{}", TR_ECANT_HANDLE, "does not know the verb dance" },
    { "inspect", "[1]", TR_EINVALID, "must be a JSON object" },
  };
  troupe_t *rt = kit_open(agents);
  static answers a;
  say(rt, "a/1", "Add");
  kit_work(rt);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ask(rt, &a, cases[i].verb, cases[i].body);
    if (a.code != cases[i].code || !strstr(a.why, cases[i].why) || a.over != 1 || a.count)
      CHECK_FAIL("%s %s: %d \"%s\", ended %d times", cases[i].verb, cases[i].body, a.code, a.why, a.over);
  }
  troupe_free(rt);
}

CHECK_CASE(operator_top_goes_on_until_its_count) {
  kit_clock = 0;
  troupe_t *rt = kit_open(agents);
  static answers a;
  say(rt, "a/1", "Add");
  ask(rt, &a, "top", "{\"count\":2,\"interval\":0.05,\"sort\":\"turns\"}");
  for (uint64_t end = uv_hrtime() + UINT64_C(5000000000); !a.over && uv_hrtime() < end;) tr_runtime_turn(rt);
  CHECK_INT(a.count, ==, 2);
  CHECK_INT(a.code, ==, 0);
  CHECK(strstr(a.text, "\"rows\":[{\"id\":\"a/1\",\"state\":\"idle\",\"queued\":0,\"queued_bytes\":0,\"open\":0,\"turns\":1,"));
  troupe_free(rt);
}

CHECK_CASE(operator_without_memory) {
  static const char *const questions[][2] = {
    { "agents", "{}" }, { "inspect", "{\"agent\":\"a/1\",\"window\":0}" }, { "eval", "{\"agent\":\"a/1\",\"code\":\"self.n\"}" },
    { "complete", "{\"agent\":\"a/1\",\"text\":\"self.\"}" }, { "break", "{\"agent\":\"a/1\",\"waiting\":true}" },
  };
  CHECK_EACH_ALLOCATION_FAILS {
    static answers a, t, top;
    troupe_t *rt = kit_open(agents);
    if (!rt) continue;
    ask(rt, &t, "trace", "{\"only\":[\"a\",\"b*\"],\"types\":[\"*\"]}");
    ask(rt, &top, "top", "{}");
    say(rt, "a/1", "Add");
    say(rt, "a/1", "Wait");
    kit_work(rt);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
      ask(rt, &a, questions[i][0], questions[i][1]);
      if (a.over != 1 && a.over != -1) CHECK_FAIL("%s: ended %d times", questions[i][0], a.over);
      if (a.over == 1 && a.code && a.code != TR_EMEMORY && !check_mem_refused()) CHECK_FAIL("%s: %s", questions[i][0], a.why);
    }
    troupe_free(rt);
    if ((t.over != 1 && t.over != -1) || (top.over != 1 && top.over != -1)) CHECK_FAIL("the trace ended %d times, the top %d", t.over, top.over);
  }
}
