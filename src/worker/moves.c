/* SPDX-License-Identifier: MIT
 * Agents of shared types go to other workers of the host, and come from them, when the host says so: notes (wire/note.h), since nobody
 * but the host itself can send those. The host holds back what is sent to the agent until it is told how it ended.
 *
 * LEAVE comes behind all that was sent to the agent: as often as priorities were used, since one overtakes another. Saving it
 * and letting go of it is the runtime's (runtime/shared.c). After a new beginning with the host it is told what is live here: it may
 * have forgotten, or found others for some of them meanwhile. */
#include "wire/note.h"
#include "worker/internal.h"

typedef struct leaving { tr_link link; tr_worker_move move; uint32_t got; } leaving;

static bool tell(tr_worker *w, tr_note_kind kind, tr_slice id, const tr_wire_note *what) {
  tr_wire_note note = *what;
  note.kind = kind;
  tr_blob *frame = tr_wire_encode_note(w->mem, id, &note);
  int err = !frame || frame->len - TR_WIRE_PREFIX > w->o.max_message ? TR_ETOO_LARGE : tr_worker_push(w, TR_PRIORITY_NORMAL, frame, NULL, 0, NULL);
  tr_blob_unref(frame);
  return !err;
}

static void forget(tr_worker *w, leaving *it) {
  tr_link_remove(&it->link);
  TR_DELETE(w->mem, it);
}

void tr_worker_forget_leaves(tr_worker *w) {
  while (!tr_list_empty(&w->leaving)) forget(w, TR_CONTAINER(w->leaving.next, leaving, link));
}

bool tr_worker_left(tr_worker *w, const tr_worker_move *move, int code, tr_slice state) {
  tr_wire_note note = { .count = (uint64_t)-code, .data = state };
  if (!w->channel || w->over || move->session != w->session) return false;
  if (tell(w, TR_NOTE_LEFT, tr_slice_make(move->id, sizeof move->id), &note)) return true;
  note = (tr_wire_note){ .count = (uint64_t)-TR_ETOO_LARGE };
  if (!tell(w, TR_NOTE_LEFT, tr_slice_make(move->id, sizeof move->id), &note)) tr_worker_over(w, false, "out of memory");
  return false;
}

/* The n-th of this id; NULL: not the last one yet, or no memory (*failed). */
static leaving *count(tr_worker *w, tr_slice id, uint64_t of, bool *failed) {
  leaving *it = NULL;
  *failed = false;
  for (tr_link *link = w->leaving.next; link != &w->leaving && !it; link = link->next)
    if (memcmp(TR_CONTAINER(link, leaving, link)->move.id, id.p, id.n) == 0) it = TR_CONTAINER(link, leaving, link);
  if (!it) {
    it = TR_NEW(w->mem, leaving);
    *failed = !it;
    if (!it) return NULL;
    memcpy(it->move.id, id.p, id.n);
    it->move.session = w->session;
    tr_list_push(&w->leaving, &it->link);
  }
  return ++it->got >= of ? it : NULL;
}

static void leave(tr_worker *w, tr_slice id, const tr_wire_note *note) {
  bool failed;
  leaving *it = count(w, id, note->count, &failed);
  if (failed) tr_worker_over(w, false, "out of memory");
  if (!it) return;
  tr_worker_move move = it->move;
  forget(w, it);
  if (w->o.leave) w->o.leave(w->o.ud, w, note->type, note->content_type, &move);
  else tr_worker_left(w, &move, TR_EINVALID, (tr_slice){ NULL, 0 });
}

static void take(tr_worker *w, tr_slice id, const tr_wire_note *note) {
  tr_error error;
  tr_error_init(&error);
  int code = w->o.take && !w->leave ? w->o.take(w->o.ud, note->type, note->content_type, note->data, &error) : TR_EUNAVAILABLE;
  if (code)
    tr_log_write(w->log, TR_LOG_WARN, "agent.not_taken", "agent=%.*s/%.*s reason=\"%s\"", (int)tr_utf8_cut(note->type, 200),
                 note->type.n ? note->type.p : "", (int)tr_utf8_cut(note->content_type, 200), note->content_type.n ? note->content_type.p : "", error.text);
  tr_wire_note answer = { .count = (uint64_t)-code };
  if (!tell(w, TR_NOTE_TAKEN, id, &answer)) tr_worker_over(w, false, "out of memory");
}

void tr_worker_move_note(tr_worker *w, const tr_wire_span *span, const tr_wire_note *note) {
  tr_slice id = span->request_id;
  if (note->kind == TR_NOTE_DROP && w->o.drop) w->o.drop(w->o.ud, note->type, note->content_type);
  if (note->kind == TR_NOTE_GIVEN && w->o.given) w->o.given(w->o.ud);
  if (id.n != sizeof(((tr_worker_move *)0)->id)) return;
  if (note->kind == TR_NOTE_LEAVE) leave(w, id, note);
  else if (note->kind == TR_NOTE_TAKE) take(w, id, note);
}

bool tr_worker_give(tr_worker *w) {
  tr_wire_note note = { .kind = TR_NOTE_GIVE };
  return w->troupe && w->state == TR_WORKER_JOINED && w->channel && !w->over && tr_core_has_shared(w->core) &&
         tell(w, TR_NOTE_GIVE, TR_SLICE_LITERAL("give"), &note);
}

void tr_worker_have(tr_worker *w, const tr_core *core) {
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(core, class_));) {
    if (!tr_class_is_shared(class_)) continue;
    for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_, agent));) {
      tr_wire_note note = { .type = tr_name_view(tr_class_type(class_)), .content_type = tr_name_view(agent->key) };
      tell(w, TR_NOTE_HAVE, TR_SLICE_LITERAL("have"), &note);
    }
  }
}

void tr_worker_tell_have(tr_worker *w) {
  if (!w->troupe || !w->channel || w->over || !tr_core_has_shared(w->core)) return;
  if (w->o.have) w->o.have(w->o.ud, w);
  else tr_worker_have(w, w->core);
}
