/* SPDX-License-Identifier: MIT
 * The host asks this process to reload its files, together with the other workers of an agent type (runtime/staged.c does it). Notes, since nobody
 * but the host itself can send those. */
#include "wire/note.h"
#include "worker/internal.h"

void tr_worker_reload_note(tr_worker *w, const tr_wire_span *span, const tr_wire_note *note) {
  bool stage = note->kind == TR_NOTE_STAGE;
  if (!w->troupe || !w->o.reload || span->request_id.n != TR_RELOAD_ID) return;
  if (!stage && (note->kind != TR_NOTE_DECIDE || note->count > TR_RELOAD_BACK)) return;
  w->o.reload(w->o.ud, w, span->request_id, !stage ? (unsigned)note->count : note->goal ? TR_RELOAD_STAGE_AGAIN : TR_RELOAD_STAGE, stage ? note->count : 0);
}

bool tr_worker_reloaded(tr_worker *w, tr_slice id, unsigned step, tr_slice who, int code, tr_slice text) {
  tr_wire_note note = { .kind = step >= TR_RELOAD_STAGE ? TR_NOTE_STAGED : TR_NOTE_DECIDED, .content_type = who,
                        .count = (uint64_t)-code, .data = text };
  if (step == TR_RELOAD_LET_GO || !w->troupe || !w->channel || w->over) return false;
  tr_blob *frame = tr_wire_encode_note(w->mem, id, &note);
  int err = frame ? tr_worker_push(w, TR_PRIORITY_NORMAL, frame, NULL, 0, NULL) : TR_EMEMORY;
  tr_blob_unref(frame);
  return !err;
}
