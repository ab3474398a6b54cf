/* SPDX-License-Identifier: MIT
 * Notes about open requests, between troupe peers only (proto/troupe.proto). */
#ifndef TR_WIRE_NOTE_H
#define TR_WIRE_NOTE_H

#include "wire/wire.h"

typedef enum {
  TR_NOTE_CANCEL = 1, /* caller → callee: nobody waits for the answer any more; none is to be given */
  TR_NOTE_PART = 2,   /* callee → caller: part of the answer */
  TR_NOTE_CREDIT = 3, /* caller → callee: so many more parts may come */
  TR_NOTE_PROBE = 4,  /* caller → callee: does this request lead back to the turn that waits for it? */
  /* About an agent of a shared type, which the id is of the move of (host/share_move.c). Never handed on. */
  TR_NOTE_LEAVE = 5,  /* host → worker: save it, let go of it; comes `count` times, once by each priority that was used */
  TR_NOTE_LEFT = 6,   /* worker → host: its state in `data` (none: it had none); count: a code, it stays */
  TR_NOTE_TAKE = 7,   /* host → worker: its state is this from now on */
  TR_NOTE_TAKEN = 8,  /* worker → host; count: a code, it could not be taken up */
  TR_NOTE_HAVE = 9,   /* worker → host: it is live here */
  TR_NOTE_DROP = 10,  /* host → worker: it is another's: end it */
  TR_NOTE_GIVE = 11,  /* worker → host: I am about to leave: let others have what I have */
  TR_NOTE_GIVEN = 12, /* host → worker: all that could go has gone */
  TR_NOTE_ACK = 13,   /* either way, about no request (its id is empty): so many messages have come (host/resume.c) */
  TR_NOTE_BACK = 14,  /* callee → caller: a PROBE; the callee has no credit for another part */
  /* About a reload of all workers of an agent type, whose id it is (host/owners.c). Never handed on. */
  TR_NOTE_STAGE = 15,   /* host → worker: make your changed files ready; count: ms to wait for what is decided; goal 1: also what was taken back */
  TR_NOTE_STAGED = 16,  /* worker → host; count: a code; data: JSON of what would come of it, or why it cannot be */
  TR_NOTE_DECIDE = 17,  /* host → worker; count: 0 let go of it, 1 take it, 2 go back to what was before */
  TR_NOTE_DECIDED = 18  /* worker → host, but for 0; as STAGED */
} tr_note_kind;

typedef struct tr_wire_note {
  uint64_t kind;
  uint64_t count;      /* CREDIT: parts; PROBE: steps that are left; ACK: messages */
  uint64_t goal, call; /* PROBE: whose turn, and which call of it */
  tr_slice type, content_type, data; /* PART, for writing; tr_wire_decode reads it. From LEAVE to DROP: agent type, key, state */
} tr_wire_note;

/* Metadata of OpenChannel, both ways: how many messages of the other side this one has had, of the same client-id. */
#define TR_RECEIVED_HEADER "troupe-received"
#define TR_RECEIVED_NOTHING "none" /* a host's, that does not know the client-id: it began anew, or has forgotten it */

#define TR_PROBE_STEPS 64
static inline uint32_t tr_wire_probe_steps(const tr_wire_note *note) { /* whatever a peer says */
  return note->count < TR_PROBE_STEPS ? (uint32_t)note->count : TR_PROBE_STEPS;
}

/* Of a walked note; false: it is none, or of a kind not known here. */
bool tr_wire_read_note(const tr_wire_span *span, tr_wire_note *note);
/* A frame; NULL: out of memory. */
tr_blob *tr_wire_encode_note(tr_mem *mem, tr_slice request_id, const tr_wire_note *note);
tr_blob *tr_wire_credit(tr_mem *mem, tr_slice request_id, uint32_t parts);
/* A part of the answer; err: TR_EINVALID (the body cannot be encoded), TR_EMEMORY. */
int tr_wire_encode_part(tr_core *core, const tr_reply *part, tr_slice request_id, tr_blob **frame, tr_error *error);
tr_blob *tr_wire_cancel(tr_mem *mem, tr_slice request_id);

#endif
