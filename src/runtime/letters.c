/* SPDX-License-Identifier: MIT
 * Dead letters in the log: the first for a target, type and reason, then the 2nd, 4th, 8th, … with their number, so that a peer or a loop
 * that sends into the void does not fill the log. Agents that subscribe to troupe.dead_letter get each (script/letters.c).
 *
 * The newest of them are kept for the operator (undelivered.c).
 *
 * What was told is remembered for at most KINDS_MOST kinds; when there are more, all are forgotten and told again. */
#include <stdio.h>
#include <string.h>

#include "runtime/internal.h"

#ifdef TR_HOSTILE
#define KINDS_MOST 4
#else
#define KINDS_MOST 1000
#endif

typedef struct letter_kind { uint64_t count; size_t size; char key[]; } letter_kind;

static void forget_all(tr_letter_log *letters) {
  size_t at = 0;
  tr_slice key;
  void *value;
  while (tr_map_next(&letters->kinds, &at, &key, &value)) {
    letter_kind *kind = value;
    tr_map_remove(&letters->kinds, key);
    tr_free(letters->mem, kind, sizeof *kind + kind->size);
  }
}

/* How many there have been of this kind, this one included; 1 where memory ran out. */
static uint64_t count_of(tr_letter_log *letters, tr_slice key) {
  letter_kind *kind = tr_map_get(&letters->kinds, key);
  if (kind) return ++kind->count;
  if (letters->kinds.count >= KINDS_MOST) forget_all(letters);
  kind = tr_alloc(letters->mem, sizeof *kind + key.n);
  if (!kind) return 1;
  kind->count = 1;
  kind->size = key.n;
  memcpy(kind->key, key.p, key.n);
  if (tr_map_put(&letters->kinds, tr_slice_make(kind->key, key.n), kind, NULL))
    tr_free(letters->mem, kind, sizeof *kind + kind->size);
  return 1;
}

static void tell(tr_letter_log *letters, const tr_log *log, const tr_msg *msg, int code, const char *reason) {
  char key[400], times[60] = "";
  const char *target = msg->target_type ? msg->target_type->text : "";
  int n = snprintf(key, sizeof key, "%d %d %.180s %.180s", code, msg->kind == TR_MSG_EVENT, target, msg->type->text);
  uint64_t count = count_of(letters, tr_slice_make(key, (size_t)n));
  if (count & (count - 1)) return;
  if (count > 1) snprintf(times, sizeof times, " count=%llu", (unsigned long long)count);
  tr_log_write(log, TR_LOG_WARN, "dead_letter", "type=%s %s=%s/%s reason=\"%s: %s\"%s", msg->type->text,
               msg->kind == TR_MSG_EVENT ? "topic" : "agent", target, msg->target_key ? msg->target_key->text : "",
               tr_error_name(code), reason, times);
}

void tr_runtime_dead_letter(tr_letter_log *letters, const tr_log *log, tr_script *script, tr_msg *msg, int code, const char *reason) {
  tell(letters, log, msg, code, reason);
  if (script) tr_script_dead_letter(script, msg, code, reason);
}

void tr_runtime_keep_letter(tr_letter_log *letters, const tr_msg *msg, int code, const char *reason) {
  static const char *const kinds[] = { [TR_MSG_EVENT] = "event", [TR_MSG_REQUEST] = "request", [TR_MSG_SEND] = "message" };
  tr_letter letter = {
    .kind = kinds[msg->kind], .type = tr_name_view(msg->type), .target = tr_name_view(msg->target_type), .key = tr_name_view(msg->target_key),
    .sender = tr_name_view(msg->sender_type), .sender_key = tr_name_view(msg->sender_key), .code = code, .reason = reason,
  };
  tr_undelivered_note(&letters->kept, &letter, tr_wall_us());
}

void tr_runtime_unheard(tr_letter_log *letters, const tr_msg *event) {
  tr_undelivered_unheard(&letters->kept, tr_name_view(event->target_type), tr_name_view(event->type), tr_wall_us());
}

void tr_letter_log_init(tr_letter_log *letters, tr_mem *mem, uint64_t seed) {
  letters->mem = mem;
  tr_map_init(&letters->kinds, mem, seed);
  tr_undelivered_init(&letters->kept, mem);
}

void tr_letter_log_fini(tr_letter_log *letters) {
  forget_all(letters);
  tr_map_fini(&letters->kinds);
  tr_undelivered_fini(&letters->kept);
}
