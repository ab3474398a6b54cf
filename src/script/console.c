/* SPDX-License-Identifier: MIT
 * What consoles want to know of an instance: numbers, its open turns with where they are, timers, state. Also ending a turn.
 *
 * All of it is looked at from outside, between two turns, and nothing of the script's runs for it. A turn that computes was pre-empted
 * (limit.c), so its stack can be read, and it ends at its next instruction when its meter is marked. Code that Lua cannot be left from (a
 * comparison of table.sort) keeps everybody out, consoles too, until its limits end it. Next: visit.c, show.c. */
#include "codec/json.h"
#include "script/internal.h"

#define TRACE_MOST 4096

void tr_script_time(tr_script *script, bool wanted) {
  if (!script->options.clock) return;
  if (wanted) script->timed++;
  else if (script->timed) script->timed--;
}

void tr_instance_add_time(tr_instance *instance, tr_time begun) {
  const tr_script *script = instance->class_->script;
  tr_instance_more *more = tr_instance_get_more(instance);
  if (more) more->busy += script->options.clock(script->options.ud) - begun;
}

bool tr_script_agent_about(const tr_agent *agent, tr_script_agent *about) {
  const tr_script_class *class_ = tr_script_class_of(agent->class_);
  const tr_instance *instance = agent->user;
  if (!class_) return false;
  *about = (tr_script_agent){ .version = class_->def->version, .file = class_->file ? class_->file->name : "", .program = class_->def->program };
  if (!instance) return true;
  const tr_script *script = instance->class_->script;
  tr_failures failures = tr_instance_failures(instance);
  about->version = instance->def->version;
  about->number = instance->def->number;
  about->canary = tr_class_whole(instance->class_)->canary && about->number == tr_class_whole(instance->class_)->canary->number;
  about->memory = instance->account ? script->accounts[instance->account].used : 0;
  about->busy = instance->more->busy;
  about->failures = failures.count;
  about->failed = failures.text;
  about->failed_at = failures.at;
  return true;
}

/* Its own, where it has one. */
static tr_script *script_of(const tr_agent *agent, const tr_script_class *class_) {
  const tr_instance *instance = agent->user;
  return instance ? instance->class_->script : class_->script;
}

/* ---- inspecting ---- */

typedef struct inspecting { const tr_agent *agent; size_t limit; tr_buf *out; tr_error *error; unsigned count; } inspecting;

static void put_string(inspecting *self, const char *before, tr_slice text) {
  tr_json_writer writer;
  tr_error unused;
  tr_error_init(&unused);
  tr_buf_text(self->out, before);
  tr_json_writer_init(&writer, self->out, &unused);
  tr_sink sink = tr_json_sink(&writer);
  if (sink.string(sink.ud, text)) tr_buf_text(self->out, "\"?\"");
}

static int put_about(lua_State *L, inspecting *self) {
  tr_json_writer writer;
  tr_json_writer_init(&writer, self->out, self->error);
  tr_sink sink = tr_json_sink(&writer);
  tr_buf_text(self->out, ",\"about\":");
  const tr_script_class *class_ = tr_script_class_of(self->agent->class_);
  const tr_instance *instance = self->agent->user;
  return tr_describe(L, class_, instance ? instance->def : tr_class_code(class_, self->agent), &sink);
}

static void on_timer(void *ud, const tr_name *type, tr_time in, tr_time period) {
  inspecting *self = ud;
  if (self->count++ >= 100) return;
  put_string(self, self->count > 1 ? ",{\"type\":" : "{\"type\":", tr_name_view(type));
  tr_buf_printf(self->out, ",\"in_s\":%.3f", (double)in / 1e6);
  if (period) tr_buf_printf(self->out, ",\"every_s\":%g", (double)period / 1e6);
  tr_buf_text(self->out, "}");
}

/* The traceback of a turn's coroutine as the text on the top. [-0, +1, m] */
static void push_trace(lua_State *L, const tr_lua_turn *lt) {
  static const char head[] = "stack traceback:\n\t";
  luaL_traceback(L, lt->co, NULL, 0);
  const char *text = lua_tostring(L, -1);
  if (strncmp(text, head, sizeof head - 1) == 0) luaL_gsub(L, text + sizeof head - 1, "\n\t", "\n");
  else lua_pushliteral(L, "");
  lua_remove(L, -2);
}

static void put_turn(lua_State *L, inspecting *self, const tr_turn *turn, const char *comma) {
  const tr_lua_turn *lt = turn->user;
  char sender[2 * 200 + 2];
  put_string(self, comma, tr_slice_of(tr_turn_what(turn)));
  tr_buf_printf(self->out, ",\"doing\":\"%s\"", tr_turn_doing(turn));
  if (turn->msg && turn->msg->sender_type) {
    snprintf(sender, sizeof sender, "%.200s/%.200s", turn->msg->sender_type->text, turn->msg->sender_key->text);
    if (tr_utf8_valid(tr_slice_of(sender))) put_string(self, ",\"sender\":", tr_slice_of(sender));
  }
  if (!lt) {
    tr_buf_text(self->out, "}");
    return;
  }
  tr_buf_printf(self->out, ",\"since_s\":%.3f", (double)(tr_core_now(lt->script->core) - lt->began) / 1e6);
  push_trace(L, lt);
  tr_slice trace;
  trace.p = lua_tolstring(L, -1, &trace.n);
  if (trace.n > TRACE_MOST) trace.n = tr_utf8_cut(trace, TRACE_MOST);
  put_string(self, ",\"traceback\":", tr_utf8_valid(trace) ? trace : TR_SLICE_LITERAL("?"));
  lua_pop(L, 1);
  tr_buf_text(self->out, "}");
}

static int inspect(lua_State *L, void *ud) {
  inspecting *self = ud;
  const tr_agent *agent = self->agent;
  const tr_instance *instance = agent->user;
  tr_need_stack(L, 20);
  int rc = put_about(L, self);
  if (rc) return rc;
  tr_buf_text(self->out, ",\"timers\":[");
  if (instance) tr_script_timers_each(instance, on_timer, self);
  tr_buf_text(self->out, "],\"turns_open\":[");
  unsigned n = 0;
  for (const tr_turn *turn = agent->turn; turn && n < 20; turn = turn->below, n++)
    put_turn(L, self, turn, n ? ",{\"type\":" : "{\"type\":");
  tr_buf_text(self->out, "],\"state\":");
  if (instance && instance->has_self) {
    tr_push_ref(L, instance->class_->script->instances_ref);
    lua_rawgeti(L, -1, agent->user_ref);
    lua_getiuservalue(L, -1, 1);
    tr_show(L, -1, TR_SHOW_JSON, self->limit, self->out);
  } else {
    tr_buf_text(self->out, "null");
  }
  return self->out->failed ? TR_EMEMORY : 0;
}

int tr_script_inspect(const tr_agent *agent, size_t limit, tr_buf *out, tr_error *error) {
  const tr_script_class *class_ = tr_script_class_of(agent->class_);
  inspecting call = { agent, limit, out, error, 0 };
  if (!class_) return 0;
  int rc = tr_script_protect(script_of(agent, class_), inspect, &call, error);
  return rc && !error->code ? tr_error_set(error, rc, "%s", tr_error_default_text(rc)) : rc;
}

/* ---- ending a turn ---- */

typedef struct breaking { tr_agent *agent; bool waiting; tr_buf *out; } breaking;

static void tell(lua_State *L, breaking *self, const tr_turn *turn) {
  const tr_lua_turn *lt = turn->user;
  char name[200];
  push_trace(L, lt);
  tr_agent_name(turn->agent, name, sizeof name);
  tr_buf_printf(self->out, "%s, %s (%s):\n%s\n", name, tr_turn_what(turn), tr_turn_doing(turn), lua_tostring(L, -1));
  lua_pop(L, 1);
}

static bool computes(const tr_turn *turn) { return turn->user && strcmp(tr_turn_doing(turn), "computing") == 0; }

bool tr_script_stuck(const tr_agent *agent, tr_stuck *out) {
  if (!tr_script_class_of(agent->class_)) return false;
  for (const tr_turn *turn = agent->turn; turn; turn = turn->below) {
    const tr_lua_turn *lt = turn->user;
    lua_Debug ar;
    if (!computes(turn) || lt->def->program || lt->meter.spent < TR_STUCK) continue;
    int line = tr_fail_line(lt->co, &ar);
    *out = (tr_stuck){ .type = tr_turn_what(turn), .ran = lt->meter.spent };
    snprintf(out->at, sizeof out->at, "%s:%d", ar.short_src, line);
    return true;
  }
  return false;
}

static int break_off(lua_State *L, void *ud) {
  breaking *self = ud;
  int count = 0;
  tr_need_stack(L, 10);
  for (tr_turn *turn = self->agent->turn; turn && !count; turn = turn->below) {
    if (!computes(turn)) continue;
    tell(L, self, turn);
    tr_meter_break(turn->user, "ended by the operator");
    count++;
  }
  for (tr_turn *turn = count ? NULL : self->agent->turn; turn && self->waiting; turn = turn->below) {
    if (!turn->user) continue;
    size_t before = self->out->len;
    tell(L, self, turn);
    if (tr_turn_break(turn, TR_ECANCELLED, "ended by the operator while it waited")) count++;
    else self->out->len = before;
  }
  return count;
}

int tr_script_break(tr_agent *agent, bool waiting, tr_buf *out, tr_error *error) {
  const tr_script_class *class_ = tr_script_class_of(agent->class_);
  breaking call = { agent, waiting, out };
  int count = class_ ? tr_script_protect(script_of(agent, class_), break_off, &call, error) : 0;
  if (count) return count;
  size_t open = tr_agent_turn_count(agent);
  if (open && !waiting)
    return tr_error_set(error, TR_EINVALID, "%s/%s computes nothing now; it has %zu turn%s that wait%s (troupe inspect says where; --waiting ends them)",
                        tr_class_type(agent->class_)->text, agent->key->text, open, open == 1 ? "" : "s", open == 1 ? "s" : "");
  return tr_error_set(error, TR_EINVALID, "%s/%s has nothing to be ended: no turn of it is open", tr_class_type(agent->class_)->text, agent->key->text);
}
