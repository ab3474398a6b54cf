/* SPDX-License-Identifier: MIT
 * What a file says about an agent, checked and turned into what turns need.
 *
 * The agent's table is read once, raw, when its file is loaded: every key must be known and of the right type;
 * nothing is looked up by name later. The result is counted: the class, each instance and each open turn hold the
 * version they are on, and the last one to go frees it. To add a key: a row in keys.c, with a reader if its value matters.
 *
 * Errors name file, line, what was expected (fields.c). Next: keys.c, handlers.c, subscriptions.c. */
#include "base/text.h"
#include "core/id.h"
#include "script/internal.h"

/* --- life --- */

tr_definition *tr_definition_new(tr_script *script) {
  tr_definition *def = TR_NEW(script->mem, tr_definition);
  if (!def) return NULL;
  def->refs = 1;
  def->script = script;
  def->table_ref = def->state_ref = def->methods_ref = def->meta_ref = def->init_ref = def->migrate_ref = LUA_NOREF;
  def->env_ref = def->close_ref = def->save_ref = def->restore_ref = LUA_NOREF;
  def->timeout = TR_SECONDS(30);
  def->instructions = TR_INSTRUCTIONS;
  def->turn_time = TR_MILLISECONDS(5000);
  def->memory = (size_t)64 << 20;
  def->timer_limit = TR_TIMERS_MAX;
  def->sub_limit = TR_SUBS_MAX;
  tr_list_init(&def->subs);
  return def;
}

static void unref_lua(const tr_definition *def) {
  lua_State *L = def->script->L;
  const int refs[] = { def->table_ref, def->state_ref, def->methods_ref, def->meta_ref, def->init_ref,
                       def->migrate_ref, def->close_ref, def->save_ref, def->restore_ref, def->env_ref };
  if (!lua_checkstack(L, 4)) return;
  for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) luaL_unref(L, LUA_REGISTRYINDEX, refs[i]);
}

void tr_definition_unref(tr_definition *def) {
  if (!def || --def->refs > 0) return;
  tr_mem *mem = def->script->mem;
  unref_lua(def);
  tr_handlers_unref(def->script, def->handlers);
  for (tr_link *link; (link = tr_list_pop(&def->subs));) tr_sub_spec_free(TR_CONTAINER(link, tr_sub_spec, link));
  for (size_t i = 0; i < def->tick_count; i++) tr_name_unref(def->ticks[i].type);
  tr_free(mem, def->ticks, def->tick_count * sizeof *def->ticks);
  for (size_t i = 0; i < def->reply_count; i++) {
    tr_name_unref(def->replies[i].request);
    tr_name_unref(def->replies[i].reply);
  }
  tr_schemas_free(def->schemas);
  for (size_t i = 0; i < def->priority_count; i++) tr_name_unref(def->priorities[i].type);
  tr_free(mem, def->priorities, def->priority_count * sizeof *def->priorities);
  tr_free(mem, def->replies, def->reply_count * sizeof *def->replies);
  for (size_t i = 0; i < def->autostart_count; i++) tr_free(mem, def->autostart[i].text, def->autostart[i].size);
  tr_shards_free(def);
  tr_code_unref(def->code);
  tr_free(mem, def->autostart, def->autostart_count * sizeof *def->autostart);
  tr_free(mem, def->type, def->type_size);
  tr_link_remove(&def->link);
  tr_link_remove(&def->held);
  TR_DELETE(mem, def);
}

tr_priority tr_definition_priority(const tr_definition *def, const tr_name *type) {
  for (size_t i = 0; i < def->priority_count; i++)
    if (def->priorities[i].type == type) return def->priorities[i].priority;
  return TR_PRIORITY_NORMAL;
}

/* --- the whole --- */

void tr_type_from_name(const char *name, char *out, size_t size) {
  const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
  size_t n = strlen(base), end = 0;
  if (n > 4 && strcmp(base + n - 4, ".lua") == 0) n -= 4;
  for (size_t i = 0; i < n && end + 1 < size; i++) {
    char c = base[i];
    bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
        c == '.';
    out[end++] = legal ? c : '_';
  }
  if (end == 0) out[end++] = '_';
  out[end] = 0;
}

static int read_type(lua_State *L, int table, tr_definition *def, const tr_place *place) {
  char name[256];
  tr_error error;
  tr_slice type;
  tr_error_init(&error);
  if (tr_raw_field(L, table, "type") == LUA_TSTRING) {
    type.p = lua_tolstring(L, -1, &type.n);
  } else if (def->script->options.untyped.p) {
    type = def->script->options.untyped;
  } else {
    tr_type_from_name(place->name, name, sizeof name);
    type = tr_slice_of(name);
  }
  if (tr_agent_type_check(type, &error)) return tr_definition_error(place, NULL, "type", "`type`: %s", error.text);
  def->type = tr_strndup(def->script->mem, type.p, type.n);
  if (!def->type) tr_raise_memory(L);
  def->type_size = type.n + 1;
  lua_pop(L, 1);
  return 0;
}

static void warn(const tr_place *place, const tr_definition *def, const char *name) {
  char line[24];
  tr_fields_line(place, NULL, name, line, sizeof line);
  tr_log_write(tr_core_log(def->script->core), TR_LOG_WARN, "script.no_effect",
               "file=%s%s key=%s (it has no effect yet)", place->name, line, name);
}

static void warn_later(lua_State *L, int table, const tr_place *place, const tr_definition *def) {
  if (!tr_later_keys[0]) return;
  for (const char *const *name = tr_later_keys; *name; name++) {
    if (tr_raw_field(L, table, *name) != LUA_TNIL) warn(place, def, *name);
    lua_pop(L, 1);
  }
  if (tr_raw_field(L, table, "limits") == LUA_TTABLE) {
    int limits = lua_gettop(L);
    for (const char *const *name = tr_later_keys; *name; name++) {
      if (tr_raw_field(L, limits, *name) != LUA_TNIL) warn(place, def, *name);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

int tr_definition_read(lua_State *L, tr_definition *def, const tr_definition *before, const tr_place *place) {
  int table = lua_gettop(L);
  uint64_t present;
  tr_need_stack(L, 40);
  int rc = tr_keys_check(L, table, place, &present);
  if (!rc) rc = read_type(L, table, def, place);
  if (!rc) rc = tr_keys_read(L, table, present, def, place);
  lua_settop(L, table);
  if (!rc) rc = tr_handlers_read(L, table, present, def, before, place);
  if (!rc) warn_later(L, table, place, def);
  lua_settop(L, table);
  if (!rc) def->table_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  else lua_pop(L, 1);
  return rc;
}
