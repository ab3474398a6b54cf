/* SPDX-License-Identifier: MIT
 * Messages to shared types from agents of this process, and which client gets an event for one of them.
 *
 * An event on topic T/S is for the id TYPE/S of each shared type that subscribed to T, and goes to the client that has that id. A client
 * may have it for other reasons, too: another type of its own, another id. It would give it to all its types that subscribed, so it is
 * told by an attribute which of them it is not for (`troupe-not-for`); AutoGen's workers do not know that, for them ids of one key are
 * kept together (share.c). What waited for an id that moved is for that type alone (`troupe-only-for`). */
#include "host/share.h"
#include "wire/keys.h"

/* ---- who gets it ---- */

tr_client *tr_share_receiver(tr_share *share, tr_slice key, uint8_t priority, tr_move **move) {
  tr_client *away;
  tr_place *place = tr_share_place(share, key, priority, &away);
  *move = place ? place->move : NULL;
  return place && !place->move ? place->member->client : away;
}

/* "A,B": what a client must not take it for. */
bool tr_share_not_for(const tr_client *client, tr_dest *const *dests, size_t count, tr_slice key, tr_buf *out) {
  for (size_t i = 0; i < count; i++) {
    tr_share *share = tr_share_of(dests[i]);
    if (!share || !tr_share_member(share, client)) continue;
    if (tr_share_owner(share, key) == client) continue;
    if (out->len) tr_buf_byte(out, ',');
    tr_buf_slice(out, tr_share_name(share));
  }
  return !out->failed;
}

tr_blob *tr_share_marked(tr_host *host, const tr_wire_span *span, const char *key, tr_slice types) {
  return tr_wire_attribute_added(host->mem, span, key, types);
}

/* ---- from agents of this process ---- */

static void refuse(tr_core *core, tr_msg *msg, int code, const char *why) {
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, code, why);
  else tr_core_dead_letter(core, msg, code, why ? why : tr_error_default_text(code));
}

static void give(tr_dest *dest, tr_msg *msg) {
  tr_share *share = tr_share_of(dest);
  tr_move *move;
  tr_client *to = tr_share_receiver(share, tr_name_view(msg->target_key), msg->priority, &move);
  int err = move ? tr_move_hold_message(move, msg) : to ? 0 : TR_EMEMORY;
  if (err) refuse(share->host->core, msg, err, NULL);
  else if (to && msg->kind == TR_MSG_EVENT) tr_deliver_from_local(&to->dest, msg);
  else if (to) tr_forward_from_local(&to->dest, msg);
}

const tr_dest_ops tr_share_ops = { .event = give, .request = give };
