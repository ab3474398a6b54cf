/* SPDX-License-Identifier: MIT
 * What the program needs of the runtime beyond include/troupe.h: settings of the doors, progress of joining, watching,
 * arguments for scripts. Not installed; the cli room is its only user outside. */
#ifndef TR_RUNTIME_RUNTIME_H
#define TR_RUNTIME_RUNTIME_H

#include <uv.h>

#include "core/core.h"
#include "host/host.h"
#include "net/cert.h"
#include "script/script.h"
#include "troupe.h"
#include "worker/worker.h"

tr_core *tr_runtime_core(troupe_t *rt);
tr_script *tr_runtime_script(troupe_t *rt);
tr_log *tr_runtime_log(troupe_t *rt);
/* The loop everything here runs on; made at first use. NULL: see troupe_error. */
uv_loop_t *tr_runtime_loop(troupe_t *rt);
tr_time tr_runtime_now(troupe_t *rt);

/* Load a file, handing args to its chunk as `...`. */
int tr_runtime_load(troupe_t *rt, const char *path, const tr_slice *args, size_t argc);
/* troupe_protobuf from a file. */
int tr_runtime_protobuf_file(troupe_t *rt, const char *path);
bool tr_runtime_has_type(const troupe_t *rt, const char *type); /* by full name, in what was loaded */
/* Reload when a loaded file changes on disk, logging what happened. The runtime then does not end by itself. */
int tr_runtime_watch(troupe_t *rt);

/* For `troupe dev`: the runtime stays. A program's end and ctx:exit do not end it, but are told; so is what came of a reload of watched files
 * (rc as troupe_reload; text of an error), and before it that something in the watched folders has changed. Not from inside a turn. */
typedef struct tr_stay {
  void (*ended)(void *ud, int status);
  void (*reloaded)(void *ud, int rc, const char *text);
  void (*changed)(void *ud);
} tr_stay;
void tr_runtime_stay(troupe_t *rt, const tr_stay *stay, void *ud);
/* Run programs again: those whose code was reloaded since they began, or all. How many. */
unsigned tr_runtime_run_again(troupe_t *rt, bool all);
/* Watch the folder of a file that is not loaded (yet). After tr_runtime_watch. */
void tr_runtime_watch_path(troupe_t *rt, const char *path);
/* fn is called from the loop whenever something can be read from the descriptor, its end included, until it is closed (not from inside
 * troupe_free). */
typedef struct tr_input tr_input;
int tr_runtime_input(troupe_t *rt, int fd, void (*fn)(void *ud), void *ud, tr_input **out);
void tr_runtime_input_close(tr_input *input);

/* Settings of the host door; before the first troupe_listen. core, version, dirty and ud are filled in by the runtime. */
void tr_runtime_set_host_options(troupe_t *rt, const tr_host_options *options);
void tr_runtime_set_compress(troupe_t *rt, uint32_t from); /* troupe_options_t.compress_from; before any door is opened */
/* What its doors have open now: clients of its host, requests that go through it, requests that wait at uplinks for answers, and the hosts'
 * that agents here work on. For tests: when all is quiet no request is. */
typedef struct tr_runtime_open { size_t clients, forwarded, requests, jobs; } tr_runtime_open;
void tr_runtime_get_open(const troupe_t *rt, tr_runtime_open *open);
tr_host *tr_runtime_host(troupe_t *rt); /* NULL before troupe_listen */

/* Give scripts a right: "launch", "net=HOST:PORT"; or all of a list (troupe_options_t.grants). TR_EINVALID. */
int tr_runtime_allow(troupe_t *rt, const char *right);
int tr_runtime_allow_all(troupe_t *rt, const char *list);

/* This process was launched by another, to which it speaks over descriptor 3: serve this agent. moved: none until it is moved here. */
int tr_runtime_serve_parent(troupe_t *rt, const char *agent, bool moved);
/* The path of the program that runs, for troupe_options_t.program; written to out, where need be. */
const char *tr_runtime_own_program(char *out, size_t size);
/* What this process has launched: fn (may be NULL) for each; how many there are. */
typedef struct tr_launched_info { const char *id, *file, *reason; int pid; unsigned failures; } tr_launched_info; /* pid 0: not running */
size_t tr_runtime_each_launched(const troupe_t *rt, void (*fn)(void *ud, const tr_launched_info *info), void *ud);

typedef struct tr_uplink tr_uplink;
/* Called at every change of an uplink's state. */
typedef void (*tr_uplink_fn)(void *ud, tr_uplink *uplink, tr_worker_state state, const char *reason);
/* troupe_connect with a listener; register_types false: only call, publish and poll. *out (may be NULL) lives until troupe_free. */
int tr_runtime_connect(troupe_t *rt, const char *address, bool register_types, uint32_t max_message, tr_uplink_fn fn, void *ud,
                       tr_uplink **out);
tr_worker *tr_uplink_worker(const tr_uplink *uplink);
const char *tr_uplink_address(const tr_uplink *uplink);

/* What troupe_run returns once it ends; ctx:exit sets it too. */
void tr_runtime_exit(troupe_t *rt, int status);
/* SIGINT and SIGTERM drain and stop, twice: at once; SIGHUP reloads. fn hears of a stop before it begins; interrupt (may be NULL) of SIGINT
 * before that: true: it is no stop. */
int tr_runtime_signals(troupe_t *rt);
void tr_runtime_on_stop(troupe_t *rt, void (*fn)(void *ud), bool (*interrupt)(void *ud), void *ud);
/* How long a stop by a signal, a program's end or ctx:exit drains (default 3 s). */
void tr_runtime_set_drain(troupe_t *rt, tr_time drain);
/* Restore what is in this file, if it is there, and save to it when a stop has drained; a failure then makes the exit status 1. */
int tr_runtime_set_state(troupe_t *rt, const char *path);
bool tr_runtime_stopping(const troupe_t *rt);
/* What is in a state file, as JSON: { saved, bytes, records = [ { kind, agent, version, bytes, value } ] }, appended to out. */
int tr_runtime_show_state(troupe_t *rt, const char *path, const char *const *only, tr_buf *out);
/* What `troupe doctor` looks for, as a member of JSON: "checks":[ { name, sign, do } ]. */
void tr_doctor_checks(tr_buf *out);
const char *tr_doctor_turned_away(const char *reason); /* what to do about a host that is there, but not for us; NULL: it is none of that */
/* The state of the instance "type/key" as a save would store it. own: *out is the caller's. err: TROUPE_ENOT_FOUND: there is none. Between turns
 * only. */
int tr_runtime_state_of(troupe_t *rt, const char *id, troupe_value_t **out);
/* The socket for the operator's verbs: "unix:PATH", whose folder only its owner may enter. */
int tr_runtime_open_operator(troupe_t *rt, const char *address);
/* Ask this process itself, as by that socket: reply for each answer, then over, once; both may come from inside this call, and reply from
 * inside a turn. They may do nothing to the runtime. */
int tr_runtime_ask(troupe_t *rt, const char *verb, const char *body, void (*reply)(void *ud, tr_slice json),
                   void (*over)(void *ud, int code, tr_slice text), void *ud);
/* Who asked with this ud waits no longer: nothing further is called, and Lua that is evaluated for it ends. False: it is over. Not from inside a turn. */
bool tr_runtime_unask(troupe_t *rt, const void *ud);
/* Calls that were made (troupe_call) with this ud end with `cancelled`, and with them what works on them. Not from inside a turn. */
void tr_runtime_give_up(troupe_t *rt, const void *ud);
/* Ask a process by its operator's socket or by its host's door, and wait: each answer is given to fn, until it returns false. 0, its error, or
 * TR_EUNAVAILABLE, TR_ETIMEOUT; text in *error. asker: its certificates and token are shown (troupe_secure). */
int tr_operator_ask(troupe_t *asker, const char *address, const char *verb, const char *body, tr_time timeout, bool (*fn)(void *ud, tr_slice json), void *ud,
                    tr_error *error);
/* The same, but SIGINT, which is blocked before and after, ends it: TR_ECANCELLED. */
int tr_operator_ask_or_stop(troupe_t *asker, const char *address, const char *verb, const char *body, tr_time timeout,
                            bool (*fn)(void *ud, tr_slice json), void *ud, tr_error *error);
/* For those that wait in a way of their own (src/module). A callback of this runtime runs: it cannot be made to work now. */
bool tr_runtime_working(const troupe_t *rt);
/* Its clock stands while it works: what scripts start outside is waited for on the spot, or all of its time would pass at once. */
void tr_runtime_stand_still(troupe_t *rt);
/* Scripts see its clock as the time of day, too, which is `epoch` seconds since 1970 where it is 0. Before anything is loaded. */
int tr_runtime_set_epoch(troupe_t *rt, int64_t epoch);
int tr_runtime_turn(troupe_t *rt);       /* work, and wait until something happened */
void tr_runtime_interrupt(troupe_t *rt); /* the turn that goes on waits no longer */
bool tr_runtime_ended(troupe_t *rt);     /* troupe_run would return */
int64_t tr_runtime_next(troupe_t *rt);   /* µs until troupe_poll is due, if nothing comes by a socket before; -1: it is not */
bool tr_runtime_has_doors(troupe_t *rt);
int tr_runtime_exit_status(const troupe_t *rt);
/* Before and after agents are added by tr_runtime_script. */
void tr_runtime_tick(troupe_t *rt);
void tr_runtime_loaded(troupe_t *rt);
/* reloads.c: as troupe_reload_with */
typedef struct tr_reload_order {
  tr_reload_options what;
  bool watched;            /* it is taken back when more than `errors` turns of the new code fail within that time */
  uint32_t errors;
  tr_time within;          /* negative: a minute; of a canary: as long as it is one */
  tr_time drain;           /* negative: turns of older code have any time */
  bool pin, unpin;         /* from now on, after this, no new code; there may be some again */
} tr_reload_order;
int tr_runtime_reload_as(troupe_t *rt, const tr_reload_order *order);
/* Listen there, and lead on to this host what comes. *bound: as of troupe_listen. */
int tr_runtime_tunnel(troupe_t *rt, const char *listen, const char *host, const char **bound);
/* tr_signer_make. */
int tr_runtime_make_keys(const char *name, tr_buf *sign_line, tr_buf *verify_line);
/* tr_cert_make. */
int tr_runtime_make_cert(const tr_cert_request *request, tr_slice ca_cert, tr_slice ca_key, tr_buf *cert, tr_buf *key, tr_error *error);
/* Bodies as JSON text for printing: appended to out. */
int tr_runtime_body_json(troupe_t *rt, const tr_body *body, tr_buf *out, tr_error *error);

#endif
