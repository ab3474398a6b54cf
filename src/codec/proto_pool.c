/* SPDX-License-Identifier: MIT
 * The pool of message types. A set is added whole or not at all: its files and types are put into the pool's tables as
 * they are read, so that the set may refer to itself and to earlier ones, and are taken out again if anything fails.
 * What a set consists of lies in chunks that are freed with it.
 *
 * The same file in several sets is normal (each set brings google/protobuf/any.proto along); it must be the same
 * byte for byte but for its source_code_info, which only some protocs' options write.
 *
 * Read next: proto_load.c, proto_link.c; then proto_parse.c and proto_write.c, which use what comes of it. */
#include <stdalign.h>

#include "base/text.h"
#include "codec/proto_types.h"
#include "codec/proto_wire.h"

#ifdef TR_HOSTILE
#define CHUNK_BYTES 64
#else
#define CHUNK_BYTES 8192
#endif

typedef struct tr_proto_chunk {
  struct tr_proto_chunk *next;
  size_t size, used; /* of bytes */
  alignas(max_align_t) uint8_t bytes[];
} chunk;

/* ---- memory of a set ---- */

static void *take(tr_mem *mem, tr_proto_set *set, size_t count, size_t size) {
  size_t align = alignof(max_align_t);
  if (count > (SIZE_MAX / 4) / size) return NULL;
  size_t n = (count * size + align - 1) / align * align;
  chunk *in = set->chunks;
  if (!in || in->size - in->used < n) {
    size_t room = n > CHUNK_BYTES ? n : CHUNK_BYTES;
    in = tr_calloc(mem, 1, sizeof *in + room);
    if (!in) return NULL;
    in->size = room;
    in->next = set->chunks;
    set->chunks = in;
  }
  void *bytes = in->bytes + in->used;
  in->used += n;
  return bytes;
}

void *tr_proto_take(tr_proto_load *load, size_t count, size_t size) {
  void *bytes = take(load->pool->mem, load->set, count, size);
  if (!bytes) tr_error_set(load->error, TR_EMEMORY, "descriptor set: out of memory");
  return bytes;
}

static void free_set(tr_proto_pool *pool, tr_proto_set *set) {
  while (set->chunks) {
    chunk *next = set->chunks->next;
    tr_free(pool->mem, set->chunks, sizeof *set->chunks + set->chunks->size);
    set->chunks = next;
  }
  TR_DELETE(pool->mem, set);
}

int tr_proto_bad(tr_proto_load *load, const char *format, ...) {
  tr_error text;
  va_list args;
  va_start(args, format);
  tr_error_init(&text);
  tr_error_setv(&text, TR_EINVALID, format, args);
  va_end(args);
  if (!load->file) return tr_error_set(load->error, TR_EINVALID, "descriptor set: %s", text.text);
  return tr_error_set(load->error, TR_EINVALID, "descriptor set: %.*s: %s", TR_SLICE_ARG(load->file->name), text.text);
}

/* ---- adding ---- */

static int name_of_file(tr_proto_load *load, tr_slice bytes, tr_slice *name) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read;
  *name = (tr_slice){ 0, 0 };
  while ((read = tr_proto_read(&reader, &token)) > 0)
    if (token.number == 1 && token.wire == TR_PROTO_LENGTH) *name = token.bytes;
  if (read < 0 || name->n == 0 || !tr_utf8_valid(*name)) return tr_proto_bad(load, "malformed: not a descriptor set");
  return 0;
}

/* The next field that is not source_code_info; empty at the end. */
static tr_slice next_part(tr_proto_reader *reader) {
  enum { SOURCE_CODE_INFO = 9 };
  tr_proto_token token = { 0 };
  const uint8_t *from;
  int read;
  do {
    from = reader->p;
    read = tr_proto_read(reader, &token);
  } while (read > 0 && token.number == SOURCE_CODE_INFO);
  return tr_slice_make(from, read > 0 ? (size_t)(reader->p - from) : 0);
}

static bool same_file(tr_slice a, tr_slice b) {
  tr_proto_reader x = tr_proto_reader_of(a), y = tr_proto_reader_of(b);
  tr_slice part;
  do {
    part = next_part(&x);
    if (!tr_slice_equal(part, next_part(&y))) return false;
  } while (part.n > 0);
  return true;
}

static int add_file(tr_proto_load *load, tr_slice bytes) {
  tr_slice name;
  load->file = NULL;
  int err = name_of_file(load, bytes, &name);
  if (err) return err;
  tr_proto_file *file = tr_map_get(&load->pool->files, name);
  if (file && same_file(file->bytes, bytes)) return 0;
  if (file)
    return tr_error_set(load->error, TR_EEXISTS, "descriptor set: another file %.*s is loaded already",
                        TR_SLICE_ARG(name));
  file = tr_proto_take(load, 1, sizeof *file);
  char *copy = tr_proto_take(load, bytes.n, 1);
  if (!file || !copy) return TR_EMEMORY;
  memcpy(copy, bytes.p, bytes.n);
  file->bytes = tr_slice_make(copy, bytes.n);
  name_of_file(load, file->bytes, &file->name);
  if (tr_map_put(&load->pool->files, file->name, file, NULL))
    return tr_error_set(load->error, TR_EMEMORY, "descriptor set: out of memory");
  file->next = load->set->files;
  load->set->files = load->file = file;
  return tr_proto_load_file(load);
}

static int add_files(tr_proto_load *load, tr_slice set) {
  tr_proto_reader reader = tr_proto_reader_of(set);
  tr_proto_token token;
  int read, err = 0;
  if (set.n == 0) return tr_proto_bad(load, "empty");
  while (!err && (read = tr_proto_read(&reader, &token)) != 0) {
    load->file = NULL;
    if (read < 0 || (token.number == 1 && token.wire != TR_PROTO_LENGTH))
      return tr_proto_bad(load, "malformed: not a descriptor set");
    if (token.number == 1) err = add_file(load, token.bytes);
  }
  return err;
}

int tr_proto_pool_add(tr_proto_pool *pool, tr_slice set, tr_error *error) {
  tr_proto_load load = { .pool = pool, .error = error };
  load.set = TR_NEW(pool->mem, tr_proto_set);
  if (!load.set) return tr_error_set(error, TR_EMEMORY, "descriptor set: out of memory");
  int err = add_files(&load, set);
  if (!err) err = tr_proto_link_set(&load);
  if (err) {
    for (tr_proto_symbol *s = load.set->symbols; s; s = s->next) tr_map_remove(&pool->symbols, s->name);
    for (tr_proto_file *f = load.set->files; f; f = f->next) tr_map_remove(&pool->files, f->name);
    free_set(pool, load.set);
    return err;
  }
  load.set->next = pool->sets;
  pool->sets = load.set;
  return 0;
}

/* ---- the pool ---- */

tr_proto_pool *tr_proto_pool_new(tr_mem *mem, uint64_t seed) {
  tr_proto_pool *pool = TR_NEW(mem, tr_proto_pool);
  if (!pool) return NULL;
  pool->mem = mem;
  tr_map_init(&pool->files, mem, seed);
  tr_map_init(&pool->symbols, mem, seed);
  return pool;
}

void tr_proto_pool_free(tr_proto_pool *pool) {
  if (!pool) return;
  while (pool->sets) {
    tr_proto_set *set = pool->sets;
    pool->sets = set->next;
    free_set(pool, set);
  }
  tr_map_fini(&pool->files);
  tr_map_fini(&pool->symbols);
  TR_DELETE(pool->mem, pool);
}

const tr_proto_type *tr_proto_pool_find(const tr_proto_pool *pool, tr_slice full_name) {
  const tr_proto_symbol *symbol = tr_map_get(&pool->symbols, full_name);
  return symbol && !symbol->is_enum ? (const tr_proto_type *)(const void *)symbol : NULL;
}

const tr_proto_type *tr_proto_pool_next(const tr_proto_pool *pool, size_t *at) {
  void *found;
  while (tr_map_next(&pool->symbols, at, NULL, &found)) {
    const tr_proto_symbol *symbol = found;
    const tr_proto_type *type = symbol->is_enum ? NULL : (const tr_proto_type *)(const void *)symbol;
    if (type && !type->map_entry) return type;
  }
  return NULL;
}

tr_slice tr_proto_type_name(const tr_proto_type *type) { return type->symbol.name; }
