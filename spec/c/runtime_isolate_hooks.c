/* SPDX-License-Identifier: MIT
 * The embedder's functions with several isolates: interceptors and serializers are called in the runtime's own thread, one at a time, for
 * agents of all of them. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "runtime/isolate.h"

#define AGENTS 24

/* Ask goes round: each asks the next one, tells the one after it, and publishes. */
static const char source[] =
    "local a = { type = 'a', mailbox = { limit = 100 }, subscriptions = { { 'news', key = 'seven' } }, state = { n = 0, told = 0, news = 0 }, on = {\n"
    "  Ask = function(self, m, ctx)\n"
    "    self.n = self.n + 1\n"
    "    if m.left == 0 then return m end\n"
    "    ctx:send('a/' .. m.at, 'Tell', { v = m.left }) ctx:publish('news', 'News', { v = m.left })\n"
    "    return ctx:call('a/' .. (m.at + 1) % 24, m.type or 'Ask', { left = m.left - 1, at = m.at + 1, type = m.type }, { encoding = m.enc })\n"
    "  end,\n"
    "  Tell = function(self) self.told = self.told + 1 end, News = function(self) self.news = self.news + 1 end,\n"
    "  Drop = function() error 'never' end, Changed = function(_, m) return { was = m.left } end,\n"
    "  Loud = function(_, m, ctx)\n"
    "    if m.left == 0 then return { left = 0 } end\n"
    "    return ctx:call('a/' .. (m.left * 5) % 24, 'Loud', { left = m.left - 1 }, { encoding = 'text/loud' })\n"
    "  end,\n"
    "  Sum = function(self) return { sum = table.concat({ self.n, self.told, self.news }, ' ') } end } }\n"
    "return { a }";

static pthread_t own;
static int depth, seen, asks, tells, news;

static troupe_t *make(unsigned threads) {
  troupe_t *rt;
  troupe_options_t options = { .size = sizeof options, .seed = 1, .threads = threads };
  own = pthread_self();
  depth = seen = asks = tells = news = 0;
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  CHECK_INT(troupe_load(rt, "a.lua", source, 0), ==, 0);
  return rt;
}

static void enter(void) {
  CHECK(pthread_equal(own, pthread_self()));
  CHECK_INT(++depth, ==, 1);
}

static int on_message(void *ud, troupe_message_t *message) {
  (void)ud;
  enter();
  seen++;
  asks += strcmp(message->type, "Ask") == 0;
  tells += strcmp(message->type, "Tell") == 0;
  news += strcmp(message->type, "News") == 0;
  if (strcmp(message->type, "Change") == 0) message->new_type = "Changed";
  depth--;
  return strcmp(message->type, "Drop") == 0 ? TROUPE_DROP : TROUPE_PASS;
}

static struct { int status; char text[500]; } last;

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  size_t n = 0;
  char *json = body ? troupe_value_to_json(ud, body, &n) : NULL;
  (void)type;
  last.status = status;
  snprintf(last.text, sizeof last.text, "%s", status ? text : json ? json : "");
  troupe_free_text(ud, json, n);
}

static const char *call(troupe_t *rt, const char *agent, const char *type, int left, const char *then) {
  troupe_value_t *body = troupe_pack(rt, "{s:i,s:i}", "left", left, "at", 0);
  if (then) troupe_value_set(body, "type", troupe_value_from_json(rt, then, strlen(then)));
  snprintf(last.text, sizeof last.text, "no answer");
  CHECK_INT(troupe_call(rt, agent, type, body, 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_run_until_idle(rt, TR_SECONDS(20)), ==, 0);
  return last.text;
}

static void intercepted(unsigned threads) {
#ifdef TR_HOSTILE
  if (threads > 1) CHECK_SKIP("what an interceptor passes on does not wait for room, and a link holds two parcels");
#endif
  troupe_t *rt = make(threads);
  troupe_stats_t stats = { .size = sizeof stats };
  CHECK_INT(troupe_intercept(rt, on_message, NULL), ==, 0);
  const char *text = call(rt, "a/0", "Ask", 20, NULL);
  if (!strstr(text, "\"left\":0")) CHECK_FAIL("%s", text);
  CHECK_INT(asks, ==, 21); /* each once, wherever it went */
  CHECK_INT(tells, ==, 20);
  CHECK_INT(news, ==, 20);
  CHECK_STR(call(rt, "a/3", "Sum", 0, NULL), "{\"sum\":\"1 1 0\"}");
  CHECK_STR(call(rt, "a/seven", "Sum", 0, NULL), "{\"sum\":\"0 0 20\"}");
  CHECK_STR(call(rt, "a/5", "Ask", 3, "\"Change\""), "{\"was\":2}");
  call(rt, "a/5", "Ask", 3, "\"Drop\"");
  CHECK(strstr(last.text, "the message was dropped by an interceptor"));
  troupe_get_stats(rt, &stats);
  CHECK_INT(stats.dropped, ==, 1);
  CHECK_INT(stats.events, ==, 22);
  CHECK_INT(stats.sends, ==, 22);
  CHECK_INT(stats.requests, ==, 26);
  seen = 0;
  CHECK_INT(troupe_intercept(rt, NULL, NULL), ==, 0);
  call(rt, "a/0", "Ask", 20, NULL);
  CHECK_INT(seen, ==, 0);
  troupe_free(rt);
}

CHECK_CASE(threads_messages_of_all_are_shown_to_one_interceptor) {
  intercepted(1);
  intercepted(4);
}

/* ---- serializers ---- */

static int written, taken;

static int encode(void *ud, const char *type, const troupe_value_t *body, troupe_output_t *out) {
  int64_t left = 0;
  char text[40];
  (void)ud;
  (void)type;
  enter();
  written++;
  troupe_value_integer(troupe_value_get(body, "left"), &left);
  int n = snprintf(text, sizeof text, "LEFT %lld", (long long)left);
  depth--;
  return left == 13 ? troupe_output_fail(out, "13 is not said") : troupe_output_bytes(out, text, (size_t)n);
}

static troupe_value_t *decode(void *ud, const char *type, const void *bytes, size_t length, troupe_output_t *why) {
  char text[40];
  (void)type;
  (void)why;
  enter();
  taken++;
  snprintf(text, sizeof text, "%.*s", (int)length, (const char *)bytes);
  CHECK(strncmp(text, "LEFT ", 5) == 0);
  troupe_value_t *value = troupe_pack(ud, "{s:i}", "left", atoi(text + 5));
  depth--;
  return value;
}

static void serialized(unsigned threads) {
  troupe_t *rt = make(threads);
  written = taken = 0;
  CHECK_INT(troupe_serializer(rt, "Loud", "text/loud", encode, decode, rt), ==, 0);
  CHECK_STR(call(rt, "a/0", "Loud", 10, NULL), "{\"left\":0}");
  CHECK_INT(written, >=, 10);
  CHECK_INT(taken, >=, 10);
  call(rt, "a/0", "Loud", 15, NULL);
  CHECK(strstr(last.text, "13 is not said"));
  troupe_free(rt);
}

CHECK_CASE(threads_serializers_run_in_the_runtimes_own) {
  serialized(1);
  serialized(4);
}
