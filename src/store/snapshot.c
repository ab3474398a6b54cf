/* SPDX-License-Identifier: MIT
 * The reader: opening a snapshot, and its bodies.
 *
 * Opening reads the beginning, the end and each record's head, no body: what it costs is the number of records, not
 * their sizes. The end comes first, for its counts say how much memory the index takes; it vouches for every head
 * through the chain (snapshot.h). All numbers are checked against the file's size before they are used, since a
 * checksum keeps out accidents and not malice.
 * Read index.c next: how names are found. */
#include "store/format.h"
#include "store/index.h"
#include "store/source.h"
#include "store/system.h"

#include "base/text.h"

struct tr_snapshot {
  tr_mem *mem;
  tr_source source;
  char *path; /* own, where it is a file */
  tr_index index;
};

/* What a checked end says. */
struct end {
  uint64_t at, count, bodies;
  uint32_t chain;
};

/* ---- opening ---- */

static int read_begin(const tr_source *source, tr_window *window, uint32_t *chain, tr_error *error) {
  const uint8_t *begin;
  if (source->size < BEGIN_SIZE) return tr_source_damaged(source, source->size, error, "it is cut off");
  int err = tr_window_read(window, 0, BEGIN_SIZE, &begin, error);
  if (err) return err;
  if (memcmp(begin, MAGIC.p, MAGIC.n) != 0)
    return tr_source_damaged(source, 0, error, "it does not begin as a snapshot");
  uint32_t crc = tr_crc32c(0, tr_slice_make(begin, BEGIN_CRC)), version = tr_get32(begin + BEGIN_VERSION);
  if (crc != tr_get32(begin + BEGIN_CRC)) return tr_source_damaged(source, 0, error, "its beginning");
  if (version != TR_SNAPSHOT_VERSION)
    return tr_error_set(error, TR_EINVALID, "%s is a snapshot of format %u; this version reads format %d%s",
                        tr_system_path(source->name), (unsigned)version, TR_SNAPSHOT_VERSION,
                        version > TR_SNAPSHOT_VERSION ? " (a newer version is needed)" : "");
  *chain = tr_chain(0, crc);
  return 0;
}

static int read_end(const tr_source *source, tr_window *window, struct end *end, tr_error *error) {
  const uint8_t *bytes;
  if (source->size < BEGIN_SIZE + END_SIZE) return tr_source_damaged(source, source->size, error, "it is cut off");
  end->at = source->size - END_SIZE;
  int err = tr_window_read(window, end->at, END_SIZE, &bytes, error);
  if (err) return err;
  if (tr_get32(bytes + END_TAG) != TAG_END ||
      tr_crc32c(0, tr_slice_make(bytes + END_CHECKED, END_SIZE - END_CHECKED)) != tr_get32(bytes + END_CRC))
    return tr_source_damaged(source, end->at, error, "its end, or it is cut off");
  if (tr_get64(bytes + END_TOTAL) != source->size)
    return tr_source_damaged(source, end->at, error, "it has %llu bytes and should have %llu",
                             (unsigned long long)source->size, (unsigned long long)tr_get64(bytes + END_TOTAL));
  end->count = tr_get64(bytes + END_COUNT);
  end->bodies = tr_get64(bytes + END_BODIES);
  end->chain = tr_get32(bytes + END_CHAIN);
  return 0;
}

/* Bytes of all names, as the end has it; false where its counts cannot be true. */
static bool names_size(const struct end *end, size_t *out) {
  uint64_t rest = end->at - BEGIN_SIZE;
  if (end->count > rest / HEAD_SIZE) return false;
  rest -= end->count * HEAD_SIZE;
  if (end->bodies > rest) return false;
  rest -= end->bodies;
  *out = (size_t)rest;
  return rest <= SIZE_MAX && rest / 3 / TR_SNAPSHOT_NAME_MAX <= end->count;
}

/* The head and the names at `at`: an entry of the index, its name's bytes in *names. */
static int read_head(tr_window *window, uint64_t at, uint64_t end, tr_entry *entry, tr_slice *names, uint32_t *crc,
                     tr_error *error) {
  const uint8_t *head;
  if (end - at < HEAD_SIZE) return TR_EDATA_LOSS;
  uint64_t room = end - at - HEAD_SIZE;
  int err = tr_window_read(window, at, HEAD_SIZE, &head, error);
  if (err) return err;
  *entry = (tr_entry){ .size = tr_get64(head + HEAD_BODY), .version = tr_get32(head + HEAD_VERSION),
                       .crc = tr_get32(head + HEAD_BODY_CRC), .kind = tr_get16(head + HEAD_KIND),
                       .key = tr_get16(head + HEAD_KEY), .part = tr_get16(head + HEAD_PART) };
  size_t n = tr_entry_name_size(entry);
  if (tr_get32(head + HEAD_TAG) != TAG_RECORD || entry->kind == 0 || n > room || entry->size > room - n)
    return TR_EDATA_LOSS;
  err = tr_window_read(window, at, HEAD_SIZE + n, &head, error);
  if (err) return err;
  *crc = tr_get32(head + HEAD_CRC);
  *names = tr_slice_make(head + HEAD_SIZE, n);
  entry->at = at + HEAD_SIZE + n;
  if (tr_crc32c(0, tr_slice_make(head + HEAD_CHECKED, HEAD_SIZE - HEAD_CHECKED + n)) != *crc) return TR_EDATA_LOSS;
  return tr_utf8_valid(tr_slice_make(names->p, entry->kind)) &&
                 tr_utf8_valid(tr_slice_make(names->p + entry->kind, entry->key)) &&
                 tr_utf8_valid(tr_slice_make(names->p + entry->kind + entry->key, entry->part))
             ? 0 : TR_EDATA_LOSS;
}

static int read_heads(tr_snapshot *self, tr_window *window, const struct end *end, uint32_t chain, tr_error *error) {
  uint64_t at = BEGIN_SIZE, bodies = 0, i = 0;
  for (; at < end->at; i++) {
    tr_entry entry;
    tr_slice names;
    uint32_t crc;
    int err = read_head(window, at, end->at, &entry, &names, &crc, error);
    if (err == TR_EDATA_LOSS)
      return tr_source_damaged(&self->source, at, error, "the head of record %llu", (unsigned long long)i + 1);
    if (err) return err;
    chain = tr_chain(chain, crc);
    bodies += entry.size;
    at = entry.at + entry.size;
    if (!tr_index_push(&self->index, &entry, names)) break;
  }
  if (at != end->at || i != end->count || bodies != end->bodies || chain != end->chain)
    return tr_source_damaged(&self->source, at, error, "its records are not those that its end tells of");
  return 0;
}

static int open_source(tr_snapshot *self, uint64_t seed, tr_error *error) {
  tr_window window;
  struct end end = { 0 };
  uint32_t chain = 0;
  size_t names;
  tr_window_init(&window, &self->source, self->mem);
  int err = read_begin(&self->source, &window, &chain, error);
  if (!err) err = read_end(&self->source, &window, &end, error);
  if (err) goto out;
  if (!names_size(&end, &names)) {
    err = tr_source_damaged(&self->source, end.at, error, "the counts of its end cannot be true");
    goto out;
  }
  err = tr_index_init(&self->index, self->mem, seed, end.count, names);
  if (err) {
    tr_error_set(error, err, "out of memory: the index of %llu records", (unsigned long long)end.count);
    goto out;
  }
  err = read_heads(self, &window, &end, chain, error);
  if (!err) tr_index_finish(&self->index);
out:
  tr_window_fini(&window);
  return err;
}

static int open_snapshot(tr_snapshot *self, uint64_t seed, tr_snapshot **out, tr_error *error) {
  int err = open_source(self, seed, error);
  if (err) tr_snapshot_free(self);
  else *out = self;
  return err;
}

static tr_snapshot *new_snapshot(tr_mem *mem, tr_error *error) {
  tr_snapshot *self = TR_NEW(mem, tr_snapshot);
  if (!self) {
    tr_error_set(error, TR_EMEMORY, "out of memory: opening a snapshot");
    return NULL;
  }
  self->mem = mem;
  self->source = (tr_source){ .name = "the snapshot", .fd = -1 };
  return self;
}

int tr_snapshot_new(tr_mem *mem, tr_slice bytes, uint64_t seed, tr_snapshot **out, tr_error *error) {
  *out = NULL;
  tr_snapshot *self = new_snapshot(mem, error);
  if (!self) return TR_EMEMORY;
  self->source.bytes = (const uint8_t *)(bytes.p ? bytes.p : "");
  self->source.size = bytes.n;
  return open_snapshot(self, seed, out, error);
}

int tr_snapshot_new_file(tr_mem *mem, const char *path, uint64_t seed, tr_snapshot **out, tr_error *error) {
  *out = NULL;
  tr_snapshot *self = new_snapshot(mem, error);
  if (!self) return TR_EMEMORY;
  self->path = tr_strndup(mem, path, strlen(path));
  int err = self->path ? tr_source_init_file(&self->source, self->path, error)
                       : tr_error_set(error, TR_EMEMORY, "out of memory: opening a snapshot");
  if (!err) return open_snapshot(self, seed, out, error);
  tr_snapshot_free(self);
  return err;
}

void tr_snapshot_free(tr_snapshot *self) {
  if (!self) return;
  tr_index_fini(&self->index, self->mem);
  tr_source_fini(&self->source);
  if (self->path) tr_free(self->mem, self->path, strlen(self->path) + 1);
  TR_DELETE(self->mem, self);
}

/* ---- looking ---- */

size_t tr_snapshot_count(const tr_snapshot *self) { return self->index.count; }
uint64_t tr_snapshot_size(const tr_snapshot *self) { return self->source.size; }
tr_record tr_snapshot_at(const tr_snapshot *self, size_t i) { return tr_index_at(&self->index, i); }

size_t tr_snapshot_next(const tr_snapshot *self, tr_slice kind, size_t from) {
  for (; from < self->index.count; from++)
    if (kind.n == 0 || tr_slice_equal(tr_index_at(&self->index, from).kind, kind)) return from;
  return TR_SNAPSHOT_NONE;
}

size_t tr_snapshot_find(const tr_snapshot *self, tr_slice kind, tr_slice key, tr_slice part) {
  return tr_index_find(&self->index, kind, key, &part);
}

size_t tr_snapshot_find_key(const tr_snapshot *self, tr_slice kind, tr_slice key) {
  return tr_index_find(&self->index, kind, key, NULL);
}

size_t tr_snapshot_next_key(const tr_snapshot *self, size_t i) { return tr_index_next_key(&self->index, i); }

/* ---- bodies ---- */

static int damaged_body(const tr_snapshot *self, size_t i, tr_error *error) {
  tr_record record = tr_snapshot_at(self, i);
  tr_slice *names[] = { &record.kind, &record.key, &record.part };
  for (size_t k = 0; k < 3; k++) names[k]->n = tr_utf8_cut(*names[k], 60);
  return tr_source_damaged(&self->source, self->index.entries[i].at, error,
                           "the %llu bytes of record %zu (%.*s %.*s%s%.*s)", (unsigned long long)record.size, i + 1,
                           TR_SLICE_ARG(record.kind), TR_SLICE_ARG(record.key), record.part.n ? " " : "",
                           TR_SLICE_ARG(record.part));
}

void tr_snapshot_reader_init(tr_snapshot_reader *reader, const tr_snapshot *snapshot, tr_mem *mem) {
  reader->snapshot = snapshot;
  tr_window_init(&reader->window, &snapshot->source, mem);
}

void tr_snapshot_reader_fini(tr_snapshot_reader *reader) { tr_window_fini(&reader->window); }

int tr_snapshot_read(tr_snapshot_reader *reader, size_t i, tr_slice *body, tr_error *error) {
  const tr_snapshot *self = reader->snapshot;
  const tr_entry *entry = &self->index.entries[i];
  const uint8_t *bytes;
  if (entry->size > SIZE_MAX / 2)
    return tr_error_set(error, TR_ETOO_LARGE, "record %zu is too large for this machine", i + 1);
  int err = tr_window_read(&reader->window, entry->at, (size_t)entry->size, &bytes, error);
  if (err) return err;
  *body = tr_slice_make(bytes, (size_t)entry->size);
  return tr_crc32c(0, *body) == entry->crc ? 0 : damaged_body(self, i, error);
}

int tr_snapshot_verify(const tr_snapshot *self, tr_error *error) {
  int err = 0;
  tr_slice body;
  tr_snapshot_reader reader;
  tr_snapshot_reader_init(&reader, self, self->mem);
  for (size_t i = 0; !err && i < self->index.count; i++) err = tr_snapshot_read(&reader, i, &body, error);
  tr_snapshot_reader_fini(&reader);
  return err;
}
