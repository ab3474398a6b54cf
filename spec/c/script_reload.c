/* SPDX-License-Identifier: MIT
 * Reload: new code for the next message, state kept, all or nothing. */
#include <stdio.h>
#include <string.h>

#include "script_host.h"

#define RELOAD(h, expected)                                            \
  do {                                                                 \
    size_t changed_ = 99;                                              \
    int rc_ = host_reload(h, &changed_);                               \
    if (rc_) CHECK_FAIL("reload: %s", (h)->error.text);                \
    CHECK_INT(changed_, ==, expected);                                 \
  } while (0)
#define REFUSED(h, why)                                                \
  do {                                                                 \
    size_t changed_ = 99;                                              \
    CHECK_INT(host_reload(h, &changed_), <, 0);                        \
    CHECK_INT(changed_, ==, 0);                                        \
    CHECK_STR((h)->error.text, why);                                   \
  } while (0)

CHECK_CASE(reload_gives_new_code_and_keeps_state) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua",
            "return { state = { n = 0 }, on = { Ask = function(self) self.n = self.n + 1 return 'old ' .. self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"old 1\"");
  RELOAD(&h, 0); /* unchanged */
  host_file(&h, "a.lua",
            "return { state = { n = 0, extra = { 7 } }, methods = { get = function(self) return self.extra[1] end },"
                         " on = { Ask = function(self) self.n = self.n + 1 return 'new ' .. self.n .. self:get() end } }");
  RELOAD(&h, 1);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"new 27\"");
  CHECK_STR(host_call(&h, "a/other", "Ask", NULL), "Ask \"new 17\"");
  /* Loading it again is a reload. */
  host_file(&h, "a.lua", "return { on = { Ask = function(self) return self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask 2");
  CHECK_INT(h.changes, ==, 2);
  host_close(&h);
}

CHECK_CASE(reload_refuses_a_bad_file_and_the_old_one_serves) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { on = { Ask = function() return 'a1' end } }");
  host_file(&h, "b.lua", "return { on = { Ask = function() return 'b1' end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_INT(host_load(&h, "b.lua"), ==, 0);
  host_file(&h, "a.lua", "return { on = { Ask = function() return 'a2' end } }");
  host_file(&h, "b.lua", "return {\n on = { Ask = functoin() return 'b2' end } }");
  REFUSED(&h, "b.lua:2: '}' expected near 'return'");
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"a1\"");
  host_file(&h, "b.lua", "return {\n onn = { } }");
  REFUSED(&h, "b.lua:2: `onn` is not a key of an agent; did you mean `on`?");
  host_file(&h, "b.lua", "return { type = 'a', on = {} }");
  REFUSED(&h, "b.lua: agent type `a` is in a.lua too");
  host_file(&h, "b.lua", NULL);
  size_t changed;
  CHECK_INT(host_reload(&h, &changed), ==, TR_ENOT_FOUND);
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"b1\"");
  host_file(&h, "b.lua", "return { on = { Ask = function() return 'b2' end } }");
  RELOAD(&h, 2);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"a2\"");
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"b2\"");
  const char *names[] = { "nothing.lua" };
  tr_error_init(&h.error);
  CHECK_INT(tr_script_reload(h.script, names, 1, NULL, &h.error), ==, TR_ENOT_FOUND);
  CHECK_STR(h.error.text, "nothing.lua: is not loaded");
  host_close(&h);
}

CHECK_CASE(reload_lets_an_open_turn_finish_on_its_code) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { methods = { who = function() return 'old' end }, on = {"
                         " Slow = function(self, _, ctx) ctx:sleep(5) print('slow ' .. self:who()) end,"
                         " Ask = function(self) return self:who() end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_send(&h, "a", "Slow", NULL);
  host_settle(&h);
  host_file(&h, "a.lua",
            "return { methods = { who = function() return 'new' end }, on = { Ask = function(self) return self:who() end } }");
  RELOAD(&h, 1);
  CHECK_STR(host_call(&h, "a/other", "Ask", NULL), "Ask \"new\"");
  host_run(&h, 10);
  CHECK_STR(h.printed, "slow old\n");
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"new\"");
  CHECK_STR(host_call(&h, "a", "Slow", NULL), "cant_handle: a has no handler for `Slow`");
  host_close(&h);
}

/* Turns begin on the new code while one is open on the old; that has its own methods, the others theirs. */
CHECK_CASE(reload_gives_new_turns_of_a_reentrant_agent_new_code_beside_old_ones) {
  static const char *const hows[] = { "", "vm = 'own',", "shards = { 'log' }," };
  for (int i = 0; i < 3; i++) {
    host h = { 0 };
    char texts[2][500];
    host_open(&h);
    for (int k = 0; k < 2; k++)
      snprintf(texts[k], sizeof texts[k], "return { %s reentrant = true, state = { log = {} }, methods = { who = function() return '%s' end }, on = {"
               " Slow = function(self, m, ctx) local a = self:who() ctx:sleep(5) table.insert(self.log, a .. self:who()) end,"
               " Ask = function(self) return self:who() end, Log = function(self) return table.concat(self.log, ' ') end } }", hows[i], k ? "new" : "old");
    host_file(&h, "a.lua", texts[0]);
    CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    host_send(&h, "a", "Slow", NULL);
    host_settle(&h);
    host_file(&h, "a.lua", texts[1]);
    RELOAD(&h, 1);
    CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"new\"");
    host_send(&h, "a", "Slow", NULL);
    host_run(&h, 10);
    CHECK_STR(host_call(&h, "a", "Log", NULL), "Log \"oldold newnew\"");
    host_close(&h);
  }
}

#define SHAPE_1 "return { %s reentrant = true, version = 1, state = { n = 1 }, on = { Ask = function(self) return self.n end," \
                " Slow = function(self, _, ctx) ctx:sleep(5) self.n = self.n + 1 end } }"
#define SHAPE_2 "return { %s reentrant = true, version = 2, migrate = function(self) self.list, self.n = { self.n }, nil end," \
                " on = { Ask = function(self) return -self.list[1] end } }"

/* Another version of the state waits until no turn is open on the old one. */
CHECK_CASE(reload_does_not_migrate_a_reentrant_agent_under_its_open_turns) {
  for (int own = 0; own < 2; own++) {
    host h = { 0 };
    char texts[2][400];
    tr_old_code old;
    host_open(&h);
    snprintf(texts[0], sizeof texts[0], SHAPE_1, own ? "vm = 'own'," : "");
    snprintf(texts[1], sizeof texts[1], SHAPE_2, own ? "vm = 'own'," : "");
    host_file(&h, "a.lua", texts[0]);
    CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    host_send(&h, "a", "Slow", NULL);
    host_settle(&h);
    host_run(&h, 3);
    host_file(&h, "a.lua", texts[1]);
    RELOAD(&h, 1);
    CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask 1");
    host_send(&h, "a", "Slow", NULL); /* on the old code, and it goes on when the first has ended */
    host_run(&h, 3);
    CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask 2");
    const tr_class *class_ = tr_core_find_class(h.core, TR_SLICE_LITERAL("a"));
    CHECK(tr_script_class_older(class_, 0, &old));
    CHECK_INT(old.number, ==, 1);
    CHECK_INT(old.instances, ==, 1);
    CHECK_INT(old.turns, ==, 1);
    CHECK(!tr_script_class_older(class_, 1, &old));
    host_run(&h, 10);
    CHECK(!tr_script_class_older(class_, 0, &old)); /* by itself, without a message */
    CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask -3");
    CHECK(!host_logged(&h, "failed"));
    host_close(&h);
  }
}

#define V1 "return { version = 1, state = { n = 1, list = { 1 } }, on = { Get = function(self) return self.n end, Wait = function(_, _, ctx) ctx:sleep(5) end } }"

CHECK_CASE(reload_migrates_all_or_none) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", V1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  for (const char *const *id = (const char *const[]){ "a/1", "a/2", "a/3", NULL }; *id; id++)
    host_call(&h, *id, "Get", NULL);
  host_file(&h, "a.lua", "return { version = 2, on = {} }");
  REFUSED(&h, "a.lua: the version of `a` changed from 1 to 2, and there is no `migrate`");
  host_file(&h, "a.lua",
            "local n = 0 return { version = 2, migrate = function(self, from) self.n = 'broken' self.list[1] = 9 n = n + 1"
                         " if n == 3 then error('third') end end, on = {} }");
  size_t changed;
  CHECK_INT(host_reload(&h, &changed), ==, TR_EHANDLER);
  CHECK(strstr(h.error.text, "a.lua: migrating a/") && strstr(h.error.text, "from version 1 to 2: a.lua:1: third"));
  CHECK_STR(host_call(&h, "a/1", "Get", NULL), "Get 1");
  CHECK_STR(host_call(&h, "a/2", "Get", NULL), "Get 1");
  /* One that is busy follows when its turn ends. */
  host_send(&h, "a/3", "Wait", NULL);
  host_settle(&h);
  host_file(&h, "a.lua",
            "return { version = 2, state = { n = 0, list = {}, new = 'default' }, migrate = function(self, from)"
                         " assert(from == 1 and #self.list == 1) self.n = self.n + 100 end,"
                         " on = { Get = function(self) return self.n .. self.new end } }");
  RELOAD(&h, 1);
  CHECK_STR(host_call(&h, "a/1", "Get", NULL), "Get \"101default\"");
  CHECK_STR(host_call(&h, "a/4", "Get", NULL), "Get \"0default\"");
  CHECK_STR(host_call(&h, "a/3", "Get", NULL), "Get \"101default\"");
  host_close(&h);
}

static uint32_t on_old_code(host *h) {
  const tr_class *class_ = tr_core_find_class(h->core, TR_SLICE_LITERAL("a"));
  tr_old_code old;
  uint32_t sum = 0;
  for (size_t i = 0; tr_script_class_older(class_, i, &old); i++) sum += old.instances + old.turns;
  return sum;
}

#define V2_TOLD(kind) "return { " kind " version = 2, migrate = function(self, from) print('from ' .. from) self.n = self.n * 10 end," \
                      " on = { Get = function(self) return self.n end, Wait = function(_, _, ctx) ctx:sleep(5) end } }"
#define V1_OF(kind) "return { " kind " version = 1, state = { n = 1 }, on = { Get = function(self) return self.n end," \
                    " Wait = function(_, _, ctx) ctx:sleep(5) end, Fail = function(_, _, ctx) ctx:sleep(5) error('no') end } }"

/* No message comes: the end of the turn, or of the last one, brings it to the new code. */
static void check_late(const char *v1, const char *v2, const char *type, unsigned turns) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", v1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_send(&h, "a", type, NULL);
  host_settle(&h);
  if (turns > 1) {
    host_run(&h, 2);
    host_send(&h, "a", type, NULL);
    host_settle(&h);
  }
  host_file(&h, "a.lua", v2);
  RELOAD(&h, 1);
  host_settle(&h);
  CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, turns);
  CHECK_STR(h.printed ? h.printed : "", "");
  if (turns > 1) host_run(&h, 4); /* one is over */
  CHECK_STR(h.printed ? h.printed : "", "");
  host_run(&h, 10);
  CHECK_STR(h.printed, "from 1\n");
  CHECK_INT(on_old_code(&h), ==, 0);
  CHECK_STR(host_call(&h, "a", "Get", NULL), "Get 10");
  CHECK_STR(h.printed, "from 1\n");
  host_close(&h);
}

CHECK_CASE(reload_migrates_an_instance_when_its_open_turn_ends) {
  check_late(V1_OF(""), V2_TOLD(""), "Wait", 1);
  check_late(V1_OF(""), V2_TOLD(""), "Fail", 1);
  check_late(V1_OF("reentrant = true,"), V2_TOLD("reentrant = true,"), "Wait", 2);
  check_late(V1_OF("vm = 'own',"), V2_TOLD("vm = 'own',"), "Wait", 1);
  check_late(V1_OF("vm = 'own',"), V2_TOLD("vm = 'own',"), "Fail", 1);
}

CHECK_CASE(reload_brings_idle_states_of_their_own_to_new_code_too) {
  host h = { 0 };
  char id[20];
  host_open(&h);
  host_file(&h, "a.lua", V1_OF("vm = 'own',"));
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  for (int i = 0; i < 40; i++) { /* more than one step brings */
    snprintf(id, sizeof id, "a/%d", i);
    CHECK_STR(host_call(&h, id, "Get", NULL), "Get 1");
  }
  host_file(&h, "a.lua", V2_TOLD("vm = 'own',"));
  RELOAD(&h, 1);
  host_settle(&h);
  CHECK_INT(strlen(h.printed), ==, 40 * strlen("from 1\n"));
  CHECK_STR(host_call(&h, "a/39", "Get", NULL), "Get 10");
  host_close(&h);
}

/* Its instance a/default is in the middle of a turn. */
static void open_at_work(host *h) {
  host_open(h);
  host_file(h, "a.lua", V1);
  CHECK_INT(host_load(h, "a.lua"), ==, 0);
  host_send(h, "a", "Wait", NULL);
  host_settle(h);
}

CHECK_CASE(reload_tells_of_a_late_migration_that_fails_when_the_turn_ends) {
  host h = { 0 };
  open_at_work(&h);
  host_file(&h, "a.lua", "return { version = 2, migrate = function() error('no') end, on = { Get = function() return 'new' end } }");
  RELOAD(&h, 1);
  host_run(&h, 10);
  CHECK_INT(host_log_count(&h, "error migrate.failed agent=a/default from=1 to=2"), ==, 1);
  CHECK_STR(host_call(&h, "a", "Get", NULL), "Get 1");
  CHECK_INT(host_log_count(&h, "migrate.failed"), ==, 1);
  host_close(&h);
}

CHECK_CASE(reload_keeps_an_instance_whose_late_migration_fails) {
  host h = { 0 };
  open_at_work(&h);
  host_file(&h, "a.lua",
            "return { version = 2, migrate = function() error('no') end, on = { Get = function() return 'new' end } }");
  RELOAD(&h, 1);
  CHECK_STR(host_call(&h, "a", "Get", NULL), "Get 1");
  CHECK(host_logged(&h, "error migrate.failed agent=a/default from=1 to=2"));
  CHECK_STR(host_call(&h, "a/other", "Get", NULL), "Get \"new\"");
  host_file(&h, "a.lua",
            "return { version = 2, migrate = function(self) self.n = 5 end, on = { Get = function(self) return self.n end } }");
  RELOAD(&h, 1);
  CHECK_STR(host_call(&h, "a", "Get", NULL), "Get 5");
  host_close(&h);
}

CHECK_CASE(reload_compares_subscriptions_timers_and_types) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua",
            "return { { type = 'a', autostart = true, timers = { Tick = 10, Gone = 10 }, subscriptions = { 'one', 'two' },"
                         " on = { ['*'] = function(_, _, ctx) print(ctx.agent_type, ctx.type) end } }, { type = 'removed', on = { X = print } } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_run(&h, 5); /* half way to the tick */
  host_file(&h, "a.lua",
            "return { { type = 'a', timers = { Tick = 10, Fresh = 1 }, subscriptions = { 'two', 'three', { match = function(t) return t:find('^custom') end } },"
                         " on = { ['*'] = function(_, _, ctx) print(ctx.agent_type, ctx.type) end } },"
                         " { type = 'added', autostart = true, init = function() print('added') end, on = { X = print } } }");
  RELOAD(&h, 1);
  CHECK_INT(tr_script_start(h.script, &h.error), ==, 0);
  host_publish(&h, "one", "One", NULL);
  host_settle(&h);
  host_publish(&h, "two", "Two", NULL);
  host_settle(&h);
  host_publish(&h, "three", "Three", NULL);
  host_settle(&h);
  host_publish(&h, "custom", "Custom", NULL);
  host_settle(&h);
  CHECK_STR(h.printed, "added\na\tTwo\na\tThree\na\tCustom\n");
  CHECK_STR(host_call(&h, "removed", "X", NULL) + 0, "not_found: no agent type \"removed\" here (2 types are known)");
  host_run(&h, 6);
  CHECK_INT(host_logged(&h, "Gone"), ==, 0);
  size_t ticks = 0, fresh = 0;
  for (const char *at = h.printed; (at = strstr(at, "a\tTick")); at++) ticks++;
  for (const char *at = h.printed; (at = strstr(at, "a\tFresh")); at++) fresh++;
  CHECK_INT(ticks, ==, 1); /* it was not started anew */
  CHECK_INT(fresh, >=, 5);
  CHECK(!strstr(h.printed, "Gone"));
  host_close(&h);
}

CHECK_CASE(reload_follows_shared_modules) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "d/a.lua", "local t = require 'shared.text' return { on = { Ask = function() return t.word end } }");
  host_file(&h, "d/b.lua", "return { on = { Ask = function() return require('shared.text').word end } }");
  host_file(&h, "d/c.lua", "return { on = { Ask = function() return 'c' end } }");
  host_file(&h, "d/shared/text.lua", "local name, path = ... assert(name == 'shared.text') return { word = 'one' }");
  for (const char *const *f = (const char *const[]){ "d/a.lua", "d/b.lua", "d/c.lua", NULL }; *f; f++)
    CHECK_INT(host_load(&h, *f), ==, 0);
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"one\"");
  const char *file = NULL;
  char all[200] = "";
  while ((file = tr_script_next_file(h.script, file))) strcat(strcat(all, file), " ");
  CHECK_STR(all, "d/a.lua d/shared/text.lua d/b.lua d/c.lua ");
  host_file(&h, "d/shared/text.lua", "return { word = 'two' }");
  RELOAD(&h, 2); /* exactly its users */
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"two\"");
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"two\"");
  host_file(&h, "d/shared/text.lua", "return {\n word = = 'two' }");
  REFUSED(&h, "d/a.lua: d/shared/text.lua:2: unexpected symbol near '='");
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"two\"");
  host_close(&h);
}

CHECK_CASE(modules_fail_with_their_place) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "circle/one.lua", "return require 'circle.two'");
  host_file(&h, "circle/two.lua", "return require 'circle.one'");
  host_file(&h, "init/init.lua", "return 'folder'");
  host_file(&h, "fails.lua", "error 'in module'");
  CHECK_INT(host_source(&h, "x.lua", "return require 'circle.one'"), <, 0);
  CHECK_STR(h.error.text,
            "x.lua: circle/two.lua:1: require \"circle.one\": modules that require each other in a circle");
  CHECK_INT(host_source(&h, "x.lua",
                        "assert(require 'init' == 'folder')\nlocal ok, e = pcall(require, 'fails') assert(not ok and e:find('in module'))\nrequire 'fails'"), <, 0);
  CHECK_STR(h.error.text, "x.lua: fails.lua:1: in module");
  CHECK_INT(host_source(&h, "x.lua",
                        "local t = require 'troupe' assert(t == troupe) x = 1 return { on = { G = function() return x end } }"), ==, 0);
  CHECK_STR(host_call(&h, "x", "G", NULL), "G 1");
  /* Another file has an environment of its own. */
  CHECK_INT(host_source(&h, "y.lua",
                        "assert(x == nil) string.len = nil return { on = { G = function() return #('abc') + ('abc'):len() end } }"), ==, 0);
  CHECK_INT(host_source(&h, "z.lua", "assert(string.len) return { on = {} }"), ==, 0);
  CHECK_STR(host_call(&h, "y", "G", NULL), "G 6");
  CHECK(tr_script_next_file(h.script, NULL) == NULL); /* from memory */
  host_close(&h);
}

/* --- trials, and going back --- */

typedef struct seen { char text[600]; } seen;

static void see(void *ud, const tr_change *c) {
  seen *self = ud;
  size_t n = strlen(self->text);
  snprintf(self->text + n, sizeof self->text - n, "%s%s %lld>%lld i%zu b%zu s+%u-%u t+%u-%u\n", c->added ? "+" : c->removed ? "-" : "", c->type,
           (long long)c->from, (long long)c->to, c->instances, c->busy, c->subs_added, c->subs_removed, c->timers_added, c->timers_removed);
}

CHECK_CASE(reload_trial_says_what_would_change_and_changes_nothing) {
  host h = { 0 };
  tr_reload_options trial = { .trial = true };
  tr_reloading *plan;
  size_t changed;
  seen told = { "" };
  host_open(&h);
  host_file(&h, "a.lua",
            "local inner return { { type = 'a', version = 1, state = { n = 1, list = { 1 } }, timers = { Tick = 10 }, subscriptions = { 'one', 'two' },"
            " on = { Get = function(self) inner = inner or self.list return self.n .. #self.list .. tostring(rawequal(inner, self.list)) end,"
            " Wait = function(_, _, ctx) ctx:sleep(5) end, Tick = print, One = print } }, { type = 'leaves', on = { X = print } } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a/1", "Get", NULL), "Get \"11true\"");
  host_send(&h, "a/2", "Wait", NULL);
  host_settle(&h);
  host_file(&h, "a.lua",
            "return { { type = 'a', version = 2, migrate = function(self, from) self.n = 'x' self.list[2] = 2 self.list = {} end,"
            " timers = { Tick = 5, Tock = 1 }, subscriptions = { 'two', 'three' }, on = { Get = print, One = print } }, { type = 'comes', on = { X = print } } }");
  CHECK_INT(tr_script_reload_begin(h.script, &trial, &changed, &plan, &h.error), ==, 0);
  CHECK_INT(changed, ==, 1);
  tr_script_reload_changes(plan, see, &told);
  tr_script_reload_end(plan, false);
  CHECK_STR(told.text, "a 1>2 i2 b1 s+1-1 t+2-1\n+comes 0>0 i0 b0 s+0-0 t+0-0\n-leaves 0>0 i0 b0 s+0-0 t+0-0\n");
  CHECK_STR(host_call(&h, "a/1", "Get", NULL), "Get \"11true\""); /* not migrated, and by identity what it was */
  CHECK_INT(tr_script_number(h.script), ==, 1);
  CHECK_STR(host_call(&h, "comes", "X", NULL), "not_found: no agent type \"comes\" here (2 types are known)");
  /* It fails as the reload would. */
  host_file(&h, "a.lua", "return { type = 'a', version = 2, migrate = function()\n error('no') end, on = { X = print } }");
  CHECK_INT(tr_script_reload_begin(h.script, &trial, &changed, &plan, &h.error), ==, TR_EHANDLER);
  CHECK(plan == NULL);
  CHECK_STR(h.error.text, "a.lua: migrating a/1 from version 1 to 2: a.lua:2: no");
  CHECK_STR(host_call(&h, "a/1", "Get", NULL), "Get \"11true\"");
  host_close(&h);
}

static int go_back(host *h, uint32_t to, size_t *changed) {
  tr_reload_options options = { .to = to };
  tr_reloading *plan;
  tr_error_init(&h->error);
  int rc = tr_script_reload_begin(h->script, &options, changed, &plan, &h->error);
  if (!rc) tr_script_reload_end(plan, true);
  return rc;
}

CHECK_CASE(reload_goes_back_to_the_texts_of_then) {
  host h = { 0 };
  size_t changed;
  host_open(&h);
  host_file(&h, "a.lua", "local m = require 'shared.m' return { state = { n = 0 }, on = { Ask = function(self) self.n = self.n + 1 return 'a1' .. m .. self.n end } }");
  host_file(&h, "b.lua", "return { on = { Ask = function() return 'b1' end } }");
  host_file(&h, "shared/m.lua", "return 'm1'");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_INT(host_load(&h, "b.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"a1m11\"");
  host_file(&h, "shared/m.lua", "return 'm2'");
  RELOAD(&h, 1); /* 2 */
  host_file(&h, "b.lua", "return { on = { Ask = function() return 'b2' end } }");
  RELOAD(&h, 1); /* 3 */
  CHECK_INT(tr_script_number(h.script), ==, 3);
  CHECK_INT(go_back(&h, 2, &changed), ==, 0); /* 4: only b was another then */
  CHECK_INT(changed, ==, 1);
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"b1\"");
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"a1m22\"");
  CHECK_INT(go_back(&h, 1, &changed), ==, 0); /* 5: the module of then, with the state of now */
  CHECK_INT(changed, ==, 1);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"a1m13\"");
  CHECK_INT(go_back(&h, 3, &changed), ==, 0); /* 6: forth again */
  CHECK_INT(changed, ==, 2);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask \"a1m24\"");
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"b2\"");
  CHECK_INT(go_back(&h, 6, &changed), ==, 0);
  CHECK_INT(changed, ==, 0);
  CHECK_INT(go_back(&h, 7, &changed), ==, TR_ENOT_FOUND);
  CHECK_STR(h.error.text, "there is no code 7: 6 serves now");
  RELOAD(&h, 0); /* the files say the same */
  CHECK_INT(go_back(&h, 1, &changed), ==, 0);
  REFUSED(&h, "a.lua is still what code 6 was, and that was taken back: change it, or insist (--again)");
  CHECK(tr_script_reload_held(h.script));
  host_file(&h, "c.lua", "return { on = { Ask = function() return 'c1' end } }");
  CHECK_INT(host_load(&h, "c.lua"), ==, 0);
  host_file(&h, "c.lua", "return { on = { Ask = function() return 'c2' end } }");
  CHECK_INT(host_reload(&h, &changed), ==, TR_EINVALID); /* that another one changed is no reason */
  tr_reload_options again = { .again = true };
  tr_reloading *plan;
  tr_error_init(&h.error);
  CHECK_INT(tr_script_reload_begin(h.script, &again, &changed, &plan, &h.error), ==, 0);
  tr_script_reload_end(plan, true);
  CHECK_INT(changed, ==, 3);
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"b2\"");
  CHECK_INT(go_back(&h, 1, &changed), ==, 0);
  host_file(&h, "shared/m.lua", "return 'm3'"); /* one of those that were taken back: they are another version now */
  RELOAD(&h, 2);
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask \"b2\"");
  host_close(&h);
}

CHECK_CASE(reload_keeps_a_bounded_number_of_versions) {
  host h = { 0 };
  char text[100];
  size_t changed;
  host_open(&h);
  host_file(&h, "still.lua", "return { on = { Ask = function() return 'still' end } }");
  CHECK_INT(host_load(&h, "still.lua"), ==, 0);
  for (int i = 1; i <= TR_VERSIONS_KEPT + 2; i++) {
    snprintf(text, sizeof text, "return { on = { Ask = function() return %d end } }", i);
    host_file(&h, "a.lua", text);
    if (i == 1) CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    else RELOAD(&h, 1);
  }
  CHECK_INT(tr_script_oldest(h.script), ==, 3);
  CHECK_INT(go_back(&h, 2, &changed), ==, TR_ENOT_FOUND);
  CHECK_STR(h.error.text, "code 2 is not kept any more: 12 serves now, and the oldest that is kept is 3");
  CHECK_INT(go_back(&h, 3, &changed), ==, 0);
  CHECK_STR(host_call(&h, "a", "Ask", NULL), "Ask 3");
  CHECK_STR(host_call(&h, "still", "Ask", NULL), "Ask \"still\"");
  host_close(&h);
}

CHECK_CASE(reload_going_back_asks_migrate_and_may_be_refused) {
  host h = { 0 };
  size_t changed;
  host_open(&h);
  host_file(&h, "a.lua", "return { version = 1, state = { n = 1 }, migrate = function(self, from) assert(from == 2) self.n = self.n - 100 end,"
                         " on = { Get = function(self) return self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_call(&h, "a", "Get", NULL);
  host_file(&h, "a.lua", "return { version = 2, migrate = function(self) self.n = self.n + 100 end, on = { Get = function(self) return 'v' .. self.n end } }");
  RELOAD(&h, 1);
  CHECK_STR(host_call(&h, "a", "Get", NULL), "Get \"v101\"");
  host_file(&h, "a.lua", "return { version = 3, migrate = function(self) self.n = 0 end, on = { Get = function(self) return self.n end } }");
  RELOAD(&h, 1);
  CHECK_INT(go_back(&h, 1, &changed), ==, TR_EHANDLER); /* its migrate knows nothing of 3 */
  CHECK(strstr(h.error.text, "a.lua: migrating a/default from version 3 to 1: a.lua:1:"));
  CHECK_STR(host_call(&h, "a", "Get", NULL), "Get 0");
  CHECK_INT(tr_script_number(h.script), ==, 3);
  host_close(&h);
}

CHECK_CASE(reload_counts_who_is_on_older_code_in_states_of_their_own) {
  host h = { 0 };
  char text[200];
  tr_old_code old;
  host_open(&h);
  for (int i = 1; i <= 3; i++) {
    snprintf(text, sizeof text, "return { vm = 'own', on = { Wait = function(_, _, ctx) ctx:sleep(%d) end } }", i * 100);
    host_file(&h, "a.lua", text);
    if (i == 1) CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    else RELOAD(&h, 1);
    host_send(&h, i == 1 ? "a/1" : i == 2 ? "a/2" : "a/3", "Wait", NULL);
    host_settle(&h);
  }
  const tr_class *class_ = tr_core_find_class(h.core, TR_SLICE_LITERAL("a"));
  for (uint32_t i = 0; i < 2; i++) {
    CHECK(tr_script_class_older(class_, i, &old));
    CHECK_INT(old.number, ==, i + 1);
    CHECK_INT(old.instances, ==, 1);
    CHECK_INT(old.turns, ==, 1);
  }
  CHECK(!tr_script_class_older(class_, 2, &old));
  host_run(&h, 150);
  CHECK(tr_script_class_older(class_, 0, &old));
  CHECK_INT(old.number, ==, 2);
  CHECK(!tr_script_class_older(class_, 1, &old));
  host_close(&h);
}

CHECK_CASE(reload_counts_who_is_on_older_code) {
  host h = { 0 };
  tr_old_code old;
  host_open(&h);
  host_file(&h, "a.lua", V1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_send(&h, "a/1", "Wait", NULL);
  host_send(&h, "a/2", "Wait", NULL);
  host_call(&h, "a/3", "Get", NULL);
  const tr_class *class_ = tr_core_find_class(h.core, TR_SLICE_LITERAL("a"));
  CHECK(!tr_script_class_older(class_, 0, &old));
  host_file(&h, "a.lua", "return { version = 2, migrate = function(self) self.n = 5 end, on = { Get = function(self) return self.n end } }");
  RELOAD(&h, 1);
  CHECK(tr_script_class_older(class_, 0, &old));
  CHECK_INT(old.number, ==, 1);
  CHECK_INT(old.instances, ==, 2);
  CHECK_INT(old.turns, ==, 2);
  CHECK(!tr_script_class_older(class_, 1, &old));
  host_run(&h, 10);
  CHECK_STR(host_call(&h, "a/1", "Get", NULL), "Get 5");
  CHECK_STR(host_call(&h, "a/2", "Get", NULL), "Get 5");
  CHECK(!tr_script_class_older(class_, 0, &old)); /* nobody holds it: it is gone */
  host_close(&h);
}
