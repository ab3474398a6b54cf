/* SPDX-License-Identifier: MIT
 * Agent types that several clients have: who of them has which id. share.c: members, places, choosing; share_move.c: an id goes to
 * another member with its state; share_event.c: an event goes to one of them. docs/design.md, "Shared types".
 *
 * To the router a shared type is owned by its tr_share, a destination; so types that are not shared know nothing of all this. */
#ifndef TR_HOST_SHARE_H
#define TR_HOST_SHARE_H

#include "host/internal.h"

typedef struct tr_share tr_share;
typedef struct tr_member tr_member;
typedef struct tr_place tr_place;
typedef struct tr_move tr_move;

struct tr_share {
  tr_dest dest;        /* first: the router's view of it */
  tr_host *host;
  tr_link link;        /* host->shares */
  tr_link members;
  tr_map places;       /* key → tr_place */
  tr_link placed;      /* the longest unused first */
  tr_link to_check;    /* somebody has joined: should they move? likewise */
  uint32_t epoch;      /* how often somebody joined */
  uint32_t length;
  char name[];
};

struct tr_member { /* of a share */
  tr_link by_share, by_client;
  tr_share *share;
  tr_client *client;
  tr_link places;
  uint64_t hash;       /* of its client-id: the same in every host */
  uint32_t keys;       /* how many places */
  uint32_t generation; /* of the client, when it registered */
  uint32_t epoch;      /* of the share, when it joined */
  bool leaving;        /* it gives away what it has, and gets nothing more */
};

struct tr_place { /* an id that was spoken to */
  tr_link by_age, by_member;
  tr_share *share;
  tr_member *member;
  tr_move *move;       /* it is on its way to another; messages wait */
  uint32_t epoch;      /* of the share, when it was last looked at whether it should move */
  uint32_t length;
  uint8_t lanes;       /* bits by tr_priority: what was used to it */
  bool stays;          /* it could not leave a member that is leaving */
  char key[];
};

extern const tr_dest_ops tr_share_ops;
static inline tr_share *tr_share_of(tr_dest *dest) {
  return dest && dest->ops == &tr_share_ops ? TR_CONTAINER(dest, tr_share, dest) : NULL;
}
static inline tr_slice tr_share_name(const tr_share *share) { return (tr_slice){ share->name, share->length }; }
static inline tr_slice tr_place_key(const tr_place *place) { return (tr_slice){ place->key, place->length }; }
/* May it get an id? */
static inline bool tr_member_here(const tr_member *member) { return member && member->client->stream && !member->leaving; }

tr_member *tr_share_member(const tr_share *share, const tr_client *client); /* NULL: it is none */
/* Who is to have a new key: the least loaded, and of several that hardly differ the first in the key's own order. Whoever has the same
 * key of another type, before all. NULL: nobody is connected. */
tr_member *tr_share_choose(tr_share *share, tr_slice key, const tr_member *but);
/* Where an id is, or is to be from now on; NULL: it has no place (*away: whose it is all the same), or no memory (*away NULL). */
tr_place *tr_share_place(tr_share *share, tr_slice key, uint8_t priority, tr_client **away);
tr_client *tr_share_owner(const tr_share *share, tr_slice key); /* whose it is now; NULL: it moves */
void tr_place_give(tr_place *place, tr_member *member);
void tr_place_forget(tr_place *place);
void tr_share_drop(tr_client *client, tr_slice type, tr_slice key); /* tell a worker that what it has is another's */
void tr_share_check(tr_share *share); /* go on looking which places should move */

/* ---- share_move.c ---- */

bool tr_move_start(tr_place *place, tr_member *to);
/* The same where `to` has it already, from before: what it is at the other by now is let go. */
bool tr_move_yield(tr_place *place, tr_member *to);
/* Messages for a place that moves: kept until it has arrived. err: TR_EOVERLOADED, TR_EMEMORY. */
int tr_move_hold_request(tr_move *move, tr_pending *pending, tr_blob *frame, uint8_t sends, bool refers);
int tr_move_hold_event(tr_move *move, tr_blob *frame, uint8_t sends, uint8_t priority);
int tr_move_hold_message(tr_move *move, tr_msg *msg); /* of an agent of this process */
void tr_move_lost(tr_host *host, tr_client *client);  /* its stream is gone, before its places are forgotten */
void tr_move_drop(tr_move *move);                     /* the host ends */

#endif
