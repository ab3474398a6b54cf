/* SPDX-License-Identifier: MIT
 * `messages`: schemas as an agent's author writes them.
 *
 *   "integer"  "string?"           a kind; ? may be left out
 *   { n = "integer", … }           a map with these fields and no others
 *   { "string" }                   a list
 *   { schema = { … } }             JSON Schema (schema_json.c)
 *
 * A table that is used twice is one node, so one that holds itself is a circle of nodes. Through lists that is a tree
 * and works; through fields that must be there no body could ever end, which is refused here. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/text.h"
#include "script/internal.h"

#define DEPTH_MAX 100

static const char *const kinds[] = { "string", "integer", "number", "boolean", "bytes", "table", "any", NULL };
static const unsigned kind_bits[] = { TR_KIND_STRING, TR_KIND_INTEGER, TR_KIND_NUMBER, TR_KIND_BOOLEAN, TR_KIND_BYTES,
                                      TR_KIND_LIST | TR_KIND_MAP, TR_KIND_ANY };

/* --- what the readers share --- */

int tr_schema_fail(tr_schema_reader *r, const char *format, ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return tr_definition_error(r->place, "messages", r->type, "messages.%s%s: %s", r->type, r->path, text);
}

size_t tr_schema_enter(tr_schema_reader *r, const char *format, ...) {
  size_t before = r->path_at;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(r->path + before, sizeof r->path - before, format, args);
  va_end(args);
  if (n > 0 && (size_t)n < sizeof r->path - before) r->path_at += (size_t)n;
  else r->path[before] = 0;
  return before;
}

static void leave(tr_schema_reader *r, size_t before) {
  r->path_at = before;
  r->path[before] = 0;
}

tr_schema *tr_schema_new(tr_schema_reader *r, unsigned bits) {
  tr_schema *schema = TR_NEW(r->set->script->mem, tr_schema);
  if (!schema) tr_raise_memory(r->L);
  schema->kinds = bits;
  schema->minimum = -HUGE_VAL;
  schema->maximum = HUGE_VAL;
  schema->all = r->set->all;
  r->set->all = schema;
  return schema;
}

tr_schema_field *tr_schema_field_get(tr_schema_reader *r, tr_schema *schema, tr_slice name) {
  tr_mem *mem = r->set->script->mem;
  for (size_t i = 0; i < schema->field_count; i++)
    if (tr_slice_equal(tr_slice_make(schema->fields[i].name, schema->fields[i].length), name)) return &schema->fields[i];
  if (schema->field_count == schema->field_cap) {
    size_t cap = schema->field_cap ? schema->field_cap * 2 : 4;
    void *grown = tr_realloc(mem, schema->fields, schema->field_cap * sizeof *schema->fields, cap * sizeof *schema->fields);
    if (!grown) tr_raise_memory(r->L);
    schema->fields = grown;
    schema->field_cap = cap;
  }
  char *copy = tr_strndup(mem, name.p, name.n);
  if (!copy) tr_raise_memory(r->L);
  tr_schema_field *field = &schema->fields[schema->field_count++];
  *field = (tr_schema_field){ .name = copy, .length = name.n };
  return field;
}

static int by_name(const void *a, const void *b) {
  const tr_schema_field *left = a, *right = b;
  size_t n = left->length < right->length ? left->length : right->length;
  int order = memcmp(left->name, right->name, n);
  return order ? order : left->length < right->length ? -1 : left->length > right->length;
}

void tr_schema_sort(tr_schema *schema) {
  if (schema->field_count > 1) qsort(schema->fields, schema->field_count, sizeof *schema->fields, by_name);
  schema->required = 0;
  for (size_t i = 0; i < schema->field_count; i++) schema->required += schema->fields[i].required;
}

/* --- the short form --- */

static int read(tr_schema_reader *r, int at, tr_schema **out, bool *optional);

static int read_kind(tr_schema_reader *r, int at, tr_schema **out, bool *optional) {
  char name[32];
  size_t n;
  const char *text = lua_tolstring(r->L, at, &n);
  *optional = n > 0 && text[n - 1] == '?';
  snprintf(name, sizeof name, "%.*s", (int)(*optional ? n - 1 : n), text);
  for (int i = 0; kinds[i]; i++) {
    if (strcmp(kinds[i], name) != 0) continue;
    *out = tr_schema_new(r, kind_bits[i]);
    return 0;
  }
  const char *nearest = tr_text_nearest(tr_slice_of(name), kinds);
  return tr_schema_fail(r, "`%s` is not a kind%s%s%s (string, integer, number, boolean, bytes, table, any)", text,
                        nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
}

static int read_list(tr_schema_reader *r, int at, tr_schema *schema) {
  bool optional = false;
  size_t before = tr_schema_enter(r, "[]");
  lua_rawgeti(r->L, at, 1);
  int rc = read(r, lua_gettop(r->L), &schema->item, &optional);
  if (!rc && optional) schema->item->kinds |= TR_KIND_NULL;
  leave(r, before);
  return rc;
}

static int read_map(tr_schema_reader *r, int at, tr_schema *schema) {
  lua_State *L = r->L;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    tr_slice name;
    bool optional = false;
    tr_schema *value = NULL;
    if (lua_type(L, -2) != LUA_TSTRING)
      return tr_schema_fail(r, "%s as a key: expected the names of fields, or one kind in a list such as { \"string\" }",
                            tr_type_name(L, -2));
    name.p = lua_tolstring(L, -2, &name.n);
    size_t before = tr_schema_enter(r, ".%s", name.p);
    int rc = read(r, lua_gettop(L), &value, &optional);
    if (rc) return rc;
    leave(r, before);
    tr_schema_field *field = tr_schema_field_get(r, schema, name);
    field->value = value;
    field->required = !optional;
  }
  schema->closed = true;
  tr_schema_sort(schema);
  return 0;
}

/* { schema = { … } } and nothing else. */
static bool is_json(lua_State *L, int at) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) n++;
  bool is = n == 1 && tr_raw_field(L, at, "schema") == LUA_TTABLE;
  if (!is && n == 1) lua_pop(L, 1);
  return is;
}

static int read_table(tr_schema_reader *r, int at, tr_schema **out) {
  lua_State *L = r->L;
  if (is_json(L, at)) {
    lua_newtable(L);
    tr_schema_reader json = *r;
    json.memo = lua_gettop(L);
    return tr_schema_json(&json, json.memo - 1, out);
  }
  size_t length = (size_t)lua_rawlen(L, at);
  if (length > 1) return tr_schema_fail(r, "a list has one kind, such as { \"string\" }");
  *out = tr_schema_new(r, length ? TR_KIND_LIST : TR_KIND_MAP);
  lua_pushvalue(L, at);
  lua_pushlightuserdata(L, *out);
  lua_rawset(L, r->memo);
  if (!length) return read_map(r, at, *out);
  lua_pushinteger(L, 1);
  if (lua_next(L, at)) return tr_schema_fail(r, "both a kind in a list and named fields");
  lua_pushnil(L);
  if (lua_next(L, at) && !lua_isinteger(L, -2)) return tr_schema_fail(r, "both a kind in a list and named fields");
  return read_list(r, at, *out);
}

static int read(tr_schema_reader *r, int at, tr_schema **out, bool *optional) {
  lua_State *L = r->L;
  int top = lua_gettop(L), rc;
  *optional = false;
  tr_need_stack(L, 20);
  if (lua_type(L, at) == LUA_TSTRING) return read_kind(r, at, out, optional);
  if (lua_type(L, at) != LUA_TTABLE) return tr_schema_fail(r, "expected a kind or a table, not %s", tr_type_name(L, at));
  lua_pushvalue(L, at);
  if (lua_rawget(L, r->memo) == LUA_TLIGHTUSERDATA) {
    *out = lua_touserdata(L, -1);
    lua_settop(L, top);
    return 0;
  }
  if (r->depth >= DEPTH_MAX) return tr_schema_fail(r, "deeper than %d levels", DEPTH_MAX);
  r->depth++;
  rc = read_table(r, at, out);
  r->depth--;
  lua_settop(L, top);
  return rc;
}

/* --- can a body ever end? --- */

enum { NEW, OPEN, GOOD };

static bool endless(tr_schema *schema, unsigned depth) {
  if (schema->kinds != TR_KIND_MAP || schema->mark == GOOD) return false;
  if (schema->mark == OPEN) return true;
  if (depth > 2000) return false;
  schema->mark = OPEN;
  for (size_t i = 0; i < schema->field_count; i++)
    if (schema->fields[i].required && endless(schema->fields[i].value, depth + 1)) return true;
  schema->mark = GOOD;
  return false;
}

/* --- all of an agent --- */

static void add_entry(tr_schema_reader *r, tr_slice type, tr_schema *schema) {
  tr_schema_set *set = r->set;
  if (set->count == set->cap) {
    size_t cap = set->cap ? set->cap * 2 : 4;
    void *grown = tr_realloc(set->script->mem, set->entries, set->cap * sizeof *set->entries, cap * sizeof *set->entries);
    if (!grown) tr_raise_memory(r->L);
    set->entries = grown;
    set->cap = cap;
  }
  tr_name *name = tr_name_new(tr_core_names(set->script->core), type);
  if (!name) tr_raise_memory(r->L);
  set->entries[set->count].type = name;
  set->entries[set->count++].schema = schema;
}

static int read_entry(tr_schema_reader *r) { /* the type below the top, its schema on it */
  lua_State *L = r->L;
  tr_schema *schema = NULL;
  tr_slice type;
  bool optional = false;
  r->path[0] = 0;
  r->path_at = 0;
  type.p = lua_tolstring(L, -2, &type.n);
  r->type = type.p;
  int rc = read(r, lua_gettop(L), &schema, &optional);
  if (rc) return rc;
  if (optional) schema->kinds |= TR_KIND_NULL;
  add_entry(r, type, schema);
  if (endless(schema, 0)) return tr_schema_fail(r, "it holds itself in a field that must be there: no body would ever end");
  return 0;
}

int tr_schemas_read(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  tr_script *script = def->script;
  tr_schema_set *set = TR_NEW(script->mem, tr_schema_set);
  if (!set) tr_raise_memory(L);
  set->script = script;
  tr_script_home(script)->schema_sets++;
  def->schemas = set;
  lua_newtable(L);
  tr_schema_reader r = { .L = L, .set = set, .place = place, .memo = lua_gettop(L) };
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    tr_slice name;
    tr_error error;
    tr_error_init(&error);
    if (lua_type(L, -2) != LUA_TSTRING)
      return tr_definition_error(place, NULL, "messages", "`messages` has %s as a key; expected message types",
                                 tr_type_name(L, -2));
    name.p = lua_tolstring(L, -2, &name.n);
    if (tr_message_type_check(name, &error))
      return tr_definition_error(place, NULL, "messages", "`messages`: %s", error.text);
    int rc = read_entry(&r);
    if (rc) return rc;
  }
  return 0;
}
