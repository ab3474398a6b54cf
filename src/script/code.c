/* SPDX-License-Identifier: MIT
 * The texts that one version of a file was made of: its own, and those of the modules that it required while it was loaded.
 *
 * Kept where an agent of the file has vm = "own": each instance's state runs the file again, maybe hours later, and must not get code
 * that was saved since and that no reload has looked at. Collected by the unit while the file is staged (unit.c), and dropped there
 * when no agent asks for it. Counted: the definitions and the states hold it. Next: own.c. */
#include "script/internal.h"

typedef struct text { tr_link link; char *bytes; size_t size; size_t path_size; char path[]; } text;

tr_code *tr_code_new(tr_mem *mem) {
  tr_code *code = TR_NEW(mem, tr_code);
  if (!code) return NULL;
  code->refs = 1;
  code->mem = mem;
  tr_list_init(&code->texts);
  return code;
}

tr_code *tr_code_ref(tr_code *code) {
  code->refs++;
  return code;
}

void tr_code_unref(tr_code *code) {
  if (!code || --code->refs > 0) return;
  for (tr_link *link; (link = tr_list_pop(&code->texts));) {
    text *self = TR_CONTAINER(link, text, link);
    tr_free(code->mem, self->bytes, self->size);
    tr_free(code->mem, self, sizeof *self + self->path_size);
  }
  for (size_t i = 0; i < code->argc; i++)
    if (code->args[i]) tr_free(code->mem, code->args[i], strlen(code->args[i]) + 1);
  tr_free(code->mem, code->args, code->argc * sizeof *code->args);
  if (code->name) tr_free(code->mem, code->name, strlen(code->name) + 1);
  TR_DELETE(code->mem, code);
}

static text *find(const tr_code *code, const char *path) {
  for (tr_link *link = code->texts.next; link != &code->texts; link = link->next) {
    text *self = TR_CONTAINER(link, text, link);
    if (strcmp(self->path, path) == 0) return self;
  }
  return NULL;
}

static text *text_new(tr_code *code, const char *path) {
  size_t size = strlen(path) + 1;
  text *self = tr_calloc(code->mem, 1, sizeof *self + size);
  if (!self) return NULL;
  self->path_size = size;
  memcpy(self->path, path, size);
  tr_list_push(&code->texts, &self->link);
  return self;
}

int tr_code_add(tr_code *code, const char *path, tr_slice source) {
  char *bytes = tr_strndup(code->mem, source.p ? source.p : "", source.n);
  text *self = bytes ? find(code, path) : NULL;
  if (bytes && !self) self = text_new(code, path);
  if (!self) {
    if (bytes) tr_free(code->mem, bytes, source.n + 1);
    return TR_EMEMORY;
  }
  tr_free(code->mem, self->bytes, self->size);
  self->bytes = bytes;
  self->size = source.n + 1;
  return 0;
}

bool tr_code_find(const tr_code *code, const char *path, tr_slice *source) {
  const text *self = find(code, path);
  if (self) *source = tr_slice_make(self->bytes, self->size - 1);
  return self != NULL;
}

/* Of all that it was made of, in the order in which it was read. */
uint64_t tr_code_hash(const tr_code *code) {
  uint64_t hash = 1;
  for (const tr_link *link = code->texts.next; link != &code->texts; link = link->next) {
    const text *self = TR_CONTAINER(link, text, link);
    hash = hash * UINT64_C(0x9E3779B97F4A7C15) + tr_source_hash(tr_slice_of(self->path));
    hash = hash * UINT64_C(0x9E3779B97F4A7C15) + tr_source_hash(tr_slice_make(self->bytes, self->size - 1));
  }
  return hash ? hash : 1;
}

const char *tr_code_next(const tr_code *code, const char *after, tr_slice *source) {
  const text *before = after ? find(code, after) : NULL;
  const tr_link *link = before ? before->link.next : code->texts.next;
  if (link == &code->texts) return NULL;
  const text *self = TR_CONTAINER(link, text, link);
  *source = tr_slice_make(self->bytes, self->size - 1);
  return self->path;
}

int tr_code_set_main(tr_code *code, const char *name, tr_slice source, char *const *args, size_t argc) {
  code->name = tr_strndup(code->mem, name, strlen(name));
  code->args = argc ? tr_calloc(code->mem, argc, sizeof *code->args) : NULL;
  if (!code->name || (argc && !code->args)) return TR_EMEMORY;
  code->argc = argc;
  for (size_t i = 0; i < argc; i++)
    if (!(code->args[i] = tr_strndup(code->mem, args[i], strlen(args[i])))) return TR_EMEMORY;
  return tr_code_add(code, name, source);
}
