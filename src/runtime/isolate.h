/* SPDX-License-Identifier: MIT
 * Isolates: the threads of one runtime. Each has its own core, Lua state and memory count, and a share of the agents. Isolate 0 is
 * the thread that uses troupe.h: it has the doors, the programs and what C added; it is the only one there is by default, and then
 * none of this exists (troupe_t.crew is NULL). */
#ifndef TR_RUNTIME_ISOLATE_H
#define TR_RUNTIME_ISOLATE_H

#include <uv.h>

#include "runtime/internal.h"
#include "runtime/nap.h"
#include "runtime/parcel.h"

/* A request that was sent to another isolate, until its answer is there. */
typedef struct tr_away { tr_holder holder; tr_isolate *isolate; tr_msg *msg; unsigned to; uint64_t token; } tr_away;
typedef struct tr_away_slot { tr_away *away; uint32_t generation, next; } tr_away_slot;
typedef struct tr_job tr_job; /* a request from another isolate that is handled here */
typedef struct tr_job_table { tr_job **jobs; uint32_t cap; } tr_job_table;

typedef struct tr_far_list tr_far_list;

typedef struct tr_isolate_gate { tr_gate gate; struct tr_isolate *isolate; unsigned to; } tr_isolate_gate;

struct tr_isolate {
  tr_crew *crew;
  unsigned index;
  tr_core *core;     /* isolate 0: the runtime's own */
  tr_script *script;
  tr_mem *mem;
  const tr_log *log;
  tr_tally letters; /* not of isolate 0 */
  tr_undelivered undelivered; /* likewise */
  /* the thread; not of isolate 0 */
  tr_mem own_mem;
  tr_log own_log;
  bool muted;        /* it loads what isolate 0 has loaded, and printed, before */
  bool running;
  uv_thread_t thread;
  /* what others touch, away from what only its own thread does: a line of the cache that both write goes to and fro */
  char apart[64];
  tr_nap nap;
  tr_inbox inbox;
  _Atomic bool let_go;       /* all its held agents may go on: a word about one of them was lost */
  char apart_too[64];
  _Atomic tr_time next;      /* its next timer, when it went to sleep */
  _Atomic uint64_t status;   /* TR_STATUS_…, above them how often it changed */
  _Atomic uint64_t sent, taken; /* parcels; only its own thread writes */
  char apart_as_well[64];
  /* crossing.c, away.c, job.c */
  tr_isolate_gate *gates;    /* by receiver */
  tr_away_slot *away;
  uint32_t away_cap, away_free;
  tr_draft draft;
  tr_parcels parcels;
  tr_far_list *spare;
  tr_job_table *jobs;        /* by caller's isolate */
  tr_queued *arrived;        /* arrivals.c: what was taken out of the inbox, and is not done with yet */
  tr_link going;             /* shared.c; not of isolate 0 */
};

enum { /* tr_isolate.status */
  TR_STATUS_ASLEEP = 1, /* nothing is ready */
  TR_STATUS_IDLE = 2,   /* nor open */
  TR_STATUS_QUIET = 4,  /* and no timer runs */
  TR_STATUS_STEP = 8
};

struct tr_crew {
  troupe_t *rt;
  unsigned count;
  bool started;
  tr_isolate *isolates[TR_ISOLATES_MOST];
  uv_async_t wake;           /* of isolate 0 */
  uv_mutex_t log_mutex;      /* recursive: one callback of the embedder at a time */
  uv_mutex_t mutex;          /* of the pause */
  uv_cond_t paused, resumed;
  tr_time clock;             /* of an embedder's own clock: when it was looked at last */
  unsigned paused_count, depth;
  bool standing;             /* all of them do */
  struct { unsigned depth; tr_map by_path; } sources; /* sources.c: files that were read for a step that is under way; depth 0: none is */
  tr_map brought;            /* ids that live in isolate 0 though their keys would not: their text with its zero */
  uv_key_t here;             /* of a thread: its isolate; not set: the first one's */
  bool has_key;
  tr_link errands;           /* errand.c: what others ask of this thread, */
  unsigned asking, serving;  /* how many wait for that, and how deep we are in it */
  _Atomic bool asked;        /* there are some */
  _Atomic bool pausing, ending;
  _Atomic uint64_t watching; /* isolate 0 wants to know once when another one says one of these */
  _Atomic bool outward;      /* somebody whom only isolate 0 knows may hear events */
  _Atomic bool way_up;       /* it has an uplink for what nobody here has */
};

/* n - 1 isolates beside the runtime's own, not started. */
int tr_crew_new(troupe_t *rt, unsigned count);
void tr_crew_stop(tr_crew *crew); /* and wait for the threads' end */
void tr_crew_free(tr_crew *crew); /* after the runtime's own core is gone */
void tr_crew_close(tr_crew *crew); /* the other cores; the threads have stopped */
/* Start the threads, once. */
int tr_crew_start(tr_crew *crew);
/* Between these two the other threads stand still between two turns, and what is theirs may be used from this one. They nest. */
void tr_crew_pause(tr_crew *crew);
void tr_crew_resume(tr_crew *crew);
/* Do all other isolates say so (TR_STATUS_…), with nothing under way between them? Isolate 0 must be so itself. */
bool tr_crew_is(tr_crew *crew, uint64_t what);
/* While they stand still: everything that was pushed is taken, so nothing is under way. */
void tr_crew_settle(tr_crew *crew);
/* The embedder's clock moves by its own laws: wake those whose timers are due. */
void tr_crew_look_at_clock(tr_crew *crew);
/* Between these two a file is read once, whichever isolates load it; while they stand still. They nest. */
void tr_sources_begin(tr_crew *crew);
void tr_sources_end(tr_crew *crew);
void tr_crew_look_outward(tr_crew *crew); /* who is there beside us; from isolate 0 */
void tr_isolate_wake(tr_isolate *isolate);
/* errand.c: call fn in the thread of isolate 0, and wait for it; there, or without a crew, at once. TR_EUNAVAILABLE: all ends, fn was not
 * called. thr: any. */
int tr_crew_errand(tr_crew *crew, void (*fn)(void *ud), void *ud);
void tr_crew_serve(tr_crew *crew);        /* what others ask for */
void tr_crew_serve_locked(tr_crew *crew); /* the same, crew->mutex being held */
/* The isolate of a key of this type: an index. */
unsigned tr_crew_home(const tr_crew *crew, const tr_class *class_, tr_slice key);
tr_isolate *tr_crew_home_of(tr_crew *crew, tr_slice type, tr_slice key); /* by names */

/* crossing.c */
int tr_isolate_open_crossing(tr_isolate *isolate, uint64_t identity);
void tr_isolate_leave(tr_isolate *isolate); /* before its core goes, after its script: nothing is away or waits any more */
void tr_isolate_close_crossing(tr_isolate *isolate); /* after it */
/* To the same agent in isolate 0, whatever the message is. While all stand still, from there: so there is always room. */
void tr_isolate_forward(tr_isolate *isolate, tr_msg *msg, const tr_agent *agent);
/* One for an agent of a shared type that is not here any more: by the first isolate's uplink. */
void tr_isolate_send_up(tr_isolate *isolate, tr_msg *request);
/* arrivals.c: take what others sent */
void tr_isolate_receive(tr_isolate *isolate);
bool tr_isolate_is_stalled(const tr_isolate *isolate); /* something waits for room in a link: it will be woken when there is */
void tr_isolate_drop_inbox(tr_isolate *isolate);
/* crossing.c: push, and wake who is to be woken. own: takes it. */
void tr_isolate_push(tr_isolate *from, unsigned to, tr_parcel *parcel);
/* script hooks of isolates: errand.c, arrivals.c */
int tr_isolate_uplink(void *ud, tr_slice address, uint32_t *number, tr_error *error);
int tr_isolate_launch(void *ud, const tr_script_launch *asked, tr_error *error);
int tr_isolate_stop_launched(void *ud, tr_slice type, tr_slice key, tr_error *error);
void tr_isolate_exit(void *ud, int status);
void tr_isolate_subscribed(void *ud, const tr_shared_sub *sub, bool added);

#endif
