/* SPDX-License-Identifier: MIT
 * A message as the core sees it: who, to whom, of what type, with which body; immutable once posted, reference-
 * counted, owned by one isolate.
 *
 * The body is opaque here. It is nothing, null, a value that the script room keeps in its slot table (a Lua value:
 * within an isolate it is copied, never encoded), or encoded bytes with a content type. Whoever needs another form converts
 * it: the script room turns bytes into Lua values, the wire room asks tr_body_ops.encode for bytes.
 *
 * A request ends exactly once: tr_msg_answer calls its reply_to, and when the last reference goes without an
 * answer, the caller gets `unavailable`. So no code path can leave a caller hanging by forgetting it. */
#ifndef TR_CORE_MESSAGE_H
#define TR_CORE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/names.h"
#include "core/clock.h"

typedef struct tr_core tr_core;
typedef struct tr_agent tr_agent;
typedef struct tr_msg tr_msg;

/* TR_BODY_REF: only as the body of an answer whose content stayed with the process that made it (results.c). */
typedef enum { TR_BODY_NONE = 0 /* {} */, TR_BODY_NULL, TR_BODY_SLOT, TR_BODY_BYTES, TR_BODY_REF } tr_body_kind;
/* NATIVE: src/codec/native.h, between troupe peers. OTHER: what a plugged-in serializer made; the body carries its number. */
typedef enum {
  TR_FORMAT_JSON = 0, TR_FORMAT_PROTOBUF, TR_FORMAT_TEXT, TR_FORMAT_BYTES, TR_FORMAT_NATIVE, TR_FORMAT_OTHER
} tr_format;

typedef struct tr_body {
  uint8_t kind;    /* tr_body_kind */
  uint8_t format;  /* tr_format of `bytes`; of a slot what it is to go as. It outlives the content: what a request came in */
  uint16_t serializer; /* of TR_FORMAT_OTHER */
  uint32_t slot;   /* TR_BODY_SLOT */
  union {
    tr_blob *bytes; /* TR_BODY_BYTES: JSON text, or a serialized google.protobuf.Any for TR_FORMAT_PROTOBUF;
                     * TR_BODY_REF: where the result is, "TYPE/ID" */
    uint64_t size;  /* TR_BODY_SLOT: about so many bytes, as its maker found out on the way: TR_VALUE_SIZE for each value, and its text */
  };
} tr_body;
#define TR_VALUE_SIZE 32u
/* How much of a mailbox's bytes it takes. */
static inline uint64_t tr_body_size(const tr_body *body) {
  if (body->kind == TR_BODY_SLOT) return body->size;
  return body->kind > TR_BODY_SLOT && body->bytes ? body->bytes->len : 0;
}

typedef struct tr_filling { uint32_t at; const tr_body *body; } tr_filling; /* instead of the at-th null (from 0) of a body */

/* What the owner of slots (the script room) gives to the core. */
typedef struct tr_body_ops {
  void (*release)(void *ud, uint32_t slot);
  /* A second, equal value that may be taken or released on its own; 0 where memory ran out. */
  uint32_t (*copy)(void *ud, uint32_t slot);
  /* Append the slot's value to `out` as `format` (JSON; text and bytes where the value is a string). Never raises. */
  int (*encode)(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error);
  /* The same of a body that is bytes already: NATIVE as JSON, for a peer that is not troupe. */
  int (*recode)(void *ud, const tr_body *body, tr_format format, tr_buf *out, tr_error *error);
  /* The number of the serializer for bodies of a message type in a content type; 0: none. NULL while none is plugged in at all. */
  uint16_t (*find)(void *ud, tr_slice type, tr_slice content_type);
  tr_slice (*content_type)(void *ud, uint16_t serializer);
  void *ud;
  /* A body that is bytes, with these (in ascending order) in the places of its nulls: bytes again. May be NULL. Never raises. */
  int (*fill)(void *ud, const tr_body *body, const tr_filling *items, size_t count, tr_body *out, tr_error *error);
} tr_body_ops;

/* A few extra texts that few messages have: made on demand. Keys and values are copied. */
typedef struct tr_meta tr_meta;
tr_meta *tr_meta_new(tr_mem *mem);
void tr_meta_free(tr_meta *meta);
int tr_meta_set(tr_meta *meta, tr_slice key, tr_slice value);
tr_slice tr_meta_get(const tr_meta *meta, tr_slice key); /* {NULL, 0} when absent */
/* May a sender give this key? Not those that the protocol, or troupe itself, has. TR_EINVALID. */
int tr_meta_key_check(tr_slice key, tr_error *error);
size_t tr_meta_count(const tr_meta *meta);
void tr_meta_at(const tr_meta *meta, size_t i, tr_slice *key, tr_slice *value);

/* An answer. Passed by pointer; whoever receives it may take `body` (then sets body.kind = TR_BODY_NONE);
 * everything else is borrowed during the call. */
typedef struct tr_probe { /* goes after requests, and finds circles: probes.c */
  uint64_t goal, call; /* whose it is; for that alone */
  uint32_t steps;      /* doors that it may still pass */
} tr_probe;
typedef struct tr_reply {
  int code;         /* 0, or TR_E… */
  tr_slice error;   /* text without the code, when code != 0; never empty then */
  tr_name *type;    /* type of the body; NULL: "null" */
  tr_body body;
  const tr_meta *meta; /* may be NULL */
  const tr_probe *probe; /* no part, but a probe that goes the way of the parts, to who takes them: probes.c */
  bool unresolved;     /* an error, since a result that the request refers to could not be had there: content may be sent instead */
} tr_reply;

typedef struct tr_reply_to {
  void (*answer)(void *ud, uint64_t token, tr_msg *request, tr_reply *reply); /* called at most once; NULL: nobody waits */
  void *ud;
  uint64_t token;
  /* A part of the answer, before it; NULL: they are dropped. May take the body. 0, or why it could not be passed on. */
  int (*part)(void *ud, uint64_t token, tr_msg *request, tr_reply *part);
} tr_reply_to;

/* Who has a request in hand: the turn that handles it, or a door that has sent it on. Embedded in its owner, which puts itself into
 * msg->holder and takes itself out again. */
typedef struct tr_holder tr_holder;
typedef struct tr_holder_ops {
  void (*cancel)(tr_holder *holder, tr_msg *request); /* nobody waits any more. It may let go of the request */
  void (*credit)(tr_holder *holder, tr_msg *request, uint32_t parts); /* so many more parts may come; NULL: none do */
  void (*probe)(tr_holder *holder, tr_msg *request, const tr_probe *probe); /* follow what the answer waits for; NULL: it waits for nothing */
} tr_holder_ops;
struct tr_holder { const tr_holder_ops *ops; };

typedef enum { TR_MSG_EVENT = 0, TR_MSG_REQUEST = 1, TR_MSG_SEND = 2 } tr_msg_kind; /* SEND: to one agent, no answer */
typedef enum { TR_PRIORITY_NORMAL = 0, TR_PRIORITY_HIGH = 1, TR_PRIORITY_LOW = 2 } tr_priority;

/* The turns that led to a request which came by a door, the newest first, by their marks: probes.c. */
#define TR_PATH_MOST 4
typedef struct tr_path {
  uint64_t marks[TR_PATH_MOST];
  uint8_t count;
  bool cut; /* there are more */
} tr_path;

/* What few messages have: made on demand, freed with the message. */
typedef struct tr_msg_more {
  uint32_t keep_ms; /* a request of ours asks, one from the wire was asked, to keep the result where it is made; 0: not */
  uint64_t token[2]; /* of a request that its caller may send again (resends.c); 0: it does not */
  struct tr_resend *resend; /* the core's: it is the first of its token */
  tr_blob *refs;    /* the body's nulls that stand for results kept elsewhere: "AT=TYPE/ID AT=TYPE/ID…" (refs.c) */
  tr_blob *visit;   /* what a console wants of the agent: only C of this process can set it (script/visit.c) */
  tr_name *types;   /* of an event from a host: "A,B", the agent types that it is not for, or alone for */
  bool only_types;
  bool echo;        /* an event of this process that came back: for shared types alone */
  uint8_t hops;     /* of one from the wire for a type that this host does not have: hosts that sent it on, this one included */
  bool again;       /* an event that may have come to its receivers before: its id tells */
  tr_name *as;      /* of a request between runtimes of troupe: what it stands for, which wire.md §13 lists; NULL: itself */
} tr_msg_more;

struct tr_msg {
  uint32_t refs;
  uint8_t kind, priority;
  bool from_wire;       /* came in by a door: not sent out by an uplink again */
  uint8_t origin;       /* 1 + the isolate whose turn sent it and may be made to wait; 0: this one, or nobody waits */
  bool troupe_peer;     /* the sender's runtime is troupe (or this process) */
  uint8_t window;       /* a request: so many parts of the answer may come before the caller gives credit; 0: it takes none */
  bool cancelled;       /* a request whose caller has given up: no use in handling it */
  bool inside : 1;      /* with from_wire: of a process that this one launched. It may be sent out, and is drained as our own */
  bool crossed : 1;     /* it came from another isolate, and was counted there */
  bool stored : 1;      /* it is in the state file that is made of what ends: not lost with its agent */
  bool shown : 1;       /* the interceptor has seen it */
  bool own : 1;         /* a timer's: the agent that it is for is here, whoever else may have its type */
  uint32_t via;         /* the uplink that it must take (tr_dest.number); 0: whoever has the target */
  tr_core *core;
  tr_name *type;        /* message type; never NULL when posted */
  tr_body body;
  tr_name *sender_type, *sender_key; /* NULL: no agent sent it */
  tr_agent *sender;     /* the local instance, valid while posting only; else NULL */
  tr_name *target_type, *target_key; /* REQUEST, SEND; for an event the topic's type and source */
  tr_time deadline;     /* TR_NEVER: none */
  uint64_t number;      /* this isolate's number of the message; see tr_msg_id */
  uint64_t chain;       /* call chain; 0: none yet (posting gives one to a request) */
  tr_reply_to reply_to; /* REQUEST */
  tr_path path;         /* REQUEST, from a door */
  tr_holder *holder;    /* REQUEST: NULL while it is on its way or lies in a mailbox */
  tr_blob *frame;       /* cache of the wire room: the whole agents.Message, gRPC-framed */
  tr_meta *meta;        /* owned; NULL for most */
  tr_msg_more *more;    /* likewise */
  tr_name *id;          /* id given by the sender or read from the wire; NULL: made from `number` on demand */
  /* Place in one mailbox without allocation. weight: of the body as it was put in, in units of TR_WEIGHT bytes. */
  struct tr_envelope { struct tr_envelope *next; tr_msg *msg; uint32_t weight; } first;
};

/* A zeroed message with one reference; NULL where memory ran out. deadline is TR_NEVER, number is set. */
tr_msg *tr_msg_new(tr_core *core, tr_msg_kind kind);
static inline tr_msg *tr_msg_ref(tr_msg *msg) { msg->refs++; return msg; }
void tr_msg_unref(tr_msg *msg);
tr_msg_more *tr_msg_get_more(tr_msg *msg); /* NULL: out of memory */
/* The message's id as text ("3f2a…-12"), stable for its life; written to `out` when it has no id of its own. */
#define TR_MSG_ID_MAX 64
tr_slice tr_msg_id(const tr_msg *msg, char out[TR_MSG_ID_MAX]);

/* Answer a request; the second and later calls do nothing (they are counted). own: takes reply->body. */
void tr_msg_answer(tr_msg *request, tr_reply *reply);
/* Answer with an error; text NULL gives the code's default text. */
void tr_msg_fail(tr_msg *request, int code, const char *text) TR_COLD;
/* The same with reply->unresolved. */
void tr_msg_unresolved(tr_msg *request, int code, const char *text) TR_COLD;

/* Its caller has given up. Who has it in hand hears of it, and so does, in the end, whoever it leads to; one in a mailbox is not handled.
 * Whoever cancels sees to reply_to: a door takes its own out first, a call of the core is forgotten. */
void tr_msg_cancel(tr_msg *request);
/* Parts of the answer (parts.c). own: takes part->body. err: as reply_to.part. */
int tr_msg_part(tr_msg *request, tr_reply *part);
void tr_msg_credit(tr_msg *request, uint32_t parts);
/* Circles over several processes (probes.c). */
void tr_msg_probe(tr_msg *request, const tr_probe *probe);
void tr_msg_probe_back(tr_msg *request, const tr_probe *probe); /* its callee waits until parts are taken */
void tr_msg_get_path(const tr_msg *msg, tr_path *path); /* of a request that goes out by a door */

/* Another request of the same, with the same id, to be sent when that one failed; with a copy of its body (a slot, or none) or without.
 * NULL: out of memory. */
tr_msg *tr_msg_again(const tr_msg *msg, bool with_body);

void tr_body_release(tr_core *core, tr_body *body); /* and set it to TR_BODY_NONE */
/* The body as bytes: *out gets a blob with a reference for the caller (TR_BODY_NONE gives "{}", TR_BODY_NULL "null"),
 * *format what it is. A body that is bytes already is returned as it is, but for one in the native format where another is
 * wanted. err: TR_EINVALID, TR_EMEMORY. */
int tr_body_bytes(tr_core *core, const tr_body *body, tr_format wanted, tr_blob **out, tr_format *format, tr_error *error);

#endif
