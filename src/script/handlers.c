/* SPDX-License-Identifier: MIT
 * Which function handles a message: a hash by the interned message type, made when the file is loaded.
 *
 * `on_request` and `on_event` go before `on`, lists are asked in order, and ["*"] takes what nothing else did. All
 * that is resolved here into one entry a type and kind: a function, or one flat list { match|false, handle, … } of
 * everything that may take it, in order. So a message needs one look-up by pointer. */
#include "script/internal.h"

static const char *const item_names[] = { "match", "handle", NULL };

/* --- checks --- */

static int check_item(lua_State *L, const tr_place *place, const char *section, const char *type, lua_Integer i) {
  int item = lua_gettop(L);
  if (lua_type(L, item) != LUA_TTABLE)
    return tr_definition_error(place, section, type,
                               "%s[\"%s\"][%lld] must be { match = function, handle = function }, not %s", section,
                               type, (long long)i, tr_type_name(L, item));
  char of[300];
  snprintf(of, sizeof of, "%s[\"%.200s\"][%lld]", section, type, (long long)i);
  int rc = tr_fields_known(L, item, place, type, of, item_names);
  if (rc) return rc;
  int match = tr_raw_field(L, item, "match"), handle = tr_raw_field(L, item, "handle");
  lua_pop(L, 2);
  if (handle != LUA_TFUNCTION || (match != LUA_TFUNCTION && match != LUA_TNIL))
    return tr_definition_error(place, section, type, "%s[\"%s\"][%lld]: `match` and `handle` must be functions",
                               section, type, (long long)i);
  return 0;
}

/* The handler on the top: a function, or a list. */
static int check_handler(lua_State *L, const tr_place *place, const char *section, const char *type) {
  int list = lua_gettop(L);
  if (lua_isfunction(L, list)) return 0;
  if (!lua_istable(L, list))
    return tr_definition_error(place, section, type,
                               "%s[\"%s\"] must be a function or a list of { match =, handle = }, not %s", section,
                               type, tr_type_name(L, list));
  lua_Integer n = (lua_Integer)lua_rawlen(L, list), keys = 0;
  for (lua_pushnil(L); lua_next(L, list); lua_pop(L, 1)) keys++;
  if (n == 0 || keys != n)
    return tr_definition_error(place, section, type, "%s[\"%s\"] must be a function or a list of { match =, handle = }",
                               section, type);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, list, i);
    int rc = check_item(L, place, section, type, i);
    lua_settop(L, list);
    if (rc) return rc;
  }
  return 0;
}

static int check_section(lua_State *L, int at, const tr_place *place, const char *section) {
  if (lua_isnil(L, at)) return 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return tr_definition_error(place, NULL, section, "`%s` has %s as a key; expected message types", section,
                                 tr_type_name(L, -2));
    tr_slice name;
    tr_error error;
    tr_error_init(&error);
    name.p = lua_tolstring(L, -2, &name.n);
    if (tr_message_type_check(name, &error))
      return tr_definition_error(place, NULL, section, "`%s`: %s", section, error.text);
    int rc = check_handler(L, place, section, name.p);
    if (rc) return rc;
  }
  return 0;
}

/* --- the flat list --- */

/* Append what section[type] offers to the list; true when nothing behind it can be reached. `section` is a stack
 * index or 0. */
static bool append(lua_State *L, int list, int section, const char *type) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  if (!section || !lua_istable(L, section)) return false;
  if (tr_raw_field(L, section, type) == LUA_TFUNCTION) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, list, n + 1);
    lua_rawseti(L, list, n + 2);
    return true;
  }
  bool last = false;
  int items = lua_gettop(L);
  for (lua_Integer i = 1; lua_istable(L, items) && !last && lua_rawgeti(L, items, i) == LUA_TTABLE; i++) {
    last = tr_raw_field(L, -1, "match") == LUA_TNIL;
    if (last) {
      lua_pop(L, 1);
      lua_pushboolean(L, 0);
    }
    lua_rawseti(L, list, ++n);
    tr_raw_field(L, -1, "handle");
    lua_rawseti(L, list, ++n);
    lua_pop(L, 1);
  }
  lua_settop(L, items - 1);
  return last;
}

/* What `own` or else `on` has for `type`, where that is a function, or nothing: pushed; its kind. */
static int first_of(lua_State *L, int own, int on, const char *type) {
  int kind = LUA_TNIL;
  if (own && lua_istable(L, own)) kind = tr_raw_field(L, own, type);
  if (kind == LUA_TNIL && on && lua_istable(L, on)) kind = tr_raw_field(L, on, type);
  return kind;
}

/* What takes `type`: in `own` and `on`, then what takes anything. */
static void resolve(lua_State *L, int own, int on, const char *type, tr_handler *out) {
  int top = lua_gettop(L), list;
  bool star = strcmp(type, "*") == 0;
  int kind = first_of(L, own, on, type);
  if (kind == LUA_TFUNCTION) { /* nearly always: no list is needed to know that */
    out->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    out->list = false;
  }
  lua_settop(L, top);
  if (kind == LUA_TFUNCTION || (kind == LUA_TNIL && star)) return;
  lua_newtable(L);
  list = lua_gettop(L);
  bool done = append(L, list, own, type) || append(L, list, on, type);
  if (!done && !star) done = append(L, list, own, "*") || append(L, list, on, "*");
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  if (n == 0) {
    lua_settop(L, top);
    return;
  }
  out->list = !(done && n == 2);
  if (!out->list) lua_rawgeti(L, list, 2);
  out->ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, top);
}

/* --- the hash --- */

const tr_handler *tr_handlers_find(const tr_definition *definition, const tr_msg *msg) {
  const tr_handler_set *set = definition->handlers;
  const tr_name *type = msg->type;
  if (!set) return NULL;
  const tr_handlers *handlers = msg->kind == TR_MSG_REQUEST ? &set->requests : set->events;
  if (handlers->cap) {
    for (size_t at = type->hash & (handlers->cap - 1); handlers->items[at].type; at = (at + 1) & (handlers->cap - 1))
      if (handlers->items[at].type == type) return &handlers->items[at];
  }
  return handlers->star.ref != LUA_NOREF ? &handlers->star : NULL;
}

/* The place for a type, new or found. */
static tr_handler *place_of(tr_handlers *handlers, const tr_name *type) {
  size_t at = type->hash & (handlers->cap - 1);
  while (handlers->items[at].type && handlers->items[at].type != type) at = (at + 1) & (handlers->cap - 1);
  return &handlers->items[at];
}

static size_t count_keys(lua_State *L, int table) {
  size_t n = 0;
  if (!lua_istable(L, table)) return 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) n++;
  return n;
}

static void fill_from(lua_State *L, tr_definition *definition, tr_handlers *handlers, int keys, int own, int on) {
  if (!lua_istable(L, keys)) return;
  for (lua_pushnil(L); lua_next(L, keys); lua_pop(L, 1)) {
    tr_slice name;
    name.p = lua_tolstring(L, -2, &name.n);
    if (tr_slice_is(name, "*")) continue;
    tr_name *type = tr_name_new(tr_core_names(definition->script->core), name);
    if (!type) tr_raise_memory(L);
    tr_handler *handler = place_of(handlers, type);
    if (handler->type) { /* in both tables: resolved already */
      tr_name_unref(type);
      continue;
    }
    handler->type = type;
    handler->ref = LUA_NOREF;
    resolve(L, own, on, name.p, handler);
  }
}

static void fill(lua_State *L, tr_definition *definition, tr_handlers *handlers, int own, int on) {
  size_t n = count_keys(L, own) + count_keys(L, on), cap = 4;
  while (cap < 2 * n + 1) cap *= 2;
  handlers->items = tr_calloc(definition->script->mem, cap, sizeof *handlers->items);
  if (!handlers->items) tr_raise_memory(L);
  handlers->cap = cap;
  fill_from(L, definition, handlers, own, own, on);
  fill_from(L, definition, handlers, on, own, on);
  resolve(L, own, on, "*", &handlers->star);
}

/* --- the set --- */

static const char *const sections[] = { "on", "on_event", "on_request" }; /* in the order of their bits */

static tr_handler_set *set_new(lua_State *L, tr_definition *definition) {
  tr_handler_set *set = TR_NEW(definition->script->mem, tr_handler_set);
  if (!set) tr_raise_memory(L);
  set->refs = 1;
  set->requests.star.ref = set->events_apart.star.ref = LUA_NOREF;
  set->events = &set->events_apart;
  return definition->handlers = set;
}

/* The tables on the stack, nil where there is none; in `from`, which they are. */
static void push_sections(lua_State *L, int table, uint64_t present, const void *from[3]) {
  for (int i = 0; i < 3; i++) {
    bool there = present >> (TR_KEY_ON + i) & 1;
    if (there) tr_raw_field(L, table, sections[i]);
    else lua_pushnil(L);
    from[i] = there ? lua_topointer(L, -1) : NULL;
  }
}

int tr_handlers_read(lua_State *L, int table, uint64_t present, tr_definition *definition, const tr_definition *before,
                     const tr_place *place) {
  int top = lua_gettop(L), on = top + 1, on_event = top + 2, on_request = top + 3, rc = 0;
  const void *from[3];
  push_sections(L, table, present, from);
  if (before && before->handlers && memcmp(before->handlers->from, from, sizeof from) == 0) {
    definition->handlers = before->handlers;
    definition->handlers->refs++;
  } else {
    for (int i = 0; !rc && i < 3; i++) rc = check_section(L, on + i, place, sections[i]);
    tr_handler_set *set = rc ? NULL : set_new(L, definition);
    if (set) memcpy(set->from, from, sizeof from);
    if (set) fill(L, definition, &set->requests, on_request, on);
    if (set && !from[1] && !from[2]) set->events = &set->requests;
    else if (set) fill(L, definition, &set->events_apart, on_event, on);
  }
  lua_settop(L, top);
  return rc;
}

static void fini(tr_script *script, tr_handlers *handlers) {
  lua_State *L = script->L;
  bool room = lua_checkstack(L, 4);
  for (size_t i = 0; i < handlers->cap; i++) {
    if (!handlers->items[i].type) continue;
    tr_name_unref(handlers->items[i].type);
    if (room) luaL_unref(L, LUA_REGISTRYINDEX, handlers->items[i].ref);
  }
  if (room) luaL_unref(L, LUA_REGISTRYINDEX, handlers->star.ref);
  tr_free(script->mem, handlers->items, handlers->cap * sizeof *handlers->items);
}

void tr_handlers_unref(tr_script *script, tr_handler_set *set) {
  if (!set || --set->refs > 0) return;
  fini(script, &set->requests);
  fini(script, &set->events_apart);
  TR_DELETE(script->mem, set);
}
