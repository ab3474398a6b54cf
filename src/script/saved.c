/* SPDX-License-Identifier: MIT
 * Saving instances, and the states that are kept while their instances are not in memory: put out because they were
 * idle, or restored and not used yet.
 *
 * A state is what `save` gave, or all fields that do not begin with `_`, as a body in the native format, with the
 * version of the code. It is taken up by the instance's INIT turn (turn.c) and forgotten only when that went well, so
 * a state that cannot be read is still there for better code. */
#include "codec/native.h"
#include "core/id.h"
#include "script/internal.h"

typedef struct save_call { tr_instance *instance; tr_buf *out; tr_error *error; } save_call;

/* All fields of `self` (on the top) but the private ones and the shards, in its place. */
static void public_fields(lua_State *L, const tr_definition *def) {
  int self = lua_gettop(L);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, self);) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (*name == '_' || (def->shard_count && tr_shard_is(def, tr_slice_of(name)))) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, self + 1);
  }
  lua_replace(L, self);
}

static int save_main(lua_State *L, void *ud) {
  save_call *call = ud;
  tr_instance *instance = call->instance;
  const tr_definition *def = instance->def;
  tr_need_stack(L, 20);
  tr_instance_push(L, instance->class_, instance->agent);
  lua_getiuservalue(L, -1, 1);
  if (def->save_ref != LUA_NOREF) {
    tr_push_ref(L, def->save_ref);
    lua_insert(L, -2);
    int n = tr_metered_call(L, 1, "saving", def->instructions, call->error);
    if (n < 0) return n;
    if (n == 0) lua_pushnil(L);
    else lua_pop(L, n - 1);
  } else {
    public_fields(L, def);
  }
  tr_copy copy = { .root = "state", .error = call->error };
  int rc = tr_copy_check(L, &copy);
  if (rc) return rc;
  tr_native_writer writer;
  tr_native_writer_init(&writer, call->out, call->error);
  tr_sink sink = tr_native_sink(&writer);
  rc = tr_walk(L, lua_gettop(L), &sink, call->error);
  return !rc && call->out->failed ? tr_error_set(call->error, TR_EMEMORY, "out of memory") : rc;
}

int tr_instance_save(tr_instance *instance, tr_buf *out, tr_error *error) {
  tr_script *script = instance->class_->script;
  save_call call = { instance, out, error };
  uint32_t owner = script->owner;
  script->owner = instance->account;
  int rc = tr_script_protect(script, save_main, &call, error);
  script->owner = owner;
  return rc;
}

/* --- kept states --- */

static size_t size_of(const tr_saved *saved) { return sizeof *saved + saved->key_size + saved->size; }

const tr_saved *tr_saved_find(tr_script *script, tr_slice id) {
  script = tr_script_home(script);
  return script->saved.count ? tr_map_get(&script->saved, id) : NULL;
}

void tr_saved_remove(tr_script *script, tr_slice id) {
  script = tr_script_home(script);
  tr_saved *saved = script->saved.count ? tr_map_get(&script->saved, id) : NULL;
  if (!saved) return;
  tr_map_remove(&script->saved, id);
  script->saved_bytes -= size_of(saved);
  tr_free(script->mem, saved, size_of(saved));
}

int tr_saved_put(tr_script *script, tr_slice id, lua_Integer version, tr_slice bytes) {
  script = tr_script_home(script);
  tr_saved *saved = tr_alloc(script->mem, sizeof *saved + id.n + bytes.n);
  if (!saved) return TR_EMEMORY;
  saved->key_size = id.n;
  saved->size = bytes.n;
  saved->version = version;
  memcpy(saved->data, id.p, id.n);
  if (bytes.n) memcpy(saved->data + id.n, bytes.p, bytes.n);
  tr_saved *old = tr_map_get(&script->saved, id);
  if (old) tr_map_remove(&script->saved, id);
  if (tr_map_put(&script->saved, tr_slice_make(saved->data, id.n), saved, NULL)) {
    tr_free(script->mem, saved, size_of(saved));
    if (old && !tr_map_put(&script->saved, tr_slice_make(old->data, old->key_size), old, NULL)) return TR_EMEMORY;
    if (old) script->saved_bytes -= size_of(old);
    if (old) tr_free(script->mem, old, size_of(old));
    return TR_EMEMORY;
  }
  script->saved_bytes += size_of(saved);
  if (!old) return 0;
  script->saved_bytes -= size_of(old);
  tr_free(script->mem, old, size_of(old));
  return 0;
}

void tr_saved_remove_type(tr_script *script, const char *type) {
  size_t at = 0, n = strlen(type);
  tr_slice key;
  void *value;
  script = tr_script_home(script);
  while (tr_map_next(&script->saved, &at, &key, &value))
    if (key.n > n && key.p[n] == '/' && memcmp(key.p, type, n) == 0) tr_saved_remove(script, key);
}

void tr_saved_fini(tr_script *script) {
  size_t at = 0;
  tr_slice key;
  void *value;
  while (tr_map_next(&script->saved, &at, &key, &value)) tr_saved_remove(script, key);
  tr_map_fini(&script->saved);
}

size_t tr_script_saved_count(const tr_script *script) { return script->saved.count; }
size_t tr_script_saved_bytes(const tr_script *script) { return script->saved_bytes; }

/* What is in memory needs its parts until it leaves, and takes its timers along. */
void tr_script_forget(tr_script *script, tr_slice id) {
  tr_agent_id parsed;
  tr_saved_remove(script, id);
  if (tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, NULL)) return;
  const tr_script_class *class_ = tr_script_class_find(script, parsed.type);
  const tr_agent *agent = class_ ? tr_class_find(class_->core_class, parsed.key) : NULL;
  if (agent && agent->user) return;
  if (class_) tr_shards_forget(script, id, class_->def);
  tr_sleepers_remove(script, id);
}
