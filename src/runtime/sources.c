/* SPDX-License-Identifier: MIT
 * Files as all isolates are to see them: while code is loaded or reloaded in several, each file is read once.
 *
 * Every isolate compiles the texts by itself, one after the other. If each read the disk for itself, a file that is saved in between would
 * leave them with different code, and a reload that sees a change in one and none in the other can only refuse. So the first one's reading
 * is kept, also that a file is not there, until that step is over (together.c). All of it is done by isolate 0's thread, while the others
 * stand still. Next: files.c, which reads. */
#include <errno.h>
#include <string.h>

#include "runtime/isolate.h"

typedef struct source { size_t path_size, size; bool missing; char path[]; } source; /* the text is behind the path */

void tr_sources_begin(tr_crew *crew) {
  if (crew->sources.depth++ == 0) tr_map_init(&crew->sources.by_path, crew->isolates[0]->mem, 0);
}

void tr_sources_end(tr_crew *crew) {
  tr_map *map = &crew->sources.by_path;
  size_t at = 0;
  tr_slice key;
  void *value;
  if (--crew->sources.depth) return;
  while (tr_map_next(map, &at, &key, &value)) {
    source *self = value;
    tr_map_remove(map, key);
    tr_free(crew->isolates[0]->mem, self, sizeof *self + self->path_size + self->size);
  }
  tr_map_fini(map);
}

static int keep(tr_crew *crew, const char *path, tr_slice text, bool missing) {
  tr_mem *mem = crew->isolates[0]->mem;
  size_t n = strlen(path) + 1;
  source *self = tr_alloc(mem, sizeof *self + n + text.n);
  if (!self) return TR_EMEMORY;
  self->path_size = n;
  self->size = text.n;
  self->missing = missing;
  memcpy(self->path, path, n);
  if (text.n) memcpy(self->path + n, text.p, text.n);
  if (!tr_map_put(&crew->sources.by_path, tr_slice_of(self->path), self, NULL)) return 0;
  tr_free(mem, self, sizeof *self + n + text.n);
  return TR_EMEMORY;
}

/* The first reading. What cannot be read, but for a file that is not there, ends the step anyway. */
static int read_first(troupe_t *rt, const char *path, tr_buf *text, tr_error *error) {
  size_t before = text->len;
  int rc = tr_runtime_read_file(rt, path, text, error);
  if (rc && rc != TR_ENOT_FOUND) return rc;
  tr_slice found = tr_slice_make((const char *)text->data + before, rc ? 0 : text->len - before);
  return keep(rt->crew, path, found, rc != 0) ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

int tr_runtime_read(void *ud, const char *path, tr_buf *text, tr_error *error) {
  troupe_t *rt = ud;
  if (!rt->crew || !rt->crew->sources.depth) return tr_runtime_read_file(rt, path, text, error);
  const source *known = tr_map_get(&rt->crew->sources.by_path, tr_slice_of(path));
  if (!known) return read_first(rt, path, text, error);
  if (known->missing) return tr_error_set(error, TR_ENOT_FOUND, "%s: %s", path, strerror(ENOENT));
  return tr_buf_append(text, known->path + known->path_size, known->size) ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}
