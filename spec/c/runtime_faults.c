/* SPDX-License-Identifier: MIT
 * What an embedding program does all day (load, call, send, publish, new agents, timers), with the n-th allocation failing, for every n; and
 * what the log says of letters that nobody takes. */
#include <stdio.h>

#include "runtime_kit.h"

static troupe_t *open_runtime(void) {
  kit_log[0] = 0;
  kit_clock = 1;
  return kit_new();
}

static const char agents[] =
  "return {\n"
  "  { type = 'a', mailbox = { limit = 100 }, state = { n = 0 }, subscriptions = { 'news' }, limits = { memory = '1M' }, on = {\n"
  "    Ask = function(self, m, ctx)\n"
  "      ctx:send('b/' .. m.n, 'Note', m) ctx:publish('news', 'News', { list = { m, m } }) ctx:after(1, 'Later', m)\n"
  "      return ctx:call('b', 'Echo', m)\n"
  "    end,\n"
  "    News = function(self) self.n = self.n + 1 end, Later = function(self) self.n = self.n + 10 end } },\n"
  "  { type = 'b', mailbox = { limit = 100 }, state = { list = {} }, on = { Note = function(self, m) self.list[#self.list + 1] = m end,\n"
  "    Echo = function(_, m) return { n = m.n } end } } }";

typedef struct heard { int replies, status; int64_t n; int events; } heard;

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  heard *h = ud;
  (void)text;
  (void)type;
  h->replies++;
  h->status = status;
  if (!status) troupe_unpack(body, "{s:I}", "n", &h->n);
}

static void on_event(void *ud, const char *topic, const char *type, const troupe_value_t *body) {
  (void)topic;
  (void)type;
  (void)body;
  ((heard *)ud)->events++;
}

static void settle(troupe_t *rt) {
  for (int i = 0; i < 10000 && troupe_poll(rt, 0) > 0; i++) { }
}

/* Each call that was taken hears of its end, exactly once. */
static void day(troupe_t *rt, heard *h) {
  int taken = 0;
  if (troupe_load(rt, "a.lua", agents, 0)) return;
  int64_t id = troupe_subscribe(rt, "news", on_event, h);
  for (int i = 1; i <= 3; i++)
    taken += troupe_call(rt, "a/x", "Ask", troupe_pack(rt, "{s:i}", "n", i), 0, on_reply, h) == 0;
  troupe_send(rt, "b/y", "Note", troupe_pack(rt, "{s:[i,s]}", "list", 1, "text"));
  troupe_send(rt, "nobody", "Note", NULL);
  troupe_publish(rt, "news/z", "News", troupe_pack(rt, "{}"));
  settle(rt);
  kit_clock += 2000000;
  settle(rt);
  if (h->replies < taken) {
    kit_clock += 60000000; /* what an answer was lost of ends at its deadline */
    settle(rt);
  }
  if (h->replies != taken) CHECK_FAIL("%d calls were taken, %d replies came", taken, h->replies);
  if (id > 0) CHECK_INT(troupe_unsubscribe(rt, id), ==, 0);
}

CHECK_CASE(any_allocation_may_fail_in_what_an_embedding_program_does) {
  CHECK_EACH_ALLOCATION_FAILS {
    troupe_t *rt = open_runtime();
    heard h = { 0 };
    if (!rt) continue;
    day(rt, &h);
    if (!check_mem_refused()) {
      CHECK_INT(h.status, ==, 0);
      CHECK_INT((int)h.n, ==, 3);
      CHECK_INT(h.events, ==, 4);
    }
    troupe_free(rt);
  }
}

static int lines_with(const char *text) {
  int n = 0;
  for (const char *at = kit_log; (at = strstr(at, text)); at++) n++;
  return n;
}

CHECK_CASE(dead_letters_of_one_kind_are_told_less_and_less_often) {
  troupe_t *rt = open_runtime();
  CHECK_INT(troupe_load(rt, "a.lua", "return { type = 'a', on = { Go = function(_, m, ctx) for i = 1, m.n do ctx:send('nobody/' .. i, 'T') end ctx:send('nobody', 'U') end } }", 0), ==, 0);
  CHECK_INT(troupe_send(rt, "a", "Go", troupe_pack(rt, "{s:i}", "n", 100)), ==, 0);
  settle(rt);
  CHECK_INT(lines_with("dead_letter type=T agent=nobody/"), ==, 7); /* the 1st, 2nd, 4th, … 64th */
  CHECK(strstr(kit_log, "count=64\n"));
  CHECK_INT(lines_with("dead_letter type=U agent=nobody/default"), ==, 1);
  troupe_free(rt);
}
