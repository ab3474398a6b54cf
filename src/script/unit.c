/* SPDX-License-Identifier: MIT
 * One version of a file: its environment, what it required, and where that was found. Also compiling.
 *
 * Each file has modules of its own: `require "shared.text"` reads shared/text.lua below the folder of the file that
 * was loaded, runs it in that file's environment and remembers it for that file. Nothing leads out of the folder.
 * The unit lists the paths with a hash each, so that a change of a shared module reloads exactly those who use it.
 * It is a userdata held by the functions it made: it lives as long as any of them. */
#include "base/lua_bundle.h"
#include "base/map.h"
#include "script/internal.h"

#define SOURCE_MAX (16u << 20)
#define UNIT "troupe.unit"

static int collect(lua_State *L) {
  tr_unit *unit = lua_touserdata(L, 1);
  tr_mem *mem = unit->script->mem;
  for (tr_link *link; unit->modules.next && (link = tr_list_pop(&unit->modules));) {
    tr_module *module = TR_CONTAINER(link, tr_module, link);
    tr_free(mem, module, sizeof *module + strlen(module->path) + 1);
  }
  tr_code_unref(unit->code);
  unit->code = NULL;
  tr_free(mem, unit->folder, unit->folder_size);
  unit->folder = NULL;
  unit->folder_size = 0;
  return 0;
}

void tr_unit_open(lua_State *L) {
  luaL_newmetatable(L, UNIT);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

tr_unit *tr_unit_push(lua_State *L, const char *name) {
  tr_unit *unit = lua_newuserdatauv(L, sizeof *unit, 1);
  const char *slash = strrchr(name, '/');
  size_t n = slash ? (size_t)(slash - name) + 1 : 0;
  memset(unit, 0, sizeof *unit);
  unit->script = tr_script_of(L);
  tr_list_init(&unit->modules);
  luaL_setmetatable(L, UNIT);
  unit->folder = tr_strndup(unit->script->mem, name, n);
  if (!unit->folder) tr_raise_memory(L);
  unit->folder_size = n + 1;
  return unit;
}

/* --- sources --- */

uint64_t tr_source_hash(tr_slice source) {
  /* Two halves: a change of a file must not be missed by chance. */
  return (uint64_t)tr_hash(UINT64_C(0x74726f757065), source) << 32 | tr_hash(UINT64_C(0x736372697074), source);
}

int tr_read_source(tr_script *script, const char *path, tr_buf *text, tr_error *error) {
  tr_slice kept;
  if (script->code && tr_code_find(script->code, path, &kept))
    return tr_buf_slice(text, kept) ? 0 : tr_error_set(error, TR_EMEMORY, "%s: out of memory", path);
  if (script->code && !script->own) return tr_error_set(error, TR_ENOT_FOUND, "%s: was not read then", path);
  if (!script->options.load) return tr_error_set(error, TR_ENOT_FOUND, "%s: there is no way to read files here", path);
  int rc = script->options.load(script->options.ud, path, text, error);
  if (rc) return tr_error_set(error, rc, "%s: %s", path, tr_error_default_text(rc));
  if (text->len > SOURCE_MAX)
    return tr_error_set(error, TR_ETOO_LARGE, "%s: larger than %u MiB", path, SOURCE_MAX >> 20);
  return 0;
}

int tr_compile(lua_State *L, const char *name, tr_slice source, tr_error *error) {
  static const char bom[] = "\xef\xbb\xbf";
  if (tr_slice_starts(source, TR_SLICE_LITERAL("\x1bLua")))
    return tr_error_set(error, TR_EINVALID, "%s: compiled Lua is not taken, only source text", name);
  if (tr_slice_starts(source, (tr_slice){ bom, 3 })) source = tr_slice_make(source.p + 3, source.n - 3);
  /* the line for the shell; its newline stays, so that lines keep their numbers */
  if (source.n > 0 && source.p[0] == '#') {
    const char *end = memchr(source.p, '\n', source.n);
    size_t n = end ? (size_t)(end - source.p) : source.n;
    source = tr_slice_make(source.p + n, source.n - n);
  }
  lua_pushfstring(L, "@%s", name);
  int status = luaL_loadbufferx(L, source.p ? source.p : "", source.n, lua_tostring(L, -1), "t");
  lua_remove(L, -2);
  if (status == LUA_OK) return 0;
  int code = status == LUA_ERRMEM ? TR_EMEMORY : TR_EINVALID;
  tr_error_set(error, code, "%s", status == LUA_ERRMEM ? "out of memory" : lua_tostring(L, -1));
  lua_pop(L, 1);
  return code;
}

/* --- require --- */

void tr_unit_remember(lua_State *L, tr_unit *unit, const char *path, tr_slice source) {
  size_t n = strlen(path);
  if (unit->code && tr_code_add(unit->code, path, source)) tr_raise_memory(L);
  for (tr_link *link = unit->modules.next; link != &unit->modules; link = link->next) {
    tr_module *known = TR_CONTAINER(link, tr_module, link);
    if (strcmp(known->path, path) != 0) continue;
    known->hash = tr_source_hash(source);
    return;
  }
  tr_module *module = tr_calloc(unit->script->mem, 1, sizeof *module + n + 1);
  if (!module) tr_raise_memory(L);
  module->hash = tr_source_hash(source);
  memcpy(module->path, path, n + 1);
  tr_list_push(&unit->modules, &module->link);
}

static void check_module_name(lua_State *L, tr_slice name) {
  bool good = name.n > 0 && name.n < 500, part = false;
  for (size_t i = 0; good && i < name.n; i++) {
    char c = name.p[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    good = letter || (c == '.' && part);
    part = letter;
  }
  if (!good || !part)
    luaL_error(L, "require: `%s` is not a module's name (names joined by dots, below the script's folder)", name.p);
}

/* Source of a module of the library, or NULL. */
static const struct tr_lua_bundle_entry *bundled(const char *name) {
  for (const struct tr_lua_bundle_entry *entry = tr_lua_bundle; entry->name; entry++)
    if (strcmp(entry->name, name) == 0) return entry;
  return NULL;
}

/* Find the module's source: compiled on the top. A missing file is an error that names where it was looked for. */
typedef struct found { tr_buf text; } found;

static int free_found(lua_State *L) {
  found *self = lua_touserdata(L, 1);
  if (self->text.mem) tr_buf_fini(&self->text);
  self->text.mem = NULL;
  return 0;
}

static found *push_found(lua_State *L) {
  found *self = lua_newuserdatauv(L, sizeof *self, 0);
  memset(self, 0, sizeof *self);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_found);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  tr_buf_init(&self->text, tr_script_of(L)->mem);
  return self;
}

tr_buf *tr_unit_buffer(lua_State *L) { return &push_found(L)->text; }

static void load_from_folder(lua_State *L, tr_unit *unit, const char *name) {
  static const char *const forms[] = { "%s%s.lua", "%s%s/init.lua" };
  const char *file = luaL_gsub(L, name, ".", "/"), *first = NULL;
  found *self = push_found(L);
  for (int i = 0; i < 2; i++) {
    tr_error error;
    tr_error_init(&error);
    const char *path = lua_pushfstring(L, forms[i], unit->folder, file);
    if (!first) first = path;
    tr_buf_clear(&self->text);
    int rc = tr_read_source(unit->script, path, &self->text, &error);
    if (rc == TR_ENOT_FOUND) continue;
    if (rc == TR_EMEMORY) tr_raise_memory(L);
    if (rc) luaL_error(L, "require \"%s\": %s", name, error.text);
    tr_unit_remember(L, unit, path, tr_buf_view(&self->text));
    if (tr_compile(L, path, tr_buf_view(&self->text), &error)) tr_fail_raise_error(L, &error);
    tr_buf_fini(&self->text);
    return;
  }
  luaL_error(L, "require \"%s\": no such module (looked for %s)", name, first);
}

/* Push the compiled module; its environment is upvalue 2 of require. */
static void load_module(lua_State *L, tr_unit *unit, const char *name) {
  const struct tr_lua_bundle_entry *entry = bundled(name);
  if (entry) {
    tr_error error;
    tr_error_init(&error);
    if (tr_compile(L, name, tr_slice_make(entry->source, entry->length), &error)) tr_fail_raise_error(L, &error);
  } else {
    load_from_folder(L, unit, name);
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setupvalue(L, -2, 1);
}

int tr_require(lua_State *L) {
  static const char loading; /* its address marks a module that is being loaded */
  tr_unit *unit = lua_touserdata(L, lua_upvalueindex(1));
  tr_slice name;
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_typeerror(L, 1, "string");
  lua_settop(L, 1);
  name.p = lua_tolstring(L, 1, &name.n);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) {
    if (lua_touserdata(L, -1) == (const void *)&loading)
      return luaL_error(L, "require \"%s\": modules that require each other in a circle", name.p);
    return 1;
  }
  check_module_name(L, name);
  if (tr_slice_is(name, "luv")) {
    tr_luv_require(L, unit, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(3));
    return 1;
  }
  load_module(L, unit, name.p);
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, (void *)(uintptr_t)&loading);
  lua_rawset(L, lua_upvalueindex(3));
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_rawset(L, lua_upvalueindex(3)); /* a second try may go well */
    return lua_error(L);
  }
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, lua_upvalueindex(3));
  return 1;
}
