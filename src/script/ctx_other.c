/* SPDX-License-Identifier: MIT
 * ctx:subscribe, ctx:unsubscribe, ctx:log, ctx:stop, ctx:exit. */
#include <ctype.h>

#include "core/id.h"
#include "script/internal.h"

static void changed(tr_script *script) {
  if (script->options.classes_changed) script->options.classes_changed(script->options.ud);
}

/* A program is one instance: what it subscribes to goes to it, whatever the source. */
static bool pin_to_program(tr_sub_spec *sub) {
  if (sub->key || sub->all || sub->custom) return true;
  sub->key = tr_strndup(sub->script->mem, "default", 7);
  sub->key_size = 8;
  return sub->key != NULL;
}

static void share(tr_lua_turn *lt, const tr_sub_spec *sub, bool added) {
  const tr_script_options *options = &lt->script->options;
  if (!options->subscribed) return;
  tr_shared_sub shared = tr_sub_spec_shared(sub, lt->instance->class_->def->type);
  options->subscribed(options->ud, &shared, added);
}

static int ctx_subscribe(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_script_class *class_ = tr_class_whole(lt->instance->class_);
  tr_sub_spec *sub = NULL;
  tr_error error;
  if (class_->run_sub_count >= lt->def->sub_limit) tr_limit_raise(L, lt, "subscriptions", lt->def->sub_limit, "of its type at a time");
  tr_error_init(&error);
  int rc = tr_sub_spec_read(L, 2, &sub, &error);
  if (!rc && sub->custom && lt->script->options.subscribed)
    rc = tr_error_set(&error, TR_EINVALID, "`match` cannot be subscribed to while running with several threads: write it into `subscriptions`");
  if (!rc && lt->def->shared && !tr_sub_by_source(sub)) rc = tr_error_set(&error, TR_EINVALID, TR_SHARED_SUB);
  if (!rc && sub->custom && lt->script->own)
    rc = tr_error_set(&error, TR_EINVALID, "`match` cannot be subscribed to with vm = \"own\": write it into `subscriptions`");
  if (!rc) sub->script = class_->script; /* it is the type's, and outlives this instance */
  if (!rc && lt->def->program && !pin_to_program(sub)) rc = tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (!rc) rc = tr_sub_spec_activate(sub, class_->core_class, &error);
  if (rc) {
    tr_sub_spec_free(sub);
    tr_fail_raise_error(L, &error);
  }
  sub->number = ++tr_script_home(lt->script)->next_sub;
  tr_run_sub_add(class_, sub);
  share(lt, sub, true);
  changed(lt->script);
  lua_pushinteger(L, (lua_Integer)sub->number);
  return 1;
}

static int ctx_unsubscribe(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_script_class *class_ = tr_class_whole(lt->instance->class_);
  if (!lua_isinteger(L, 2)) tr_fail_raise(L, TR_EINVALID, "unsubscribe takes the id that subscribe gave");
  uint64_t id = (uint64_t)lua_tointeger(L, 2);
  for (tr_link *link = class_->run_subs.next; link != &class_->run_subs; link = link->next) {
    tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    if (sub->number != id) continue;
    share(lt, sub, false);
    tr_run_sub_drop(class_, sub);
    changed(lt->script);
    return 0;
  }
  tr_fail_raise(L, TR_ENOT_FOUND, "there is no subscription with id %lld made by ctx:subscribe", (long long)id);
}

/* In the forms that ctx:subscribe takes, with the id where it was made by that. */
static void push_sub(lua_State *L, const tr_sub_spec *sub, bool at_run_time) {
  lua_createtable(L, 1, 3);
  if (sub->custom) {
    tr_push_ref(L, sub->match_ref);
    lua_setfield(L, -2, "match");
    tr_push_ref(L, sub->agent_ref);
    if (sub->agent_ref == LUA_NOREF) lua_pop(L, 1);
    else lua_setfield(L, -2, "agent");
  } else {
    lua_pushlstring(L, sub->topic, sub->topic_size - 1);
    if (sub->kind == TR_SUB_PREFIX) lua_setfield(L, -2, "prefix");
    else lua_rawseti(L, -2, 1);
  }
  if (sub->key) {
    lua_pushlstring(L, sub->key, sub->key_size - 1);
    lua_setfield(L, -2, "key");
  }
  if (sub->all) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "all");
  }
  if (!at_run_time) return;
  lua_pushinteger(L, (lua_Integer)sub->number);
  lua_setfield(L, -2, "id");
}

/* Those of the list, behind the n that are in the table on the top; only: that this code has. */
static lua_Integer push_list(lua_State *L, const tr_link *list, lua_Integer n, const tr_definition *only, bool at_run_time) {
  for (const tr_link *link = list->next; link != list; link = link->next) {
    const tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    if (only && !tr_subs_have(only, sub)) continue;
    push_sub(L, sub, at_run_time);
    lua_rawseti(L, -2, ++n);
  }
  return n;
}

static int ctx_subscriptions(lua_State *L) {
  const tr_lua_turn *lt = tr_ctx_turn(L);
  const tr_script_class *class_ = lt->instance->class_;
  const tr_link *added = class_->whole ? NULL : tr_canary_subs(class_, lt->def);
  lua_newtable(L);
  lua_Integer n = push_list(L, class_->whole ? &class_->def->subs : &class_->subs, 0, added ? lt->def : NULL, false);
  if (added) n = push_list(L, added, n, NULL, false);
  push_list(L, &tr_class_whole(lt->instance->class_)->run_subs, n, NULL, true);
  return 1;
}

#define FIELDS_MOST 4096 /* bytes: a line of the log is cut long before */

/* A key and a value are at 6 and 7: ` key="value"` goes to the end of the text at 5. They must not look like another field. */
static void add_field(lua_State *L) {
  luaL_Buffer out;
  size_t n, m;
  const char *key = luaL_tolstring(L, 6, &n), *value = luaL_tolstring(L, 7, &m);
  if (n > FIELDS_MOST) n = FIELDS_MOST;
  if (m > FIELDS_MOST) m = FIELDS_MOST;
  luaL_buffinit(L, &out);
  luaL_addchar(&out, ' ');
  for (size_t i = 0; i < n; i++) luaL_addchar(&out, isalnum((unsigned char)key[i]) || (key[i] && strchr("_.-", key[i])) ? key[i] : '_');
  luaL_addstring(&out, "=\"");
  for (size_t i = 0; i < m; i++) {
    if (value[i] == '"' || value[i] == '\\') luaL_addchar(&out, '\\');
    luaL_addchar(&out, value[i] ? value[i] : ' ');
  }
  luaL_addchar(&out, '"');
  luaL_pushresult(&out);
  lua_pushvalue(L, 5);
  lua_insert(L, -2);
  lua_concat(L, 2);
  lua_replace(L, 5);
}

static int ctx_log(lua_State *L) {
  static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
  tr_lua_turn *lt = tr_ctx_turn(L);
  const tr_log *log = tr_core_log(lt->script->core);
  const char *level = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  int at = 0;
  while (levels[at] && strcmp(levels[at], level) != 0) at++;
  if (!levels[at]) tr_fail_raise(L, TR_EINVALID, "log's level must be \"error\", \"warn\", \"info\" or \"debug\"");
  if (!lua_isnoneornil(L, 4) && !lua_istable(L, 4))
    tr_fail_raise(L, TR_EINVALID, "log's fields must be a table, not %s", tr_type_name(L, 4));
  if (!log || !log->sink || (tr_log_level)at > log->level || !tr_output_take(L, 0)) return 0;
  char name[200];
  tr_agent_name(lt->turn->agent, name, sizeof name);
  lua_settop(L, 4);
  lua_pushliteral(L, ""); /* 5: the fields so far */
  if (lua_istable(L, 4))
    for (lua_pushnil(L); lua_rawlen(L, 5) < FIELDS_MOST && lua_next(L, 4); lua_settop(L, 6)) add_field(L);
  const char *line = luaL_gsub(L, luaL_tolstring(L, 3, NULL), "\n", " | ");
  tr_log_write(log, (tr_log_level)at, "agent.log", "agent=%s text=\"%s\"%s", name, line, lua_tostring(L, 5));
  return 0;
}

static int ctx_exit(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  lua_Integer status = 0;
  if (!lua_isnoneornil(L, 2)) {
    if (!lua_isinteger(L, 2)) tr_fail_raise(L, TR_EINVALID, "exit takes a status from 0 to 255");
    status = lua_tointeger(L, 2);
  }
  if (status < 0 || status > 255) tr_fail_raise(L, TR_EINVALID, "exit takes a status from 0 to 255");
  if (lt->script->options.exit) lt->script->options.exit(lt->script->options.ud, (int)status);
  return 0;
}

/* ctx:stop(proxy): of an agent that was launched. */
static int stop_launched(lua_State *L, tr_lua_turn *lt) {
  const tr_script_options *options = &lt->script->options;
  tr_agent_id id;
  tr_error error;
  tr_error_init(&error);
  if (!tr_proxy_push_id(L, 2)) tr_fail_raise(L, TR_EINVALID, "stop takes a proxy of ctx:launch, or nothing, not %s", tr_type_name(L, 2));
  if (tr_agent_id_parse(tr_slice_of(lua_tostring(L, -1)), TR_SLICE_LITERAL("default"), &id, &error)) tr_fail_raise_error(L, &error);
  if (!options->stop_launched) tr_fail_raise(L, TR_ENOT_FOUND, "%s was not launched by this process", lua_tostring(L, -1));
  if (options->stop_launched(options->ud, id.type, id.key, &error)) tr_fail_raise_error(L, &error);
  return 0;
}

/* A program's end is the end of all. */
static int ctx_stop(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  if (!lua_isnoneornil(L, 2)) return stop_launched(L, lt);
  lua_settop(L, 1);
  if (lt->def->program) return ctx_exit(L);
  char id[2 * 4096 + 2];
  tr_agent_name(lt->turn->agent, id, sizeof id);
  tr_saved_remove(lt->script, tr_slice_of(id));
  tr_shards_forget(lt->script, tr_slice_of(id), lt->instance->def);
  tr_sleepers_remove(lt->script, tr_slice_of(id));
  tr_agent_close(lt->script->core, lt->turn->agent, TR_CLOSE_STOP);
  if (lt->script->options.stopped) lt->script->options.stopped(lt->script->options.ud, lt->turn->agent);
  return 0;
}

const luaL_Reg tr_ctx_other_methods[] = {
  { "subscribe", ctx_subscribe }, { "unsubscribe", ctx_unsubscribe }, { "subscriptions", ctx_subscriptions }, { "log", ctx_log }, { "stop", ctx_stop },
  { "exit", ctx_exit }, { "callback", tr_ctx_callback },
  { NULL, NULL }
};
