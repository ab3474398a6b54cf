/* SPDX-License-Identifier: MIT
 * What a file says about an agent, checked and turned into what turns need.
 *
 * The agent's table is read once, raw, when its file is loaded: every key must be known and of the right type; nothing is looked
 * up by name later. The result is counted: the class, each instance and each open turn hold the version they are on, and the last one to go
 * frees it. To add a key: its name in `names`, a row in `keys`, and a reader below if its value matters.
 *
 * Errors name file, line, what was expected (fields.c). Next: handlers.c, subscriptions.c. */
#include <math.h>

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
  def->requests.star.ref = def->events.star.ref = LUA_NOREF;
  def->timeout = TR_SECONDS(30);
  def->instructions = TR_INSTRUCTIONS;
  tr_list_init(&def->subs);
  return def;
}

static void unref_lua(const tr_definition *def) {
  lua_State *L = def->script->L;
  const int refs[] = { def->table_ref, def->state_ref, def->methods_ref, def->meta_ref, def->init_ref, def->migrate_ref };
  if (!lua_checkstack(L, 4)) return;
  for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) luaL_unref(L, LUA_REGISTRYINDEX, refs[i]);
}

void tr_definition_unref(tr_definition *def) {
  if (!def || --def->refs > 0) return;
  tr_mem *mem = def->script->mem;
  unref_lua(def);
  tr_handlers_fini(def->script, &def->requests);
  tr_handlers_fini(def->script, &def->events);
  for (tr_link *link; (link = tr_list_pop(&def->subs));) tr_sub_spec_free(TR_CONTAINER(link, tr_sub_spec, link));
  for (size_t i = 0; i < def->tick_count; i++) tr_name_unref(def->ticks[i].type);
  tr_free(mem, def->ticks, def->tick_count * sizeof *def->ticks);
  for (size_t i = 0; i < def->reply_count; i++) {
    tr_name_unref(def->replies[i].request);
    tr_name_unref(def->replies[i].reply);
  }
  tr_free(mem, def->replies, def->reply_count * sizeof *def->replies);
  for (size_t i = 0; i < def->autostart_count; i++) tr_free(mem, def->autostart[i].text, def->autostart[i].size);
  tr_free(mem, def->autostart, def->autostart_count * sizeof *def->autostart);
  tr_free(mem, def->type, def->type_size);
  tr_link_remove(&def->link);
  TR_DELETE(mem, def);
}

/* --- keys and their types --- */

static const char *const names[] = {
  "type", "description", "subscriptions", "autostart", "state", "methods", "on", "on_event", "on_request", "messages", "replies", "timers",
  "version", "init", "close", "save", "restore", "migrate", "timeout", "idle", "pool", "reentrant", "priority", "mailbox", "limits",
  "failures", "requeue", "shards", "vm", "nulls", NULL
};
static const char *const mailbox_names[] = { "limit", "overflow", NULL };
static const char *const limit_names[] = { "instructions", "turn_ms", "memory", NULL };
static const char *const failure_names[] = { "limit", "within", "action", NULL };
static const char *const overflow_names[] = { "wait", "refuse", "drop_oldest", NULL };
static const char *const priorities[] = { "high", "normal", "low", NULL };

enum { STRING = 1 << LUA_TSTRING, TABLE = 1 << LUA_TTABLE, FUNCTION = 1 << LUA_TFUNCTION, NUMBER = 1 << LUA_TNUMBER, BOOLEAN = 1 << LUA_TBOOLEAN };
static const struct key { const char *name; int types; const char *expected; } keys[] = {
  { "type", STRING, "a string" },
  { "description", STRING, "a string" },
  { "subscriptions", TABLE, "a list" },
  { "autostart", BOOLEAN | STRING | TABLE, "true, a key or a list of keys" },
  { "state", TABLE | FUNCTION, "a table or a function" },
  { "methods", TABLE, "a table of functions" },
  { "messages", TABLE, "a table of schemas" },
  { "replies", TABLE, "a table of message types" },
  { "timers", TABLE, "a table of seconds by message type" },
  { "version", NUMBER, "an integer" },
  { "init", FUNCTION, "a function" },
  { "close", FUNCTION, "a function" },
  { "save", FUNCTION, "a function" },
  { "restore", FUNCTION, "a function" },
  { "migrate", FUNCTION, "a function" },
  { "timeout", NUMBER | BOOLEAN, "a number of seconds, or false" },
  { "idle", NUMBER, "a number of seconds" },
  { "pool", NUMBER, "an integer" },
  { "reentrant", BOOLEAN, "true or false" },
  { "priority", TABLE, "a table of \"high\", \"normal\" or \"low\" by message type" },
  { "mailbox", TABLE, "a table such as { limit = 10000, overflow = \"wait\" }" },
  { "limits", TABLE, "a table such as { instructions = 1e8 }" },
  { "failures", TABLE, "a table such as { limit = 5, within = 60, action = \"restart\" }" },
  { "requeue", BOOLEAN, "true or false" },
  { "shards", TABLE, "a list" },
  { "vm", STRING, "\"own\"" },
  { "nulls", STRING, "\"keep\"" },
};

static int check_types(lua_State *L, int table, const tr_place *place) {
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    int type = tr_raw_field(L, table, keys[i].name);
    if (type != LUA_TNIL && !(keys[i].types & 1 << type))
      return tr_definition_error(place, NULL, keys[i].name, "`%s` must be %s, not %s", keys[i].name, keys[i].expected, tr_type_name(L, -1));
    lua_pop(L, 1);
  }
  return 0;
}

/* A positive whole number, also as 1e8. 0 where it is none. */
static lua_Integer whole(lua_State *L, int at) {
  int is_whole;
  lua_Integer n = lua_tointegerx(L, at, &is_whole);
  return is_whole && lua_type(L, at) == LUA_TNUMBER && n > 0 ? n : 0;
}

/* --- single keys. Each finds its value at `at`. --- */

static int read_state(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  def->flat_state = true;
  def->state_is_function = lua_isfunction(L, at);
  if (!def->state_is_function) {
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
      def->state_fields++;
      if (lua_istable(L, -1)) def->flat_state = false;
    }
    if (lua_getmetatable(L, at)) {
      def->flat_state = false;
      lua_pop(L, 1);
    }
  }
  lua_pushvalue(L, at);
  def->state_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_methods(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (!name) return tr_definition_error(place, NULL, "methods", "`methods` has %s as a key; expected names", tr_type_name(L, -2));
    if (!lua_isfunction(L, -1))
      return tr_definition_error(place, "methods", name, "methods.%s must be a function, not %s", name, tr_type_name(L, -1));
    if (def->state_ref == LUA_NOREF || def->state_is_function) continue;
    tr_push_ref(L, def->state_ref);
    bool there = tr_raw_field(L, -1, name) != LUA_TNIL;
    lua_pop(L, 2);
    if (there) return tr_definition_error(place, "methods", name, "`%s` is both a field of `state` and a method", name);
  }
  lua_pushvalue(L, at);
  def->methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, at);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  def->meta_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static size_t count_pairs(lua_State *L, int at) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) n++;
  return n;
}

static void *array(lua_State *L, tr_definition *def, size_t count, size_t size) {
  void *block = count ? tr_calloc(def->script->mem, count, size) : NULL;
  if (count && !block) tr_raise_memory(L);
  return block;
}

static tr_name *type_name(lua_State *L, tr_definition *def, int at) {
  tr_slice text;
  text.p = lua_tolstring(L, at, &text.n);
  tr_name *name = tr_name_new(tr_core_names(def->script->core), text);
  if (!name) tr_raise_memory(L);
  return name;
}

/* The key on the stack below the top must be a message type. */
static int check_type_key(lua_State *L, const tr_place *place, const char *section) {
  tr_slice name;
  tr_error error;
  tr_error_init(&error);
  if (lua_type(L, -2) != LUA_TSTRING)
    return tr_definition_error(place, NULL, section, "`%s` has %s as a key; expected message types", section, tr_type_name(L, -2));
  name.p = lua_tolstring(L, -2, &name.n);
  return tr_message_type_check(name, &error) ? tr_definition_error(place, NULL, section, "`%s`: %s", section, error.text) : 0;
}

static int read_timers(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  size_t count = count_pairs(L, at), i = 0;
  def->ticks = array(L, def, count, sizeof *def->ticks);
  def->tick_count = count;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    int rc = check_type_key(L, place, "timers");
    if (rc) return rc;
    const char *name = lua_tostring(L, -2);
    double seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(seconds >= 0.001 && seconds <= 1e9))
      return tr_definition_error(place, "timers", name, "timers.%s must be a number of seconds from 0.001, not %s", name,
                                 lua_type(L, -1) == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL) : tr_type_name(L, -1));
    def->ticks[i].type = type_name(L, def, -2);
    def->ticks[i++].period = (tr_time)llround(seconds * 1e6);
  }
  return 0;
}

static int read_replies(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  size_t count = count_pairs(L, at), i = 0;
  def->replies = array(L, def, count, sizeof *def->replies);
  def->reply_count = count;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    int rc = check_type_key(L, place, "replies");
    if (rc) return rc;
    const char *name = lua_tostring(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING || lua_rawlen(L, -1) == 0)
      return tr_definition_error(place, "replies", name, "replies.%s must be a message type (a string), not %s", name, tr_type_name(L, -1));
    def->replies[i].request = type_name(L, def, -2);
    def->replies[i++].reply = type_name(L, def, -1);
  }
  return 0;
}

static int read_autostart(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  if (lua_isboolean(L, at)) {
    def->autostart_default = lua_toboolean(L, at);
    return 0;
  }
  if (lua_isstring(L, at)) { /* one key: as a list of it */
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, at);
    lua_rawseti(L, -2, 1);
    at = lua_gettop(L);
  }
  size_t count = (size_t)lua_rawlen(L, at);
  def->autostart = array(L, def, count, sizeof *def->autostart);
  def->autostart_count = count;
  for (size_t i = 0; i < count; i++) {
    tr_slice key;
    tr_error error;
    tr_error_init(&error);
    lua_rawgeti(L, at, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      return tr_definition_error(place, NULL, "autostart", "autostart[%zu] must be a key (a string), not %s", i + 1, tr_type_name(L, -1));
    key.p = lua_tolstring(L, -1, &key.n);
    if (tr_key_check(key, &error)) return tr_definition_error(place, NULL, "autostart", "autostart[%zu]: %s", i + 1, error.text);
    def->autostart[i].text = tr_strndup(def->script->mem, key.p, key.n);
    if (!def->autostart[i].text) tr_raise_memory(L);
    def->autostart[i].size = key.n + 1;
    lua_pop(L, 1);
  }
  return 0;
}

static int read_timeout(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  if (lua_isboolean(L, at)) {
    def->timeout = TR_NEVER;
    return lua_toboolean(L, at) ? tr_definition_error(place, NULL, "timeout", "`timeout` must be a number of seconds, or false") : 0;
  }
  double seconds = lua_tonumber(L, at);
  if (!(seconds > 0 && seconds <= 1e9)) return tr_definition_error(place, NULL, "timeout", "`timeout` must be a positive number of seconds, or false");
  def->timeout = (tr_time)llround(seconds * 1e6);
  return 0;
}

static int one_of(lua_State *L, const char *const *list) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  for (int i = 0; list[i]; i++)
    if (strcmp(list[i], text) == 0) return i;
  return -1;
}

static int read_mailbox(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  int rc = tr_fields_known(L, at, place, "mailbox", mailbox_names);
  if (rc) return rc;
  if (tr_raw_field(L, at, "limit") != LUA_TNIL) {
    lua_Integer limit = whole(L, -1);
    if (limit == 0 || limit > UINT32_MAX) return tr_definition_error(place, "mailbox", "limit", "mailbox.limit must be a whole number from 1");
    def->mailbox_limit = (uint32_t)limit;
  }
  if (tr_raw_field(L, at, "overflow") != LUA_TNIL) {
    int policy = one_of(L, overflow_names);
    if (policy < 0) return tr_definition_error(place, "mailbox", "overflow", "mailbox.overflow must be \"wait\", \"refuse\" or \"drop_oldest\"");
    def->overflow = (tr_overflow)policy;
  }
  return 0;
}

static int read_limits(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  int rc = tr_fields_known(L, at, place, "limits", limit_names);
  if (rc || tr_raw_field(L, at, "instructions") == LUA_TNIL) return rc;
  lua_Integer limit = whole(L, -1);
  if (limit == 0) return tr_definition_error(place, "limits", "instructions", "limits.instructions must be a whole number from 1");
  def->instructions = (uint64_t)limit;
  return 0;
}

static int read_version(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->version = whole(L, at);
  return def->version ? 0 : tr_definition_error(place, NULL, "version", "`version` must be a whole number from 1");
}

static int read_reentrant(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  def->reentrant = lua_toboolean(L, at);
  return 0;
}

static int read_nulls(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->nulls_keep = strcmp(lua_tostring(L, at), "keep") == 0;
  return def->nulls_keep ? 0 : tr_definition_error(place, NULL, "nulls", "`nulls` must be \"keep\"");
}

static int read_vm(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)def;
  return strcmp(lua_tostring(L, at), "own") == 0 ? 0 : tr_definition_error(place, NULL, "vm", "`vm` must be \"own\"");
}

static int read_failures(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)def;
  return tr_fields_known(L, at, place, "failures", failure_names);
}

static int read_priority(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)def;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    int rc = check_type_key(L, place, "priority");
    if (rc) return rc;
    if (one_of(L, priorities) < 0)
      return tr_definition_error(place, "priority", lua_tostring(L, -2), "priority.%s must be \"high\", \"normal\" or \"low\"", lua_tostring(L, -2));
  }
  return 0;
}

static int read_init(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->init_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_migrate(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->migrate_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* state comes before methods, which look at it. */
static const struct reader { const char *name; int (*read)(lua_State *L, int at, tr_definition *def, const tr_place *place); } readers[] = {
  { "subscriptions", tr_subs_read }, { "autostart", read_autostart }, { "state", read_state }, { "methods", read_methods },
  { "replies", read_replies }, { "timers", read_timers }, { "version", read_version }, { "init", read_init }, { "migrate", read_migrate },
  { "timeout", read_timeout }, { "reentrant", read_reentrant }, { "priority", read_priority }, { "mailbox", read_mailbox },
  { "limits", read_limits }, { "failures", read_failures }, { "vm", read_vm }, { "nulls", read_nulls },
};

/* --- the whole --- */

void tr_type_from_name(const char *name, char *out, size_t size) {
  const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
  size_t n = strlen(base), end = 0;
  if (n > 4 && strcmp(base + n - 4, ".lua") == 0) n -= 4;
  for (size_t i = 0; i < n && end + 1 < size; i++) {
    char c = base[i];
    bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    out[end++] = legal ? c : '_';
  }
  if (end == 0) out[end++] = '_';
  out[end] = 0;
}

static int read_type(lua_State *L, int table, tr_definition *def, const tr_place *place, const char *default_type) {
  tr_error error;
  tr_slice type = tr_slice_of(default_type);
  tr_error_init(&error);
  if (tr_raw_field(L, table, "type") == LUA_TSTRING) type.p = lua_tolstring(L, -1, &type.n);
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
  tr_log_write(tr_core_log(def->script->core), TR_LOG_WARN, "script.no_effect", "file=%s%s key=%s (it has no effect yet)", place->name, line, name);
}

static void warn_later(lua_State *L, int table, const tr_place *place, const tr_definition *def) {
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

int tr_definition_read(lua_State *L, tr_definition *def, const tr_place *place, const char *default_type) {
  int table = lua_gettop(L);
  tr_need_stack(L, 40);
  int rc = tr_fields_known(L, table, place, NULL, names);
  if (!rc) rc = check_types(L, table, place);
  if (!rc) rc = read_type(L, table, def, place, default_type);
  for (size_t i = 0; !rc && i < sizeof readers / sizeof *readers; i++) {
    lua_settop(L, table);
    if (tr_raw_field(L, table, readers[i].name) != LUA_TNIL) rc = readers[i].read(L, table + 1, def, place);
  }
  lua_settop(L, table);
  if (!rc) rc = tr_handlers_read(L, table, def, place);
  if (!rc) warn_later(L, table, place, def);
  lua_settop(L, table);
  if (!rc) def->table_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  else lua_pop(L, 1);
  return rc;
}
