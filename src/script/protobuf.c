/* SPDX-License-Identifier: MIT
 * troupe.protobuf(path): message types from a descriptor set beside the script (protoc --descriptor_set_out).
 *
 * The path is read as `require` reads modules: below the folder of the file that was loaded, never out of it. It belongs to the
 * file then, so that a change of it reloads the file, which brings the new set in the place of the old. */
#include "script/internal.h"

static bool is_below(tr_slice path) {
  if (path.n == 0 || path.n > 500 || path.p[0] == '/' || path.p[path.n - 1] == '/') return false;
  for (size_t i = 0, from = 0; i <= path.n; i++) {
    if (i < path.n && path.p[i] != '/') {
      if (path.p[i] == '\\' || (unsigned char)path.p[i] < ' ') return false;
      continue;
    }
    tr_slice part = { path.p + from, i - from };
    if (part.n == 0 || tr_slice_is(part, ".") || tr_slice_is(part, "..")) return false;
    from = i + 1;
  }
  return true;
}

/* A reload may be refused yet; and where the file runs again for one instance, maybe as it once was, that is no news. */
static int bring(tr_script *script, tr_slice name, tr_slice set, tr_error *error) {
  if (script->running) return tr_codecs_load(script->codecs, name, set, error);
  if (script->own) return 0;
  return script->steps ? tr_codecs_try(script->codecs, name, set, script->steps, error) : tr_codecs_load(script->codecs, name, set, error);
}

int tr_protobuf(lua_State *L) {
  tr_unit *unit = lua_touserdata(L, lua_upvalueindex(1));
  tr_slice path;
  tr_error error;
  tr_error_init(&error);
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_typeerror(L, 1, "string");
  path.p = lua_tolstring(L, 1, &path.n);
  if (!is_below(path))
    tr_fail_raise(L, TR_EPERMISSION, "troupe.protobuf \"%s\": only files below the script's own folder can be read", path.p);
  if (!unit->script->loading && unit->script->options.subscribed) /* others may be reading what it would change */
    tr_fail_raise(L, TR_EINVALID, "troupe.protobuf: with several threads it belongs to the top of the file, not into a handler or a hook");
  const char *full = lua_pushfstring(L, "%s%s", unit->folder, path.p);
  tr_buf *bytes = tr_unit_buffer(L);
  int rc = tr_read_source(unit->script, full, bytes, &error);
  if (rc == TR_EMEMORY) tr_raise_memory(L);
  if (rc) tr_fail_raise(L, rc, "troupe.protobuf: %s", error.text);
  tr_unit_remember(L, unit, full, tr_buf_view(bytes));
  if (bring(unit->script, tr_slice_of(full), tr_buf_view(bytes), &error)) tr_fail_raise_error(L, &error);
  tr_buf_fini(bytes);
  return 0;
}
