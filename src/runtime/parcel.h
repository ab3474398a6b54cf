/* SPDX-License-Identifier: MIT
 * A message, an answer or a word between isolates as one block of bytes, which the sender makes and the receiver frees. Names and bodies
 * belong to one isolate; so they are text and bytes here, bodies in the native format. */
#ifndef TR_RUNTIME_PARCEL_H
#define TR_RUNTIME_PARCEL_H

#include "core/core.h"
#include "runtime/link.h"
#include "script/script.h"

typedef enum {
  TR_PARCEL_MESSAGE = 0, /* a request or a send */
  TR_PARCEL_EVENT,       /* with its receivers there */
  TR_PARCEL_ANSWER,
  TR_PARCEL_PART,        /* of an answer */
  TR_PARCEL_CREDIT,      /* for so many (code) more parts */
  TR_PARCEL_PROBE,       /* core/probes.c */
  TR_PARCEL_BACK,        /* the same, the way of the parts */
  TR_PARCEL_CANCEL,      /* nobody waits for the answer any more */
  TR_PARCEL_HOLD,        /* an agent's messages wait for room (code 1), or do not any more (0) */
  TR_PARCEL_STALLED,     /* a probe follows what such an agent waits for */
  TR_PARCEL_SUBSCRIPTION, /* made (code 1) or ended (0) while running */
  TR_PARCEL_EXIT         /* code is the status */
} tr_parcel_kind;

enum { TR_TEXT_TYPE = 0, TR_TEXT_SENDER_TYPE, TR_TEXT_SENDER_KEY, TR_TEXT_TARGET_TYPE, TR_TEXT_TARGET_KEY, TR_TEXT_ID, TR_TEXT_REFS, TR_TEXT_ERROR,
       TR_TEXT_COUNT };

typedef struct tr_parcel {
  tr_queued queued; /* first */
  uint8_t kind, msg_kind, priority, origin, window, body_kind, body_format;
  bool from_wire, troupe_peer, inside, shown, counted, unresolved;
  bool all;           /* a subscription's */
  tr_asker asker;     /* of a request */
  bool rest;          /* an event: to all that only the receiving isolate knows, too */
  bool heard;         /* and somebody elsewhere has it */
  int32_t code;
  uint32_t via, metas; /* metas: pairs */
  uint32_t keep_ms;
  uint16_t serializer;
  uint64_t number, chain, token, resend[2];
  tr_time deadline;
  tr_path path;
  tr_probe probe;
  uint32_t texts[TR_TEXT_COUNT]; /* lengths; UINT32_MAX: not there */
  uint32_t body;      /* bytes of it */
  uint32_t receivers; /* bytes of them: each a type and a key (length UINT32_MAX: all live ones) */
  char data[];        /* texts, metadata, body, receivers */
} tr_parcel;

/* What becomes a parcel, or several. Reused: data keeps its memory. */
typedef struct tr_draft { tr_parcel head; tr_buf data; } tr_draft;
void tr_draft_begin(tr_draft *draft, tr_parcel_kind kind);
void tr_draft_text(tr_draft *draft, int which, tr_slice text); /* in ascending order of `which`; p NULL: none */
/* err: TR_EINVALID, TR_EMEMORY, TR_ETOO_LARGE. */
int tr_draft_message(tr_draft *draft, tr_script *script, const tr_msg *msg, tr_error *error);
int tr_draft_answer(tr_draft *draft, tr_script *script, const tr_reply *reply, tr_error *error);
/* The small ones that an isolate is done with become those that it sends: what goes to and fro takes no memory then, and none of one
 * thread is freed by another. It comes from mem's function, and is not counted there: another isolate frees it. */
typedef struct tr_parcels { tr_mem *mem; tr_queued *spare; unsigned count; } tr_parcels;
void *tr_parcel_room(tr_parcels *parcels, size_t size); /* uninitialised; NULL: out of memory */
void tr_parcel_free(tr_parcels *parcels, tr_queued *item);
void tr_parcels_fini(tr_parcels *parcels);
tr_parcel *tr_draft_parcel(const tr_draft *draft, tr_parcels *parcels, unsigned from, tr_slice receivers); /* NULL: out of memory */

tr_slice tr_parcel_text(const tr_parcel *parcel, int which);
/* A message of its own, not posted; NULL: *error says why. */
tr_msg *tr_parcel_message(const tr_parcel *parcel, tr_core *core, tr_script *script, tr_error *error);
/* The answer; type, body and meta are the caller's to release (tr_parcel_reply_fini). The error text is borrowed. */
int tr_parcel_reply(const tr_parcel *parcel, tr_core *core, tr_script *script, tr_reply *out, tr_error *error);
void tr_parcel_reply_fini(tr_reply *reply, tr_core *core);
/* The receivers, one after the other: *at begins as 0; false at the end. key->p NULL: all live ones. */
bool tr_parcel_next_receiver(const tr_parcel *parcel, size_t *at, tr_slice *type, tr_slice *key);
bool tr_receiver_add(tr_buf *receivers, tr_slice type, tr_slice key);

#endif
