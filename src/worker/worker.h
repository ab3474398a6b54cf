/* SPDX-License-Identifier: MIT
 * The worker's end of agents.AgentRpc, sans I/O: an uplink to a host, troupe's or AutoGen's.
 *
 * An uplink is a destination of the core: types that nobody here owns go up, every event from here goes up too, and what
 * comes down is given to local agents. It registers the types of this process and one subscription per (kind, topic, type), keeps
 * its OpenChannel open, and dials again with back-off when it is lost ("please dial" is a hook). Differences between the two hosts:
 * issue 3 point 7, wire.md §5, §10, lessons.md §1b. */
#ifndef TR_WORKER_WORKER_H
#define TR_WORKER_WORKER_H

#include "base/buf.h"
#include "base/error.h"
#include "core/core.h"
#include "rpc/rpc.h"

typedef struct tr_worker tr_worker;

/* Steps of a reload of all workers of an agent type; the first three are numbers on the wire (wire/note.h). */
enum { TR_RELOAD_LET_GO = 0, TR_RELOAD_TAKE, TR_RELOAD_BACK, TR_RELOAD_STAGE, TR_RELOAD_STAGE_AGAIN };
#define TR_RELOAD_ID 16 /* bytes of its id */

typedef struct tr_worker_move { char id[16]; uint32_t session; uint8_t priority; } tr_worker_move; /* one that the host asked for */

typedef enum {
  TR_WORKER_OFF = 0,      /* stopped */
  TR_WORKER_DIALING,      /* waiting for the socket, or for the back-off before it */
  TR_WORKER_JOINING,      /* connected; OpenChannel, RegisterAgent, AddSubscription under way */
  TR_WORKER_JOINED,       /* all types and subscriptions are registered */
} tr_worker_state;

typedef struct tr_worker_options {
  tr_core *core;
  const char *address;      /* for messages and :authority */
  const char *version;      /* announced as troupe-version */
  bool tls;                 /* what is dialed is TLS */
  tr_slice (*authorization)(void *ud); /* sent with each call: "Bearer …", or nothing; NULL: nothing. Borrowed until the next call */
  const bool *has_types;    /* descriptors are loaded: protobuf bodies can be read here; NULL: no */
  uint32_t max_message;     /* 0: 4 MiB */
  uint64_t queue_bytes;     /* waiting to be sent, also while the host is away; 0: 64 MiB. Beyond: requests overloaded, events dead letters */
  uint32_t compress_from;   /* messages of so many bytes and more go gzipped, to a host that takes that; 0: none */
  tr_time backoff_first, backoff_max; /* 0: 50 ms, 5 s; with jitter from the core's random source */
  bool register_types;      /* false: only publishes, calls and polls (troupe call, publish) */
  bool bound;               /* takes only messages that name it: tr_dest.bound */
  tr_uplink_events events;  /* which events go up */
  bool inside;              /* the other end is a process that this one launched: what comes from it may be sent on (tr_msg.inside), and
                             * requests that it lost fail with the reason handed to tr_worker_disconnected */
  /* Please open a connection to the address, then tr_worker_connected or tr_worker_disconnected. */
  void (*dial)(void *ud, tr_worker *worker);
  /* Please close the socket (tr_worker_disconnected may be called for it or not). */
  void (*hang_up)(void *ud, tr_worker *worker);
  void (*dirty)(void *ud, tr_worker *worker);
  /* The state changed; reason: NULL, or why it was lost or cannot be reached (said once, not per attempt; see `first`). */
  void (*changed)(void *ud, tr_worker *worker, tr_worker_state state, const char *reason);
  /* A message of the control channel, which is opened where this is given. */
  void (*control)(void *ud, tr_worker *worker, tr_slice bytes);
  /* The agent is to go to another worker of the host: tr_worker_left once it is saved and let go of, or cannot be. NULL: it stays. */
  void (*leave)(void *ud, tr_worker *worker, tr_slice type, tr_slice key, const tr_worker_move *move);
  /* Its state, from where it was; 0, or why it cannot be taken up. */
  int (*take)(void *ud, tr_slice type, tr_slice key, tr_slice state, tr_error *error);
  void (*drop)(void *ud, tr_slice type, tr_slice key); /* it is another worker's: end it here */
  void (*given)(void *ud);  /* after tr_worker_give */
  void (*have)(void *ud, tr_worker *worker); /* please say what is live here: tr_worker_have of each core. NULL: there is but this one */
  /* The host asks for a step of a reload; answered by tr_worker_reloaded, but for LET_GO. keep_ms: of STAGE. NULL: it is not answered. */
  void (*reload)(void *ud, tr_worker *worker, tr_slice id, unsigned step, uint64_t keep_ms);
  void *ud;
} tr_worker_options;

tr_worker *tr_worker_new(const tr_worker_options *options);
/* Open requests fail with `unavailable`. */
void tr_worker_free(tr_worker *worker);
void tr_worker_start(tr_worker *worker); /* begins with dial() */
/* Leave: cancel OpenChannel (RST_STREAM CANCEL as AutoGen's workers do) after what is queued was sent, or at the deadline; then hang_up
 * and TR_WORKER_OFF. */
void tr_worker_stop(tr_worker *worker, tr_time deadline);
/* All that waits to be sent, and every open request, fails with `unavailable`; it goes on as it is. */
void tr_worker_fail_all(tr_worker *worker, const char *text);
void tr_worker_connected(tr_worker *worker);
void tr_worker_disconnected(tr_worker *worker, const char *reason);
int tr_worker_feed(tr_worker *worker, tr_slice bytes, tr_error *error); /* negative: hang up after flushing */
int tr_worker_output(tr_worker *worker, tr_buf *out, size_t limit);
/* Send a control message (wire.h); lost where the host has no such channel. */
void tr_worker_control(tr_worker *worker, tr_blob *frame);
/* This process is about to leave: the host is asked to give its agents of shared types to others. false: it cannot be. */
bool tr_worker_give(tr_worker *worker);
void tr_worker_have(tr_worker *worker, const tr_core *core);
/* code 0: the agent was let go of, this is its state (n 0: it had none). false: the state cannot be sent, the agent must stay. */
bool tr_worker_left(tr_worker *worker, const tr_worker_move *move, int code, tr_slice state);
/* who: of which process an operator would look for. code 0: it is done, text is JSON; else why not. false: it cannot be said. */
bool tr_worker_reloaded(tr_worker *worker, tr_slice id, unsigned step, tr_slice who, int code, tr_slice text);
tr_worker_state tr_worker_get_state(const tr_worker *worker);
int tr_worker_refused_as(const tr_worker *worker); /* the code of the host's last refusal; 0: there was none */
/* JOINED is no news: it was so before on this connection, and only something more was registered. For `changed`. */
bool tr_worker_rejoins(const tr_worker *worker);
const char *tr_worker_host_version(const tr_worker *worker); /* of troupe, cut; "": it has not said, or is another */
bool tr_worker_host_is_troupe(const tr_worker *worker);
tr_dest *tr_worker_dest(tr_worker *worker); /* the core's view of it */
const tr_rpc_gzip *tr_worker_gzip(const tr_worker *worker); /* its counts */
tr_slice tr_worker_client_id(const tr_worker *worker);
/* Requests of ours that wait for their answers, and the host's that agents here work on. */
void tr_worker_get_open(const tr_worker *worker, size_t *requests, size_t *jobs);
/* Nothing queued and no request of ours open. */
bool tr_worker_idle(const tr_worker *worker);
/* Classes or subscriptions of the core changed (a class was loaded, ctx:subscribe): register what is new, remove what is gone. */
void tr_worker_sync(tr_worker *worker);

/* Poll GetSubscriptions (every 50 ms, growing to 500) until a subscription exists for every one of these agent types; fn once:
 * 0, TR_ETIMEOUT naming those missing, TR_ECANCELLED. */
typedef void (*tr_worker_wait_fn)(void *ud, int code, const char *text);
int tr_worker_wait_types(tr_worker *worker, const tr_slice *types, size_t count, tr_time deadline, tr_worker_wait_fn fn, void *ud);

#endif
