/* A program with agents in it: its own loop polls two Lua agents, as a game would do once a frame.
 * Built and run by the tests; by hand: cc main.c $(pkg-config --cflags --libs troupe) -o embed && ./embed */
#include <stdio.h>

#include <troupe.h>

static const char *const counter =
    "return { type = 'counter', state = { n = 0 },\n"
    "  on = { Add = function(self, message)\n"
    "    self.n = self.n + message.by\n"
    "    return { total = self.n }\n"
    "  end } }\n";

static const char *const clerk =
    "return { type = 'clerk',\n"
    "  on = { Twice = function(self, message, ctx)\n"
    "    ctx:call('counter', 'Add', { by = message.by })\n"
    "    local answer = ctx:call('counter', 'Add', { by = message.by })\n"
    "    ctx:publish('news', 'Counted', answer)\n"
    "    return answer\n"
    "  end } }\n";

static void on_event(void *ud, const char *topic, const char *type, const troupe_value_t *body) {
  int64_t total = 0;
  troupe_value_integer(troupe_value_get(body, "total"), &total);
  printf("event %s on %s: total %lld\n", type, topic, (long long)total);
  (void)ud;
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  int total = 0;
  if (status) printf("failed: %s: %s\n", troupe_error_name(status), text);
  else if (troupe_unpack(body, "{s:i}", "total", &total) == 0) printf("reply %s: total %d\n", type, total);
  *(int *)ud = 1;
}

int main(void) {
  troupe_t *rt;
  int done = 0;
  if (troupe_new(&rt, NULL)) return 1;
  if (troupe_load(rt, "counter.lua", counter, 0) || troupe_load(rt, "clerk.lua", clerk, 0) ||
      troupe_subscribe(rt, "news", on_event, NULL) < 0 ||
      troupe_call(rt, "clerk/front", "Twice", troupe_pack(rt, "{s:i}", "by", 21), 0, on_reply, &done)) {
    fprintf(stderr, "embed: %s\n", troupe_error(rt));
    troupe_free(rt);
    return 1;
  }
  while (troupe_poll(rt, 1000) > 0 || !done) {
    /* draw a frame here: of each, a millisecond is the agents' */
  }
  troupe_free(rt);
  return 0;
}
