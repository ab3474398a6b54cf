/* SPDX-License-Identifier: MIT
 * `shards`: fields of the state that are stored as parts of their own, and come to memory when they are first touched.
 *
 * A part that is not in memory lies among the saved states (saved.c) under "type/key", a NUL and its name, and the field
 * is absent from `self`. Reading the absent field finds the part there, decodes it and puts it into `self`; from then on
 * it is an ordinary field. Assigning to it takes the part's place. So whether a part is in memory needs no mark of its own,
 * and one that nobody touched is carried from file to file as bytes.
 *
 * The metatable is one a definition; whose `self` it is stands in a table with weak keys, since a field would be seen by
 * pairs(). */
#include "codec/native.h"
#include "script/internal.h"

#define SHARDS_MAX 1000
#define NAME_MAX_BYTES 255

typedef char shard_key[2 * 4096 + 2 + NAME_MAX_BYTES + 1];

static tr_slice key_of(tr_slice id, tr_slice name, shard_key out) {
  memcpy(out, id.p, id.n);
  out[id.n] = 0;
  memcpy(out + id.n + 1, name.p, name.n);
  return tr_slice_make(out, id.n + 1 + name.n);
}

static tr_slice shard_at(const tr_definition *def, size_t i) { return tr_slice_of(def->shards[i].text); }

bool tr_shard_is(const tr_definition *def, tr_slice name) {
  for (size_t i = 0; i < def->shard_count; i++)
    if (tr_slice_equal(shard_at(def, i), name)) return true;
  return false;
}

static const tr_saved *find(tr_script *script, tr_slice id, tr_slice name) {
  shard_key key;
  return id.n + name.n + 2 < sizeof key ? tr_saved_find(script, key_of(id, name, key)) : NULL;
}

const tr_saved *tr_shard_find(tr_script *script, tr_slice id, tr_slice name) { return find(script, id, name); }

static void forget(tr_script *script, tr_slice id, tr_slice name) {
  shard_key key;
  if (id.n + name.n + 2 < sizeof key) tr_saved_remove(script, key_of(id, name, key));
}

int tr_shard_put(tr_script *script, tr_slice id, tr_slice name, lua_Integer version, tr_slice bytes) {
  shard_key key;
  return id.n + name.n + 2 < sizeof key ? tr_saved_put(script, key_of(id, name, key), version, bytes) : TR_EINVALID;
}

void tr_shards_forget(tr_script *script, tr_slice id, const tr_definition *def) {
  for (size_t i = 0; i < def->shard_count; i++) forget(script, id, shard_at(def, i));
}

/* --- what the script does with `self` --- */

/* The instance whose `self` is at index 1; NULL: it is gone, and with it its parts. */
static tr_instance *owner(lua_State *L) {
  lua_pushvalue(L, 1);
  tr_instance *instance = lua_rawget(L, lua_upvalueindex(3)) == LUA_TUSERDATA ? lua_touserdata(L, -1) : NULL;
  lua_pop(L, 1);
  return instance && instance->agent ? instance : NULL;
}

/* Put the part into `self` at index `self`. False: there is none. */
static bool fetch(lua_State *L, tr_instance *instance, int self, tr_slice name) {
  char id[2 * 4096 + 2];
  tr_error error;
  tr_script *script = instance->class_->script;
  tr_agent_name(instance->agent, id, sizeof id);
  const tr_saved *saved = find(script, tr_slice_of(id), name);
  if (!saved) return false;
  tr_error_init(&error);
  if (tr_decode_native(L, tr_saved_bytes(saved), true, &error))
    tr_fail_raise(L, TR_EDATA_LOSS, "the part `%s` of the state of %s cannot be read: %s", name.p, id, error.text);
  if (tr_is_null(L, -1)) {
    lua_pop(L, 1);
  } else {
    lua_pushlstring(L, name.p, name.n);
    lua_insert(L, -2);
    lua_rawset(L, self);
  }
  /* Its INIT turn, and a migration that a reload may take back, keep the part until they went well: then it is forgotten by
   * tr_shards_settle, or when the field is saved. */
  if (instance->live && script->running) forget(script, tr_slice_of(id), name);
  return true;
}

/* upvalues: the methods or nil, the names, the owners */
static int on_index(lua_State *L) {
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) {
    tr_slice name;
    name.p = lua_tolstring(L, 2, &name.n);
    tr_instance *instance = owner(L);
    if (!instance || !fetch(L, instance, 1, name)) return 0;
    lua_pushvalue(L, 2);
    lua_rawget(L, 1);
    return 1;
  }
  if (lua_isnil(L, lua_upvalueindex(1))) return 0;
  lua_pushvalue(L, 2);
  lua_gettable(L, lua_upvalueindex(1));
  return 1;
}

static int on_newindex(lua_State *L) {
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) {
    char id[2 * 4096 + 2];
    tr_slice name;
    const tr_instance *instance = owner(L);
    name.p = lua_tolstring(L, 2, &name.n);
    if (instance && instance->live && instance->class_->script->running) {
      tr_agent_name(instance->agent, id, sizeof id);
      forget(instance->class_->script, tr_slice_of(id), name);
    }
  }
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 0;
}

void tr_shards_open(lua_State *L, tr_script *script) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  script->owners_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void tr_shards_own(lua_State *L, int at) {
  const tr_instance *instance = lua_touserdata(L, at);
  tr_push_ref(L, instance->class_->script->owners_ref);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, at);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* --- what the definition says --- */

/* The metatable in place of that for the methods alone. [names table] */
static void make_meta(lua_State *L, tr_definition *def) {
  int names = lua_gettop(L);
  lua_createtable(L, 0, 3);
  for (int i = 0; i < 2; i++) {
    if (def->methods_ref == LUA_NOREF) lua_pushnil(L);
    else tr_push_ref(L, def->methods_ref);
    lua_pushvalue(L, names);
    tr_push_ref(L, def->script->owners_ref);
    lua_pushcclosure(L, i == 0 ? on_index : on_newindex, 3);
    lua_setfield(L, -2, i == 0 ? "__index" : "__newindex");
  }
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  luaL_unref(L, LUA_REGISTRYINDEX, def->meta_ref);
  def->meta_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static const char *fault(lua_State *L, const tr_definition *def) {
  tr_slice name;
  if (lua_type(L, -1) != LUA_TSTRING) return "must be the name of a field (a string)";
  name.p = lua_tolstring(L, -1, &name.n);
  if (name.n == 0 || name.n > NAME_MAX_BYTES || memchr(name.p, 0, name.n)) return "must be a name of 1 to 255 bytes";
  if (*name.p == '_') return "begins with `_`: such fields are not saved";
  if (tr_shard_is(def, name)) return "is there twice";
  if (def->methods_ref == LUA_NOREF) return NULL;
  tr_push_ref(L, def->methods_ref);
  bool method = tr_raw_field(L, -1, name.p) != LUA_TNIL;
  lua_pop(L, 2);
  return method ? "is a method" : NULL;
}

int tr_shards_read(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  size_t n = (size_t)lua_rawlen(L, at);
  if (n == 0) return 0;
  if (n > SHARDS_MAX) return tr_definition_error(place, NULL, "shards", "`shards` has more than %d names", SHARDS_MAX);
  if (def->requeue || def->pool > 1)
    return tr_definition_error(place, NULL, "shards", "`shards` does not go with `%s`", def->requeue ? "requeue" : "pool");
  def->shards = tr_calloc(def->script->mem, n, sizeof *def->shards);
  if (!def->shards) tr_raise_memory(L);
  def->shard_cap = n;
  lua_createtable(L, 0, (int)n);
  int names = lua_gettop(L);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, at, (lua_Integer)i + 1);
    const char *why = fault(L, def);
    if (why) return tr_definition_error(place, NULL, "shards", "shards[%zu] %s", i + 1, why);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    def->shards[i].text = tr_strndup(def->script->mem, text, length);
    if (!def->shards[i].text) tr_raise_memory(L);
    def->shards[i].size = length + 1;
    def->shard_count++;
    lua_pushboolean(L, 1);
    lua_rawset(L, names);
  }
  make_meta(L, def);
  return 0;
}

void tr_shards_free(tr_definition *def) {
  for (size_t i = 0; i < def->shard_count; i++) tr_free(def->script->mem, def->shards[i].text, def->shards[i].size);
  tr_free(def->script->mem, def->shards, def->shard_cap * sizeof *def->shards);
}

/* --- in and out --- */

void tr_shards_hide(lua_State *L, const tr_instance *instance) {
  char id[2 * 4096 + 2];
  const tr_definition *def = instance->def;
  tr_agent_name(instance->agent, id, sizeof id);
  for (size_t i = 0; i < def->shard_count; i++) {
    if (!find(instance->class_->script, tr_slice_of(id), shard_at(def, i))) continue;
    lua_pushstring(L, def->shards[i].text);
    lua_pushnil(L);
    lua_rawset(L, -3);
  }
}

void tr_shards_settle(lua_State *L, tr_instance *instance) {
  char id[2 * 4096 + 2];
  tr_agent_name(instance->agent, id, sizeof id);
  tr_instance_push(L, instance->class_, instance->agent);
  lua_getiuservalue(L, -1, 1);
  for (size_t i = 0; i < instance->def->shard_count; i++) {
    lua_pushstring(L, instance->def->shards[i].text);
    if (lua_rawget(L, -2) != LUA_TNIL) forget(instance->class_->script, tr_slice_of(id), shard_at(instance->def, i));
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

void tr_shards_adopt(lua_State *L, tr_instance *instance, const tr_definition *def) {
  for (size_t i = 0; i < instance->def->shard_count; i++)
    if (!tr_shard_is(def, shard_at(instance->def, i))) fetch(L, instance, lua_gettop(L), shard_at(instance->def, i));
}

bool tr_shard_is_away(lua_State *L, const tr_instance *instance, const tr_definition *def, tr_slice name) {
  char id[2 * 4096 + 2];
  if (!def->shard_count || !tr_shard_is(def, name)) return false;
  (void)L;
  tr_agent_name(instance->agent, id, sizeof id);
  return find(instance->class_->script, tr_slice_of(id), name) != NULL;
}

typedef struct save_call { tr_instance *instance; tr_shard_fn fn; void *ud; tr_error *error; } save_call;

/* The field on the top, as bytes, to fn. */
static int save_one(lua_State *L, const save_call *call, tr_slice name) {
  tr_copy copy = { .root = name.p, .error = call->error };
  int rc = tr_is_null(L, -1) ? 0 : tr_copy_check(L, &copy);
  if (rc) return rc;
  tr_native_writer writer;
  tr_buf bytes;
  tr_buf_init(&bytes, tr_script_of(L)->mem);
  tr_native_writer_init(&writer, &bytes, call->error);
  tr_sink sink = tr_native_sink(&writer);
  rc = tr_walk(L, lua_gettop(L), &sink, call->error);
  if (!rc && bytes.failed) rc = tr_error_set(call->error, TR_EMEMORY, "out of memory");
  if (!rc) rc = call->fn(call->ud, name, tr_buf_view(&bytes));
  tr_buf_fini(&bytes);
  return rc;
}

static int save_main(lua_State *L, void *ud) {
  const save_call *call = ud;
  tr_instance *instance = call->instance;
  char id[2 * 4096 + 2];
  int rc = 0;
  tr_need_stack(L, 20);
  tr_agent_name(instance->agent, id, sizeof id);
  tr_instance_push(L, instance->class_, instance->agent);
  lua_getiuservalue(L, -1, 1);
  int self = lua_gettop(L);
  for (size_t i = 0; !rc && i < instance->def->shard_count; i++) {
    tr_slice name = shard_at(instance->def, i);
    lua_settop(L, self);
    lua_pushlstring(L, name.p, name.n);
    if (lua_rawget(L, self) == LUA_TNIL) { /* away, or none */
      if (find(instance->class_->script, tr_slice_of(id), name)) continue;
      lua_pop(L, 1);
      lua_pushlightuserdata(L, NULL);
    }
    if (instance->live) forget(instance->class_->script, tr_slice_of(id), name); /* what is in memory counts */
    rc = save_one(L, call, name);
  }
  return rc;
}

int tr_shards_save(tr_instance *instance, tr_shard_fn fn, void *ud, tr_error *error) {
  save_call call = { instance, fn, ud, error };
  return instance->def->shard_count ? tr_script_protect(instance->class_->script, save_main, &call, error) : 0;
}
