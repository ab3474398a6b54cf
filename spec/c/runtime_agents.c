/* SPDX-License-Identifier: MIT
 * Agents as C sees them: made on request, listed, described; messages with options; an interceptor. The Lua side of the same is
 * in spec/module. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "troupe.h"

static char said[4000];

static void say(const char *text) {
  size_t n = strlen(said);
  snprintf(said + n, sizeof said - n, "%s\n", text);
}

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  char line[600];
  (void)ud;
  (void)level;
  snprintf(line, sizeof line, "%s %s", event, text);
  say(line);
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  tr_mem *mem = check_mem();
  (void)ud;
  if (new_size) return tr_realloc(mem, ptr, old_size, new_size);
  tr_free(mem, ptr, old_size);
  return NULL;
}

static const char source[] =
  "return { { type = 'a', mailbox = { limit = 100 }, description = 'An agent.', version = 2, subscriptions = { 'news', { prefix = 'x.', key = 'k' } }, state = { n = 0 },\n"
  "  on = { Add = function(self, message) self.n = self.n + (message.n or 1) return { n = self.n } end,\n"
  "         About = function(self, message, ctx) return { id = ctx.message_id, colour = ctx.metadata.colour } end,\n"
  "         Sleep = function(self, message, ctx) ctx:sleep(100) end },\n"
  "  on_event = { ['*'] = function() end } },\n"
  "{ type = 'b', init = function(self, ctx) ctx:sleep(0.001) if ctx.key == 'bad' then error('no') end end,\n"
  "  on = { Ask = function(self, message, ctx) return ctx:call('a/asked', 'Add', message) end } } }";

static troupe_t *open_runtime(void) {
  troupe_t *rt = NULL;
  troupe_options_t options = { .size = sizeof options, .log = on_log, .seed = 1, .allocate = allocate };
  said[0] = 0;
  if (troupe_new(&rt, &options)) return NULL;
  int rc = troupe_load(rt, "agents.lua", source, 0);
  if (!rc) return rt;
  if (!check_mem_refused()) CHECK_FAIL("%s", troupe_error(rt));
  troupe_free(rt);
  return NULL;
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  char line[300];
  if (status) snprintf(line, sizeof line, "%s: %s", troupe_error_name(status), text);
  else {
    size_t n = 0;
    char *json = body ? troupe_value_to_json(ud, body, &n) : NULL;
    snprintf(line, sizeof line, "%s %s", type, json ? json : "nothing");
    troupe_free_text(ud, json, n);
  }
  say(line);
}

static void add(void *ud, const troupe_agent_t *agent) {
  char line[200];
  (void)ud;
  snprintf(line, sizeof line, "%s %s %llu %llu", agent->id, agent->state, (unsigned long long)agent->mailbox,
           (unsigned long long)agent->turns);
  say(line);
}

static const char *list(troupe_t *rt) {
  said[0] = 0;
  troupe_agents(rt, add, NULL);
  return said;
}

CHECK_CASE(agents_are_made_on_request_and_listed) {
  troupe_t *rt = open_runtime();
  CHECK_INT(troupe_get(rt, "nobody/x", 0, on_reply, rt), ==, TROUPE_ENOT_FOUND);
  CHECK_STR(troupe_error(rt), "no agent type \"nobody\" in this process");
  CHECK_INT(troupe_get(rt, "b/x", 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_get(rt, "b/bad", 0, on_reply, rt), ==, 0);
  CHECK_STR(list(rt), "b/x new 1 0\nb/bad new 1 0\n");
  said[0] = 0;
  CHECK_INT(troupe_run_until_idle(rt, 5000000), ==, 0);
  CHECK(strstr(said, "null null"));
  CHECK(strstr(said, "handler_error: agents.lua:6: no"));
  CHECK_INT(troupe_send(rt, "a", "Sleep", NULL), ==, 0);
  CHECK_INT(troupe_send(rt, "a", "Add", NULL), ==, 0);
  troupe_poll(rt, 0);
  CHECK_STR(list(rt), "a/default working 1 1\nb/x idle 0 0\n");
  CHECK_INT(troupe_agents(rt, NULL, NULL), ==, 2);
  troupe_free(rt);
}

CHECK_CASE(agents_are_described) {
  troupe_t *rt = open_runtime();
  troupe_value_t *value = troupe_metadata(rt, "a/any");
  const char *type = NULL, *description = NULL, *where = NULL;
  int version = 0;
  CHECK_INT(troupe_unpack(value, "{s:s,s:s,s:s,s:i}", "type", &type, "description", &description, "where", &where, "version", &version),
            ==, 0);
  CHECK_STR(type, "a");
  CHECK_STR(description, "An agent.");
  CHECK_STR(where, "file");
  CHECK_INT(version, ==, 2);
  CHECK_INT(troupe_value_length(troupe_value_get(value, "messages")), ==, 4);
  size_t n;
  char *json = troupe_value_to_json(rt, troupe_value_get(value, "subscriptions"), &n);
  CHECK_STR(json, "[{\"topic\":\"news\"},{\"prefix\":\"x.\",\"key\":\"k\"}]");
  troupe_free_text(rt, json, n);
  troupe_value_free(value);
  CHECK(!troupe_metadata(rt, "nobody"));
  CHECK_STR(troupe_error(rt), "no agent type \"nobody\" is known here");
  CHECK(!troupe_metadata(rt, "not legal/x"));
  troupe_free(rt);
}

CHECK_CASE(messages_take_options) {
  troupe_t *rt = open_runtime();
  static const char *const pairs[] = { "colour", "red", NULL }, *const reserved[] = { "troupe-x", "1", NULL };
  troupe_message_options_t options = { .size = sizeof options, .id = "mine", .metadata = pairs, .priority = 1, .timeout_us = 1000000 };
  CHECK_INT(troupe_call_with(rt, "a", "About", NULL, &options, on_reply, rt), ==, 0);
  CHECK_INT(troupe_run_until_idle(rt, 5000000), ==, 0);
  CHECK(strstr(said, "\"id\":\"mine\"") && strstr(said, "\"colour\":\"red\""));
  CHECK_INT(troupe_send_with(rt, "a", "Add", NULL, &options), ==, 0);
  CHECK_INT(troupe_publish_with(rt, "news", "Add", NULL, NULL), ==, 0);
  options.metadata = reserved;
  CHECK_INT(troupe_call_with(rt, "a", "About", NULL, &options, on_reply, rt), ==, TROUPE_EINVALID);
  CHECK_STR(troupe_error(rt), "metadata.troupe-x: names that begin with \"troupe-\" are reserved");
  options = (troupe_message_options_t){ .size = sizeof options, .id = "" };
  CHECK_INT(troupe_call_with(rt, "a", "About", NULL, &options, on_reply, rt), ==, TROUPE_EINVALID);
  options = (troupe_message_options_t){ .size = sizeof options, .encoding = "no/such" };
  CHECK_INT(troupe_call_with(rt, "a", "About", NULL, &options, on_reply, rt), ==, TROUPE_EINVALID);
  options = (troupe_message_options_t){ .size = sizeof options, .timeout_us = 1000 };
  said[0] = 0;
  CHECK_INT(troupe_call_with(rt, "a", "Sleep", NULL, &options, on_reply, rt), ==, 0);
  while (!strstr(said, "timeout: ")) troupe_poll(rt, 1000);
  troupe_free(rt);
}

/* By its type: dropped, refused, changed, passed. */
static int watch(void *ud, troupe_message_t *message) {
  troupe_t *rt = ud;
  char line[300];
  snprintf(line, sizeof line, "%s %s %s %s", message->kind, message->target, message->type, message->sender ? message->sender : "-");
  say(line);
  if (strcmp(message->type, "Drop") == 0) return TROUPE_DROP;
  if (strcmp(message->type, "Refuse") == 0) return message->error = "not this one", TROUPE_EPERMISSION;
  if (strcmp(message->type, "Other") == 0) message->new_type = "Add";
  if (strcmp(message->target, "a/asked") == 0) message->new_body = troupe_pack(rt, "{s:i}", "n", 40);
  return TROUPE_PASS;
}

CHECK_CASE(an_interceptor_sees_changes_and_drops) {
  troupe_t *rt = open_runtime();
  troupe_stats_t stats = { .size = sizeof stats };
  CHECK_INT(troupe_intercept(rt, watch, rt), ==, 0);
  CHECK_INT(troupe_call(rt, "b", "Ask", NULL, 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_run_until_idle(rt, 5000000), ==, 0);
  CHECK_STR(said, "request b/default Ask -\nrequest a/asked Add b/default\nAdd {\"n\":40}\n");
  said[0] = 0;
  CHECK_INT(troupe_call(rt, "a", "Drop", NULL, 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_call(rt, "a", "Refuse", NULL, 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_call(rt, "a", "Other", NULL, 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_publish(rt, "news", "Drop", NULL), ==, 0);
  CHECK_INT(troupe_send(rt, "a", "Refuse", NULL), ==, TROUPE_EPERMISSION);
  CHECK_INT(troupe_run_until_idle(rt, 5000000), ==, 0);
  CHECK(strstr(said, "cancelled: the message was dropped by an interceptor\n"));
  CHECK(strstr(said, "permission_denied: not this one\n"));
  CHECK(strstr(said, "Add {\"n\":1}\n"));
  troupe_get_stats(rt, &stats);
  CHECK_INT(stats.dropped, ==, 2);
  CHECK_INT(stats.dead_letters, ==, 1);
  CHECK_INT(troupe_intercept(rt, NULL, NULL), ==, 0);
  said[0] = 0;
  CHECK_INT(troupe_call(rt, "a", "Add", NULL, 0, on_reply, rt), ==, 0);
  CHECK_INT(troupe_run_until_idle(rt, 5000000), ==, 0);
  CHECK_STR(said, "Add {\"n\":2}\n");
  troupe_free(rt);
}

CHECK_CASE(a_listener_that_fails_leaves_nothing) {
  troupe_t *one = open_runtime(), *two = open_runtime();
  const char *bound = NULL;
  char address[200];
  CHECK_INT(troupe_listen(one, "127.0.0.1:0", &bound), ==, 0);
  snprintf(address, sizeof address, "%s", bound);
  CHECK_INT(troupe_listen(two, address, NULL), ==, TROUPE_EIO);
  CHECK_INT(troupe_listen(two, "nonsense", NULL), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_connect(two, "nonsense"), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_run(two), ==, 0); /* at once: it has no door */
  troupe_free(one);
  CHECK_INT(troupe_listen(two, address, &bound), ==, 0);
  CHECK_STR(bound, address);
  troupe_free(two);
}

CHECK_CASE(agents_and_interceptors_do_without_memory) {
  for (size_t n = 1;; n++) {
    troupe_t *rt = open_runtime();
    CHECK(rt);
    troupe_run_until_idle(rt, 1000000);
    check_mem_fail_at(n);
    troupe_intercept(rt, watch, rt);
    int got = troupe_get(rt, "a/1", 0, on_reply, rt), asked = troupe_call(rt, "b", "Ask", NULL, 0, on_reply, rt);
    troupe_run_until_idle(rt, 1000000);
    troupe_agents(rt, add, NULL);
    troupe_value_free(troupe_metadata(rt, "a"));
    bool refused = check_mem_refused();
    check_mem_fail_at(0);
    troupe_run_until_idle(rt, 1000000);
    if (!refused) CHECK(got == 0 && asked == 0);
    troupe_free(rt);
    if (!refused) break;
  }
}
