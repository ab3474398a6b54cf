/* SPDX-License-Identifier: MIT
 * An id of a shared type goes to another worker, with its state.
 *
 *   from   LEAVE: it handles what it was sent, is saved there, and ends there. LEFT brings the state here
 *   to     TAKE brings it there. TAKEN: messages go there from now on
 *
 * Meanwhile they wait here, in the order in which they came; nothing is sent twice, and each sender's order stays. A request that waits
 * is open like any other: its deadline, its caller's giving up and its end find it. What is more than HELD_MOST bytes is refused.
 *
 * LEAVE must not overtake what was sent before, so it goes once by each priority that was used. `from` answers within a few seconds, that
 * it stays if need be (a turn that waits for long, a state too large to send); then all is as it was. The state is kept here until it was
 * taken: where `to` is lost, or refuses it, it goes to another, back to `from` at last. Where `from` is lost its state is lost with it,
 * as without a move. */
#include "host/share.h"
#include "wire/note.h"

#include <stdio.h>

#define HELD_MOST (8u << 20) /* bytes that wait for one id */
#define ITEM_COST 96u

typedef struct held {
  tr_blob *frame;      /* a request's (with its pending's token) or an event's; NULL: */
  tr_msg *msg;         /* of an agent of this process */
  uint64_t token;      /* 0: an event */
  uint8_t sends;       /* formats that its sender may have used */
  uint8_t priority;
  bool refers;
} held;

struct tr_move {
  tr_link link;        /* host->moves */
  tr_place *place;     /* its member: where it comes from */
  tr_member *to;
  tr_blob *state;      /* NULL: not there yet */
  bool taking, back;   /* TAKE was sent; it could not be taken up there and goes back */
  bool yields;         /* `to` has it already */
  held *items;
  size_t count, cap, bytes;
  char id[TR_PENDING_ID];
};

static const char *place_name(const tr_move *move, char out[256]) {
  tr_slice key = tr_place_key(move->place);
  snprintf(out, 256, "%.120s/%.*s", move->place->share->name, (int)tr_utf8_cut(key, 120), key.n ? key.p : "");
  return out;
}

static void write_id(tr_host *host, char id[TR_PENDING_ID]) {
  uint64_t number = tr_random_next(tr_core_random(host->core));
  for (int i = 0; i < TR_PENDING_ID; i++, number >>= 4) id[i] = "0123456789abcdef"[number & 15];
}

static int send_note(tr_move *move, tr_client *to, const tr_wire_note *what, uint8_t priority) {
  tr_wire_note note = *what;
  note.type = tr_share_name(move->place->share);
  note.content_type = tr_place_key(move->place);
  tr_blob *frame = tr_wire_encode_note(to->host->mem, tr_slice_make(move->id, sizeof move->id), &note);
  int err = frame ? tr_client_send_lane(to, frame, true, priority) : TR_EMEMORY;
  tr_blob_unref(frame);
  return err;
}

/* ---- what waits ---- */

static int hold(tr_move *move, const held *item, size_t size) {
  tr_host *host = move->place->share->host;
  if (move->bytes + size + ITEM_COST > HELD_MOST) {
    host->stats.overloaded++;
    return TR_EOVERLOADED;
  }
  if (move->count == move->cap) {
    size_t cap = move->cap ? move->cap * 2 : 8;
    held *grown = tr_realloc(host->mem, move->items, move->cap * sizeof *grown, cap * sizeof *grown);
    if (!grown) return TR_EMEMORY;
    move->items = grown;
    move->cap = cap;
  }
  move->items[move->count++] = *item;
  move->bytes += size + ITEM_COST;
  if (item->frame) tr_blob_ref(item->frame);
  if (item->msg) tr_msg_ref(item->msg);
  return 0;
}

int tr_move_hold_request(tr_move *move, tr_pending *pending, tr_blob *frame, uint8_t sends, bool refers) {
  held item = { .frame = frame, .token = tr_slot_token(&pending->slot), .sends = sends, .priority = pending->priority, .refers = refers };
  return hold(move, &item, frame->len);
}

int tr_move_hold_event(tr_move *move, tr_blob *frame, uint8_t sends, uint8_t priority) {
  held item = { .frame = frame, .sends = sends, .priority = priority };
  return hold(move, &item, frame->len);
}

int tr_move_hold_message(tr_move *move, tr_msg *msg) {
  held item = { .msg = msg, .priority = msg->priority };
  return hold(move, &item, 256);
}

/* An event that waited, for its own type alone: the client may have had it for others. */
static void release_event(tr_client *to, held *item, bool tell) {
  tr_error error;
  tr_error_init(&error);
  int err = tr_deliver_frame(to, &item->frame, item->priority, !(item->sends & ~(unsigned)to->takes), &error);
  if (err) tr_deliver_lost(to->host, to, item->frame, err, error.text[0] ? error.text : tr_error_default_text(err), tell);
}

static void release_request(tr_host *host, tr_client *to, held *item) {
  tr_pending *pending = tr_slots_at(&host->slots, item->token);
  if (!pending || pending->owed) return; /* it has ended meanwhile */
  if (to) tr_forward_held(pending, to, &item->frame, item->sends, item->refers);
  else tr_pending_fail(pending, TR_EUNAVAILABLE, "the agent's worker was lost");
}

static void release_message(tr_share *share, tr_client *to, tr_msg *msg) {
  tr_core *core = share->host->core;
  if (msg->kind == TR_MSG_REQUEST && msg->cancelled) return;
  if (to && msg->kind == TR_MSG_EVENT) tr_deliver_held(to, share, msg);
  else if (to) tr_forward_from_local(&to->dest, msg);
  else if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, TR_EUNAVAILABLE, "the agent's worker was lost");
  else tr_core_dead_letter(core, msg, TR_EUNAVAILABLE, "the agent's worker was lost");
}

/* It has arrived (`at`), or is nowhere: what waited goes on. The move is over. */
static void finish(tr_move *move, tr_member *at) {
  tr_place *place = move->place;
  tr_share *share = place->share;
  tr_host *host = share->host;
  tr_client *to = at ? at->client : NULL;
  place->move = NULL;
  uint8_t lanes = 0;
  for (size_t i = 0; i < move->count; i++) lanes |= (uint8_t)(1u << move->items[i].priority);
  if (at) place->lanes = (uint8_t)((at == place->member ? place->lanes : 0) | lanes);
  if (!at) tr_place_forget(place);
  else if (at != place->member) tr_place_give(place, at);
  tr_link_remove(&move->link);
  for (size_t i = 0; i < move->count; i++) { /* others hear of what is lost: from here on the place may be gone */
    held *item = &move->items[i];
    if (item->msg) release_message(share, to, item->msg);
    else if (item->token) release_request(host, to, item);
    else if (to) release_event(to, item, i < TR_LETTERS_AT_ONCE);
    else tr_deliver_lost(host, NULL, item->frame, TR_EUNAVAILABLE, "the agent's worker was lost", i < TR_LETTERS_AT_ONCE);
    tr_blob_unref(item->frame);
    if (item->msg) tr_msg_unref(item->msg);
  }
  host->n_moves--;
  tr_blob_unref(move->state);
  tr_free(host->mem, move->items, move->cap * sizeof *move->items);
  TR_DELETE(host->mem, move);
  tr_share_check(share);
}

void tr_move_drop(tr_move *move) { finish(move, NULL); }

/* ---- the steps ---- */

bool tr_move_start(tr_place *place, tr_member *to) {
  tr_host *host = place->share->host;
  tr_move *move = host->draining ? NULL : TR_NEW(host->mem, tr_move);
  if (!move) return false;
  uint8_t lanes = place->lanes ? place->lanes : 1u << TR_PRIORITY_NORMAL;
  tr_wire_note note = { .kind = TR_NOTE_LEAVE };
  int err = 0;
  move->place = place;
  move->to = to;
  write_id(host, move->id);
  for (int lane = 0; lane < 3; lane++) note.count += lanes >> lane & 1u;
  for (int lane = 0; lane < 3 && !err; lane++)
    if (lanes >> lane & 1u) err = send_note(move, place->member->client, &note, (uint8_t)lane);
  if (err) { /* of several some may have gone: without the others they mean nothing */
    TR_DELETE(host->mem, move);
    return false;
  }
  place->move = move;
  tr_list_push(&host->moves, &move->link);
  host->n_moves++;
  host->stats.moves++;
  return true;
}

bool tr_move_yield(tr_place *place, tr_member *to) {
  if (!tr_move_start(place, to)) return false;
  place->move->yields = true;
  return true;
}

/* To whom it was to go, or to another, or back. */
static void give_state(tr_move *move) {
  tr_place *place = move->place;
  tr_wire_note note = { .kind = TR_NOTE_TAKE, .data = tr_blob_view(move->state) };
  char name[256];
  while (tr_member_here(move->to)) {
    move->taking = true;
    if (!send_note(move, move->to->client, &note, TR_PRIORITY_NORMAL)) return;
    if (move->back) break;
    move->to = tr_member_here(place->member) ? place->member : NULL;
    move->back = true;
  }
  if (!move->back && (move->to = tr_share_choose(place->share, tr_place_key(place), NULL))) {
    give_state(move);
    return;
  }
  tr_log_write(place->share->host->log, TR_LOG_ERROR, "share.state_lost", "agent=%s reason=\"nobody took it\"", place_name(move, name));
  finish(move, tr_share_choose(place->share, tr_place_key(place), NULL));
}

static void left(tr_move *move, const tr_wire_note *note) {
  tr_share *share = move->place->share;
  char name[256];
  if (note->count) { /* it stays */
    if (move->yields && tr_member_here(move->to)) tr_share_drop(move->to->client, tr_share_name(share), tr_place_key(move->place));
    tr_log_write(share->host->log, TR_LOG_INFO, "share.stays", "agent=%s reason=%s", place_name(move, name), tr_error_name(-(int)(note->count & 0xffff)));
    move->place->stays = move->place->member->leaving;
    finish(move, move->place->member);
    return;
  }
  if (!tr_member_here(move->to)) move->to = tr_share_choose(share, tr_place_key(move->place), NULL), move->yields = false;
  if (!note->data.n || (move->yields && tr_member_here(move->to))) {
    finish(move, move->to);
    return;
  }
  move->state = tr_blob_copy(share->host->mem, note->data);
  if (move->state) {
    give_state(move);
    return;
  }
  tr_log_write(share->host->log, TR_LOG_ERROR, "share.state_lost", "agent=%s reason=\"out of memory\"", place_name(move, name));
  finish(move, move->to);
}

static void taken(tr_move *move, const tr_wire_note *note) {
  char name[256];
  tr_host *host = move->place->share->host;
  if (!note->count) {
    tr_log_write(host->log, TR_LOG_DEBUG, "share.moved", "agent=%s to=%s", place_name(move, name), move->to->client->id);
    finish(move, move->to);
    return;
  }
  if (move->back) {
    tr_log_write(host->log, TR_LOG_ERROR, "share.state_lost", "agent=%s reason=\"nobody took it\"", place_name(move, name));
    finish(move, move->to);
    return;
  }
  const tr_member *refused = move->to;
  move->back = true;
  move->to = tr_member_here(move->place->member) ? move->place->member : tr_share_choose(move->place->share, tr_place_key(move->place), refused);
  give_state(move);
}

void tr_move_note(tr_client *from, tr_slice id, const tr_wire_note *note) {
  tr_host *host = from->host;
  for (tr_link *link = host->moves.next; link != &host->moves; link = link->next) { /* a few */
    tr_move *move = TR_CONTAINER(link, tr_move, link);
    if (!tr_slice_equal(id, tr_slice_make(move->id, sizeof move->id))) continue;
    if (note->kind == TR_NOTE_LEFT && !move->taking && move->place->member->client == from) left(move, note);
    else if (note->kind == TR_NOTE_TAKEN && move->taking && move->to && move->to->client == from) taken(move, note);
    return;
  }
}

/* ---- losses ---- */

static void lost(tr_move *move, const tr_client *client) {
  bool from = move->place->member && move->place->member->client == client;
  bool to = move->to && move->to->client == client;
  if (to) move->to = NULL;
  if (from && !move->taking) { /* and its state with it */
    finish(move, tr_share_choose(move->place->share, tr_place_key(move->place), move->place->member));
    return;
  }
  if (from) tr_place_give(move->place, NULL);
  if (!to || !move->taking) return;
  move->to = tr_share_choose(move->place->share, tr_place_key(move->place), NULL);
  give_state(move);
}

void tr_move_lost(tr_host *host, tr_client *client) {
  for (tr_link *link = host->moves.next, *next; link != &host->moves; link = next) {
    next = link->next;
    lost(TR_CONTAINER(link, tr_move, link), client);
  }
}
