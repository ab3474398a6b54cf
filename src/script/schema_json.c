/* SPDX-License-Identifier: MIT
 * { schema = … }: a subset of JSON Schema, as a Lua table: type, properties, required, items, enum, minimum, maximum,
 * additionalProperties, and $ref to a place in the same schema. A keyword that is none of these nor a mere remark is
 * refused by name: a rule that is silently not checked is worse than none. */
#include "base/text.h"
#include "script/internal.h"

#define DEPTH_MAX 100
#define REFS_MAX 40 /* one behind the other */

static const char *const remarks[] = { "title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs",
                                       "definitions", "deprecated", "readOnly", "writeOnly", NULL };
static const char *const types[] = { "string", "integer", "number", "boolean", "array", "object", "null", NULL };
static const unsigned type_bits[] = { TR_KIND_STRING, TR_KIND_INTEGER, TR_KIND_NUMBER | TR_KIND_INTEGER, TR_KIND_BOOLEAN,
                                      TR_KIND_LIST, TR_KIND_MAP, TR_KIND_NULL };

typedef struct json_reader { tr_schema_reader *r; int root; } json_reader;

static int read(json_reader *j, int at, tr_schema **out);

/* --- single keywords; the value is at `at` --- */

static int add_type(json_reader *j, int at, unsigned *bits) {
  const char *text = lua_type(j->r->L, at) == LUA_TSTRING ? lua_tostring(j->r->L, at) : "";
  for (int i = 0; types[i]; i++) {
    if (strcmp(types[i], text) != 0) continue;
    *bits |= type_bits[i];
    return 0;
  }
  return tr_schema_fail(j->r, "`type` must be string, integer, number, boolean, array, object, null, or a list of them");
}

static int read_type(json_reader *j, int at, tr_schema *schema) {
  lua_State *L = j->r->L;
  unsigned bits = 0;
  int rc = 0;
  if (lua_type(L, at) != LUA_TTABLE) rc = add_type(j, at, &bits);
  else if (lua_rawlen(L, at) == 0) rc = add_type(j, at, &bits);
  else
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, at); !rc && i <= n; i++) {
      lua_rawgeti(L, at, i);
      rc = add_type(j, lua_gettop(L), &bits);
      lua_pop(L, 1);
    }
  schema->kinds = bits;
  return rc;
}

static int read_properties(json_reader *j, int at, tr_schema *schema) {
  lua_State *L = j->r->L;
  if (lua_type(L, at) != LUA_TTABLE) return tr_schema_fail(j->r, "`properties` must be a table of schemas");
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    tr_slice name;
    tr_schema *value = NULL;
    if (lua_type(L, -2) != LUA_TSTRING) return tr_schema_fail(j->r, "`properties` must be a table of schemas by name");
    name.p = lua_tolstring(L, -2, &name.n);
    size_t before = tr_schema_enter(j->r, ".%s", name.p);
    int rc = read(j, lua_gettop(L), &value);
    if (rc) return rc;
    j->r->path[j->r->path_at = before] = 0;
    tr_schema_field_get(j->r, schema, name)->value = value;
  }
  return 0;
}

static int read_required(json_reader *j, int at, tr_schema *schema) {
  lua_State *L = j->r->L;
  if (lua_type(L, at) != LUA_TTABLE) return tr_schema_fail(j->r, "`required` must be a list of names");
  for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, at); i <= n; i++) {
    tr_slice name;
    if (lua_rawgeti(L, at, i) != LUA_TSTRING) return tr_schema_fail(j->r, "`required` must be a list of names");
    name.p = lua_tolstring(L, -1, &name.n);
    tr_schema_field_get(j->r, schema, name)->required = true;
    lua_pop(L, 1);
  }
  return 0;
}

static int read_constant(json_reader *j, int at, tr_schema_constant *constant) {
  lua_State *L = j->r->L;
  constant->type = lua_type(L, at);
  switch (constant->type) {
  case LUA_TSTRING: {
    const char *text = lua_tolstring(L, at, &constant->length);
    constant->text = tr_strndup(j->r->set->script->mem, text, constant->length);
    if (!constant->text) tr_raise_memory(L);
    return 0;
  }
  case LUA_TNUMBER:
    constant->number = lua_tonumber(L, at);
    if (lua_isinteger(L, at)) constant->integer = lua_tointeger(L, at);
    return 0;
  case LUA_TBOOLEAN: constant->integer = lua_toboolean(L, at); return 0;
  default:
    if (tr_is_null(L, at)) return 0;
    return tr_schema_fail(j->r, "`enum` may list texts, numbers, true, false and troupe.null");
  }
}

static int read_enum(json_reader *j, int at, tr_schema *schema) {
  lua_State *L = j->r->L;
  size_t n = lua_type(L, at) == LUA_TTABLE ? (size_t)lua_rawlen(L, at) : 0;
  if (n == 0) return tr_schema_fail(j->r, "`enum` must be a list of values");
  schema->constants = tr_calloc(j->r->set->script->mem, n, sizeof *schema->constants);
  if (!schema->constants) tr_raise_memory(L);
  schema->constant_count = n;
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, at, (lua_Integer)i + 1);
    int rc = read_constant(j, lua_gettop(L), &schema->constants[i]);
    if (rc) return rc;
    lua_pop(L, 1);
  }
  return 0;
}

static int read_bound(json_reader *j, int at, const char *name, double *out) {
  if (lua_type(j->r->L, at) != LUA_TNUMBER) return tr_schema_fail(j->r, "`%s` must be a number", name);
  *out = lua_tonumber(j->r->L, at);
  return 0;
}

static int read_additional(json_reader *j, int at, tr_schema *schema) {
  lua_State *L = j->r->L;
  if (!lua_isboolean(L, at)) return read(j, at, &schema->extra);
  schema->closed = !lua_toboolean(L, at);
  return 0;
}

static int read_keyword(json_reader *j, const char *name, int at, tr_schema *schema) {
  if (strcmp(name, "type") == 0) return read_type(j, at, schema);
  if (strcmp(name, "properties") == 0) return read_properties(j, at, schema);
  if (strcmp(name, "required") == 0) return read_required(j, at, schema);
  if (strcmp(name, "enum") == 0) return read_enum(j, at, schema);
  if (strcmp(name, "minimum") == 0) return read_bound(j, at, name, &schema->minimum);
  if (strcmp(name, "maximum") == 0) return read_bound(j, at, name, &schema->maximum);
  if (strcmp(name, "additionalProperties") == 0) return read_additional(j, at, schema);
  if (strcmp(name, "items") == 0) {
    size_t before = tr_schema_enter(j->r, "[]");
    int rc = read(j, at, &schema->item);
    if (!rc) j->r->path[j->r->path_at = before] = 0;
    return rc;
  }
  if (tr_name_in(remarks, name)) return 0;
  return tr_schema_fail(j->r, "the JSON Schema keyword `%s` is not supported", name);
}

/* --- $ref --- */

/* One step of a JSON pointer from the table on the top, which it replaces. */
static bool step(lua_State *L, const char *token, size_t n) {
  luaL_Buffer name;
  if (lua_type(L, -1) != LUA_TTABLE) return false;
  luaL_buffinit(L, &name);
  for (size_t i = 0; i < n; i++) {
    bool escaped = token[i] == '~' && i + 1 < n;
    luaL_addchar(&name, escaped ? (token[++i] == '1' ? '/' : '~') : token[i]);
  }
  luaL_pushresult(&name);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) { /* of a list it is a number, from 0 */
    lua_pop(L, 1);
    int whole = 0;
    lua_Integer index = lua_tointegerx(L, -1, &whole);
    if (!whole) return false;
    lua_rawgeti(L, -2, index + 1);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
  return !lua_isnil(L, -1);
}

static int read_ref(json_reader *j, int at, int ref, tr_schema **out) {
  lua_State *L = j->r->L;
  const char *text = lua_type(L, ref) == LUA_TSTRING ? lua_tostring(L, ref) : "";
  if (text[0] != '#' || (text[1] && text[1] != '/'))
    return tr_schema_fail(j->r, "`$ref` must lead to a place in the same schema, such as \"#/$defs/name\"");
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "a number";
    if (strcmp(name, "$ref") != 0 && !tr_name_in(remarks, name))
      return tr_schema_fail(j->r, "the JSON Schema keyword `%s` beside `$ref` is not supported", name);
  }
  lua_pushvalue(L, j->root);
  for (const char *token = text + 1; *token == '/';) {
    const char *end = strchr(token + 1, '/');
    size_t n = end ? (size_t)(end - token - 1) : strlen(token + 1);
    if (!step(L, token + 1, n)) return tr_schema_fail(j->r, "`$ref` \"%s\" leads nowhere", text);
    token += n + 1;
  }
  if (++j->r->refs > REFS_MAX) return tr_schema_fail(j->r, "`$ref` \"%s\" leads in a circle", text);
  return read(j, lua_gettop(L), out);
}

/* --- one schema --- */

static int read_table(json_reader *j, int at, tr_schema **out) {
  lua_State *L = j->r->L;
  if (tr_raw_field(L, at, "$ref") != LUA_TNIL) return read_ref(j, at, lua_gettop(L), out);
  lua_pop(L, 1);
  tr_schema *schema = *out = tr_schema_new(j->r, TR_KIND_ANY);
  j->r->refs = 0;
  lua_pushvalue(L, at);
  lua_pushlightuserdata(L, schema);
  lua_rawset(L, j->r->memo);
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) return tr_schema_fail(j->r, "a JSON Schema has only names as keys");
    int rc = read_keyword(j, lua_tostring(L, -2), lua_gettop(L), schema);
    if (rc) return rc;
  }
  for (size_t i = 0; i < schema->field_count; i++) /* required, and no more said of it */
    if (!schema->fields[i].value) schema->fields[i].value = tr_schema_new(j->r, TR_KIND_ANY);
  tr_schema_sort(schema);
  return 0;
}

static int read(json_reader *j, int at, tr_schema **out) {
  tr_schema_reader *r = j->r;
  lua_State *L = r->L;
  int top = lua_gettop(L), rc = 0;
  tr_need_stack(L, 20);
  if (lua_isboolean(L, at) && lua_toboolean(L, at)) {
    *out = tr_schema_new(r, TR_KIND_ANY);
    return 0;
  }
  if (lua_type(L, at) != LUA_TTABLE) return tr_schema_fail(r, "a JSON Schema must be a table, not %s", tr_type_name(L, at));
  lua_pushvalue(L, at);
  if (lua_rawget(L, r->memo) == LUA_TLIGHTUSERDATA) {
    *out = lua_touserdata(L, -1);
  } else if (r->depth >= DEPTH_MAX) {
    rc = tr_schema_fail(r, "deeper than %d levels", DEPTH_MAX);
  } else {
    r->depth++;
    rc = read_table(j, at, out);
    r->depth--;
  }
  lua_settop(L, top);
  return rc;
}

int tr_schema_json(tr_schema_reader *reader, int at, tr_schema **out) {
  json_reader j = { reader, at };
  return read(&j, at, out);
}
