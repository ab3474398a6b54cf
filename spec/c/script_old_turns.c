/* SPDX-License-Identifier: MIT
 * Turns on older code: counted, cut off, and of so many versions of a type at most. */
#include <stdio.h>

#include "script_host.h"

typedef struct heard { int count, code; char text[400]; } heard;

static void hear(void *ud, tr_call *call, tr_reply *reply) {
  heard *self = ud;
  (void)call;
  self->count++;
  self->code = reply->code;
  snprintf(self->text, sizeof self->text, "%.*s", TR_SLICE_ARG(reply->error));
}

static void ask(host *h, const char *key, const char *type, heard *out) {
  char id[40];
  snprintf(id, sizeof id, "a/%s", key);
  *out = (heard){ 0, 0, "" };
  host_ask(h, id, type, hear, out);
  host_settle(h);
}

static void version(host *h, char text[300], int n, const char *more) {
  snprintf(text, 300, "return { %s timeout = false, on = { Ask = function() return %d end, Wait = function(_, _, ctx) ctx:sleep(1000) return %d end } }", more, n, n);
  host_file(h, "a.lua", text);
}

CHECK_CASE(old_turns_are_counted_and_cut_off_with_an_error_for_who_waits) {
  for (int own = 0; own < 2; own++) {
    host h = { 0 };
    char text[2][300];
    heard old, fresh, other;
    tr_buf who;
    size_t changed;
    host_open(&h);
    tr_buf_init(&who, tr_core_mem(h.core));
    version(&h, text[0], 1, own ? "vm = 'own'," : "");
    CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    ask(&h, "old", "Wait", &old);
    CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, 0);
    version(&h, text[1], 2, own ? "vm = 'own'," : "");
    CHECK_INT(host_reload(&h, &changed), ==, 0);
    ask(&h, "fresh", "Wait", &fresh);
    CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, 1);
    CHECK_INT(tr_script_old_turns(h.script, "too late", &who), ==, 1);
    tr_buf_byte(&who, 0);
    CHECK_STR((const char *)who.data, "a/old Wait");
    host_settle(&h);
    CHECK_INT(old.count, ==, 1);
    CHECK_INT(old.code, ==, TR_ECANCELLED);
    CHECK_STR(old.text, "a/old, Wait: too late");
    CHECK_INT(fresh.count, ==, 0);
    CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, 0);
    tr_old_code left; /* its agent is on the new code by itself */
    CHECK(!tr_script_class_older(tr_core_find_class(h.core, TR_SLICE_LITERAL("a")), 0, &left));
    ask(&h, "old", "Ask", &other); /* it goes on, on the new code */
    CHECK_INT(other.count, ==, 1);
    CHECK_INT(other.code, ==, 0);
    tr_buf_fini(&who);
    host_close(&h);
  }
}

CHECK_CASE(old_turns_leave_programs_alone) {
  host h = { 0 };
  size_t changed;
  host_open(&h);
  host_file(&h, "a.lua", "return function(ctx) ctx:sleep(1000) end");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  host_settle(&h);
  host_file(&h, "a.lua", "return function(ctx) ctx:sleep(2000) end");
  CHECK_INT(host_reload(&h, &changed), ==, 0);
  CHECK_INT(tr_script_old_turns(h.script, "no", NULL), ==, 0);
  CHECK(tr_script_programs_running(h.script));
  host_close(&h);
}

CHECK_CASE(old_turns_of_a_canary_are_those_of_its_keys) {
  host h = { 0 };
  char text[2][300];
  heard in, out;
  size_t changed;
  tr_reloading *plan;
  tr_reload_options canary = { .canary = "in" }, undo = { .undo = true };
  host_open(&h);
  version(&h, text[0], 1, "");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  ask(&h, "in", "Wait", &in);
  ask(&h, "out", "Wait", &out);
  version(&h, text[1], 2, "");
  CHECK_INT(tr_script_reload_begin(h.script, &canary, &changed, &plan, &h.error), ==, 0);
  tr_script_reload_end(plan, true);
  CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, 1);
  CHECK_INT(tr_script_old_turns(h.script, "cut", NULL), ==, 1);
  host_settle(&h);
  CHECK_INT(in.code, ==, TR_ECANCELLED);
  CHECK_INT(out.count, ==, 0);
  ask(&h, "in", "Wait", &in);
  CHECK_INT(tr_script_reload_begin(h.script, &undo, &changed, &plan, &h.error), ==, 0);
  tr_script_reload_end(plan, true);
  CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, 1); /* what the canary has open is the old one now */
  host_close(&h);
}

/* One more version than is kept, with an open turn on each: the oldest ends. */
static void check_most(const char *more) {
  host h = { 0 };
  char texts[TR_VERSIONS_KEPT + 1][300], key[20];
  heard heards[TR_VERSIONS_KEPT + 1];
  size_t changed;
  host_open(&h);
  for (int i = 0; i <= TR_VERSIONS_KEPT; i++) {
    version(&h, texts[i], i, more);
    if (i == 0) CHECK_INT(host_load(&h, "a.lua"), ==, 0);
    else CHECK_INT(host_reload(&h, &changed), ==, 0);
    host_settle(&h);
    for (int k = 0; k < i; k++) CHECK_INT(heards[k].count, ==, i == TR_VERSIONS_KEPT && k == 0);
    snprintf(key, sizeof key, "%d", i);
    ask(&h, key, "Wait", &heards[i]);
  }
  CHECK_INT(heards[0].code, ==, TR_ECANCELLED);
  CHECK_STR(heards[0].text, "a/0, Wait: its code is that of a version which is not kept any more: there were too many reloads since it began");
  CHECK(host_logged(&h, "warn reload.cut turns=1 agents=\"a/0 Wait\" (the oldest of more than 10 versions of a)"));
  CHECK_INT(tr_script_old_turns(h.script, NULL, NULL), ==, TR_VERSIONS_KEPT - 1);
  host_close(&h);
}

CHECK_CASE(old_turns_are_of_so_many_versions_at_most) {
  check_most("");
  check_most("vm = 'own',");
}
