/* SPDX-License-Identifier: MIT
 * Does a body look as the schema of its message type says? And the life of schemas.
 *
 * A schema is a graph of nodes in C, made when the file is loaded (schema_read.c, schema_json.c); a body is checked as
 * it lies in Lua, raw, allocating nothing, so a check never raises. A node says which kinds of values it takes; a
 * list's items and a map's fields lead on. Circles in the graph need no care: the body ends.
 *
 * An empty table is a list as well as a map, for Lua cannot tell. A null member counts as absent. Where each body is
 * checked: tr_schema_of's callers, and docs/api.md. */
#include <math.h>

#include "base/text.h"
#include "script/internal.h"

/* --- life --- */

static void free_schema(tr_mem *mem, tr_schema *schema) {
  for (size_t i = 0; i < schema->field_count; i++)
    tr_free(mem, schema->fields[i].name, schema->fields[i].name ? schema->fields[i].length + 1 : 0);
  tr_free(mem, schema->fields, schema->field_cap * sizeof *schema->fields);
  for (size_t i = 0; i < schema->constant_count; i++)
    tr_free(mem, schema->constants[i].text, schema->constants[i].text ? schema->constants[i].length + 1 : 0);
  tr_free(mem, schema->constants, schema->constant_count * sizeof *schema->constants);
  TR_DELETE(mem, schema);
}

void tr_schemas_free(tr_schema_set *set) {
  if (!set) return;
  tr_mem *mem = set->script->mem;
  for (tr_schema *schema = set->all, *next; schema; schema = next) {
    next = schema->all;
    free_schema(mem, schema);
  }
  for (size_t i = 0; i < set->count; i++) tr_name_unref(set->entries[i].type);
  tr_free(mem, set->entries, set->cap * sizeof *set->entries);
  tr_script_home(set->script)->schema_sets--;
  TR_DELETE(mem, set);
}

const tr_schema *tr_schema_of(const tr_definition *def, const tr_name *type) {
  const tr_schema_set *set = def->schemas;
  for (size_t i = 0; set && i < set->count; i++)
    if (set->entries[i].type == type) return set->entries[i].schema;
  return NULL;
}

/* --- checking --- */

typedef struct checking {
  lua_State *L;
  tr_error *error;
  char path[300];
  size_t at;
} checking;

static const char *const kind_names[] = { "string", "integer", "number", "boolean", "bytes", "list", "map", "null" };

static const char *expected(unsigned kinds, char out[120]) {
  size_t n = 0;
  out[0] = 0;
  if ((kinds & (TR_KIND_LIST | TR_KIND_MAP)) == (TR_KIND_LIST | TR_KIND_MAP)) {
    n = (size_t)snprintf(out, 120, "table");
    kinds &= ~(unsigned)(TR_KIND_LIST | TR_KIND_MAP);
  }
  if (kinds & TR_KIND_NUMBER) kinds &= ~(unsigned)TR_KIND_INTEGER;
  for (unsigned i = 0; i < 8; i++)
    if (kinds & 1u << i) n += (size_t)snprintf(out + n, 120 - n, "%s%s", n ? " or " : "", kind_names[i]);
  return out;
}

/* The kinds that the value belongs to; *name: what it is called. */
static unsigned kinds_of(lua_State *L, int at, const char **name) {
  tr_slice bytes;
  *name = "map";
  if (at == 0) return TR_KIND_MAP | TR_KIND_LIST;
  switch (lua_type(L, at)) {
  case LUA_TSTRING: *name = "string"; return TR_KIND_STRING;
  case LUA_TBOOLEAN: *name = "boolean"; return TR_KIND_BOOLEAN;
  case LUA_TNUMBER:
    *name = lua_isinteger(L, at) ? "integer" : "number";
    if (lua_isinteger(L, at)) return TR_KIND_INTEGER | TR_KIND_NUMBER;
    return floor(lua_tonumber(L, at)) == lua_tonumber(L, at) ? TR_KIND_INTEGER | TR_KIND_NUMBER : TR_KIND_NUMBER;
  case LUA_TTABLE:
    if (lua_rawlen(L, at) > 0 || tr_is_array(L, at)) {
      *name = "list";
      return TR_KIND_LIST;
    }
    lua_pushnil(L);
    if (!lua_next(L, at)) return TR_KIND_MAP | TR_KIND_LIST;
    lua_pop(L, 2);
    return TR_KIND_MAP;
  default:
    if (tr_bytes_get(L, at, &bytes)) {
      *name = "bytes";
      return TR_KIND_BYTES;
    }
    *name = "null";
    return TR_KIND_NULL;
  }
}

static int wrong(checking *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int wrong(checking *c, const char *format, ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return tr_error_set(c->error, TR_EINVALID, "%s: %s", c->path, text);
}

/* Go down to a field or item; gives what to go back to. */
static size_t enter(checking *c, tr_slice name, lua_Integer index) {
  size_t before = c->at;
  int n;
  if (name.p) n = snprintf(c->path + c->at, sizeof c->path - c->at, ".%.*s", (int)tr_utf8_cut(name, 60), name.p);
  else n = snprintf(c->path + c->at, sizeof c->path - c->at, "[%lld]", (long long)index);
  if ((size_t)n < sizeof c->path - c->at) c->at += (size_t)n;
  else c->path[c->at] = 0; /* deeper than what can be shown */
  return before;
}

static void leave(checking *c, size_t before) {
  c->at = before;
  c->path[before] = 0;
}

static int check(checking *c, const tr_schema *schema, int at);

static bool is_constant(lua_State *L, int at, const tr_schema_constant *constant) {
  if (constant->type == LUA_TLIGHTUSERDATA) return tr_is_null(L, at);
  if (lua_type(L, at) != constant->type) return false;
  switch (constant->type) {
  case LUA_TBOOLEAN: return lua_toboolean(L, at) == (int)constant->integer;
  case LUA_TNUMBER:
    if (lua_isinteger(L, at) && constant->number == (double)constant->integer)
      return lua_tointeger(L, at) == constant->integer;
    return lua_tonumber(L, at) == constant->number;
  default: {
    tr_slice text;
    text.p = lua_tolstring(L, at, &text.n);
    return tr_slice_equal(text, tr_slice_make(constant->text, constant->length));
  }
  }
}

static int check_constants(checking *c, const tr_schema *schema, int at) {
  for (size_t i = 0; i < schema->constant_count; i++)
    if (at && is_constant(c->L, at, &schema->constants[i])) return 0;
  return wrong(c, "not one of the %zu values that are allowed", schema->constant_count);
}

static int check_range(checking *c, const tr_schema *schema, int at) {
  double value = lua_tonumber(c->L, at);
  if (value < schema->minimum) return wrong(c, "%.14g is less than the minimum of %.14g", value, schema->minimum);
  if (value > schema->maximum) return wrong(c, "%.14g is more than the maximum of %.14g", value, schema->maximum);
  return 0;
}

static int check_items(checking *c, const tr_schema *schema, int at) {
  lua_State *L = c->L;
  int rc = 0;
  lua_Integer n = (lua_Integer)lua_rawlen(L, at);
  for (lua_Integer i = 1; !rc && i <= n; i++) {
    lua_rawgeti(L, at, i);
    size_t before = enter(c, (tr_slice){ NULL, 0 }, i);
    rc = check(c, schema->item, lua_gettop(L));
    if (!rc) leave(c, before);
    lua_pop(L, 1);
  }
  return rc;
}

/* --- maps --- */

static const tr_schema_field *find_field(const tr_schema *schema, tr_slice name) {
  size_t low = 0, high = schema->field_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    const tr_schema_field *field = &schema->fields[middle];
    size_t n = name.n < field->length ? name.n : field->length;
    int order = memcmp(name.p, field->name, n);
    if (order == 0 && name.n == field->length) return field;
    if (order < 0 || (order == 0 && name.n < field->length)) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

static int unknown_field(checking *c, const tr_schema *schema) {
  enum { MOST = 64 };
  const char *names[MOST + 1];
  size_t count = 0;
  for (; count < schema->field_count && count < MOST; count++) names[count] = schema->fields[count].name;
  names[count] = NULL;
  size_t n;
  lua_State *L = c->L;
  const char *name = lua_tolstring(L, -2, &n);
  const char *nearest = tr_text_nearest(tr_slice_make(name, n), names);
  if (nearest) return wrong(c, "the schema has no such field (did you mean `%s`?)", nearest);
  return wrong(c, "the schema has no such field");
}

static int missing_field(checking *c, const tr_schema *schema, int at) {
  lua_State *L = c->L;
  char text[120];
  for (size_t i = 0; i < schema->field_count; i++) {
    const tr_schema_field *field = &schema->fields[i];
    tr_slice wanted = tr_slice_make(field->name, field->length), name;
    bool found = !field->required;
    if (at) lua_pushnil(L);
    while (at && !found && lua_next(L, at)) {
      name.p = lua_tolstring(L, -2, &name.n);
      found = tr_slice_equal(name, wanted) && (!tr_is_null(L, -1) || (field->value->kinds & TR_KIND_NULL));
      lua_pop(L, found ? 2 : 1);
    }
    if (found) continue;
    enter(c, wanted, 0);
    return wrong(c, "missing (expected %s)", field->value->kinds == TR_KIND_ANY ? "a value" : expected(field->value->kinds, text));
  }
  return 0;
}

static int check_fields(checking *c, const tr_schema *schema, int at) {
  lua_State *L = c->L;
  size_t required = 0;
  int rc = 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    tr_slice name;
    name.p = lua_tolstring(L, -2, &name.n);
    const tr_schema_field *field = find_field(schema, name);
    const tr_schema *value = field ? field->value : schema->extra;
    if (value && tr_is_null(L, -1) && !(value->kinds & TR_KIND_NULL)) continue; /* as if it were not there */
    size_t before = enter(c, name, 0);
    if (field) required += field->required;
    else if (schema->closed) rc = unknown_field(c, schema);
    if (!rc && value) rc = check(c, value, lua_gettop(L));
    if (rc) {
      lua_pop(L, 2);
      return rc;
    }
    leave(c, before);
  }
  return required < schema->required ? missing_field(c, schema, at) : 0;
}

static int check(checking *c, const tr_schema *schema, int at) {
  lua_State *L = c->L;
  const char *name;
  char text[120];
  if (!lua_checkstack(L, 10)) return tr_error_set(c->error, TR_EMEMORY, "out of memory");
  unsigned kinds = kinds_of(L, at, &name), accepted = schema->kinds;
  if (accepted & TR_KIND_BYTES) accepted |= TR_KIND_STRING; /* as which they come in JSON */
  if (!(accepted & kinds)) return wrong(c, "expected %s, got %s", expected(schema->kinds, text), name);
  if (schema->constant_count) {
    int rc = check_constants(c, schema, at);
    if (rc) return rc;
  }
  if (kinds & TR_KIND_NUMBER) return check_range(c, schema, at);
  if (!(kinds & accepted & TR_KIND_MAP)) return (kinds & TR_KIND_LIST) && schema->item ? check_items(c, schema, at) : 0;
  if (at == 0) return schema->required ? missing_field(c, schema, 0) : 0;
  return schema->field_count || schema->closed || schema->extra ? check_fields(c, schema, at) : 0;
}

int tr_schema_check(lua_State *L, const tr_schema *schema, int at, const char *root, tr_error *error) {
  checking c = { .L = L, .error = error };
  int top = lua_gettop(L);
  c.at = (size_t)snprintf(c.path, sizeof c.path, "%s", root);
  int rc = check(&c, schema, at ? lua_absindex(L, at) : 0);
  lua_settop(L, top);
  return rc;
}

int tr_schema_check_body(lua_State *L, const tr_schema *schema, const tr_body *body, int slots, const char *root,
                         tr_error *error) {
  int rc = 0;
  tr_need_stack(L, 10);
  if (body->kind == TR_BODY_NONE) return tr_schema_check(L, schema, 0, root, error);
  const tr_script *script = tr_script_of(L);
  bool away = body->kind == TR_BODY_SLOT && script->home && !(body->slot & TR_SLOT_LOCAL);
  if (away) rc = tr_body_push(L, body, true, error);
  else if (body->kind == TR_BODY_SLOT) lua_rawgeti(L, slots, tr_slot_here(tr_script_of(L), body->slot));
  else if (body->kind == TR_BODY_NULL) lua_pushlightuserdata(L, NULL);
  else rc = tr_decode(L, body, true, error);
  if (rc) return rc;
  rc = tr_schema_check(L, schema, -1, root, error);
  lua_pop(L, 1);
  return rc;
}
