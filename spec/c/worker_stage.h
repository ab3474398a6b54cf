/* SPDX-License-Identifier: MIT
 * A stage for workers: processes with a core, C agents and an uplink each; hosts at addresses, either troupe's own
 * (src/host) or a scripted one that behaves as AutoGen's does; all joined in memory, in virtual time.
 * The scripted host speaks by rpc's server half, and keeps types and subscriptions as AutoGen's does: by client-id, forgotten when
 * its stream ends, with its texts. */
#ifndef WORKER_STAGE_H
#define WORKER_STAGE_H

#include "check.h"

#include "base/buf.h"
#include "base/text.h"
#include "core/core.h"
#include "host/host.h"
#include "rpc/rpc.h"
#include "wire/wire.h"
#include "worker/worker.h"

/* CHECK_SLICE, its argument evaluated once. */
#define CHECK_TEXT(slice, expected)       \
  do {                                    \
    tr_slice check_slice = (slice);       \
    CHECK_SLICE(check_slice, (expected)); \
  } while (0)

typedef struct stage stage;
typedef struct place place; /* something that listens */
typedef struct proc proc;   /* a process: core, agents, uplink */
typedef struct fconn fconn; /* a connection to a scripted host */
typedef struct fcall fcall; /* a call on it */
typedef struct actor actor; /* a class of agents in C */

struct stage {
  tr_mem mem; /* the hosts' side and the tests' own: never refused */
  tr_time now;
  tr_log log;
  proc *procs;
  place *places;
  size_t piece; /* bytes travel in pieces of at most this size; 0: whole */
  unsigned cut_one_in; /* of so many transports of bytes one breaks its connection, some way in; 0: none */
  unsigned cuts;
  tr_random random;
  struct { char event[32]; unsigned count; char last[256]; } lines[64];
};

struct place {
  stage *on;
  place *next;
  bool down;          /* connections are refused */
  /* a real host */
  tr_core *core;
  tr_host *host;
  /* a scripted one */
  bool troupe;        /* it announces itself */
  bool native;        /* and that it takes the native format */
  bool mute;          /* it takes connections and says nothing at all */
  bool holds;         /* it does not notice that streams end */
  bool manual;        /* unary calls wait for fcall_answer */
  int refuse;         /* OpenChannel ends with this status at once */
  const char *refuse_text; /* and this text; NULL: "go away" */
  fconn *conns;
  fcall *calls;       /* newest first; all that ever were */
  fcall *channel;     /* the newest open stream */
  unsigned opened, registers, adds, removes, polls;
  char echo[64];      /* request_id of a barrier */
  struct held { struct held *next; int kind; char id[64], topic[64], type[64], client[64]; bool removed; } *held; /* kind -1: a type */
};

typedef struct fmessage { struct fmessage *next; size_t n; char bytes[]; } fmessage;

struct fcall {
  fcall *next;
  fconn *conn;
  tr_rpc_call *call; /* NULL: over */
  char method[32], client[64], version[32];
  fmessage *first, **end;
  unsigned count;
  int status;        /* how it ended */
};

struct fconn {
  fconn *next;
  place *at;
  tr_rpc_conn *rpc;  /* NULL: gone */
  unsigned pings;
};

struct proc {
  stage *on;
  proc *next;
  tr_core *core;
  tr_worker *worker;
  place *target;
  bool wants_dial, dirty, up, stalled; /* stalled: nothing travels either way (a cut link that nobody noticed) */
  fconn *fake;
  tr_host_conn *host_conn;
  unsigned dials, hang_ups, reasons, joins, rejoins, dead_letters; /* rejoins: of the joins, those that are no news */
  int dead_code, feed_result;
  char reason[512], dead_reason[512]; /* the last ones */
  tr_worker_state state;
  uint64_t written; /* bytes the worker sent */
};

stage *stage_new(void);
void stage_free(stage *s);
void stage_run(stage *s);                 /* until nothing moves */
void stage_sleep(stage *s, tr_time time); /* and let time pass, running */
unsigned stage_logged(const stage *s, const char *event);
const char *stage_line(const stage *s, const char *event); /* the last one's text */

place *host_new(stage *s);                       /* troupe's */
place *host_new_of(stage *s, tr_mem *mem);       /* whose memory is this; NULL: out of memory */
place *fake_new(stage *s, bool troupe);          /* scripted */
proc *proc_new(stage *s, tr_mem *mem, place *target, const tr_worker_options *tweaks); /* NULL: out of memory; started */
void proc_free(proc *p);                         /* the socket closes */
void proc_cut(proc *p);                          /* its connection breaks; both ends notice */
tr_mem *stage_mem(stage *s);

/* ---- agents in C ---- */

typedef struct heard { struct heard *next; char type[64], body[256], topic[128], key[64], sender[128]; bool request; } heard;

struct actor {
  proc *on;
  tr_class *class_;
  char name[64];
  heard *first, **end;
  unsigned count, cancels; /* cancels: turns that ended unfinished */
  void (*act)(actor *a, tr_turn *turn); /* NULL: answers a request with its own body, type "Echo" */
  void *ud;
};
/* NULL: out of memory. topic may be NULL. */
actor *actor_new(proc *p, const char *type, const char *topic, void (*act)(actor *a, tr_turn *turn));
actor *actor_shared(proc *p, const char *type, const char *topic); /* of a type that others may have, too; it answers */
void actor_reply(tr_turn *turn, const char *type, const char *json);
/* Wait in the turn for an answer: the turn goes on (act is called again) with turn->user set to an `answer`. */
void actor_call(tr_turn *turn, const char *target_type, const char *type, const char *json);
typedef struct answer { bool done; int code; char error[512], type[64], body[256]; void *call; } answer;

tr_msg *message(tr_core *core, tr_msg_kind kind, const char *target, const char *key, const char *type, const char *json);
void publish(proc *p, const char *topic, const char *type, const char *json);
answer *ask_key(proc *p, const char *target, const char *key, const char *json);
answer *ask(proc *p, const char *target, const char *type, const char *json, tr_time timeout); /* TR_NEVER: none; lives with the stage */

/* ---- what the scripted host does ---- */

fcall *fake_call(place *f, const char *method, unsigned nth); /* 0: the newest */
tr_slice fake_hear(place *f);             /* the next message on the newest stream; fails the case if none; runs */
bool fake_silent(place *f);
void fake_say(place *f, tr_slice message); /* on the newest stream */
void fake_end(place *f, int status, const char *text); /* the newest stream */
void fcall_answer(fcall *c, int status, const char *text); /* a unary call, with an empty message where status is 0 */
void fake_break(place *f);                /* all connections break */
bool fake_has(place *f, int kind, const char *topic, const char *type); /* kind -1: a type (topic unused) */
void fake_hold(place *f, int kind, const char *topic, const char *type, const char *client); /* as if another had registered it */
/* agents.Message; they live until the end of the case */
tr_slice a_request(stage *s, const char *id, const char *type, const char *key, const char *json);
tr_slice a_response(stage *s, tr_slice id, const char *json);
tr_slice an_error(stage *s, tr_slice id, const char *text);
tr_slice an_event(stage *s, const char *topic, const char *source, const char *json);
tr_wire_span span_of(tr_slice message);
bool holds(tr_slice message, const char *text); /* these bytes somewhere */


/* ---- between worker_stage.c and worker_fake.c ---- */

void *keep(size_t size); /* zeroed; lives until the end of the case */
place *place_new(stage *s);
fconn *fake_accept(place *f);
int fake_feed(void *conn, tr_slice bytes);
int fake_output(fconn *conn, tr_buf *out);
void fake_free(place *f);

#endif
