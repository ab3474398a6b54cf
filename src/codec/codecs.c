/* SPDX-License-Identifier: MIT
 * What a runtime knows about bodies: descriptor sets and serializers.
 *
 * A pool of message types only grows, but a script that is reloaded may bring a changed set. So each set is kept as bytes under
 * its name, and where one is replaced, a new pool is made of all of them; it takes the place of the old one only if that went
 * well. Nobody keeps a type from one message to the next, so that is safe.
 *
 * Serializers are numbered, since a body that was encoded carries the number of who can read it (core/message.h). */
#include "codec/codecs.h"

#include "base/map.h"

typedef struct set { tr_link link; char *name, *bytes; size_t name_length, length; } set;
typedef struct plugged { tr_serializer public; size_t key_length; char key[]; } plugged; /* key: type NUL content type */

struct tr_codecs {
  tr_mem *mem;
  uint64_t seed;
  tr_proto_pool *pool;
  tr_link sets;
  size_t n_sets;
  uint64_t loads; /* changes that stay */
  bool has_types;
  plugged **serializers;
  size_t count, cap;
  tr_map by_key; /* → number */
};

tr_codecs *tr_codecs_new(tr_mem *mem, uint64_t seed) {
  tr_codecs *codecs = TR_NEW(mem, tr_codecs);
  if (!codecs) return NULL;
  codecs->mem = mem;
  codecs->seed = seed;
  tr_list_init(&codecs->sets);
  tr_map_init(&codecs->by_key, mem, seed);
  return codecs;
}

static void free_set(tr_mem *mem, set *s) {
  if (!s) return;
  if (s->name) tr_free(mem, s->name, s->name_length + 1);
  if (s->bytes) tr_free(mem, s->bytes, s->length + 1);
  TR_DELETE(mem, s);
}

static void free_serializer(tr_mem *mem, plugged *s) {
  if (s->public.ops.release) s->public.ops.release(s->public.ops.ud);
  tr_free(mem, s, sizeof *s + s->key_length);
}

void tr_codecs_free(tr_codecs *codecs) {
  if (!codecs) return;
  for (tr_link *link; (link = tr_list_pop(&codecs->sets));) free_set(codecs->mem, TR_CONTAINER(link, set, link));
  for (size_t i = 0; i < codecs->count; i++) free_serializer(codecs->mem, codecs->serializers[i]);
  tr_free(codecs->mem, codecs->serializers, codecs->cap * sizeof *codecs->serializers);
  tr_map_fini(&codecs->by_key);
  tr_proto_pool_free(codecs->pool);
  TR_DELETE(codecs->mem, codecs);
}

/* ---- message types ---- */

static int no_memory(tr_error *error) { return tr_error_set(error, TR_EMEMORY, "out of memory"); }

static set *find_set(const tr_codecs *codecs, tr_slice name) {
  for (tr_link *link = codecs->sets.next; link != &codecs->sets; link = link->next) {
    set *s = TR_CONTAINER(link, set, link);
    if (tr_slice_equal(tr_slice_make(s->name, s->name_length), name)) return s;
  }
  return NULL;
}

static set *new_set(tr_mem *mem, tr_slice name, tr_slice bytes) {
  set *s = TR_NEW(mem, set);
  if (!s) return NULL;
  s->name = tr_strndup(mem, name.p, name.n);
  s->name_length = name.n;
  s->bytes = tr_strndup(mem, bytes.p ? bytes.p : "", bytes.n);
  s->length = bytes.n;
  if (s->name && s->bytes) return s;
  free_set(mem, s);
  return NULL;
}

static int add_to(tr_proto_pool *pool, tr_slice name, tr_slice bytes, tr_error *error) {
  tr_error why;
  tr_error_init(&why);
  int rc = tr_proto_pool_add(pool, bytes, &why);
  return rc ? tr_error_set(error, rc, "%.*s: %s", TR_SLICE_ARG(name), why.text) : 0;
}

/* A pool of all sets, with `bytes` in the place of `old`. */
static int build(const tr_codecs *codecs, const set *old, tr_slice bytes, tr_proto_pool **out, tr_error *error) {
  tr_proto_pool *pool = tr_proto_pool_new(codecs->mem, codecs->seed);
  if (!pool) return no_memory(error);
  int rc = 0;
  for (tr_link *link = codecs->sets.next; link != &codecs->sets && !rc; link = link->next) {
    const set *s = TR_CONTAINER(link, set, link);
    rc = add_to(pool, tr_slice_make(s->name, s->name_length), s == old ? bytes : tr_slice_make(s->bytes, s->length), error);
  }
  if (rc) tr_proto_pool_free(pool);
  else *out = pool;
  return rc;
}

static int replace(tr_codecs *codecs, set *old, tr_slice bytes, tr_error *error) {
  tr_proto_pool *pool = NULL;
  if (tr_slice_equal(tr_slice_make(old->bytes, old->length), bytes)) return 0;
  char *copy = tr_strndup(codecs->mem, bytes.p ? bytes.p : "", bytes.n);
  if (!copy) return no_memory(error);
  int rc = build(codecs, old, bytes, &pool, error);
  if (rc) {
    tr_free(codecs->mem, copy, bytes.n + 1);
    return rc;
  }
  tr_proto_pool_free(codecs->pool);
  codecs->pool = pool;
  tr_free(codecs->mem, old->bytes, old->length + 1);
  old->bytes = copy;
  old->length = bytes.n;
  codecs->loads++;
  return 0;
}

static int check_set(const tr_codecs *codecs, const set *old, tr_slice name, tr_slice bytes, tr_error *error) {
  if (bytes.n > TR_CODECS_SET_MAX)
    return tr_error_set(error, TR_ETOO_LARGE, "%.*s: a descriptor set of more than %u MiB", TR_SLICE_ARG(name),
                        TR_CODECS_SET_MAX >> 20);
  if (!old && codecs->n_sets >= TR_CODECS_SETS)
    return tr_error_set(error, TR_ELIMIT, "%.*s: more than %d descriptor sets", TR_SLICE_ARG(name), TR_CODECS_SETS);
  return 0;
}

int tr_codecs_load(tr_codecs *codecs, tr_slice name, tr_slice bytes, tr_error *error) {
  set *s = find_set(codecs, name);
  int rc = check_set(codecs, s, name, bytes, error);
  if (rc) return rc;
  if (s) return replace(codecs, s, bytes, error);
  if (!codecs->pool) codecs->pool = tr_proto_pool_new(codecs->mem, codecs->seed);
  s = codecs->pool ? new_set(codecs->mem, name, bytes) : NULL;
  if (!s) return no_memory(error);
  rc = add_to(codecs->pool, name, bytes, error);
  if (rc) {
    free_set(codecs->mem, s);
    return rc;
  }
  tr_list_push(&codecs->sets, &s->link);
  codecs->n_sets++;
  codecs->loads++;
  codecs->has_types = true;
  return 0;
}

/* ---- what may be taken back ---- */

typedef struct step { tr_link link; set *set; char *bytes; size_t length; tr_proto_pool *pool, *next; uint64_t loads; } step; /* before it; bytes NULL: the set is new. next: after it */

static void free_step(tr_mem *mem, step *self) {
  if (self->bytes) tr_free(mem, self->bytes, self->length + 1);
  tr_proto_pool_free(self->pool);
  TR_DELETE(mem, self);
}

static void drop_set(tr_codecs *codecs, set *s) {
  tr_link_remove(&s->link);
  free_set(codecs->mem, s);
  codecs->has_types = --codecs->n_sets > 0;
}

/* The pool of all sets with this one, old or new, takes the place of what is kept in the step. */
static int go_on(tr_codecs *codecs, step *self, tr_slice bytes, tr_error *error) {
  char *copy = tr_strndup(codecs->mem, bytes.p ? bytes.p : "", bytes.n);
  int rc = copy ? build(codecs, self->set, bytes, &self->next, error) : no_memory(error);
  if (rc) {
    if (copy) tr_free(codecs->mem, copy, bytes.n + 1);
    return rc;
  }
  self->bytes = self->set->bytes;
  self->length = self->set->length;
  self->set->bytes = copy;
  self->set->length = bytes.n;
  self->pool = codecs->pool;
  self->loads = codecs->loads;
  codecs->pool = self->next;
  return 0;
}

int tr_codecs_try(tr_codecs *codecs, tr_slice name, tr_slice bytes, tr_link *steps, tr_error *error) {
  set *s = find_set(codecs, name);
  if (s && tr_slice_equal(tr_slice_make(s->bytes, s->length), bytes)) return 0;
  int rc = check_set(codecs, s, name, bytes, error);
  if (rc) return rc;
  bool fresh = s == NULL;
  step *self = TR_NEW(codecs->mem, step);
  if (self && fresh && (s = new_set(codecs->mem, name, bytes)) != NULL) {
    tr_list_push(&codecs->sets, &s->link);
    codecs->n_sets++;
  }
  if (self) self->set = s;
  rc = self && s ? go_on(codecs, self, bytes, error) : no_memory(error);
  if (rc && fresh && s) drop_set(codecs, s);
  if (rc && self) free_step(codecs->mem, self);
  if (rc) return rc;
  if (fresh) {
    tr_free(codecs->mem, self->bytes, self->length + 1);
    self->bytes = NULL;
  }
  codecs->has_types = true;
  tr_list_push(steps, &self->link);
  return 0;
}

static void take_back(tr_codecs *codecs, step *self) {
  set *s = self->set;
  if (codecs->loads != self->loads || codecs->pool != self->next) return; /* others have loaded since, maybe into this very pool */
  codecs->pool = self->pool;
  self->pool = self->next;
  if (!self->bytes) {
    drop_set(codecs, s);
    return;
  }
  char *bytes = s->bytes;
  size_t length = s->length;
  s->bytes = self->bytes;
  s->length = self->length;
  self->bytes = bytes;
  self->length = length;
}

void tr_codecs_end(tr_codecs *codecs, tr_link *steps, bool keep) {
  while (!tr_list_empty(steps)) {
    step *self = TR_CONTAINER(steps->prev, step, link);
    tr_link_remove(&self->link);
    if (!keep) take_back(codecs, self);
    free_step(codecs->mem, self);
  }
}

const bool *tr_codecs_has_types(const tr_codecs *codecs) { return &codecs->has_types; }
const tr_proto_pool *tr_codecs_pool(const tr_codecs *codecs) { return codecs && codecs->n_sets ? codecs->pool : NULL; }

const tr_proto_type *tr_codecs_type(const tr_codecs *codecs, tr_slice full_name) {
  const tr_proto_pool *pool = tr_codecs_pool(codecs);
  return pool ? tr_proto_pool_find(pool, full_name) : NULL;
}

static bool ends_with_part(tr_slice full, tr_slice part) {
  return full.n > part.n && full.p[full.n - part.n - 1] == '.' && memcmp(full.p + full.n - part.n, part.p, part.n) == 0;
}

const tr_proto_type *tr_codecs_type_like(const tr_codecs *codecs, tr_slice name) {
  const tr_proto_pool *pool = tr_codecs_pool(codecs);
  const tr_proto_type *exact = pool ? tr_proto_pool_find(pool, name) : NULL, *found = NULL, *type;
  if (exact || !pool || name.n == 0) return exact;
  for (size_t at = 0; (type = tr_proto_pool_next(pool, &at));) {
    if (!ends_with_part(tr_proto_type_name(type), name)) continue;
    if (found) return NULL;
    found = type;
  }
  return found;
}

/* What nobody here knows: kept as it is. */
static int read_unknown(tr_slice name, tr_slice message, const tr_sink *sink, tr_mem *mem, tr_error *error) {
  tr_buf url;
  tr_buf_init(&url, mem);
  tr_buf_text(&url, TR_PROTO_URL);
  tr_buf_slice(&url, name);
  int rc = url.failed ? no_memory(error) : sink->begin_map(sink->ud, 2);
  if (!rc) rc = sink->key(sink->ud, TR_SLICE_LITERAL("type_url"));
  if (!rc) rc = sink->string(sink->ud, tr_buf_view(&url));
  if (!rc) rc = sink->key(sink->ud, TR_SLICE_LITERAL("value"));
  if (!rc) rc = sink->bytes(sink->ud, message);
  if (!rc) rc = sink->end_map(sink->ud);
  tr_buf_fini(&url);
  return rc;
}

int tr_codecs_read(tr_mem *mem, const tr_codecs *codecs, tr_slice any, const tr_sink *sink, tr_error *error) {
  tr_slice name, message;
  int rc = tr_proto_unwrap(any, &name, &message, error);
  if (rc) return rc;
  const tr_proto_type *type = tr_codecs_type(codecs, name);
  return type ? tr_proto_parse(mem, type, message, sink, error) : read_unknown(name, message, sink, mem, error);
}

/* ---- serializers ---- */

static bool is_content_type(tr_slice text) {
  size_t slashes = 0;
  for (size_t i = 0; i < text.n; i++) {
    slashes += text.p[i] == '/';
    if (text.p[i] <= ' ' || text.p[i] > '~') return false;
  }
  return slashes == 1 && text.n >= 3 && text.n <= TR_CONTENT_TYPE_MAX && text.p[0] != '/' && text.p[text.n - 1] != '/';
}

static int check(tr_slice type, tr_slice content_type, const tr_serializer_ops *ops, tr_error *error) {
  if (type.n == 0) return tr_error_set(error, TR_EINVALID, "a serializer needs a message type (\"*\": any)");
  if (!is_content_type(content_type))
    return tr_error_set(error, TR_EINVALID, "\"%.*s\" is not a content type (like \"application/cbor\")", TR_SLICE_ARG(content_type));
  if (tr_slice_is(content_type, "application/x-protobuf"))
    return tr_error_set(error, TR_EINVALID, "application/x-protobuf is read and written by descriptor sets, not by a serializer");
  if (!ops->encode || !ops->decode) return tr_error_set(error, TR_EINVALID, "a serializer needs encode and decode");
  return 0;
}

static plugged *new_serializer(tr_mem *mem, tr_slice type, tr_slice content_type, const tr_serializer_ops *ops) {
  size_t n = type.n + 1 + content_type.n;
  plugged *s = tr_calloc(mem, 1, sizeof *s + n);
  if (!s) return NULL;
  s->key_length = n;
  memcpy(s->key, type.p, type.n);
  memcpy(s->key + type.n + 1, content_type.p, content_type.n);
  s->public = (tr_serializer){ *ops, tr_slice_make(s->key, type.n), tr_slice_make(s->key + type.n + 1, content_type.n) };
  return s;
}

static uint32_t find(const tr_codecs *codecs, tr_slice type, tr_slice content_type) {
  char key[512];
  size_t n = type.n + 1 + content_type.n;
  if (n > sizeof key) return 0;
  memcpy(key, type.p, type.n);
  key[type.n] = 0;
  if (content_type.n) memcpy(key + type.n + 1, content_type.p, content_type.n);
  return (uint32_t)(uintptr_t)tr_map_get(&codecs->by_key, tr_slice_make(key, n));
}

static int make_room(tr_codecs *codecs) {
  if (codecs->count < codecs->cap) return 0;
  size_t cap = codecs->cap ? codecs->cap * 2 : 8;
  plugged **grown = tr_realloc(codecs->mem, codecs->serializers, codecs->cap * sizeof *grown, cap * sizeof *grown);
  if (!grown) return TR_EMEMORY;
  codecs->serializers = grown;
  codecs->cap = cap;
  return 0;
}

int tr_codecs_add(tr_codecs *codecs, tr_slice type, tr_slice content_type, const tr_serializer_ops *ops, tr_error *error) {
  int rc = check(type, content_type, ops, error);
  if (rc) return rc;
  if (type.n > 300) return tr_error_set(error, TR_EINVALID, "the message type of a serializer is longer than 300 bytes");
  uint32_t number = find(codecs, type, content_type);
  if (!number && codecs->count >= TR_SERIALIZERS_MAX)
    return tr_error_set(error, TR_ELIMIT, "more than %d serializers", TR_SERIALIZERS_MAX);
  plugged *s = new_serializer(codecs->mem, type, content_type, ops);
  if (!s) return no_memory(error);
  size_t at = number ? number - 1 : codecs->count;
  tr_slice key = { s->key, s->key_length };
  if ((!number && make_room(codecs)) || tr_map_put(&codecs->by_key, key, (void *)(uintptr_t)(at + 1), NULL)) {
    tr_free(codecs->mem, s, sizeof *s + s->key_length);
    return no_memory(error);
  }
  plugged *old = number ? codecs->serializers[at] : NULL;
  codecs->serializers[at] = s;
  codecs->count += !number;
  if (old) free_serializer(codecs->mem, old);
  return 0;
}

size_t tr_codecs_count(const tr_codecs *codecs) { return codecs ? codecs->count : 0; }

uint32_t tr_codecs_find(const tr_codecs *codecs, tr_slice type, tr_slice content_type) {
  if (!tr_codecs_count(codecs)) return 0;
  uint32_t number = find(codecs, type, content_type);
  return number ? number : find(codecs, TR_SLICE_LITERAL("*"), content_type);
}

const tr_serializer *tr_codecs_at(const tr_codecs *codecs, uint32_t number) {
  return codecs && number > 0 && number <= codecs->count ? &codecs->serializers[number - 1]->public : NULL;
}
