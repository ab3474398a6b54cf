/* SPDX-License-Identifier: MIT
 * Addresses and message types, from the texts that scripts write to the core's interned names.
 *
 * A script writes the same few addresses again and again, so each text is checked and taken apart once; a Lua table
 * leads from the string to the result, which holds references to its names (a look-up is a tenth of parsing and
 * interning). The tables are bounded: when ADDRESS_MAX texts are known they are all forgotten, which keeps no order
 * of use and costs little. A text is remembered when it comes a second time: who makes many agents names each of them once.
 *
 * In front of the tables stand the texts that were used last, found by where their strings lie: a string that is a key of a table stays
 * where it is, so the same pointer is the same text. That is a third of a look-up in a table (250 of the 15 000 instructions of a call
 * and its reply). */
#include "base/text.h"
#include "core/id.h"
#include "script/internal.h"

#ifdef TR_HOSTILE
#define ADDRESS_MAX 4
#else
#define ADDRESS_MAX 8192
#endif

typedef enum { KIND_AGENT, KIND_TOPIC, KIND_TYPE } kind;

static void free_list(tr_script *script, tr_address *address) {
  while (address) {
    tr_address *next = address->next;
    tr_name_unref(address->type);
    tr_name_unref(address->key);
    TR_DELETE(script->mem, address);
    address = next;
  }
}

/* What was known until now stays in memory until this happens again: a caller may still hold one of them. */
static void forget(tr_script *script) {
  free_list(script, script->old_addresses);
  script->old_addresses = script->addresses;
  script->addresses = NULL;
  script->address_count = 0;
}

void tr_address_close(tr_script *script) {
  for (int i = 0; i < 2; i++) {
    tr_name_unref(script->passing[i].type);
    tr_name_unref(script->passing[i].key);
    script->passing[i] = (tr_address){ .type = NULL };
  }
  forget(script);
  forget(script);
}

static void clear_table(lua_State *L, int ref) {
  tr_push_ref(L, ref);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
  lua_pop(L, 1);
}

static void make_room(lua_State *L, tr_script *script) {
  if (script->address_count < ADDRESS_MAX) return;
  /* What leads to them first: should that raise, nothing leads to freed memory, or by a string that is gone. */
  memset(script->recent, 0, sizeof script->recent);
  clear_table(L, script->agents_ref);
  clear_table(L, script->topics_ref);
  clear_table(L, script->types_ref);
  forget(script);
}

/* Remember names under the string at `at`; takes no reference of its own when it fails. */
static const tr_address *remember(lua_State *L, int at, int table, tr_slice type, tr_slice key, bool bare) {
  tr_script *script = tr_script_of(L);
  tr_names *names = tr_core_names(script->core);
  make_room(L, script);
  uint32_t owner = script->owner;
  script->owner = 0; /* the table serves all */
  tr_address *address = TR_NEW(script->mem, tr_address);
  if (!address) tr_raise_memory(L);
  address->next = script->addresses; /* in the list, it is freed whatever happens next */
  script->addresses = address;
  script->address_count++;
  address->bare = bare;
  address->type = tr_name_new(names, type);
  if (key.p) address->key = tr_name_new(names, key);
  if (!address->type || (key.p && !address->key)) tr_raise_memory(L);
  lua_pushvalue(L, at);
  lua_pushlightuserdata(L, address);
  lua_rawset(L, table);
  script->owner = owner;
  return address;
}

/* Did this string come before? The last few are known by where they lie, two in a place: of two that come in turn, each would push the
 * other out for ever, and both would be read anew each time. A wrong yes does no harm. */
static bool came_before(lua_State *L, tr_script *script, int at) {
  const void *text = lua_topointer(L, at), **seen = script->seen[((uintptr_t)text >> 4 ^ (uintptr_t)text >> 10) % TR_RECENT / 2];
  bool same = seen[0] == text || seen[1] == text;
  seen[1] = seen[0];
  seen[0] = text;
  return same;
}

/* For this once; the next one takes its place. */
static const tr_address *pass(lua_State *L, tr_script *script, kind what, tr_slice type, tr_slice key, bool bare) {
  tr_names *names = tr_core_names(script->core);
  tr_address *address = &script->passing[what];
  tr_name *first = tr_name_new(names, type), *second = key.p ? tr_name_new(names, key) : NULL;
  if (!first || (key.p && !second)) {
    tr_name_unref(first);
    tr_name_unref(second);
    tr_raise_memory(L);
  }
  tr_name_unref(address->type);
  tr_name_unref(address->key);
  *address = (tr_address){ .type = first, .key = second, .bare = bare };
  return address;
}

/* The string at `at`, which must be one: numbers are not turned into strings. */
static tr_slice check_text(lua_State *L, int at, const char *what) {
  tr_slice text;
  if (lua_type(L, at) != LUA_TSTRING)
    tr_fail_raise(L, TR_EINVALID, "%s must be a string, not %s", what, tr_type_name(L, at));
  text.p = lua_tolstring(L, at, &text.n);
  return text;
}

/* Equal strings are one where they are short; of two long ones only one is the key, and so stays: those are left out. */
static size_t short_most(lua_State *L) {
  enum { MOST = 40 }; /* as Lua is built, unless somebody built it otherwise */
  char text[MOST];
  memset(text, '?', sizeof text);
  lua_pushlstring(L, text, sizeof text);
  lua_pushlstring(L, text, sizeof text);
  bool one = lua_topointer(L, -1) == lua_topointer(L, -2);
  lua_pop(L, 2);
  return one ? MOST : 0;
}

void tr_address_open(lua_State *L, tr_script *script) {
  int *const tables[] = { &script->agents_ref, &script->topics_ref, &script->types_ref };
  for (int i = 0; i < 3; i++) {
    lua_newtable(L);
    *tables[i] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  script->recent_most = short_most(L);
}

static tr_recent *place_of(tr_script *script, kind what, const void *text) {
  uintptr_t at = (uintptr_t)text;
  return &script->recent[what][(at >> 4 ^ at >> 10) % TR_RECENT];
}

static TR_APART const tr_address *look_up(lua_State *L, int at, int table, kind what) {
  if (lua_type(L, at) != LUA_TSTRING) return NULL;
  lua_pushvalue(L, at);
  lua_rawget(L, table);
  const tr_address *address = lua_touserdata(L, -1);
  lua_pop(L, 1);
  tr_script *script = tr_script_of(L);
  if (address && lua_rawlen(L, at) <= script->recent_most) {
    const void *text = lua_topointer(L, at);
    *place_of(script, what, text) = (tr_recent){ text, address };
  }
  return address;
}

static inline const tr_address *known(lua_State *L, int at, int table, kind what) {
  const void *text = lua_topointer(L, at);
  const tr_recent *recent = place_of(tr_script_of(L), what, text);
  return text && recent->text == text ? recent->address : look_up(L, at, table, what);
}

static TR_APART const tr_address *new_agent(lua_State *L, int at, int table) {
  tr_agent_id id;
  tr_error error;
  tr_error_init(&error);
  tr_slice text = check_text(L, at, "agent");
  if (tr_agent_id_parse(text, TR_SLICE_LITERAL("default"), &id, &error)) tr_fail_raise_error(L, &error);
  if (tr_name_reserved(id.key))
    tr_fail_raise(L, TR_EINVALID, "agent `%s`: keys that begin with \"" TR_RESERVED "\" are reserved", text.p);
  tr_slice key = id.key.p ? id.key : TR_SLICE_LITERAL("");
  tr_script *script = tr_script_of(L);
  return came_before(L, script, at) ? remember(L, at, table, id.type, key, false) : pass(L, script, KIND_AGENT, id.type, key, false);
}

static TR_APART const tr_address *new_topic(lua_State *L, int at, int table) {
  tr_topic_id id;
  tr_error error;
  tr_error_init(&error);
  tr_slice text = check_text(L, at, "topic");
  if (tr_topic_id_parse(text, TR_SLICE_LITERAL("default"), &id, &error)) tr_fail_raise_error(L, &error);
  if (tr_name_reserved(id.type))
    tr_fail_raise(L, TR_EINVALID, "topic `%s`: topics that begin with \"" TR_RESERVED "\" are reserved", text.p);
  if (tr_name_reserved(id.source))
    tr_fail_raise(L, TR_EINVALID, "topic `%s`: sources that begin with \"" TR_RESERVED "\" are reserved", text.p);
  bool bare = !memchr(text.p, '/', text.n);
  tr_slice key = bare ? (tr_slice){ NULL, 0 } : id.source.p ? id.source : TR_SLICE_LITERAL("");
  tr_script *script = tr_script_of(L);
  return came_before(L, script, at) ? remember(L, at, table, id.type, key, bare) : pass(L, script, KIND_TOPIC, id.type, key, bare);
}

int tr_message_type_check(tr_slice type, tr_error *error) {
  if (type.n == 0) return tr_error_set(error, TR_EINVALID, "a message type must not be empty");
  if (type.n > TR_ID_MAX) return tr_error_set(error, TR_EINVALID, "a message type longer than %d bytes", TR_ID_MAX);
  if (!tr_utf8_valid(type)) return tr_error_set(error, TR_EINVALID, "a message type that is not UTF-8");
  return 0;
}

static TR_APART const tr_address *new_type(lua_State *L, int at, int table) {
  tr_error error;
  tr_error_init(&error);
  tr_slice text = check_text(L, at, "message type");
  if (tr_message_type_check(text, &error)) tr_fail_raise_error(L, &error);
  return remember(L, at, table, text, (tr_slice){ NULL, 0 }, false);
}

const tr_address *tr_address_agent(lua_State *L, int at, int table) {
  const tr_address *address = known(L, at, table, KIND_AGENT);
  return address ? address : new_agent(L, at, table);
}

const tr_address *tr_address_topic(lua_State *L, int at, int table) {
  const tr_address *address = known(L, at, table, KIND_TOPIC);
  return address ? address : new_topic(L, at, table);
}

tr_name *tr_address_type(lua_State *L, int at, int table) {
  const tr_address *address = known(L, at, table, KIND_TYPE);
  return (address ? address : new_type(L, at, table))->type;
}
