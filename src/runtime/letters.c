/* SPDX-License-Identifier: MIT
 * Dead letters in the log: the first for a target, type and reason, then the 2nd, 4th, 8th, … with their number, so that a peer or a loop
 * that sends into the void does not fill the log. Agents that subscribe to troupe.dead_letter get each (script/letters.c).
 *
 * The newest of them are kept for the operator (undelivered.c). */
#include <stdio.h>

#include "runtime/internal.h"

static void tell(tr_tally *letters, const tr_log *log, const tr_msg *msg, int code, const char *reason) {
  char key[400], times[TR_TALLY_TIMES];
  const char *target = msg->target_type ? msg->target_type->text : "";
  int n = snprintf(key, sizeof key, "%d %d %.180s %.180s", code, msg->kind == TR_MSG_EVENT, target, msg->type->text);
  if (!tr_tally_tell(letters, tr_slice_make(key, (size_t)n), times)) return;
  tr_log_write(log, TR_LOG_WARN, "dead_letter", "type=%s %s=%s/%s reason=\"%s: %s\"%s", msg->type->text,
               msg->kind == TR_MSG_EVENT ? "topic" : "agent", target, msg->target_key ? msg->target_key->text : "",
               tr_error_name(code), reason, times);
}

void tr_runtime_dead_letter(tr_tally *letters, const tr_log *log, tr_script *script, tr_msg *msg, int code, const char *reason) {
  tell(letters, log, msg, code, reason);
  if (script) tr_script_dead_letter(script, msg, code, reason);
}

void tr_runtime_keep_letter(tr_undelivered *kept, const tr_msg *msg, int code, const char *reason) {
  static const char *const kinds[] = { [TR_MSG_EVENT] = "event", [TR_MSG_REQUEST] = "request", [TR_MSG_SEND] = "message" };
  tr_letter letter = {
    .kind = kinds[msg->kind], .type = tr_name_view(msg->type), .target = tr_name_view(msg->target_type), .key = tr_name_view(msg->target_key),
    .sender = tr_name_view(msg->sender_type), .sender_key = tr_name_view(msg->sender_key), .code = code, .reason = reason,
  };
  tr_undelivered_note(kept, &letter, tr_wall_us());
}

void tr_runtime_unheard(tr_undelivered *kept, const tr_msg *event) {
  tr_undelivered_unheard(kept, tr_name_view(event->target_type), tr_name_view(event->type), tr_wall_us());
}
