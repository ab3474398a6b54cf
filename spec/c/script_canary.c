/* SPDX-License-Identifier: MIT
 * A canary: new code for some keys, then for all, or for none. */
#include <stdio.h>

#include "script_host.h"

/* Another step, as the runtime makes it: 0 or a code, and *changed files. */
static int step(host *h, tr_reload_options options, size_t *changed) {
  tr_reloading *plan;
  tr_error_init(&h->error);
  int rc = tr_script_reload_begin(h->script, &options, changed, &plan, &h->error);
  if (!rc) tr_script_reload_end(plan, !options.trial);
  if (!rc) tr_script_start(h->script, &h->error);
  return rc;
}

static size_t changed;
#define STEP(h, ...)                                                                     \
  do {                                                                                   \
    if (step(h, (tr_reload_options){ __VA_ARGS__ }, &changed)) CHECK_FAIL("%s", (h)->error.text); \
  } while (0)
#define REFUSED(h, why, ...)                                                    \
  do {                                                                          \
    CHECK_INT(step(h, (tr_reload_options){ __VA_ARGS__ }, &changed), <, 0);     \
    CHECK_STR((h)->error.text, why);                                            \
  } while (0)
#define ASK(h, id, answer) CHECK_STR(host_call(h, id, "Ask", NULL), "Ask " answer)

static const char *which(const host *h) {
  static char text[TR_CANARY_TEXT];
  return tr_script_canary(h->script, text) ? text : "none";
}

CHECK_CASE(canary_serves_a_key_until_it_is_promoted) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { state = { n = 0 }, on = { Ask = function(self) self.n = self.n + 1 return 'old' .. self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/anna", "\"old1\"");
  ASK(&h, "a/bert", "\"old1\"");
  host_file(&h, "a.lua", "return { state = { n = 0, extra = 5 }, on = { Ask = function(self) self.n = self.n + 1 return 'new' .. self.n .. self.extra end } }");
  STEP(&h, .canary = "anna");
  CHECK_INT(changed, ==, 1);
  CHECK_STR(which(&h), "key anna");
  CHECK_INT(tr_script_canary(h.script, NULL), ==, 2);
  CHECK_INT(tr_script_number(h.script), ==, 1);
  ASK(&h, "a/anna", "\"new25\"");
  ASK(&h, "a/bert", "\"old2\"");
  ASK(&h, "a/carl", "\"old1\""); /* new ones, too, begin where they belong */
  tr_canary_about about;
  const tr_class *class_ = tr_core_find_class(h.core, TR_SLICE_LITERAL("a"));
  CHECK(tr_script_class_canary(class_, &about));
  CHECK_INT(about.instances, ==, 1);
  tr_old_code older;
  CHECK(!tr_script_class_older(class_, 0, &older)); /* neither of the two is old */
  /* No other reload meanwhile, and what is promoted is what was tried. */
  host_file(&h, "a.lua", "return { on = { Ask = function() return 'newer' end } }");
  REFUSED(&h, "code 2 is a canary (key anna): first promote it or undo it (--promote, --undo)", .names = NULL);
  REFUSED(&h, "a.lua has changed since code 2 began as a canary: first promote that or undo it (--promote, --undo)", .canary = "50%");
  CHECK_INT(host_load(&h, "a.lua"), ==, TR_EINVALID);
  STEP(&h, .promote = true, .trial = true);
  CHECK_STR(which(&h), "key anna");
  STEP(&h, .promote = true);
  CHECK_STR(which(&h), "none");
  CHECK_INT(tr_script_number(h.script), ==, 2);
  ASK(&h, "a/anna", "\"new35\"");
  ASK(&h, "a/bert", "\"new35\"");
  ASK(&h, "a/dora", "\"new15\"");
  REFUSED(&h, "there is no canary: code 2 serves all", .promote = true);
  REFUSED(&h, "there is no canary: code 2 serves all", .undo = true);
  STEP(&h, .again = false); /* now the newer text */
  CHECK_INT(tr_script_number(h.script), ==, 3);
  ASK(&h, "a/anna", "\"newer\"");
  STEP(&h, .to = 1);
  ASK(&h, "a/anna", "\"old4\"");
  STEP(&h, .to = 2); /* a promoted canary is a version like others */
  ASK(&h, "a/anna", "\"new55\"");
  host_close(&h);
}

CHECK_CASE(canary_of_a_part_grows_by_keys_and_is_undone) {
  host h = { 0 };
  char id[20];
  int sizes[3] = { 0 };
  bool before[200] = { false };
  host_open(&h);
  host_file(&h, "a.lua", "return { state = { n = 0 }, on = { Ask = function(self) self.n = self.n + 1 return self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_file(&h, "a.lua", "return { state = { n = 0 }, on = { Ask = function(self) self.n = self.n + 1 return -self.n end } }");
  const char *parts[] = { "10%", "50%", "0.01%" };
  for (int step_ = 0; step_ < 3; step_++) {
    STEP(&h, .canary = parts[step_]);
    for (int i = 0; i < 200; i++) {
      snprintf(id, sizeof id, "a/%d", i);
      bool in = host_call(&h, id, "Ask", NULL)[4] == '-';
      CHECK(in || !before[i] || step_ == 2); /* who is in stays in */
      sizes[step_] += before[i] = in;
    }
  }
  CHECK_STR(which(&h), "0.01%");
  CHECK_INT(tr_script_canary(h.script, NULL), ==, 2); /* it is the same one */
  CHECK_INT(sizes[0], >, 8);
  CHECK_INT(sizes[0], <, 36);
  CHECK(sizes[1] > 75 && sizes[1] < 125);
  CHECK_INT(sizes[2], <, 3);
  STEP(&h, .canary = "100%");
  ASK(&h, "a/7", "-4");
  STEP(&h, .undo = true);
  ASK(&h, "a/7", "5");
  CHECK_INT(tr_script_number(h.script), ==, 1);
  REFUSED(&h, "a.lua is still what code 2 was, and that was taken back: change it, or insist (--again)", .names = NULL);
  REFUSED(&h, "a.lua is still what code 2 was, and that was taken back: change it, or insist (--again)", .canary = "1%");
  STEP(&h, .canary = "=7", .again = true);
  CHECK_INT(tr_script_canary(h.script, NULL), ==, 3); /* 2 was that other one */
  ASK(&h, "a/7", "-6");
  ASK(&h, "a/8", "4");
  host_close(&h); /* and one may be open at the end */
}

CHECK_CASE(canary_says_what_is_no_part_and_no_key) {
  host h = { 0 };
  char key[TR_CANARY_TEXT * 20];
  host_open(&h);
  host_file(&h, "a.lua", "return { on = { Ask = function() return 1 end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_file(&h, "a.lua", "return { on = { Ask = function() return 2 end } }");
  REFUSED(&h, "a canary of 10: a part of all keys is 10%, and this key is =10", .canary = "10");
  REFUSED(&h, "a canary of 0%: expected more than 0% and up to 100%, or a key (=KEY, whatever it looks like)", .canary = "0%");
  REFUSED(&h, "a canary of 101%: expected more than 0% and up to 100%, or a key (=KEY, whatever it looks like)", .canary = "101%");
  REFUSED(&h, "a canary of nan%: expected more than 0% and up to 100%, or a key (=KEY, whatever it looks like)", .canary = "nan%");
  memset(key, 'k', sizeof key);
  key[sizeof key - 1] = 0;
  CHECK_INT(step(&h, (tr_reload_options){ .canary = key }, &changed), ==, TR_EINVALID);
  CHECK_INT(step(&h, (tr_reload_options){ .canary = "" }, &changed), ==, TR_EINVALID);
  CHECK_STR(which(&h), "none");
  host_file(&h, "a.lua", "return {");
  CHECK_INT(step(&h, (tr_reload_options){ .canary = "k" }, &changed), ==, TR_EINVALID);
  CHECK(strstr(h.error.text, "a.lua:1:"));
  ASK(&h, "a/k", "1");
  host_close(&h);
}

#define STATE_1 "return { version = 1, state = { n = 1 }, on = { Ask = function(self) self.n = self.n + 1 return self.n end," \
                " Wait = function(_, _, ctx) ctx:sleep(5) end } }"
#define STATE_2 "return { version = 2, state = { m = 100 }, migrate = function(self, from) assert(from == 1) self.m, self.n = self.n * 100, nil end," \
                " on = { Ask = function(self) self.m = self.m + 1 return self.m end, Wait = function(_, _, ctx) ctx:sleep(5) end } }"

CHECK_CASE(canary_takes_states_there_and_back_again) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", STATE_1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/1", "2");
  ASK(&h, "a/2", "2");
  host_file(&h, "a.lua", STATE_2);
  STEP(&h, .canary = "=1", .trial = true);
  STEP(&h, .canary = "=1");
  ASK(&h, "a/1", "201");
  ASK(&h, "a/2", "3");
  STEP(&h, .canary = "=3"); /* another key: 1 leaves it, and has what it had, since the old code knows no way back */
  ASK(&h, "a/1", "3");
  ASK(&h, "a/3", "101"); /* made by the canary */
  host_send(&h, "a/3", "Wait", NULL);
  host_settle(&h);
  STEP(&h, .canary = "100%");
  ASK(&h, "a/1", "301");
  ASK(&h, "a/2", "301");
  host_send(&h, "a/2", "Wait", NULL);
  ASK(&h, "a/4", "101");
  host_settle(&h);
  STEP(&h, .undo = true);
  ASK(&h, "a/1", "4");
  ASK(&h, "a/4", "2"); /* nothing is known of before: it begins anew, */
  CHECK(host_logged(&h, "warn canary.anew agent=a/4"));
  ASK(&h, "a/2", "4"); /* busy ones when their turns have ended */
  ASK(&h, "a/3", "2");
  CHECK(host_logged(&h, "warn canary.anew agent=a/3"));
  host_close(&h);
}

CHECK_CASE(canary_has_its_busy_instances_when_their_turns_end) {
  host h = { 0 };
  tr_canary_about about;
  host_open(&h);
  host_file(&h, "a.lua", STATE_1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_send(&h, "a/1", "Wait", NULL);
  host_send(&h, "a/2", "Wait", NULL);
  host_settle(&h);
  host_file(&h, "a.lua", STATE_2);
  STEP(&h, .canary = "=1");
  const tr_class *class_ = tr_core_find_class(h.core, TR_SLICE_LITERAL("a"));
  CHECK(tr_script_class_canary(class_, &about));
  CHECK_INT(about.instances, ==, 0);
  host_run(&h, 10);
  CHECK(tr_script_class_canary(class_, &about));
  CHECK_INT(about.instances, ==, 1);
  host_send(&h, "a/2", "Wait", NULL);
  host_settle(&h);
  STEP(&h, .promote = true);
  tr_old_code old;
  CHECK(tr_script_class_older(class_, 0, &old));
  host_run(&h, 10);
  CHECK(!tr_script_class_older(class_, 0, &old));
  ASK(&h, "a/1", "101");
  ASK(&h, "a/2", "101");
  host_close(&h);
}

CHECK_CASE(canary_going_back_asks_migrate_where_there_is_one) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { version = 1, state = { n = 1 }, migrate = function(self, from) if self.m > 900 then error('too many') end"
                         " self.n, self.m = self.m // 100, nil end, on = { Ask = function(self) self.n = self.n + 1 return self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/1", "2");
  ASK(&h, "a/2", "2");
  host_file(&h, "a.lua", STATE_2);
  STEP(&h, .canary = "100%");
  ASK(&h, "a/1", "201");
  for (int i = 0; i < 701; i++) host_call(&h, "a/2", "Ask", NULL);
  CHECK_INT(step(&h, (tr_reload_options){ .undo = true }, &changed), ==, TR_EHANDLER); /* all or none */
  CHECK(strstr(h.error.text, "a.lua: migrating a/2 from version 2 to 1: "));
  CHECK_STR(which(&h), "100%");
  ASK(&h, "a/1", "202");
  for (int i = 0; i < 3; i++) host_call(&h, "a/3", "Ask", NULL);
  STEP(&h, .promote = true); /* then forward */
  ASK(&h, "a/2", "902");
  host_close(&h);
}

CHECK_CASE(canary_refuses_what_cannot_migrate) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", STATE_1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/1", "2");
  host_file(&h, "a.lua", "return { version = 2, on = {} }");
  REFUSED(&h, "a.lua: the version of `a` changed from 1 to 2, and there is no `migrate`", .canary = "nobody");
  host_file(&h, "a.lua", "return { version = 2, migrate = function() error('no') end, on = { Ask = function() return 'new' end } }");
  CHECK_INT(step(&h, (tr_reload_options){ .canary = "=1" }, &changed), ==, TR_EHANDLER);
  CHECK_STR(which(&h), "none");
  STEP(&h, .canary = "2%");
  CHECK_INT(step(&h, (tr_reload_options){ .promote = true }, &changed), ==, TR_EHANDLER); /* it goes on as it is */
  CHECK_STR(which(&h), "2%");
  ASK(&h, "a/1", "3");
  host_close(&h);
}

CHECK_CASE(canary_has_subscriptions_timers_and_types_of_its_own) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { { type = 'a', subscriptions = { 'both', 'old' }, timers = { Old = 10 }, on = { ['*'] = function(_, _, ctx) print('old', ctx.key, ctx.type) end } },"
                         " { type = 'leaves', on = { Ask = function() return 1 end } } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_publish(&h, "both/in", "First", NULL);
  host_publish(&h, "both/out", "First", NULL);
  host_settle(&h);
  host_file(&h, "a.lua", "return { { type = 'a', subscriptions = { 'both', 'new', { 'all', all = true } }, timers = { New = 10 }, on = { ['*'] = function(_, _, ctx) print('new', ctx.key, ctx.type) end } },"
                         " { type = 'comes', subscriptions = { 'new' }, autostart = { 'in', 'out' }, init = function(_, ctx) print('comes', ctx.key) end,"
                         " on = { Ask = function(_, _, ctx) return ctx.key end, New = function(_, _, ctx) print('comes', ctx.key, ctx.type) end } } }");
  STEP(&h, .canary = "in");
  host_settle(&h);
  h.printed[h.printed_size = 0] = 0;
  for (const char *const *topic = (const char *const[]){ "both", "old", "new", "all", NULL }; *topic; topic++) {
    char in[20], out[20];
    snprintf(in, sizeof in, "%s/in", *topic);
    snprintf(out, sizeof out, "%s/out", *topic);
    host_publish(&h, in, *topic[0] == 'n' ? "New" : *topic, NULL);
    host_settle(&h);
    host_publish(&h, out, *topic[0] == 'n' ? "New" : *topic, NULL);
    host_settle(&h);
  }
  CHECK_STR(h.printed, "new\tin\tboth\nold\tout\tboth\nold\tout\told\nnew\tin\tNew\ncomes\tin\tNew\nnew\tin\tall\nnew\tin\tall\n");
  CHECK_STR(host_call(&h, "comes/in", "Ask", NULL), "Ask \"in\"");
  CHECK_STR(host_call(&h, "comes/out", "Ask", NULL), "not_found: no agent type \"comes\" here for this key: it is of a canary, code 2");
  CHECK_STR(host_call(&h, "leaves/in", "Ask", NULL), "Ask 1"); /* types leave when it is promoted */
  h.printed[h.printed_size = 0] = 0;
  host_run(&h, 11);
  CHECK(strstr(h.printed, "new\tin\tNew\n") && strstr(h.printed, "old\tout\tOld\n"));
  CHECK(!strstr(h.printed, "old\tin") && !strstr(h.printed, "new\tout"));
  STEP(&h, .promote = true);
  host_settle(&h);
  CHECK(strstr(h.printed, "comes\tout\n"));
  CHECK_STR(host_call(&h, "comes/out", "Ask", NULL), "Ask \"out\"");
  CHECK_STR(host_call(&h, "leaves/in", "Ask", NULL) + 0, "not_found: no agent type \"leaves\" here (2 types are known)");
  h.printed[h.printed_size = 0] = 0;
  host_publish(&h, "old/in", "x", NULL);
  host_publish(&h, "new/out", "New", NULL);
  host_settle(&h);
  CHECK_STR(h.printed, "new\tout\tNew\ncomes\tout\tNew\n");
  host_close(&h);
}

CHECK_CASE(canary_tells_its_instances_what_they_subscribe_to) {
  static const char text[] = "return { %s subscriptions = { 'both', %s }, on = { Ask = function(_, _, ctx) local t = {}"
                             " for i, s in ipairs(ctx:subscriptions()) do t[i] = s[1] end return table.concat(t, ' ') end, Sub = function(_, _, ctx) ctx:subscribe 'later' end } }";
  for (int own = 0; own < 2; own++) {
    host h = { 0 };
    char texts[2][400];
    host_open(&h);
    for (int i = 0; i < 2; i++)
      snprintf(texts[i], sizeof texts[i], text, own ? "vm = 'own'," : "", i ? "'new'" : "'old'");
    host_file(&h, "a.lua", texts[0]);
    CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    host_send(&h, "a/out", "Sub", NULL);
    host_settle(&h);
    host_file(&h, "a.lua", texts[1]);
    STEP(&h, .canary = "in");
    ASK(&h, "a/in", "\"both new later\"");
    ASK(&h, "a/out", "\"both old later\"");
    STEP(&h, .promote = true);
    ASK(&h, "a/out", "\"both new later\"");
    host_close(&h);
  }
}

CHECK_CASE(canary_gives_halted_instances_another_try) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { failures = { limit = 1, action = 'stop' }, on = { Ask = function() return 'old' end, Fail = function() error 'x' end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
#define HALTED(id, line) CHECK_STR(host_call(&h, id, "Ask", NULL), "unavailable: " id " was stopped after 1 failures within 60 s; the last: a.lua:" line ": x")
  host_call(&h, "a/in", "Fail", NULL);
  host_call(&h, "a/out", "Fail", NULL);
  HALTED("a/in", "1");
  host_file(&h, "a.lua", "return { failures = { limit = 1, action = 'stop' }, on = { Ask = function() return 'new' end,\n Fail = function() error 'x' end } }");
  STEP(&h, .canary = "in");
  ASK(&h, "a/in", "\"new\"");
  HALTED("a/out", "1"); /* its code is what it was */
  host_call(&h, "a/in", "Fail", NULL);
  STEP(&h, .canary = "100%");
  HALTED("a/in", "2");
  ASK(&h, "a/out", "\"new\"");
  STEP(&h, .undo = true);
  ASK(&h, "a/in", "\"old\"");
  host_close(&h);
#undef HALTED
}

CHECK_CASE(canary_undone_leaves_nothing_of_its_own) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { type = 'a', subscriptions = { 'old' }, on = { ['*'] = function(_, _, ctx) print('old', ctx.key, ctx.type) end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_file(&h, "a.lua", "return { { type = 'a', subscriptions = { 'new' }, timers = { New = 1 }, on = { ['*'] = function(_, _, ctx) print('new', ctx.key, ctx.type) end } },"
                         " { type = 'comes', on = { Ask = function(_, _, ctx) return ctx.key end }, close = function(_, ctx, why) print('close', ctx.key, why) end } }");
  STEP(&h, .canary = "in");
  host_publish(&h, "new/in", "x", NULL);
  host_call(&h, "comes/in", "Ask", NULL);
  STEP(&h, .undo = true);
  host_run(&h, 3);
  host_publish(&h, "new/in", "y", NULL);
  host_publish(&h, "old/in", "y", NULL);
  host_settle(&h);
  CHECK_STR(h.printed, "new\tin\tx\nclose\tin\tremoved\nold\tin\ty\n");
  CHECK_STR(host_call(&h, "comes/in", "Ask", NULL) + 0, "not_found: no agent type \"comes\" here (1 type is known)");
  host_close(&h);
}

CHECK_CASE(canary_counts_failures_of_both_apart) {
  host h = { 0 };
  tr_canary_about about;
  host_open(&h);
  host_file(&h, "a.lua", "return { on = { Ask = function(_, m) error('old') end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_call(&h, "a/in", "Ask", NULL);
  host_file(&h, "a.lua", "return { on = { Ask = function(_, m) error('new') end } }");
  STEP(&h, .canary = "in");
  host_call(&h, "a/in", "Ask", NULL);
  for (int i = 0; i < 3; i++) host_call(&h, "a/out", "Ask", NULL);
  CHECK(tr_script_class_canary(tr_core_find_class(h.core, TR_SLICE_LITERAL("a")), &about));
  CHECK_INT(about.failed, ==, 1);
  CHECK_INT(about.failed_others, ==, 3);
  host_close(&h);
}

CHECK_CASE(canary_of_instances_with_states_of_their_own) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { vm = 'own', version = 1, state = { n = 1 }, on = { Ask = function(self) self.n = self.n + 1 return self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/1", "2");
  ASK(&h, "a/2", "2");
  host_file(&h, "a.lua", "return { vm = 'own', version = 2, state = { m = 100 }, migrate = function(self) self.m, self.n = self.n * 100, nil end,"
                         " on = { Ask = function(self) self.m = self.m + 1 return self.m end } }");
  STEP(&h, .canary = "=1");
  ASK(&h, "a/1", "201");
  ASK(&h, "a/2", "3");
  STEP(&h, .canary = "100%");
  ASK(&h, "a/2", "301");
  ASK(&h, "a/3", "101");
  STEP(&h, .undo = true);
  ASK(&h, "a/1", "3");
  ASK(&h, "a/2", "4");
  ASK(&h, "a/3", "2");
  STEP(&h, .canary = "=1", .again = true);
  ASK(&h, "a/1", "301");
  STEP(&h, .promote = true);
  ASK(&h, "a/1", "302");
  ASK(&h, "a/2", "401");
  host_close(&h);
}

#define IDLE_1 "return { version = 1, idle = 10, state = { n = 1 }, migrate = function(self, from) assert(from == 2) self.n, self.m = self.m, nil end," \
               " on = { Ask = function(self) self.n = self.n + 1 return self.n end } }"
#define IDLE_2 "return { version = 2, idle = 10, state = { m = 1 }, migrate = function(self) self.m, self.n = self.n, nil end," \
               " on = { Ask = function(self) self.m = self.m + 1 return -self.m end } }"

CHECK_CASE(canary_keeps_in_memory_what_only_it_could_read) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", IDLE_1);
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/1", "2");
  ASK(&h, "a/2", "2");
  ASK(&h, "a/3", "2");
  host_run(&h, 20);
  CHECK_INT(tr_script_saved_count(h.script), ==, 3);
  host_file(&h, "a.lua", IDLE_2);
  STEP(&h, .canary = "=1");
  ASK(&h, "a/1", "-3");
  ASK(&h, "a/2", "3");
  host_run(&h, 20);
  CHECK_INT(tr_script_saved_count(h.script), ==, 2);
  STEP(&h, .undo = true);
  ASK(&h, "a/1", "4");
  STEP(&h, .canary = "=1", .again = true);
  STEP(&h, .promote = true);
  ASK(&h, "a/1", "-5");
  ASK(&h, "a/2", "-4");
  ASK(&h, "a/3", "-3");
  host_run(&h, 20);
  CHECK_INT(tr_script_saved_count(h.script), ==, 3);
  STEP(&h, .to = 1); /* what was stored by the newer code comes back through the old one's migrate, too */
  ASK(&h, "a/1", "6");
  host_close(&h);
}

CHECK_CASE(canary_takes_up_an_old_stored_state_and_knows_the_way_back) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { version = 1, idle = 10, state = { n = 1 }, on = { Ask = function(self) self.n = self.n + 1 return self.n end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ASK(&h, "a/1", "2");
  host_run(&h, 20);
  CHECK_INT(tr_script_saved_count(h.script), ==, 1);
  host_file(&h, "a.lua", IDLE_2);
  STEP(&h, .canary = "=1");
  ASK(&h, "a/1", "-3");
  STEP(&h, .undo = true);
  ASK(&h, "a/1", "3");
  host_close(&h);
}

/* Whatever is refused: each step is done or not, nothing leaks, and afterwards it works. */
CHECK_CASE(canary_survives_refused_memory) {
  static const char old[] = "return { { type = 'a', version = 1, state = { n = 1 }, subscriptions = { 'old' }, on = { Ask = function(self) return self.n end } } }";
  static const char new[] = "return { { type = 'a', version = 2, state = { m = 1 }, migrate = function(self) self.m = self.n end, subscriptions = { 'new' },"
                            " timers = { T = 9 }, on = { Ask = function(self) return self.m end } }, { type = 'b', autostart = true, on = { Ask = print } } }";
  const tr_reload_options steps[] = { { .canary = "50%", .trial = true }, { .canary = "50%" }, { .canary = "=1" }, { .undo = true },
                                      { .canary = "100%", .again = true }, { .promote = true } };
  CHECK_ALLOCATIONS_FAIL(3) {
    host h = { 0 };
    char id[10];
    if (host_try_open(&h)) continue;
    host_file(&h, "a.lua", old);
    int rc = host_load(&h, "a.lua");
    for (int i = 0; !rc && i < 6; i++) {
      snprintf(id, sizeof id, "a/%d", i);
      host_call(&h, id, "Ask", NULL);
    }
    host_file(&h, "a.lua", new);
    for (size_t i = 0; !rc && i < sizeof steps / sizeof *steps; i++) {
      int done = step(&h, steps[i], &changed);
      if (done && !check_mem_refused()) CHECK_FAIL("step %zu: %s", i, h.error.text);
      host_publish(&h, "new/1", "Ask", NULL);
      host_settle(&h);
    }
    const char *text = host_call(&h, "a/3", "Ask", NULL);
    if (!rc && !check_mem_refused()) CHECK_STR(text, "Ask 1");
    host_close(&h);
  }
}
