/* SPDX-License-Identifier: MIT
 * The value tree: built by hand (constructors, push, set), by a source (the builder), or by pack (value_pack.c).
 *
 * A node is one allocation; texts and item lists are a second. Members of a map stay in the order they were first set
 * in; a map of more than INDEX_FROM members gets a hash index, so that building one of n members costs O(n). Freeing
 * goes down and up by the nodes' own `up` pointers: a caller may push arrays into each other as deep as he likes, and
 * no depth of tree can overflow the stack. Walking stops at TR_DEPTH_MAX instead.
 *
 * Read next: sink.h for the model, value_pack.c. */
#include "codec/value.h"

#include <math.h>

#include "base/map.h"
#include "base/text.h"

#ifdef TR_HOSTILE
#define INDEX_FROM 2
#else
#define INDEX_FROM 12
#endif

typedef struct member { tr_slice key; tr_value *value; } member; /* of an array too, which leaves the key empty */

struct tr_value {
  tr_mem *mem;
  tr_value *up; /* while freeing: whose child this is */
  tr_value_kind kind;
  union {
    bool boolean;
    int64_t integer;
    double number;
    struct { char *p; size_t n; } text; /* NUL-terminated */
    struct { member *members; size_t count, cap; tr_map *index; } list; /* index: key → number of the member + 1 */
  } as;
};

/* ---- making ---- */

static tr_value *make(tr_mem *mem, tr_value_kind kind) {
  tr_value *value = TR_NEW(mem, tr_value);
  if (!value) return NULL;
  value->mem = mem;
  value->kind = kind;
  return value;
}

tr_value *tr_value_null(tr_mem *mem) { return make(mem, TR_VALUE_NULL); }
tr_value *tr_value_array(tr_mem *mem) { return make(mem, TR_VALUE_ARRAY); }
tr_value *tr_value_map(tr_mem *mem) { return make(mem, TR_VALUE_MAP); }

tr_value *tr_value_boolean(tr_mem *mem, bool value) {
  tr_value *new = make(mem, TR_VALUE_BOOLEAN);
  if (new) new->as.boolean = value;
  return new;
}

tr_value *tr_value_integer(tr_mem *mem, int64_t value) {
  tr_value *new = make(mem, TR_VALUE_INTEGER);
  if (new) new->as.integer = value;
  return new;
}

tr_value *tr_value_number(tr_mem *mem, double value) {
  tr_value *new = make(mem, TR_VALUE_NUMBER);
  if (new) new->as.number = value;
  return new;
}

static tr_value *make_text(tr_mem *mem, tr_value_kind kind, tr_slice text) {
  tr_value *new = make(mem, kind);
  if (!new) return NULL;
  new->as.text.p = tr_strndup(mem, text.p, text.n);
  new->as.text.n = text.n;
  if (new->as.text.p) return new;
  TR_DELETE(mem, new);
  return NULL;
}

tr_value *tr_value_string(tr_mem *mem, tr_slice utf8) {
  return tr_utf8_valid(utf8) ? make_text(mem, TR_VALUE_STRING, utf8) : NULL;
}
tr_value *tr_value_bytes(tr_mem *mem, tr_slice bytes) { return make_text(mem, TR_VALUE_BYTES, bytes); }

/* ---- freeing ---- */

static bool is_text(const tr_value *value) { return value->kind == TR_VALUE_STRING || value->kind == TR_VALUE_BYTES; }
static bool is_list(const tr_value *value) { return value->kind == TR_VALUE_ARRAY || value->kind == TR_VALUE_MAP; }

static void free_key(tr_mem *mem, tr_slice key) {
  if (key.p) tr_free(mem, (void *)(uintptr_t)key.p, key.n + 1);
}

static void drop_index(tr_value *map) {
  if (!map->as.list.index) return;
  tr_map_fini(map->as.list.index);
  TR_DELETE(map->mem, map->as.list.index);
  map->as.list.index = NULL;
}

static void free_node(tr_value *value) {
  if (is_text(value)) tr_free(value->mem, value->as.text.p, value->as.text.n + 1);
  if (is_list(value)) {
    drop_index(value);
    tr_free(value->mem, value->as.list.members, value->as.list.cap * sizeof(member));
  }
  TR_DELETE(value->mem, value);
}

void tr_value_free(tr_value *value) {
  if (!value) return;
  for (value->up = NULL; value;) {
    if (is_list(value) && value->as.list.count > 0) {
      member *last = &value->as.list.members[--value->as.list.count];
      free_key(value->mem, last->key);
      last->value->up = value;
      value = last->value;
    } else {
      tr_value *up = value->up;
      free_node(value);
      value = up;
    }
  }
}

/* ---- containers ---- */

static member *add_member(tr_value *list) {
  if (list->as.list.count == list->as.list.cap) {
    size_t cap = list->as.list.cap ? list->as.list.cap * 2 : 4;
    if (cap > SIZE_MAX / 2 / sizeof(member)) return NULL;
    size_t old = list->as.list.cap * sizeof(member);
    member *members = tr_realloc(list->mem, list->as.list.members, old, cap * sizeof(member));
    if (!members) return NULL;
    list->as.list.members = members;
    list->as.list.cap = cap;
  }
  return &list->as.list.members[list->as.list.count];
}

int tr_value_push(tr_value *array, tr_value *item) {
  int err = TR_EINVALID;
  if (array && array->kind == TR_VALUE_ARRAY && item) {
    member *place = add_member(array);
    if (place) {
      *place = (member){ .value = item };
      array->as.list.count++;
      return 0;
    }
    err = TR_EMEMORY;
  }
  tr_value_free(item);
  return err;
}

static int index_member(tr_value *map, size_t i) {
  return tr_map_put(map->as.list.index, map->as.list.members[i].key, (void *)(uintptr_t)(i + 1), NULL);
}

/* Called when `count` has been raised. Without memory for an index the map works on, only slower. */
static void update_index(tr_value *map) {
  size_t count = map->as.list.count;
  if (map->as.list.index) {
    if (index_member(map, count - 1)) drop_index(map);
  } else if (count > INDEX_FROM && (count & (count - 1)) == 0) {
    map->as.list.index = TR_NEW(map->mem, tr_map);
    if (!map->as.list.index) return;
    /* Keys may come from outside: where the node lies is no secret worth much, but differs from run to run. */
    tr_map_init(map->as.list.index, map->mem, (uint64_t)(uintptr_t)map);
    for (size_t i = 0; i < count && map->as.list.index; i++)
      if (index_member(map, i)) drop_index(map);
  }
}

static member *find_member(const tr_value *map, tr_slice key) {
  if (map->as.list.index) {
    size_t i = (size_t)(uintptr_t)tr_map_get(map->as.list.index, key);
    return i ? &map->as.list.members[i - 1] : NULL;
  }
  for (size_t i = 0; i < map->as.list.count; i++)
    if (tr_slice_equal(map->as.list.members[i].key, key)) return &map->as.list.members[i];
  return NULL;
}

static int set_new(tr_value *map, tr_slice key, tr_value *item) {
  member *place = add_member(map);
  char *copy = place ? tr_strndup(map->mem, key.p, key.n) : NULL;
  if (!copy) return TR_EMEMORY;
  *place = (member){ .key = { copy, key.n }, .value = item };
  map->as.list.count++;
  update_index(map);
  return 0;
}

int tr_value_set(tr_value *map, tr_slice key, tr_value *item) {
  int err = TR_EINVALID;
  if (map && map->kind == TR_VALUE_MAP && item && tr_utf8_valid(key)) {
    member *there = find_member(map, key);
    if (there) {
      tr_value_free(there->value);
      there->value = item;
      return 0;
    }
    err = set_new(map, key, item);
  }
  if (err) tr_value_free(item);
  return err;
}

/* ---- reading ---- */

tr_value_kind tr_value_get_kind(const tr_value *value) { return value ? value->kind : TR_VALUE_NULL; }

size_t tr_value_length(const tr_value *value) {
  if (!value) return 0;
  return is_text(value) ? value->as.text.n : is_list(value) ? value->as.list.count : 0;
}

const tr_value *tr_value_at(const tr_value *value, size_t i) {
  return value && is_list(value) && i < value->as.list.count ? value->as.list.members[i].value : NULL;
}

tr_slice tr_value_key_at(const tr_value *map, size_t i) {
  if (!map || map->kind != TR_VALUE_MAP || i >= map->as.list.count) return (tr_slice){ 0, 0 };
  return map->as.list.members[i].key;
}

const tr_value *tr_value_get(const tr_value *map, tr_slice key) {
  member *there = map && map->kind == TR_VALUE_MAP ? find_member(map, key) : NULL;
  return there ? there->value : NULL;
}

bool tr_value_as_boolean(const tr_value *value, bool *out) {
  if (!value || value->kind != TR_VALUE_BOOLEAN) return false;
  *out = value->as.boolean;
  return true;
}

bool tr_value_as_integer(const tr_value *value, int64_t *out) {
  if (value && value->kind == TR_VALUE_INTEGER) {
    *out = value->as.integer;
    return true;
  }
  if (!value || value->kind != TR_VALUE_NUMBER || value->as.number != floor(value->as.number)) return false;
  if (value->as.number < -9223372036854775808.0 || value->as.number >= 9223372036854775808.0) return false;
  *out = (int64_t)value->as.number;
  return true;
}

bool tr_value_as_number(const tr_value *value, double *out) {
  if (!value || (value->kind != TR_VALUE_NUMBER && value->kind != TR_VALUE_INTEGER)) return false;
  *out = value->kind == TR_VALUE_NUMBER ? value->as.number : (double)value->as.integer;
  return true;
}

bool tr_value_as_string(const tr_value *value, tr_slice *out) {
  if (!value || !is_text(value)) return false;
  *out = tr_slice_make(value->as.text.p, value->as.text.n);
  return true;
}

/* ---- as a source ---- */

static int walk(const tr_value *value, const tr_sink *sink, tr_error *error, unsigned depth);

static int walk_list(const tr_value *value, const tr_sink *sink, tr_error *error, unsigned depth) {
  bool map = value->kind == TR_VALUE_MAP;
  if (depth >= TR_DEPTH_MAX) return tr_error_set(error, TR_EINVALID, "more than %d levels deep", TR_DEPTH_MAX);
  size_t count = value->as.list.count;
  int err = map ? sink->begin_map(sink->ud, count) : sink->begin_array(sink->ud, count);
  for (size_t i = 0; i < count && !err; i++) {
    const member *item = &value->as.list.members[i];
    if (map) err = sink->key(sink->ud, item->key);
    if (!err) err = walk(item->value, sink, error, depth + 1);
  }
  if (err) return err;
  return map ? sink->end_map(sink->ud) : sink->end_array(sink->ud);
}

static int walk(const tr_value *value, const tr_sink *sink, tr_error *error, unsigned depth) {
  switch (value->kind) {
    case TR_VALUE_NULL: return sink->null(sink->ud);
    case TR_VALUE_BOOLEAN: return sink->boolean(sink->ud, value->as.boolean);
    case TR_VALUE_INTEGER: return sink->integer(sink->ud, value->as.integer);
    case TR_VALUE_NUMBER: return sink->number(sink->ud, value->as.number);
    case TR_VALUE_STRING: return sink->string(sink->ud, tr_slice_make(value->as.text.p, value->as.text.n));
    case TR_VALUE_BYTES: return sink->bytes(sink->ud, tr_slice_make(value->as.text.p, value->as.text.n));
    case TR_VALUE_ARRAY:
    case TR_VALUE_MAP: break;
  }
  return walk_list(value, sink, error, depth);
}

int tr_value_walk(const tr_value *value, const tr_sink *sink, tr_error *error) {
  return value ? walk(value, sink, error, 0) : sink->null(sink->ud);
}

/* ---- as a sink ---- */

static int no_memory(tr_value_builder *builder) { return tr_error_set(builder->error, TR_EMEMORY, "out of memory"); }

/* own: takes new, which may be NULL (no memory). */
static int place(tr_value_builder *builder, tr_value *new) {
  if (!new) return no_memory(builder);
  if (builder->depth == 0) {
    if (builder->root) {
      tr_value_free(new);
      return tr_error_set(builder->error, TR_EINVALID, "a second value");
    }
    builder->root = new;
    return 0;
  }
  tr_value *in = builder->stack[builder->depth - 1];
  tr_slice key = { 0, 0 };
  int err;
  if (in->kind == TR_VALUE_ARRAY) {
    err = tr_value_push(in, new);
  } else if (!builder->key) {
    tr_value_free(new);
    return tr_error_set(builder->error, TR_EINVALID, "a value without a key");
  } else {
    tr_value_as_string(builder->key, &key);
    err = tr_value_set(in, key, new);
    tr_value_free(builder->key);
    builder->key = NULL;
  }
  return err ? tr_error_set(builder->error, err, err == TR_EMEMORY ? "out of memory" : "a key that is not UTF-8") : 0;
}

static int open_list(tr_value_builder *builder, tr_value *new) {
  if (builder->depth == TR_DEPTH_MAX) {
    tr_value_free(new);
    return tr_error_set(builder->error, TR_EINVALID, "more than %d levels deep", TR_DEPTH_MAX);
  }
  int err = place(builder, new);
  if (!err) builder->stack[builder->depth++] = new;
  return err;
}

static int close_list(tr_value_builder *builder, tr_value_kind kind) {
  if (builder->depth == 0 || builder->stack[builder->depth - 1]->kind != kind || builder->key)
    return tr_error_set(builder->error, TR_EINVALID, "an end without a begin");
  builder->depth--;
  return 0;
}

static tr_mem *mem_of(void *ud) { return ((tr_value_builder *)ud)->mem; }

static int on_null(void *ud) { return place(ud, tr_value_null(mem_of(ud))); }
static int on_boolean(void *ud, bool value) { return place(ud, tr_value_boolean(mem_of(ud), value)); }
static int on_integer(void *ud, int64_t value) { return place(ud, tr_value_integer(mem_of(ud), value)); }
static int on_number(void *ud, double value) { return place(ud, tr_value_number(mem_of(ud), value)); }
static int on_string(void *ud, tr_slice utf8) { return place(ud, make_text(mem_of(ud), TR_VALUE_STRING, utf8)); }
static int on_bytes(void *ud, tr_slice bytes) { return place(ud, tr_value_bytes(mem_of(ud), bytes)); }
static int on_begin_array(void *ud, size_t count) { return (void)count, open_list(ud, tr_value_array(mem_of(ud))); }
static int on_begin_map(void *ud, size_t count) { return (void)count, open_list(ud, tr_value_map(mem_of(ud))); }
static int on_end_array(void *ud) { return close_list(ud, TR_VALUE_ARRAY); }
static int on_end_map(void *ud) { return close_list(ud, TR_VALUE_MAP); }

static int on_key(void *ud, tr_slice utf8) {
  tr_value_builder *builder = ud;
  if (builder->key || builder->depth == 0 || builder->stack[builder->depth - 1]->kind != TR_VALUE_MAP)
    return tr_error_set(builder->error, TR_EINVALID, "a key where none belongs");
  builder->key = make_text(builder->mem, TR_VALUE_STRING, utf8);
  return builder->key ? 0 : no_memory(builder);
}

void tr_value_builder_init(tr_value_builder *builder, tr_mem *mem, tr_error *error) {
  builder->mem = mem;
  builder->error = error;
  builder->root = builder->key = NULL;
  builder->depth = 0;
}

tr_sink tr_value_sink(tr_value_builder *builder) {
  return (tr_sink){ .null = on_null, .boolean = on_boolean, .integer = on_integer, .number = on_number,
                    .string = on_string, .bytes = on_bytes, .begin_array = on_begin_array, .end_array = on_end_array,
                    .begin_map = on_begin_map, .key = on_key, .end_map = on_end_map, .ud = builder };
}

tr_value *tr_value_builder_take(tr_value_builder *builder) {
  if (builder->depth > 0) return NULL;
  tr_value *root = builder->root;
  builder->root = NULL;
  return root;
}

void tr_value_builder_fini(tr_value_builder *builder) {
  tr_value_free(builder->key);
  tr_value_free(builder->root); /* what is on the stack hangs on it */
  tr_value_builder_init(builder, builder->mem, builder->error);
}
