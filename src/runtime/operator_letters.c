/* SPDX-License-Identifier: MIT
 * `troupe deadletters`: what could not be delivered lately, the newest first, from all isolates (undelivered.c keeps it). */
#include "runtime/isolate.h"
#include "runtime/operator.h"

static void put_letter(tr_buf *out, const tr_kept_letter *letter) {
  tr_buf_printf(out, "{\"time\":%.6f,\"kind\":\"%s\",\"code\":\"%s\"", (double)letter->wall_us / 1e6, letter->kind, tr_error_name(letter->code));
  tr_question_put(out, ",\"type\":", letter->type);
  tr_question_put(out, ",\"target\":", letter->target);
  tr_question_put(out, ",\"sender\":", letter->sender);
  tr_question_put(out, ",\"to\":", letter->to);
  tr_question_put(out, ",\"error\":", letter->reason);
  tr_buf_text(out, "}");
}

const tr_undelivered *tr_undelivered_of(const troupe_t *rt, unsigned isolate) {
  if (isolate == 0) return &rt->undelivered;
  return rt->crew && isolate < rt->crew->count ? &rt->crew->isolates[isolate]->undelivered : NULL;
}

/* The newest of all isolates that was not shown yet: how many were shown of each is in `shown`. */
static const tr_kept_letter *next_newest(const troupe_t *rt, uint32_t shown[TR_ISOLATES_MOST]) {
  const tr_kept_letter *newest = NULL;
  const tr_undelivered *all;
  unsigned from = 0;
  for (unsigned i = 0; (all = tr_undelivered_of(rt, i)); i++) {
    const tr_kept_letter *letter = tr_undelivered_at(all, shown[i]);
    if (!letter || (newest && newest->wall_us >= letter->wall_us)) continue;
    newest = letter;
    from = i;
  }
  if (newest) shown[from]++;
  return newest;
}

void tr_question_letters(tr_question *q) {
  const troupe_t *rt = q->self->rt;
  double asked = tr_question_number(q, "count", 50), most = asked < TR_UNDELIVERED_KEPT ? asked : TR_UNDELIVERED_KEPT;
  uint32_t shown[TR_ISOLATES_MOST] = { 0 };
  const tr_kept_letter *letter;
  const char *comma = "";
  unsigned long long total = 0;
  tr_buf out;
  tr_buf_init(&out, &q->self->rt->mem);
  if (rt->crew) tr_crew_pause(rt->crew);
  for (unsigned i = 0; tr_undelivered_of(rt, i); i++) total += tr_undelivered_of(rt, i)->count;
  tr_buf_printf(&out, "{\"total\":%llu,\"letters\":[", total);
  for (double n = 0; n < most && (letter = next_newest(rt, shown)); n++) {
    tr_buf_text(&out, comma);
    put_letter(&out, letter);
    comma = ",";
  }
  if (rt->crew) tr_crew_resume(rt->crew);
  tr_buf_text(&out, "]}");
  tr_question_answer(q, &out);
}
