/* SPDX-License-Identifier: MIT
 * The count hook: what bounds running code, and what suspends it when its slice is used up.
 *
 * Every coroutine that runs code of a script is hooked, those that a script makes too (coroutine.c); the hook finds
 * the meter of whatever runs now through the state. It counts over waits and over all coroutines of a turn. When the
 * limit is reached the meter is `killed`: the hook then comes at every instruction and raises each time, so that
 * neither pcall nor a loop around it buys anything back; our own xpcall skips the script's message handlers then,
 * which Lua calls with hooks off. Long work inside C functions comes as a charge.
 *
 * A slice ends by a yield out of the hook, wherever Lua allows it; inside a C call of the script's (a comparison of
 * table.sort) it does not, and only the limit applies.
 *
 * The hook looks at the clock as well, which bounds running time (limits.turn_ms), and at the account of the agent's memory. Over its limit
 * an agent has the young collected, then everything, and only where that does not help the turn ends; at twice the limit the
 * allocator refuses (alloc.c) and has the hook come at the next instruction, so that no pcall goes on from there. Where a
 * turn begins and after its first waits the clock is not read, so up to ten thousand instructions there are not in the running time: it
 * would cost every message a few per cent. One instruction on a string of megabytes takes milliseconds, in C (a comparison, an addition):
 * so who has a string longer than TR_HEAVY has the hook more often, the more so the longer it is, that no slice is long even if each of
 * its instructions looks through that string. Where they do not, the hook comes up to four times less often, until it turns out too late;
 * and it gives way to others only each millisecond. Of a turn that waits more often than WAITS_UNSEEN times one run in SAMPLE is timed, until that
 * shows that a quarter of its time may be spent: from then on all of it is. */
#include "script/internal.h"

#define SLOW TR_MILLISECONDS(10)
#define LIGHTER_MOST 2 /* how much less often than its strings ask for the hook may come: 4 times */
#define WAITS_UNSEEN 32
#define SAMPLE 8

typedef enum { OVER_INSTRUCTIONS, OVER_TIME, OVER_MEMORY, OVER_STACK } over;

static const char *const depths[] = { "", "stack overflow", "stack overflow within one instruction (does a __call lead to a table with a __call, and so on?)" };

static void hook(lua_State *L, lua_Debug *ar);

static int tick_of(const tr_meter *meter, int tick) {
  if (meter->heavy && tick > TR_TICK >> meter->heavy) tick = TR_TICK >> meter->heavy > 2 ? TR_TICK >> meter->heavy : 2;
  uint64_t left = meter->limit > meter->used ? meter->limit - meter->used : 1;
  return left < (uint64_t)tick ? (int)left : tick;
}

void tr_meter_arm(tr_meter *meter, lua_State *co) { lua_sethook(co, hook, LUA_MASKCOUNT, tick_of(meter, TR_TICK)); }

void tr_meter_arm_inner(lua_State *co) {
  const tr_meter *meter = tr_script_of(co)->meter;
  int tick = meter && meter->heavy ? tick_of(meter, TR_TICK_INNER) : TR_TICK_INNER;
  /* A count that runs is left alone: or short resumes would never be counted. */
  if (lua_gethook(co) != hook || lua_gethookcount(co) > tick) lua_sethook(co, hook, LUA_MASKCOUNT, tick);
}

void tr_meter_alarm(tr_script *script) {
  if (script->active) lua_sethook(script->active, hook, LUA_MASKCOUNT, 1);
}

void tr_meter_begin(tr_meter *meter, const tr_definition *def, lua_State *co, tr_error *error) {
  tr_account *account = &def->script->accounts[def->script->owner];
  size_t used = account->used, limit = def->memory;
  if (account->size) tr_account_lighten(account);
  meter->used = 0; /* field by field: cleared as a whole it would be `rep stos`, which takes longer than all of this */
  meter->limit = def->instructions;
  meter->spent = 0;
  meter->time_limit = def->turn_time;
  meter->since = 0;
  meter->warn_at = TR_STUCK;
  meter->waits = 0;
  meter->preempted = meter->killed = meter->closely = false;
  meter->heavy = account->heavy;
  meter->slice_from = 0;
  meter->stack = meter->doubled = 0;
  meter->depth = TR_DEPTH_FINE;
  meter->most = 0;
  meter->base = co;
  meter->what = NULL;
  meter->error = error;
  meter->memory_at = used <= limit ? limit : used + limit / 4; /* it has too much: to give it up, its handler must run */
  tr_meter_arm(meter, co);
}

void tr_meter_resume(tr_script *script, tr_meter *meter) {
  bool look = meter->preempted || meter->closely || (meter->waits >= WAITS_UNSEEN && meter->waits % SAMPLE == 0);
  meter->since = look && script->options.clock ? script->options.clock(script->options.ud) : 0;
  meter->preempted = false;
  script->refused = 0;
  if (meter->heavy < script->accounts[script->owner].heavy) { /* what it waited for brought it a long string */
    meter->heavy = script->accounts[script->owner].heavy;
    tr_meter_arm(meter, meter->base);
  }
}

void tr_meter_pause(tr_meter *meter, bool preempted) { meter->preempted = preempted; }

void tr_meter_raise(lua_State *L, tr_meter *meter) {
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  tr_fail_raise_error(L, meter->error);
}

/* ---- who, and where ---- */

/* The last straw: left out where it was less than a KB. */
static void tell_asked(const tr_script *script, char *text, size_t size) {
  text[0] = 0;
  if (script->refused >> 10) snprintf(text, size, ", %zu KB more were asked for", script->refused >> 10);
}

static void describe(const tr_script *script, const tr_lua_turn *lt, const tr_meter *meter, over what, lua_State *L, tr_error *error) {
  char agent[160], asked[60], place[LUA_IDSIZE + 20] = "";
  lua_Debug ar;
  int line = tr_fail_line(L, &ar);
  if (line) snprintf(place, sizeof place, "%s:%d: ", ar.short_src, line); /* not where a C function of the console's failed */
  tr_error_init(error);
  if (!lt) {
    const char *doing = meter->what ? meter->what : "closing";
    if (what == OVER_STACK) tr_error_set(error, TR_ELIMIT, "%s%s while %s", place, depths[meter->depth], doing);
    else if (what == OVER_MEMORY) tr_error_set(error, TR_ELIMIT, "%smore than %zu MB of memory while %s", place, TR_CALL_MEMORY >> 20, doing);
    else if (what == OVER_TIME) tr_error_set(error, TR_ELIMIT, "%smore than %d s while %s", place, (int)(meter->time_limit / TR_SECONDS(1)), doing);
    else tr_error_set(error, TR_ELIMIT, "%smore than %llu instructions while %s", place, (unsigned long long)meter->limit, doing);
    return;
  }
  tell_asked(script, asked, sizeof asked);
  tr_agent_name(lt->turn->agent, agent, sizeof agent);
  const char *type = tr_turn_what(lt->turn);
  if (what == OVER_STACK) tr_error_set(error, TR_ELIMIT, "%s, %s: %s%s", agent, type, place, depths[meter->depth]);
  else if (what == OVER_INSTRUCTIONS)
    tr_error_set(error, TR_ELIMIT, "%s, %s: %smore than %llu instructions in one turn (limits.instructions)", agent, type,
                 place, (unsigned long long)meter->limit);
  else if (what == OVER_TIME)
    tr_error_set(error, TR_ELIMIT, "%s, %s: %smore than %lld ms of running time in one turn (limits.turn_ms)", agent, type,
                 place, (long long)(meter->time_limit / 1000));
  else
    tr_error_set(error, TR_ELIMIT, "%s, %s: %smore than %zu KB of memory (limits.memory; %zu KB in use%s)", agent, type,
                 place, lt->def->memory >> 10, script->accounts[lt->instance->account].used >> 10, asked);
}

static void kill_at(lua_State *L, tr_script *script, tr_meter *meter, over what) {
  describe(script, meter->what ? NULL : script->running, meter, what, L, meter->error);
  meter->killed = true;
  script->memory_hard = SIZE_MAX; /* the error itself needs some */
  script->refused = 0;
}

/* ---- memory ---- */

static void look_at_memory(lua_State *L, tr_script *script, tr_meter *meter) {
  const tr_lua_turn *lt = script->running;
  uint32_t id = lt->instance->account;
  size_t limit = lt->def->memory;
  if (!id || (!script->refused && script->accounts[id].used <= meter->memory_at)) return;
  if (!script->refused) {
    if (script->accounts[id].used > limit) lua_gc(L, LUA_GCSTEP, 0);
    if (script->accounts[id].used > limit) lua_gc(L, LUA_GCCOLLECT);
    size_t used = script->accounts[id].used;
    if (used <= limit) { /* not again at once: who lives near its limit must not make everybody wait */
      meter->memory_at = used + limit / 4 > limit ? used + limit / 4 : limit;
      return;
    }
  }
  kill_at(L, script, meter, OVER_MEMORY);
}

void tr_handler_place(lua_State *L, const tr_definition *def, const tr_msg *msg, lua_Debug *ar) {
  const tr_handler *handler = msg ? tr_handlers_find(def, msg) : NULL;
  strcpy(ar->short_src, "?");
  ar->linedefined = 0;
  if (!handler) return;
  tr_push_ref(L, handler->ref);
  if (handler->list) lua_rawgeti(L, -1, 2);
  if (lua_isfunction(L, -1)) lua_getinfo(L, ">S", ar);
  else lua_pop(L, 1);
  if (handler->list) lua_pop(L, 1);
}

/* Where its handler begins, for the log or an error; "" where it has none (what a console evaluates). */
static void place_of(lua_State *L, const tr_lua_turn *lt, bool log, char *out, size_t size) {
  lua_Debug ar;
  tr_handler_place(L, lt->def, lt->turn->msg, &ar);
  out[0] = 0;
  if (ar.linedefined > 0) snprintf(out, size, log ? " at=%s:%d" : "%s:%d: ", ar.short_src, ar.linedefined);
}

/* Once at half the limit, and again at each doubling. */
static void tell_memory(lua_State *L, tr_script *script, const tr_lua_turn *lt) {
  tr_account *account = &script->accounts[lt->instance->account];
  size_t mark = (lt->def->memory / 2) << account->told;
  char agent[160], place[LUA_IDSIZE + 20];
  if (account->told > 8 || account->used <= mark) return;
  account->told++;
  place_of(L, lt, true, place, sizeof place);
  tr_agent_name(lt->turn->agent, agent, sizeof agent);
  tr_log_write(tr_core_log(script->core), TR_LOG_WARN, "agent.memory", "agent=%s type=%s%s kb=%zu limit_kb=%zu (limits.memory)", agent,
               tr_turn_what(lt->turn), place, account->used >> 10, lt->def->memory >> 10);
}

void tr_meter_memory_tell(lua_State *L, const tr_lua_turn *lt) {
  const tr_script *script = lt->script;
  if (lt->instance->account && script->accounts[lt->instance->account].used > lt->def->memory / 2) tell_memory(L, lt->script, lt);
}

bool tr_meter_memory_fine(lua_State *L, tr_lua_turn *lt, tr_error *error) {
  tr_script *script = lt->script;
  uint32_t id = lt->instance->account;
  size_t limit = lt->def->memory, used = script->accounts[id].used;
  if (used > limit / 2) tell_memory(L, script, lt);
  if (used <= limit) return true;
  tr_instance_more *more = tr_instance_get_more(lt->instance);
  uint32_t times = more ? ++more->over_memory : 1;
  if ((times & (times - 1)) == 0) { /* the 1st, 2nd, 4th time: a full collection for every message would stop all others */
    lua_gc(L, LUA_GCSTEP, 0);
    if (script->accounts[id].used > limit) lua_gc(L, LUA_GCCOLLECT);
  }
  used = script->accounts[id].used;
  if (used <= limit) {
    if (more) more->over_memory = 0;
    return true;
  }
  char agent[160], place[LUA_IDSIZE + 20];
  tr_agent_name(lt->turn->agent, agent, sizeof agent);
  place_of(L, lt, false, place, sizeof place);
  tr_error_init(error);
  tr_error_set(error, TR_ELIMIT, "%s, %s: %sit keeps more than %zu KB of memory (limits.memory; %zu KB in use)", agent,
               tr_turn_what(lt->turn), place, limit >> 10, used >> 10);
  return false;
}

void tr_meter_break(tr_lua_turn *lt, const char *why) {
  char agent[160];
  lua_Debug ar;
  int line = tr_fail_line(lt->co, &ar);
  if (lt->meter.killed) return;
  tr_agent_name(lt->turn->agent, agent, sizeof agent);
  tr_error_init(&lt->error);
  tr_error_set(&lt->error, TR_ECANCELLED, "%s, %s: %s:%d: %s", agent, tr_turn_what(lt->turn), ar.short_src, line, why);
  lt->meter.killed = true;
  lua_sethook(lt->co, hook, LUA_MASKCOUNT, 1);
}

bool tr_meter_was_refused(tr_lua_turn *lt, tr_error *error) {
  if (lt->meter.depth) describe(lt->script, lt, &lt->meter, OVER_STACK, lt->co, error);
  if (lt->meter.depth) return true;
  if (!lt->script->refused) return false;
  describe(lt->script, lt, &lt->meter, OVER_MEMORY, lt->co, error);
  lt->script->refused = 0;
  return true;
}

bool tr_meter_call_refused(tr_script *script, tr_meter *meter, lua_State *co) {
  if (meter->killed) return true;
  if (!meter->depth && (!meter->most || !script->refused)) return false;
  describe(script, NULL, meter, meter->depth ? OVER_STACK : OVER_MEMORY, co, meter->error);
  return true;
}

bool tr_meter_own_refused(tr_script *script, const tr_definition *def, const char *doing, tr_error *error) {
  char asked[60];
  if (!script->own || !script->refused) return false;
  tell_asked(script, asked, sizeof asked);
  tr_error_init(error);
  tr_error_set(error, TR_ELIMIT, "%.100s: more than %zu KB of memory while %s (limits.memory; %zu KB in use%s)",
               def->type, def->memory >> 10, doing, script->used >> 10, asked);
  script->refused = 0;
  return true;
}

/* ---- time ---- */

/* "f (a.lua:3) < g (a.lua:9)": made without memory of Lua's. */
static void trace(lua_State *L, char *out, size_t size) {
  lua_Debug ar;
  size_t n = 0;
  out[0] = 0;
  for (int level = 0; level < 10 && n + 1 < size && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sln", &ar);
    int wrote = snprintf(out + n, size - n, "%s%s (%s:%d)", n ? " < " : "", ar.name ? ar.name : ar.what, ar.short_src, ar.currentline);
    n += wrote > 0 ? (size_t)wrote : 0;
  }
}

static void tell_stuck(lua_State *L, tr_script *script, tr_meter *meter) {
  char agent[160], stack[700];
  lua_Debug ar;
  int line = tr_fail_line(L, &ar);
  const tr_turn *turn = script->running->turn;
  while (meter->warn_at <= meter->spent) meter->warn_at *= 2;
  tr_agent_name(turn->agent, agent, sizeof agent);
  trace(L, stack, sizeof stack);
  tr_log_write(tr_core_log(script->core), TR_LOG_WARN, "turn.stuck", "agent=%s type=%s ms=%lld at=%s:%d traceback=\"%s\"", agent,
               tr_turn_what(turn), (long long)(meter->spent / 1000), ar.short_src, line, stack);
}

/* Of code that is no turn. */
static void look_at_call(lua_State *L, tr_script *script, tr_meter *meter) {
  tr_time now = script->options.clock(script->options.ud);
  if (!meter->since) meter->since = now;
  if (now - meter->since > meter->time_limit) kill_at(L, script, meter, OVER_TIME);
}

static void look_at_clock(lua_State *L, tr_script *script, tr_meter *meter) {
  tr_time now = script->options.clock(script->options.ud);
  if (meter->since && now > meter->since) meter->spent += now - meter->since;
  meter->since = now;
  if (script->running->def->program) return; /* a program may run as long as it likes */
  if (meter->spent > meter->time_limit) kill_at(L, script, meter, OVER_TIME);
  else if (meter->spent >= meter->warn_at) tell_stuck(L, script, meter);
}

void tr_meter_wait(lua_State *L, tr_script *script) {
  tr_meter *meter = script->meter;
  if (++meter->waits <= WAITS_UNSEEN || !meter->since) return;
  if (!meter->killed) look_at_clock(L, script, meter);
  if (meter->spent > meter->time_limit / 4 / SAMPLE) meter->closely = true;
  if (meter->killed) tr_meter_raise(L, meter);
}

void tr_limit_raise(lua_State *L, const tr_lua_turn *lt, const char *what, uint64_t limit, const char *when) {
  char agent[160];
  lua_Debug ar;
  int line = tr_fail_line(L, &ar);
  tr_agent_name(lt->turn->agent, agent, sizeof agent);
  tr_fail_raise(L, TR_ELIMIT, "%s, %s: %s:%d: more than %llu %s %s (limits.%s)", agent, tr_turn_what(lt->turn), ar.short_src, line,
                (unsigned long long)limit, what, when, what);
}

/* ---- the hook ---- */

/* Of one that has long strings: did the last instructions take too long, or have they been quick for a while? */
static bool adapt(tr_script *script, tr_meter *meter, tr_time took) {
  tr_account *account = &script->accounts[script->owner];
  uint8_t least = account->size + account->slow > LIGHTER_MOST ? (uint8_t)(account->size + account->slow - LIGHTER_MOST) : 0;
  if (took > SLOW && meter->heavy < TR_HEAVY_MOST && meter->heavy < account->size + 2) {
    meter->heavy++;
    if (account->slow < LIGHTER_MOST) account->slow++;
  } else if (took < SLOW / 10 && meter->heavy > least && ++meter->calm == 0) {
    meter->heavy--; /* after 256 */
  } else {
    return false;
  }
  meter->calm = 0;
  account->heavy = meter->heavy;
  return true;
}

static void count(lua_State *L, tr_script *script, tr_meter *meter) {
  int ticks = lua_gethookcount(L);
  meter->used += (uint64_t)ticks;
  meter->stack = 0;
  if (meter->used >= meter->limit) kill_at(L, script, meter, OVER_INSTRUCTIONS);
  if (!meter->killed && meter->depth) kill_at(L, script, meter, OVER_STACK);
  if (!meter->killed && script->running) look_at_memory(L, script, meter);
  tr_time before = meter->spent;
  if (!meter->killed && meter->most && script->refused) kill_at(L, script, meter, OVER_MEMORY);
  if (!meter->killed && script->options.clock) (script->running ? look_at_clock : look_at_call)(L, script, meter);
  if (meter->killed) return;
  bool other = meter->heavy && script->running && adapt(script, meter, meter->spent - before);
  if (other || ticks == 1 || meter->limit - meter->used < (uint64_t)ticks) /* 1: after an alarm */
    lua_sethook(L, hook, LUA_MASKCOUNT, tick_of(meter, L == meter->base ? TR_TICK : TR_TICK_INNER));
}

static void hook(lua_State *L, lua_Debug *ar) {
  tr_script *script = tr_script_of(L);
  tr_meter *meter = script->meter;
  (void)ar;
  if (!meter) return;
  if (script->running) script->owner = script->running->instance->account; /* memory ran out where it was another for a moment, as in a body's copy */
  bool seen = meter->since != 0 && script->options.clock; /* does `spent` say how long it was? */
  if (!meter->killed) count(L, script, meter);
  if (meter->killed) tr_meter_raise(L, meter);
  if (tr_script_is_foreign(script) && L != meter->base) return; /* a coroutine of Lua's own takes every yield for its own */
  if (script->running && script->can_wait && lua_isyieldable(L)) {
    if (meter->heavy && seen && meter->spent - meter->slice_from < SLOW / 10) return; /* a short count: no slice yet */
    meter->slice_from = meter->spent;
    script->pause = TR_PAUSE_SLICE;
    lua_yield(L, 0);
  }
}

void tr_meter_charge(lua_State *L, uint64_t instructions) {
  tr_script *script = tr_script_of(L);
  tr_meter *meter = script->meter;
  if (!meter) return;
  if (!meter->killed) {
    meter->used = instructions > UINT64_MAX - meter->used ? UINT64_MAX : meter->used + instructions;
    if (instructions >= TR_TICK) tr_meter_alarm(script); /* it takes long: the clock is looked at behind it */
    if (meter->used >= meter->limit) kill_at(L, script, meter, OVER_INSTRUCTIONS);
  }
  if (meter->killed) tr_meter_raise(L, meter);
}
