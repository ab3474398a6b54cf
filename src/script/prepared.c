/* SPDX-License-Identifier: MIT
 * The texts of a reload that was tried, so that just these can be taken later, whatever the files say by then: what several processes agreed to
 * take up together (runtime/staged.c). Counted texts (code.c), no compiled code: taking them is a reload like any other. */
#include "script/internal.h"

struct tr_prepared { tr_mem *mem; size_t count, size; tr_code *codes[]; };

tr_prepared *tr_script_prepared(const tr_reloading *reloading) {
  size_t count = tr_reloading_texts(reloading, NULL, 0);
  tr_mem *mem = tr_reloading_script(reloading)->mem;
  tr_prepared *self = tr_calloc(mem, 1, sizeof *self + count * sizeof *self->codes);
  if (!self) return NULL;
  self->mem = mem;
  self->count = tr_reloading_texts(reloading, self->codes, count);
  self->size = sizeof *self + count * sizeof *self->codes;
  for (size_t i = 0; i < self->count; i++) tr_code_ref(self->codes[i]);
  return self;
}

tr_code *tr_prepared_find(const tr_prepared *self, const char *name) {
  for (size_t i = 0; self && i < self->count; i++)
    if (strcmp(self->codes[i]->name, name) == 0) return self->codes[i];
  return NULL;
}

void tr_prepared_free(tr_prepared *self) {
  if (!self) return;
  for (size_t i = 0; i < self->count; i++) tr_code_unref(self->codes[i]);
  tr_free(self->mem, self, self->size);
}
