/* SPDX-License-Identifier: MIT
 * load, reload, put, agents, metadata, save and restore of a runtime. See module.c. */
#include <string.h>

#include "module/module.h"

static tr_script *script_of(const tr_lua_runtime *self) { return tr_runtime_script(self->rt); }

/* --- loading --- */

/* self:load_file(path, args…) */
static int load_file(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *path = luaL_checkstring(L, 2);
  int n = lua_gettop(L) - 2;
  tr_slice *args = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *args, 0);
  for (int i = 0; i < n; i++) args[i].p = luaL_checklstring(L, i + 3, &args[i].n);
  tr_module_result(L, self, tr_runtime_load(self->rt, path, args, (size_t)n));
  return 0;
}

static int load_table(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_error error;
  tr_error_init(&error);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (self->threads > 1) tr_module_raise(L, TR_EINVALID, "agents given as tables run in the program's own thread: not with `threads`");
  int rc = self->agents ? 0 : tr_foreign_new(L, script_of(self), &error);
  if (!rc) self->agents = true;
  tr_runtime_tick(self->rt);
  if (!rc) rc = tr_foreign_load(L, 2, script_of(self), &error);
  if (rc) tr_module_raise(L, rc, "%s", error.text);
  tr_runtime_loaded(self->rt);
  return 0;
}

/* --- reloading --- */

/* A field of the options at 2 is pushed, if it is there: it stays while they are used. */
static bool has_option(lua_State *L, const char *name, int type) {
  int is = lua_getfield(L, 2, name);
  if (is != LUA_TNIL && is != type)
    tr_module_raise(L, TR_EINVALID, "rt:reload's %s: expected a %s, not a %s", name, lua_typename(L, type), lua_typename(L, is));
  return is != LUA_TNIL;
}

static bool flag_option(lua_State *L, const char *name) { return has_option(L, name, LUA_TBOOLEAN) && lua_toboolean(L, -1); }
static const char *text_option(lua_State *L, const char *name) { return has_option(L, name, LUA_TSTRING) ? lua_tostring(L, -1) : NULL; }

static double number_option(lua_State *L, const char *name, double least) {
  if (!has_option(L, name, LUA_TNUMBER)) return -1;
  double number = lua_tonumber(L, -1);
  if (!(number >= least && number < 1e9)) tr_module_raise(L, TR_EINVALID, "rt:reload's %s: expected a number from %g to 1e9", name, least);
  return number;
}

static double whole_option(lua_State *L, const char *name, double least) {
  double number = number_option(L, name, least);
  if (number != (double)(int64_t)number) tr_module_raise(L, TR_EINVALID, "rt:reload's %s: expected a whole number", name);
  return number;
}

static void check_option_names(lua_State *L) {
  static const char *const names[] = { "name", "canary", "promote", "undo", "to", "again", "pin", "unpin", "errors", "within", "drain", NULL };
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?", *const *known = names;
    while (*known && strcmp(*known, name) != 0) known++;
    if (!*known) tr_module_raise(L, TR_EINVALID, "rt:reload has no option `%s` (name canary promote undo to again pin unpin errors within drain)", name);
  }
}

static tr_reload_order order_of(lua_State *L, const char **name) {
  luaL_checkstack(L, 20, NULL);
  check_option_names(L);
  *name = text_option(L, "name");
  double to = whole_option(L, "to", 1), errors = whole_option(L, "errors", 0);
  double within = number_option(L, "within", 0), drain = number_option(L, "drain", 0);
  return (tr_reload_order){
    .what = { .names = name, .count = *name ? 1 : 0, .canary = text_option(L, "canary"), .promote = flag_option(L, "promote"),
              .undo = flag_option(L, "undo"), .again = flag_option(L, "again"), .to = to > 0 ? (uint32_t)to : 0 },
    .watched = errors >= 0, .errors = errors >= 0 ? (uint32_t)errors : 0,
    .within = within >= 0 ? TR_SECONDS(within) : -1, .drain = drain >= 0 ? TR_SECONDS(drain) : -1, .pin = flag_option(L, "pin"), .unpin = flag_option(L, "unpin"),
  };
}

/* self:reload([name | options]) → how many files */
static int reload(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *name = NULL;
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TTABLE) {
    lua_pushinteger(L, tr_module_result(L, self, troupe_reload(self->rt, luaL_optstring(L, 2, NULL))));
    return 1;
  }
  tr_reload_order order = order_of(L, &name);
  lua_pushinteger(L, tr_module_result(L, self, tr_runtime_reload_as(self->rt, &order)));
  return 1;
}

/* self:put(id, table) */
static int put(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_error error;
  tr_error_init(&error);
  tr_slice id = tr_slice_of(luaL_checkstring(L, 2));
  luaL_checktype(L, 3, LUA_TTABLE);
  tr_runtime_tick(self->rt);
  int rc = tr_foreign_put(L, 3, script_of(self), id, &error);
  if (rc) tr_module_raise(L, rc, "%s", error.text);
  return 0;
}

/* self:self_of(id) → the table that is its `self`, where that is in this state */
static int self_of(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  return tr_foreign_self(L, script_of(self), tr_slice_of(luaL_checkstring(L, 2)));
}

/* --- lists --- */

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static int agent_main(lua_State *L) {
  const troupe_agent_t *agent = lua_touserdata(L, 2);
  lua_createtable(L, 0, 6);
  set_text(L, "id", agent->id);
  set_text(L, "type", agent->type);
  set_text(L, "key", agent->key);
  set_text(L, "state", agent->state);
  lua_pushinteger(L, (lua_Integer)agent->mailbox);
  lua_setfield(L, -2, "mailbox");
  lua_pushinteger(L, (lua_Integer)agent->turns);
  lua_setfield(L, -2, "turns");
  lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
  return 0;
}

/* Nothing may be jumped over in the list: the table is at 2. */
static void add_agent(void *ud, const troupe_agent_t *agent) {
  lua_State *L = ud;
  if (!lua_checkstack(L, 8)) return;
  lua_pushcfunction(L, agent_main);
  lua_pushvalue(L, 2);
  lua_pushlightuserdata(L, (void *)agent);
  if (lua_pcall(L, 2, 0, 0)) lua_pop(L, 1);
}

static int agents(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  lua_settop(L, 1);
  lua_newtable(L);
  int count = troupe_agents(self->rt, add_agent, L);
  if ((size_t)count != lua_rawlen(L, 2)) tr_module_raise(L, TR_EMEMORY, "out of memory");
  return 1;
}

static int push_value(lua_State *L) {
  tr_error error;
  tr_error_init(&error);
  if (tr_foreign_push(L, lua_touserdata(L, 1), false, &error)) tr_module_raise(L, error.code, "%s", error.text);
  return 1;
}

/* Pushes the value, and frees it. */
static int give_value(lua_State *L, troupe_value_t *value) {
  lua_pushcfunction(L, push_value);
  lua_pushlightuserdata(L, value);
  int status = lua_pcall(L, 1, 1, 0); /* nothing may be jumped over before it is freed */
  troupe_value_free(value);
  return status == LUA_OK ? 1 : lua_error(L);
}

static int metadata(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *id = luaL_checkstring(L, 2);
  troupe_value_t *value = troupe_metadata(self->rt, id);
  if (!value) {
    bool memory = strcmp(troupe_error(self->rt), "out of memory") == 0;
    tr_module_raise(L, memory ? TR_EMEMORY : TR_ENOT_FOUND, "%s", troupe_error(self->rt));
  }
  return give_value(L, value);
}

/* --- state --- */

/* A list of patterns at `at`, or nil; left on the stack. */
static const char *const *read_only(lua_State *L, int at) {
  if (lua_isnoneornil(L, at)) return NULL;
  luaL_checktype(L, at, LUA_TTABLE);
  size_t n = lua_rawlen(L, at);
  const char **only = lua_newuserdatauv(L, (n + 1) * sizeof *only, 0);
  for (size_t i = 0; i < n; i++) {
    if (lua_rawgeti(L, at, (lua_Integer)i + 1) != LUA_TSTRING) tr_module_raise(L, TR_EINVALID, "only must be a list of texts");
    only[i] = lua_tostring(L, -1);
    lua_pop(L, 1); /* the table keeps it */
  }
  only[n] = NULL;
  return only;
}

/* self:save(path | nil, only) → how many failed | bytes, how many */
static int save(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *path = luaL_optstring(L, 2, NULL);
  lua_settop(L, 3);
  troupe_state_options_t options = { .size = sizeof options, .only = read_only(L, 3) };
  if (path) {
    lua_pushinteger(L, tr_module_result(L, self, troupe_save_with(self->rt, path, &options)));
    return 1;
  }
  char *bytes = NULL;
  size_t length = 0;
  int failed = tr_module_result(L, self, troupe_save_bytes(self->rt, &bytes, &length, &options));
  luaL_Buffer out;
  char *copy = luaL_buffinitsize(L, &out, length); /* may raise: then the bytes stay until the runtime is closed */
  memcpy(copy, bytes, length);
  troupe_free_text(self->rt, bytes, length);
  luaL_pushresultsize(&out, length);
  lua_pushinteger(L, failed);
  return 2;
}

/* self:restore(path | nil, bytes | nil, only) → how many records could not be */
static int restore(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  size_t length = 0;
  const char *path = luaL_optstring(L, 2, NULL), *bytes = luaL_optlstring(L, 3, "", &length);
  lua_settop(L, 4);
  troupe_state_options_t options = { .size = sizeof options, .only = read_only(L, 4) };
  int rc = path ? troupe_restore_with(self->rt, path, &options) : troupe_restore_bytes(self->rt, bytes, length, &options);
  lua_pushinteger(L, tr_module_result(L, self, rc));
  return 1;
}

/* self:state(id) → what a save would store of this instance, or nil */
static int state_of(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  troupe_value_t *value = NULL;
  int rc = tr_runtime_state_of(self->rt, luaL_checkstring(L, 2), &value);
  if (rc == TROUPE_ENOT_FOUND) return 0;
  tr_module_result(L, self, rc);
  return give_value(L, value);
}

static int set_store(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_module_result(L, self, tr_runtime_set_state(self->rt, luaL_checkstring(L, 2)));
  return 0;
}

const luaL_Reg tr_module_agent_methods[] = {
  { "load_file", load_file }, { "load_table", load_table }, { "reload", reload }, { "put", put }, { "self_of", self_of },
  { "agents", agents }, { "metadata", metadata }, { "save", save }, { "restore", restore }, { "set_store", set_store }, { "state", state_of },
  { NULL, NULL }
};
