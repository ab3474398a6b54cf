/* SPDX-License-Identifier: MIT
 * Where a Lua value waits while the core holds it: one table of slots, and a free list in C.
 *
 * A message's body is a number, the index of its value here; so the core never sees Lua, and moving a body from
 * sender to receiver moves a number. The free list lies in C because asking Lua for a free index (luaL_ref) costs
 * twice as much. A free slot holds `false` rather than nil, so that the table keeps its array part; setting it never
 * allocates, so giving up a slot never raises.
 *
 * The same structure holds the instances of agents. */
#include "codec/json.h"
#include "codec/native.h"
#include "script/internal.h"

#define NO_SLOT 0u
#define BODY_FREE 4096u /* bytes of a body that are not charged to the turn as instructions */

static bool grow(tr_script *script, tr_slots *slots) {
  uint32_t cap = slots->cap ? slots->cap * 2 : 64;
  uint32_t *next = tr_realloc(script->mem, slots->next, slots->cap * sizeof *next, cap * sizeof *next);
  if (!next) return false;
  slots->next = next;
  slots->cap = cap;
  return true;
}

uint32_t tr_slot_new(lua_State *L, tr_slots *slots, int table) {
  uint32_t slot = slots->free;
  if (slot != NO_SLOT) {
    lua_rawseti(L, table, slot);
    slots->free = slots->next[slot];
  } else {
    if (slots->count + 1 >= slots->cap && !grow(tr_script_of(L), slots)) tr_raise_memory(L);
    slot = slots->count + 1;
    lua_rawseti(L, table, slot);
    slots->count = slot;
  }
  slots->next[slot] = 0;
  return slot;
}

typedef struct make_call { tr_script *script; int (*push)(lua_State *L, void *ud); void *ud; uint32_t parcel, slot; } make_call;

static int make_main(lua_State *L, void *ud) {
  make_call *call = ud;
  tr_script *script = call->script;
  tr_push_ref(L, script->slots_ref);
  int slots = lua_gettop(L);
  script->owner = call->parcel;
  int rc = call->push(L, call->ud);
  script->owner = script->base_owner; /* the table of slots is everybody's */
  if (!rc) call->slot = tr_slot_new(L, &script->slots, slots);
  return rc;
}

int tr_slot_make(tr_script *script, int (*push)(lua_State *L, void *ud), void *ud, uint32_t *slot, tr_error *error) {
  uint32_t owner = script->owner;
  make_call call = { script, push, ud, tr_parcel_begin(script), 0 };
  int rc = tr_script_protect(script, make_main, &call, error);
  script->owner = owner;
  uint32_t parcel = tr_parcel_end(script, call.parcel);
  *slot = rc ? 0 : call.slot;
  if (*slot) script->slots.next[*slot] |= parcel << TR_SLOT_PARCEL;
  return rc;
}

void tr_slot_free(tr_script *script, tr_slots *slots, int table_ref, uint32_t slot) {
  lua_State *L = script->L;
  if (!lua_checkstack(L, 2)) return; /* the value stays until the end: better than a crash */
  tr_push_ref(L, table_ref);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
  slots->next[slot] = slots->free;
  slots->free = slot;
}

/* The same where the table is at hand. */
static void free_slot(lua_State *L, tr_slots *slots, int table, uint32_t slot) {
  lua_pushboolean(L, 0);
  lua_rawseti(L, table, slot);
  slots->next[slot] = slots->free;
  slots->free = slot;
}

/* --- values that stay in a state with a home --- */

static bool local_room(tr_script *home) {
  if (home->local_free || home->local_count + 1 < home->local_cap) return true;
  uint32_t cap = home->local_cap ? home->local_cap * 2 : 16;
  tr_local *grown = tr_realloc(home->mem, home->locals, home->local_cap * sizeof *grown, cap * sizeof *grown);
  if (!grown) return false;
  home->locals = grown;
  home->local_cap = cap;
  return true;
}

/* There is room. */
static uint32_t local_new(tr_script *script, uint32_t slot) {
  tr_script *home = script->home;
  uint32_t at = home->local_free;
  if (at) home->local_free = home->locals[at].slot;
  else at = ++home->local_count;
  home->locals[at] = (tr_local){ script, slot };
  return at | TR_SLOT_LOCAL;
}

void tr_locals_forget(const tr_script *script) {
  tr_script *home = script->home;
  for (uint32_t i = 1; i <= home->local_count; i++)
    if (home->locals[i].script == script) home->locals[i].script = NULL; /* until its body is released */
}

/* --- bodies --- */

/* Only what the copy does not set itself: it is a large structure. */
static inline void begin_copy(tr_copy *copy, const char *root, tr_error *error) {
  copy->root = root;
  copy->trusted = copy->check = copy->drop = copy->nulls = copy->pending = copy->refs = false;
  copy->held = 0;
  copy->turn = NULL;
  copy->wait = NULL;
  copy->error = error;
}

int tr_body_from(lua_State *L, int at, int table, const char *root, tr_body *body, tr_error *error) {
  tr_body_with with = { .turn = NULL };
  return tr_body_from_with(L, at, table, root, &with, body, error);
}

/* What is not a table: null may have come of a placeholder. */
static bool simple_body(lua_State *L, tr_body *body) {
  if (tr_is_null(L, -1)) {
    lua_pop(L, 1);
    body->kind = TR_BODY_NULL;
    return true;
  }
  if (lua_type(L, -1) == LUA_TUSERDATA && !tr_placeholder_is(L, -1)) body->format = TR_FORMAT_BYTES; /* where it has to be encoded */
  return false;
}

int tr_body_from_with(lua_State *L, int at, int table, const char *root, tr_body_with *with, tr_body *body,
                      tr_error *error) {
  tr_script *script = tr_script_of(L);
  int type = lua_type(L, at);
  *body = (tr_body){ .kind = TR_BODY_NONE };
  with->made = 0;
  if (type <= LUA_TNIL) return 0;
  tr_copy copy;
  begin_copy(&copy, root, error);
  copy.turn = with->turn;
  copy.wait = with->wait;
  copy.refs = with->refs;
  uint32_t owner = script->owner, parcel = tr_parcel_begin(script);
  script->owner = parcel;
  int rc = tr_copy_push(L, at, type, &copy);
  script->owner = owner;
  parcel = tr_parcel_end(script, parcel);
  size_t made = parcel ? script->accounts[parcel].used : 0;
  if (made >= BODY_FREE && L == script->active) tr_meter_charge(L, made / 16); /* or a few lines send gigabytes, which are the receivers' */
  with->made = made;
  with->pending = copy.pending;
  with->held = copy.held;
  if (rc || (type != LUA_TTABLE && simple_body(L, body))) return rc;
  body->size = (uint64_t)(TR_COPY_MAX - copy.left) * TR_VALUE_SIZE + copy.text;
  if (script->home && !(with->wait && with->wait->missing)) return tr_foreign_keep(L, script, copy.nulls, body, error);
  if (script->home && !local_room(script->home)) tr_raise_memory(L);
  uint32_t slot = tr_slot_new(L, &script->slots, table);
  script->slots.next[slot] = parcel << TR_SLOT_PARCEL | (copy.nulls ? TR_SLOT_NULLS : 0);
  body->kind = TR_BODY_SLOT;
  body->slot = script->home ? local_new(script, slot) : slot;
  return 0;
}

static int copy_trusted(lua_State *L, bool keep_nulls, tr_error *error) {
  tr_copy copy;
  begin_copy(&copy, "body", error);
  copy.trusted = true;
  copy.drop = !keep_nulls;
  return tr_copy_top(L, &copy);
}

static void push_simple(lua_State *L, uint8_t kind, bool keep_nulls) {
  if (kind == TR_BODY_NONE) lua_createtable(L, 0, 0);
  else if (keep_nulls) lua_pushlightuserdata(L, NULL);
  else lua_pushnil(L);
}

int tr_body_push(lua_State *L, const tr_body *body, bool keep_nulls, tr_error *error) {
  tr_script *script = tr_script_of(L);
  tr_need_stack(L, 8);
  if (body->kind == TR_BODY_BYTES) return tr_decode(L, body, keep_nulls, error);
  if (body->kind != TR_BODY_SLOT) {
    push_simple(L, body->kind, keep_nulls);
    return 0;
  }
  if (script->home && !(body->slot & TR_SLOT_LOCAL)) return tr_foreign_fetch(L, script, body->slot, keep_nulls, error);
  int at = lua_gettop(L) + 1;
  tr_push_ref(L, script->slots_ref);
  int type = lua_rawgeti(L, at, tr_slot_here(script, body->slot));
  lua_replace(L, at);
  tr_copy copy;
  begin_copy(&copy, "body", error);
  copy.trusted = true;
  copy.drop = !keep_nulls;
  int rc = tr_copy_push(L, at, type, &copy);
  if (rc) lua_pop(L, 1);
  else lua_replace(L, at);
  return rc;
}

static TR_APART int take_other(lua_State *L, tr_script *script, tr_body *body, bool keep_nulls, tr_error *error) {
  uint8_t format = body->format;
  uint16_t serializer = body->serializer;
  int rc = tr_body_push(L, body, keep_nulls, error);
  if (rc) return rc; /* it stays: a dead letter may show it */
  tr_body_release(script->core, body);
  body->format = format;
  body->serializer = serializer;
  return 0;
}

int tr_body_take(lua_State *L, tr_body *body, int table, bool keep_nulls, tr_error *error) {
  tr_script *script = tr_script_of(L);
  if (body->kind != TR_BODY_SLOT || script->home) return take_other(L, script, body, keep_nulls, error);
  lua_rawgeti(L, table, body->slot);
  tr_parcel_take(script, script->slots.next[body->slot] >> TR_SLOT_PARCEL);
  bool strip = !keep_nulls && (script->slots.next[body->slot] & TR_SLOT_NULLS);
  free_slot(L, &script->slots, table, body->slot);
  body->kind = TR_BODY_NONE;
  return strip ? copy_trusted(L, false, error) : 0;
}

/* --- what the core asks for --- */

static void release(void *ud, uint32_t slot) {
  tr_script *script = ud;
  if (slot & TR_SLOT_LOCAL) {
    tr_local *local = &script->locals[slot & ~TR_SLOT_LOCAL];
    uint32_t next = script->local_free;
    script->local_free = slot & ~TR_SLOT_LOCAL;
    script = local->script;
    slot = local->slot;
    *local = (tr_local){ NULL, next };
    if (!script) return;
  }
  tr_slot_free(script, &script->slots, script->slots_ref, slot);
}

typedef struct copy_call { tr_script *script; uint32_t slot; } copy_call;

static int copy_slot(lua_State *L, void *ud) {
  const copy_call *call = ud;
  tr_error error;
  tr_error_init(&error);
  tr_push_ref(L, call->script->slots_ref);
  lua_rawgeti(L, -1, call->slot);
  return copy_trusted(L, true, &error);
}

static uint32_t copy_body(void *ud, uint32_t slot) {
  tr_script *script = ud;
  copy_call call = { script, slot };
  uint32_t made;
  if (tr_slot_make(script, copy_slot, &call, &made, NULL)) return 0;
  script->slots.next[made] |= script->slots.next[slot] & TR_SLOT_NULLS;
  return made;
}

/* Text and bytes are the value itself, where it is a string. */
static int encode_plain(lua_State *L, tr_format format, tr_buf *out, tr_error *error) {
  tr_slice bytes;
  if (lua_type(L, -1) == LUA_TSTRING) bytes.p = lua_tolstring(L, -1, &bytes.n);
  else if (format != TR_FORMAT_BYTES || !tr_bytes_get(L, -1, &bytes))
    return tr_error_set(error, TR_EINVALID, "body: a %s cannot be sent as %s", luaL_typename(L, -1),
                        format == TR_FORMAT_TEXT ? "text" : "bytes");
  return tr_buf_slice(out, bytes) ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

static int encode(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error) {
  tr_script *script = ud;
  lua_State *L = script->L;
  int rc;
  if (!lua_checkstack(L, 8)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int top = lua_gettop(L);
  tr_push_ref(L, script->slots_ref);
  lua_rawgeti(L, -1, slot);
  if (format == TR_FORMAT_JSON) {
    tr_json_writer writer;
    tr_json_writer_init(&writer, out, error);
    tr_sink sink = tr_json_sink(&writer);
    rc = tr_walk(L, lua_gettop(L), &sink, error);
    if (!rc && out->failed) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  } else if (format == TR_FORMAT_NATIVE) {
    tr_native_writer writer;
    tr_native_writer_init(&writer, out, error);
    tr_sink sink = tr_native_sink(&writer);
    rc = tr_walk(L, lua_gettop(L), &sink, error);
  } else if (format == TR_FORMAT_TEXT || format == TR_FORMAT_BYTES) {
    rc = encode_plain(L, format, out, error);
  } else {
    rc = tr_error_set(error, TR_EINTERNAL, "a body was not encoded when it was sent"); /* encode.c does */
  }
  lua_settop(L, top);
  return rc;
}

tr_body_ops tr_slots_ops(tr_script *script) {
  bool plugged = script->plugged;
  return (tr_body_ops){ .release = release, .copy = copy_body, .encode = encode, .recode = tr_body_recode,
                        .find = plugged ? tr_serializer_find : NULL, .content_type = tr_serializer_content_type, .ud = script,
                        .fill = tr_fill_body };
}

static void release_gone(void *ud, uint32_t slot) {
  (void)ud;
  (void)slot;
}
static uint32_t copy_gone(void *ud, uint32_t slot) {
  (void)ud;
  (void)slot;
  return 0;
}
static int encode_gone(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud;
  (void)slot;
  (void)format;
  (void)out;
  return tr_error_set(error, TR_EUNAVAILABLE, "the agent that sent this is gone");
}
const tr_body_ops tr_slots_gone = { .release = release_gone, .copy = copy_gone, .encode = encode_gone };

void tr_slots_open(lua_State *L, tr_script *script) {
  lua_createtable(L, 64, 0);
  script->slots_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, 64, 0);
  script->instances_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void tr_slots_close(tr_script *script) {
  tr_free(script->mem, script->slots.next, script->slots.cap * sizeof *script->slots.next);
  tr_free(script->mem, script->instances.next, script->instances.cap * sizeof *script->instances.next);
}
