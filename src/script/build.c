/* SPDX-License-Identifier: MIT
 * From any source into Lua: JSON from the wire for a handler, and values from C.
 *
 * The sink builds on a Lua stack, and each of its steps may raise out of memory through the source's frames. For
 * decoding that is made harmless by giving the parser an arena whose blocks are freed after the pcall that is around
 * it all. A source that is not ours (the builder of script.h) must never be jumped over: there each single step is
 * protected, and the half-made value lies on a Lua thread of its own between the steps. */
#include "base/text.h"
#include "codec/json.h"
#include "codec/native.h"
#include "script/internal.h"

typedef struct lua_sink {
  lua_State *L; /* where the value grows */
  bool keep_nulls, nulls; /* nulls: there was one that is a map's member */
  unsigned depth;
  int64_t at[TR_DEPTH_MAX + 1]; /* items so far; -1: a map */
  tr_error *error;
} lua_sink;

static int put(lua_sink *sink) {
  if (sink->depth == 0) return 0;
  int64_t *at = &sink->at[sink->depth];
  if (*at >= 0) lua_rawseti(sink->L, -2, ++*at);
  else lua_rawset(sink->L, -3);
  return 0;
}

static int put_null(void *ud) {
  lua_sink *sink = ud;
  if (sink->depth > 0 && sink->at[sink->depth] < 0) sink->nulls = true;
  /* A member that is null is absent; if it was there with another value, the last one counts. */
  if (sink->keep_nulls || (sink->depth > 0 && sink->at[sink->depth] >= 0)) lua_pushlightuserdata(sink->L, NULL);
  else lua_pushnil(sink->L);
  return put(sink);
}
static int put_boolean(void *ud, bool value) {
  lua_sink *sink = ud;
  lua_pushboolean(sink->L, value);
  return put(sink);
}
static int put_integer(void *ud, int64_t value) {
  lua_sink *sink = ud;
  lua_pushinteger(sink->L, value);
  return put(sink);
}
static int put_number(void *ud, double value) {
  lua_sink *sink = ud;
  lua_pushnumber(sink->L, value);
  return put(sink);
}
static int put_string(void *ud, tr_slice utf8) {
  lua_sink *sink = ud;
  lua_pushlstring(sink->L, utf8.p, utf8.n);
  return put(sink);
}
static int put_bytes(void *ud, tr_slice bytes) {
  lua_sink *sink = ud;
  tr_bytes_push(sink->L, bytes);
  return put(sink);
}
static int begin(lua_sink *sink, int64_t at) {
  if (sink->depth >= TR_DEPTH_MAX) return tr_error_set(sink->error, TR_EINVALID, "deeper than %d levels", TR_DEPTH_MAX);
  if (!lua_checkstack(sink->L, 8)) return tr_error_set(sink->error, TR_EMEMORY, "out of memory");
  sink->at[++sink->depth] = at;
  return 0;
}
static int begin_array(void *ud, size_t count) {
  lua_sink *sink = ud;
  int rc = begin(sink, 0);
  if (!rc) lua_createtable(sink->L, count < 65536 ? (int)count : 4, 0);
  return rc;
}
static int end_array(void *ud) {
  lua_sink *sink = ud;
  if (sink->at[sink->depth] == 0) tr_mark_array(sink->L);
  sink->depth--;
  return put(sink);
}
static int begin_map(void *ud, size_t count) {
  lua_sink *sink = ud;
  int rc = begin(sink, -1);
  if (!rc) lua_createtable(sink->L, 0, count < 65536 ? (int)count : 4);
  return rc;
}
static int put_key(void *ud, tr_slice utf8) {
  lua_sink *sink = ud;
  lua_pushlstring(sink->L, utf8.p, utf8.n);
  return 0;
}
static int end_map(void *ud) {
  lua_sink *sink = ud;
  sink->depth--;
  return put(sink);
}

static tr_sink sink_of(lua_sink *sink) {
  return (tr_sink){ put_null, put_boolean, put_integer, put_number, put_string, put_bytes,
                    begin_array, end_array, begin_map, put_key, end_map, sink };
}

/* --- an arena: what the parser took when it was jumped over --- */

typedef struct arena { tr_mem mem, *under; tr_link blocks; } arena;
typedef struct arena_block { tr_link link; size_t size; } arena_block;

static void *arena_realloc(void *ud, void *ptr, size_t old_size, size_t new_size) {
  arena *self = ud;
  arena_block *old = ptr ? (arena_block *)ptr - 1 : NULL, *block;
  if (old) tr_link_remove(&old->link);
  if (new_size == 0) {
    if (old) tr_free(self->under, old, sizeof *old + old->size);
    return NULL;
  }
  if (old) block = tr_realloc(self->under, old, sizeof *old + old->size, sizeof *block + new_size);
  else block = tr_alloc(self->under, sizeof *block + new_size);
  (void)old_size;
  if (!block) {
    if (old) tr_list_push(&self->blocks, &old->link);
    return NULL;
  }
  block->size = new_size;
  tr_list_push(&self->blocks, &block->link);
  return block + 1;
}

static void arena_fini(arena *self) {
  for (tr_link *link; (link = tr_list_pop(&self->blocks));) {
    arena_block *block = TR_CONTAINER(link, arena_block, link);
    tr_free(self->under, block, sizeof *block + block->size);
  }
}

/* --- decoding --- */

typedef struct decode_call {
  const tr_body *body;
  const tr_value *value; /* of TR_FORMAT_OTHER */
  tr_mem *mem;
  bool keep_nulls;
  tr_error *error;
  int rc;
} decode_call;

static int decode_main(lua_State *L) {
  decode_call *call = lua_touserdata(L, 1);
  lua_sink state = { .L = L, .keep_nulls = call->keep_nulls, .error = call->error };
  tr_sink sink = sink_of(&state);
  tr_slice bytes = tr_blob_view(call->body->bytes);
  lua_settop(L, 0);
  if (call->value) call->rc = tr_value_walk(call->value, &sink, call->error);
  else if (call->body->format == TR_FORMAT_PROTOBUF)
    call->rc = tr_codecs_read(call->mem, tr_script_of(L)->codecs, bytes, &sink, call->error);
  else call->rc = tr_json_parse(call->mem, bytes, &sink, call->error);
  return call->rc ? 0 : 1;
}

static int decode_safely(lua_State *L, const tr_body *body, const tr_value *value, bool keep_nulls, tr_error *error) {
  arena memory = { .mem = { .realloc_fn = arena_realloc }, .under = tr_script_of(L)->mem };
  memory.mem.ud = &memory;
  tr_list_init(&memory.blocks);
  decode_call call = { body, value, &memory.mem, keep_nulls, error, 0 };
  lua_pushcfunction(L, decode_main);
  lua_pushlightuserdata(L, &call);
  int status = lua_pcall(L, 1, 1, 0);
  arena_fini(&memory);
  if (status != LUA_OK) call.rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (call.rc) lua_pop(L, 1);
  return call.rc;
}

static int decode_other(lua_State *L, const tr_body *body, bool keep_nulls, tr_error *error) {
  tr_value *value = tr_other_read(tr_script_of(L), body, error);
  if (!value) return error->code;
  int rc = decode_safely(L, body, value, keep_nulls, error);
  tr_value_free(value);
  return rc;
}

int tr_decode(lua_State *L, const tr_body *body, bool keep_nulls, tr_error *error) {
  tr_slice bytes = tr_blob_view(body->bytes);
  switch (body->format) {
  case TR_FORMAT_TEXT:
    if (!tr_utf8_valid(bytes)) return tr_error_set(error, TR_EINVALID, "body: text that is not UTF-8");
    lua_pushlstring(L, bytes.p, bytes.n);
    return 0;
  case TR_FORMAT_BYTES: tr_bytes_push(L, bytes); return 0;
  case TR_FORMAT_NATIVE: return tr_decode_native(L, bytes, keep_nulls, error);
  case TR_FORMAT_OTHER: return decode_other(L, body, keep_nulls, error);
  default: return decode_safely(L, body, NULL, keep_nulls, error);
  }
}

/* The parser holds nothing, so the sink may raise through it. */
int tr_decode_native(lua_State *L, tr_slice bytes, bool keep_nulls, tr_error *error) {
  int top = lua_gettop(L);
  lua_sink state = { .L = L, .keep_nulls = keep_nulls, .error = error };
  tr_sink sink = sink_of(&state);
  tr_need_stack(L, 8);
  int rc = tr_native_parse(bytes, &sink, error);
  if (rc) lua_settop(L, top);
  return rc;
}

typedef struct native_call { tr_slice bytes; bool nulls; tr_error *error; } native_call;

static int read_native(lua_State *L, void *ud) {
  native_call *call = ud;
  lua_sink state = { .L = L, .keep_nulls = true, .error = call->error };
  tr_sink sink = sink_of(&state);
  tr_need_stack(L, 8);
  int rc = tr_native_parse(call->bytes, &sink, call->error);
  call->nulls = state.nulls;
  return rc;
}

uint32_t tr_script_read_native(tr_script *script, tr_slice bytes, tr_error *error) {
  native_call call = { bytes, false, error };
  uint32_t slot;
  if (tr_slot_make(script, read_native, &call, &slot, error)) return 0;
  if (call.nulls) script->slots.next[slot] |= TR_SLOT_NULLS;
  return slot;
}

int tr_value_into(const tr_value *value, lua_State *L, bool keep_nulls, tr_error *error) {
  lua_sink state = { .L = L, .keep_nulls = keep_nulls, .error = error };
  tr_sink sink = sink_of(&state);
  return tr_value_walk(value, &sink, error);
}

int tr_walk_into(lua_State *from, int at, lua_State *L, bool keep_nulls, tr_error *error) {
  lua_sink state = { .L = L, .keep_nulls = keep_nulls, .error = error };
  tr_sink sink = sink_of(&state);
  tr_need_stack(L, 8);
  return tr_walk(from, at, &sink, error);
}

/* --- the builder --- */

struct tr_script_builder {
  tr_script *script;
  int thread_ref;
  uint32_t parcel; /* whose account the body is on */
  lua_sink sink;   /* on the thread */
  bool broken;
  uint64_t size; /* as in tr_body */
};

/* One step of the source, to be made under protection. */
typedef struct step {
  tr_script_builder *builder;
  enum {
    STEP_NULL, STEP_BOOLEAN, STEP_INTEGER, STEP_NUMBER, STEP_STRING, STEP_BYTES,
    STEP_ARRAY, STEP_ARRAY_END, STEP_MAP, STEP_KEY, STEP_MAP_END
  } kind;
  union { bool boolean; int64_t integer; double number; tr_slice text; size_t count; } u;
} step;

static int step_main(lua_State *L, void *ud) {
  const step *self = ud;
  lua_sink *sink = &self->builder->sink;
  (void)L;
  if (!lua_checkstack(sink->L, 8)) return TR_EMEMORY;
  switch (self->kind) {
  case STEP_NULL: return put_null(sink);
  case STEP_BOOLEAN: return put_boolean(sink, self->u.boolean);
  case STEP_INTEGER: return put_integer(sink, self->u.integer);
  case STEP_NUMBER: return put_number(sink, self->u.number);
  case STEP_STRING: return put_string(sink, self->u.text);
  case STEP_BYTES: return put_bytes(sink, self->u.text);
  case STEP_ARRAY: return begin_array(sink, self->u.count);
  case STEP_ARRAY_END: return end_array(sink);
  case STEP_MAP: return begin_map(sink, self->u.count);
  case STEP_KEY: return put_key(sink, self->u.text);
  default: return end_map(sink);
  }
}

static uint64_t step_size(const step *self) {
  switch (self->kind) {
  case STEP_ARRAY_END:
  case STEP_MAP_END: return 0;
  case STEP_KEY: return self->u.text.n;
  case STEP_STRING:
  case STEP_BYTES: return TR_VALUE_SIZE + self->u.text.n;
  default: return TR_VALUE_SIZE;
  }
}

static int take_step(step *self) {
  tr_script_builder *builder = self->builder;
  if (builder->broken) return TR_EMEMORY;
  builder->size += step_size(self);
  uint32_t owner = builder->script->owner;
  builder->script->owner = builder->parcel;
  int rc = tr_script_protect(builder->script, step_main, self, builder->sink.error);
  builder->script->owner = owner;
  if (rc) builder->broken = true;
  return rc;
}

static int build_null(void *ud) { return take_step(&(step){ ud, STEP_NULL, { .boolean = false } }); }
static int build_boolean(void *ud, bool value) { return take_step(&(step){ ud, STEP_BOOLEAN, { .boolean = value } }); }
static int build_integer(void *ud, int64_t value) {
  return take_step(&(step){ ud, STEP_INTEGER, { .integer = value } });
}
static int build_number(void *ud, double value) { return take_step(&(step){ ud, STEP_NUMBER, { .number = value } }); }
static int build_string(void *ud, tr_slice utf8) { return take_step(&(step){ ud, STEP_STRING, { .text = utf8 } }); }
static int build_bytes(void *ud, tr_slice bytes) { return take_step(&(step){ ud, STEP_BYTES, { .text = bytes } }); }
static int build_array(void *ud, size_t count) { return take_step(&(step){ ud, STEP_ARRAY, { .count = count } }); }
static int build_array_end(void *ud) { return take_step(&(step){ ud, STEP_ARRAY_END, { .boolean = false } }); }
static int build_map(void *ud, size_t count) { return take_step(&(step){ ud, STEP_MAP, { .count = count } }); }
static int build_key(void *ud, tr_slice utf8) { return take_step(&(step){ ud, STEP_KEY, { .text = utf8 } }); }
static int build_map_end(void *ud) { return take_step(&(step){ ud, STEP_MAP_END, { .boolean = false } }); }

static int make_thread(lua_State *L, void *ud) {
  tr_script_builder *builder = ud;
  builder->sink.L = lua_newthread(L);
  builder->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

tr_script_builder *tr_script_build_begin(tr_script *script, tr_error *error) {
  tr_script_builder *builder = TR_NEW(script->mem, tr_script_builder);
  if (!builder) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  builder->script = script;
  builder->sink.keep_nulls = true; /* the receiver drops them */
  builder->sink.error = error;
  builder->parcel = tr_parcel_begin(script);
  if (!tr_script_protect(script, make_thread, builder, error)) return builder;
  tr_parcel_end(script, builder->parcel);
  TR_DELETE(script->mem, builder);
  return NULL;
}

tr_sink tr_script_build_sink(tr_script_builder *builder) {
  return (tr_sink){ build_null, build_boolean, build_integer, build_number, build_string, build_bytes,
                    build_array, build_array_end, build_map, build_key, build_map_end, builder };
}

typedef struct end_call { tr_script_builder *builder; uint32_t slot; } end_call;

static int keep(lua_State *L, void *ud) {
  end_call *call = ud;
  tr_script *script = call->builder->script;
  tr_push_ref(L, script->slots_ref);
  lua_xmove(call->builder->sink.L, L, 1);
  call->slot = tr_slot_new(L, &script->slots, lua_gettop(L) - 1);
  script->slots.next[call->slot] |= TR_SLOT_NULLS; /* it may: a look is not worth it */
  return 0;
}

void tr_script_build_end(tr_script_builder *builder, tr_body *body) {
  tr_script *script = builder->script;
  lua_State *L = script->L;
  end_call call = { builder, 0 };
  bool whole = !builder->broken && builder->sink.depth == 0 && lua_gettop(builder->sink.L) == 1;
  if (whole) tr_script_protect(script, keep, &call, builder->sink.error);
  uint32_t parcel = tr_parcel_end(script, builder->parcel);
  if (lua_checkstack(L, 4)) luaL_unref(L, LUA_REGISTRYINDEX, builder->thread_ref);
  if (call.slot) {
    script->slots.next[call.slot] |= parcel << TR_SLOT_PARCEL;
    body->kind = TR_BODY_SLOT;
    body->slot = call.slot;
    body->size = builder->size;
  }
  TR_DELETE(script->mem, builder);
}
