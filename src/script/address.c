/* SPDX-License-Identifier: MIT
 * Addresses and message types, from the texts that scripts write to the core's interned names.
 *
 * A script writes the same few addresses again and again, so each text is checked and taken apart once; a Lua table
 * leads from the string to the result, which holds references to its names (a look-up is a tenth of parsing and
 * interning). The tables are bounded: when ADDRESS_MAX texts are known they are all forgotten, which keeps no order
 * of use and costs little. */
#include "base/text.h"
#include "core/id.h"
#include "script/internal.h"

#ifdef TR_HOSTILE
#define ADDRESS_MAX 4
#else
#define ADDRESS_MAX 8192
#endif

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
  /* The tables first: should that raise, none of them leads to freed memory. */
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

/* The string at `at`, which must be one: numbers are not turned into strings. */
static tr_slice check_text(lua_State *L, int at, const char *what) {
  tr_slice text;
  if (lua_type(L, at) != LUA_TSTRING)
    tr_fail_raise(L, TR_EINVALID, "%s must be a string, not %s", what, tr_type_name(L, at));
  text.p = lua_tolstring(L, at, &text.n);
  return text;
}

static inline const tr_address *known(lua_State *L, int at, int table) {
  lua_pushvalue(L, at);
  lua_rawget(L, table);
  const tr_address *address = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return address;
}

const tr_address *tr_address_agent(lua_State *L, int at, int table) {
  if (lua_type(L, at) == LUA_TSTRING) {
    const tr_address *address = known(L, at, table);
    if (address) return address;
  }
  tr_agent_id id;
  tr_error error;
  tr_error_init(&error);
  tr_slice text = check_text(L, at, "agent");
  if (tr_agent_id_parse(text, TR_SLICE_LITERAL("default"), &id, &error)) tr_fail_raise_error(L, &error);
  if (tr_name_reserved(id.key))
    tr_fail_raise(L, TR_EINVALID, "agent `%s`: keys that begin with \"" TR_RESERVED "\" are reserved", text.p);
  return remember(L, at, table, id.type, id.key.p ? id.key : TR_SLICE_LITERAL(""), false);
}

const tr_address *tr_address_topic(lua_State *L, int at, int table) {
  if (lua_type(L, at) == LUA_TSTRING) {
    const tr_address *address = known(L, at, table);
    if (address) return address;
  }
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
  return remember(L, at, table, id.type, bare ? (tr_slice){ NULL, 0 } : id.source.p ? id.source : TR_SLICE_LITERAL(""),
                  bare);
}

int tr_message_type_check(tr_slice type, tr_error *error) {
  if (type.n == 0) return tr_error_set(error, TR_EINVALID, "a message type must not be empty");
  if (type.n > TR_ID_MAX) return tr_error_set(error, TR_EINVALID, "a message type longer than %d bytes", TR_ID_MAX);
  if (!tr_utf8_valid(type)) return tr_error_set(error, TR_EINVALID, "a message type that is not UTF-8");
  return 0;
}

tr_name *tr_address_type(lua_State *L, int at, int table) {
  if (lua_type(L, at) == LUA_TSTRING) {
    const tr_address *address = known(L, at, table);
    if (address) return address->type;
  }
  tr_error error;
  tr_error_init(&error);
  tr_slice text = check_text(L, at, "message type");
  if (tr_message_type_check(text, &error)) tr_fail_raise_error(L, &error);
  return remember(L, at, table, text, (tr_slice){ NULL, 0 }, false)->type;
}
