/* SPDX-License-Identifier: MIT
 * Lua: states, sandbox, agent definitions, handlers as coroutines, reload, and the C half of the Lua library. The
 * only room with lua.h besides module.
 *
 * One tr_script is one Lua state holding the agents of one isolate (one trust domain). It gives the core a
 * tr_class_ops per loaded agent type and the body operations for values that stay Lua values. Files are read through
 * the `load` option; nothing here touches a file or a socket. */
#ifndef TR_SCRIPT_SCRIPT_H
#define TR_SCRIPT_SCRIPT_H

#include "codec/codecs.h"
#include "codec/sink.h"
#include "codec/value.h"
#include "core/core.h"

typedef struct tr_script tr_script;

/* A subscription that was made, or ended, while running: other isolates of the runtime have to know it too. */
typedef struct tr_shared_sub { tr_slice type, topic, key; tr_sub_kind kind; bool all; uint64_t id; } tr_shared_sub; /* key.p NULL: the source */
typedef struct tr_script_launch { /* what ctx:launch was asked for; all borrowed, file and args without zero bytes */
  tr_slice type, key, file;
  const tr_slice *args;
  size_t argc;
  const tr_slice *allow; /* rights to hand on; */
  size_t allow_count;    /* SIZE_MAX: not said */
  bool lazy;
} tr_script_launch;

#define TR_EXEC_WORDS 64
typedef struct tr_script_exec { /* a program and its arguments, without zero bytes; all borrowed */
  const tr_slice *words;
  size_t count, most; /* most: bytes of each output */
  tr_slice in;
  tr_time timeout;
  tr_mem *mem;
} tr_script_exec;
typedef struct tr_script_fetch { /* a request of HTTP; texts without zero bytes, all borrowed */
  const char *method, *url;
  const char *const *headers; /* "Name: value", then NULL */
  tr_slice body;              /* p NULL: none */
  tr_time timeout;
  size_t most;                /* bytes of the answer's body */
  unsigned redirects;
  void (*done)(void *ud);     /* NULL, or called in the asker's thread when there is an answer */
  void *done_ud;
} tr_script_fetch;
typedef struct tr_script_answer { int status; tr_slice headers, body; const char *url; } tr_script_answer; /* headers: "Name: value\n…" */
typedef struct tr_script_serve { /* a door for HTTP; borrowed */
  tr_slice address;
  const char *agent, *type; /* who gets its requests, as messages of this type */
  tr_slice secret;          /* p NULL: none; else what requests are signed with, */
  const char *signature;    /* in this header, in lower case */
  size_t most;              /* bytes of a request's body */
  tr_time timeout;          /* for an answer */
} tr_script_serve;
/* luv, and the loop that scripts may share by it (luv.c). */
struct lua_State;
struct uv_loop_s;
typedef struct tr_script_luv {
  struct uv_loop_s *loop;
  int (*open)(struct lua_State *L);
  void (*set_loop)(struct lua_State *L, struct uv_loop_s *loop);
  void (*set_callback)(struct lua_State *L, int (*call)(struct lua_State *L, int nargs, int nresults, int flags));
  bool (*alive)(void *handle); /* would a loop run on for it? */
  bool (*ends)(void *handle);  /* it is closing already */
} tr_script_luv;
typedef struct tr_script_stat { bool file, folder; uint64_t size, inode; double modified; } tr_script_stat; /* seconds since 1970 */
typedef struct tr_script_result { int status, signal; tr_slice out, err; } tr_script_result;
/* What lies outside of the runtime, as far as its scripts have the right to it; may be called from any isolate's thread. err: TR_EPERMISSION
 * naming the right, TR_EINVALID, TR_ENOT_FOUND, TR_ETOO_LARGE, TR_EIO, TR_EMEMORY. */
typedef struct tr_script_outside {
  int (*read)(void *ud, tr_slice path, tr_buf *out, tr_error *error);
  int (*write)(void *ud, tr_slice path, tr_slice text, tr_error *error); /* all of it, or nothing */
  int (*list)(void *ud, tr_slice path, tr_buf *out, tr_error *error);    /* names, a zero behind each; of folders with a slash */
  int (*stat)(void *ud, tr_slice path, tr_script_stat *out, tr_error *error); /* of a link below what was granted: neither */
  int (*env)(void *ud, tr_slice name, tr_buf *out, tr_error *error);     /* TR_ENOT_FOUND without a text: it is not set */
  int (*start)(void *ud, const tr_script_exec *asked, void **program, tr_error *error); /* also TR_EOVERLOADED */
  int (*look)(void *ud, void *program, tr_script_result *result, tr_error *error); /* 1: it has ended; 0: not yet */
  void (*stop)(void *ud, void *program);                                 /* in any case, once */
  int (*fetch)(void *ud, const tr_script_fetch *asked, void **fetch, tr_error *error); /* also TR_EOVERLOADED, TR_EUNAVAILABLE */
  int (*fetched)(void *ud, void *fetch, tr_script_answer *answer, tr_error *error); /* 1: it is there; 0: not yet; also TR_ETIMEOUT */
  void (*unfetch)(void *ud, void *fetch);                                /* in any case, once */
  int (*serve)(void *ud, const tr_script_serve *asked, void **server, char *bound, tr_error *error); /* bound: at least 300 bytes */
  void (*unserve)(void *ud, void *server);                               /* in any case, once */
  int (*luv)(void *ud, struct tr_script_luv *out, tr_error *error);      /* out NULL: only whether they may; also TR_EUNAVAILABLE */
  void *ud;
} tr_script_outside;

#define TR_SUB_RANGE 40
typedef struct tr_script_options {
  tr_core *core;
  /* Source of a file or module: 0 and *text (released by the script through free_text), or negative with error text. */
  int (*load)(void *ud, const char *path, tr_buf *text, tr_error *error);
  void (*print)(void *ud, tr_slice line);         /* print(): standard output in the program, the log when embedded */
  /* ctx:exit(status) and a program's return; ctx:stop(). */
  void (*exit)(void *ud, int status);
  void (*classes_changed)(void *ud);              /* subscriptions or classes changed at run time: uplinks sync */
  void (*subscribed)(void *ud, const tr_shared_sub *sub, bool added); /* there are several isolates; NULL: one */
  bool deterministic;                             /* pairs, next and the clocks of `os` are the same each time (deterministic.c) */
  bool no_loop;                                   /* one of several isolates, and not the one that has the runtime's loop */
  uint64_t first_sub;                             /* ctx:subscribe gives numbers above this; of several isolates, a multiple of 1 << TR_SUB_RANGE */
  /* The number of the uplink to this address, made where there is none and the script may. err: TR_EINVALID, TR_EPERMISSION, TR_EMEMORY. */
  int (*uplink)(void *ud, tr_slice address, uint32_t *number, tr_error *error);
  /* Bind this id to a process of its own. err: TR_EPERMISSION, TR_EEXISTS, TR_ELIMIT, TR_EINVALID, TR_EUNAVAILABLE, TR_EMEMORY. */
  int (*launch)(void *ud, const tr_script_launch *asked, tr_error *error);
  int (*stop_launched)(void *ud, tr_slice type, tr_slice key, tr_error *error); /* TR_ENOT_FOUND */
  void (*stopped)(void *ud, const tr_agent *agent);                           /* it called ctx:stop */
  void (*failed)(void *ud, uint32_t number);      /* a turn of the code with this number; may be NULL */
  void *ud;
  const tr_script_outside *outside;               /* borrowed; NULL: there is nothing */
  tr_slice untyped;                               /* borrowed: the type of agents that say none; p NULL: their file's name */
  tr_codecs *codecs;                              /* borrowed: types and serializers; NULL: it makes its own */
  size_t memory_limit;                            /* of the whole state; 0: none */
  tr_time (*clock)(void *ud);                     /* for the running time of turns; NULL: it is not bounded */
} tr_script_options;

tr_script *tr_script_new(const tr_script_options *options, tr_error *error); /* also hands its body ops to the core */
/* Before tr_core_free: its classes leave the core, and the names that it holds are given back. */
void tr_script_free(tr_script *script);

/* The time, and random numbers: what scripts learn that is in no message (look.c). */
typedef enum tr_look_kind { TR_LOOK_TIME, TR_LOOK_NOW, TR_LOOK_CPU, TR_LOOK_SEED, TR_LOOK_KINDS } tr_look_kind;
typedef struct tr_look {
  tr_look_kind kind; /* os.time and os.date, seconds since 1970; ctx:now, µs; os.clock, µs; where a turn's random numbers begin */
  const tr_turn *turn; /* NULL: no turn asks, or they are not asked for */
  uint64_t nth;      /* of this kind in this turn, from 0 */
  uint64_t change;   /* from 1; 0: the value is that of the one before */
  int64_t value;     /* how it is really */
  void **kept;       /* the turn's, for fn alone; NULL at first */
} tr_look;
typedef struct tr_looks {
  int64_t (*fn)(void *ud, const tr_look *look); /* what it is to be; in the script's thread. NULL: nobody is asked */
  void *ud;
  bool turns;        /* turn by turn, and random numbers too: each turn has its own, files that are loaded draw from `seed` */
  uint64_t seed;
} tr_looks;
/* Before anything is loaded, and once. err: TR_EMEMORY. */
int tr_script_set_looks(tr_script *script, const tr_looks *looks, tr_error *error);

/* Run the core inside Lua's protection: tr_core_step under one lua_pcall; out of memory fails only the served turn. */
int tr_script_step(tr_script *script, tr_time now, unsigned turns);

/* Load a script: compile (text only), run its chunk with `args`, check what it returned, and add its classes to the
 * core; or nothing at all and an error naming file, line, what was expected. `name` is the file path, shown in
 * messages; source NULL: read it. A file whose version is loaded already is reloaded (tr_script_reload). */
int tr_script_load(tr_script *script, const char *name, tr_slice source, const tr_slice *args, size_t argc,
                   tr_error *error);
/* Compile, stage, check and swap a set of loaded files (count 0: all), all or nothing. Unchanged sources are
 * skipped; *changed says how many were swapped. Turns under way finish on the code they began with. */
int tr_script_reload(tr_script *script, const char *const *names, size_t count, size_t *changed, tr_error *error);
/* The same in two steps, for several isolates: all that can fail, then the swap or back to what was. No turn may run in between. *out is
 * NULL where nothing changed. error lives until the end. */
typedef struct tr_reloading tr_reloading;
/* prepared.c: the texts of a reload that is tried, so that just these can be taken later. */
typedef struct tr_prepared tr_prepared;
tr_prepared *tr_script_prepared(const tr_reloading *reloading); /* NULL: out of memory */
void tr_prepared_free(tr_prepared *prepared); /* before its script goes; may be NULL */
typedef struct tr_reload_options {
  const char *const *names; /* of loaded files; count 0: all */
  size_t count;
  tr_slice source; /* of a single file; p NULL: read it */
  uint32_t to;     /* go back to what was when this number served; 0: what the files say now */
  const char *canary; /* the new code is for these keys alone ("10%", "KEY", "=KEY"); of one that runs: for these from now on. NULL: for all */
  bool promote, undo; /* the canary that runs: it is for all; it is gone */
  bool again;      /* also what was undone, or gone back from, and has not changed since; with `to`: what is left may come again as it is */
  bool trial;      /* it will not be taken: instances are migrated as copies */
  const tr_prepared *const *prepared; /* the texts of a trial, of each isolate, instead of what the files say; NULL: none */
} tr_reload_options;
int tr_script_reload_begin(tr_script *script, const tr_reload_options *options, size_t *changed, tr_reloading **out, tr_error *error);
/* What it would do, a type at a time: the same types in the same order in all isolates. */
typedef struct tr_change {
  const char *type;
  bool added, removed;
  int64_t from, to;       /* versions of the state */
  size_t instances, busy; /* in memory; of these with an open turn */
  unsigned subs_added, subs_removed, timers_added, timers_removed;
} tr_change;
void tr_script_reload_changes(const tr_reloading *reloading, void (*fn)(void *ud, const tr_change *change), void *ud);
void tr_script_reload_end(tr_reloading *reloading, bool taken); /* own: takes it; may be NULL */
bool tr_script_reload_held(const tr_script *script); /* the last one was refused because it was undone before (->again) */
/* The files that the last reload swapped, joined by ", "; not all where there are many. */
const char *tr_script_reloaded(const tr_script *script);
bool tr_script_is_loaded(const tr_script *script, const char *name);
/* What one that is loaded gets as `...` from the next reload on; and its text. */
int tr_script_set_args(tr_script *script, const char *name, const tr_slice *args, size_t argc);
char *tr_script_copy_source(tr_script *script, tr_slice source); /* for tr_script_set_source; NULL: out of memory */
/* own: takes the copy, which is the text from now on. name NULL: it is not wanted, and is freed (NULL is fine). */
void tr_script_set_source(tr_script *script, const char *name, char *copy, size_t length);
/* Take back a load: its classes leave. */
void tr_script_unload(tr_script *script, const char *name);
/* options.untyped, for what is loaded from now on. */
void tr_script_set_untyped(tr_script *script, tr_slice type);
/* Files that belong to what is loaded (scripts and what they required), for a watcher: NULL starts and ends. */
const char *tr_script_next_file(const tr_script *script, const char *after);
/* Make the autostart instances and start the programs. After loading, once doors are configured. */
int tr_script_start(tr_script *script, tr_error *error);
int tr_script_start_type(tr_script *script, tr_slice type, tr_error *error); /* of this type alone, and no program */
/* Start programs anew: those whose code was reloaded since they began, or all. How many; *error: of one that could not be. */
unsigned tr_script_run_again(tr_script *script, bool all, tr_error *error);
bool tr_script_has_program(const tr_script *script);
bool tr_script_programs_running(const tr_script *script);

/* What another isolate's `subscribed` said. */
void tr_script_share(tr_script *script, const tr_shared_sub *sub, bool added);

/* Saving and restoring, for C. Each instance's state by its save hook, as a body in the native format; those that are not in memory too. */
/* A value as a body, and native bytes as a value. value NULL: no body. */
int tr_script_body(tr_script *script, const tr_value *value, tr_body *body, tr_error *error);
tr_value *tr_script_value(tr_script *script, tr_slice bytes, tr_error *error); /* NULL: *error says why */

/* Saving and restoring, for C: records of a state file, whose bytes only this room understands.
 *   "state"         of an instance by its save hook, as a body in the native format; also of those that are not in memory
 *   "timer"         one that runs for it, with the time that is left
 *   "subscription"  of an agent type (the key), added by ctx:subscribe */
typedef struct tr_state_out {
  /* part: "", or which part of the state it is. Not 0: stop. */
  int (*record)(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes);
  int (*failed)(void *ud, tr_slice id, const tr_error *why); /* this one cannot be saved */
  bool (*wanted)(void *ud, tr_slice key);                    /* an id, or a type; NULL: all */
  void *ud;
} tr_state_out;
int tr_script_save(tr_script *script, const tr_state_out *out); /* what out returned */
/* All of one instance, in memory or not; out->wanted is true for it alone. */
int tr_script_save_one(tr_script *script, tr_slice id, const tr_state_out *out);
/* The end of a runtime: what is at work and can be begun again, as it was before; then every instance at the moment when it leaves
 * memory, until `out` is NULL. What is left after that is for tr_script_save, which leaves out what was stored. */
int tr_script_save_requeued(tr_script *script, const tr_state_out *out);
void tr_script_keep(tr_script *script, const tr_state_out *out);
/* An instance with open turns, all of which can be begun again from what is kept. */
bool tr_script_requeues(const tr_agent *agent);
/* TR_EINVALID where the state is of a newer version than the code. Types that are not loaded are fine. */
int tr_script_can_restore(const tr_script *script, tr_slice id, int64_t version, tr_error *error);
/* One record. A state is kept until the instance is made: its INIT turn takes it up; one that is live is restarted. passed: how much
 * time has gone by since it was saved, for timers. */
int tr_script_restore(tr_script *script, tr_slice kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes, tr_time passed,
                      tr_error *error);
/* Nothing of this instance is kept any more: it is elsewhere. */
void tr_script_forget(tr_script *script, tr_slice id);
/* Where an agent type's code comes from, if that is a file; borrowed. */
typedef struct tr_script_source { const char *file; char *const *args; size_t argc; } tr_script_source;
bool tr_script_where(const tr_script *script, tr_slice type, tr_script_source *out);
/* States that are kept because their instances are not in memory. */
size_t tr_script_saved_count(const tr_script *script);
size_t tr_script_saved_bytes(const tr_script *script);

/* Values in and out, for C: a new slot from a source that drives `sink`; and a slot's value into a sink. */
typedef struct tr_script_builder tr_script_builder;
tr_script_builder *tr_script_build_begin(tr_script *script, tr_error *error); /* NULL: out of memory */
tr_sink tr_script_build_sink(tr_script_builder *builder);
/* body: of TR_BODY_SLOT, or of TR_BODY_NONE where it was not whole, or for lack of memory; its format is the caller's. Frees the builder. */
void tr_script_build_end(tr_script_builder *builder, tr_body *body);
/* The same from a body in the native format, at once. 0: *error says why. */
uint32_t tr_script_read_native(tr_script *script, tr_slice bytes, tr_error *error);
int tr_script_walk(tr_script *script, const tr_body *body, const tr_sink *sink, tr_error *error); /* any kind of body */

/* A serializer was added to the codecs: bodies that come are looked at for it from now on. */
void tr_script_plug(tr_script *script);
/* body->format (and serializer) by the name of an encoding ("protobuf") or a content type, for messages of this type. err: TR_EINVALID. */
int tr_script_find_encoding(tr_script *script, tr_slice type, tr_slice encoding, tr_body *body, tr_error *error);
/* Make the body what `encoding` says ("protobuf", a content type, … as opts.encoding; n 0: what is plugged in for JSON). err: TR_EINVALID
 * naming the field, TR_EMEMORY. */
int tr_script_encode(tr_script *script, const tr_name *type, tr_slice encoding, tr_body *body, tr_error *error);

/* What a loaded agent type says of itself; the caller's. NULL: no such type (then error->code is 0), or out of memory. */
tr_value *tr_script_describe(tr_script *script, tr_slice type, tr_error *error);
bool tr_script_has_agents(const tr_script *script, tr_slice type);
#define TR_GET_TYPE "troupe.get" /* a request of this type is answered with null as soon as its agent is ready */

/* For the core's dead_letter hook: publish it as a DeadLetter on troupe.dead_letter if anybody subscribes, soon. */
void tr_script_dead_letter(tr_script *script, tr_msg *msg, int code, const char *text);

/* Where a class of this room comes from; false: it is another's. The name lives as long as the class. */
typedef struct tr_script_about { const char *file; int64_t version; bool program; uint32_t number; } tr_script_about;
bool tr_script_class_about(const tr_class *class_, tr_script_about *about);

/* versions.c: each reload that changes something has a number, from 1 (what was loaded first); so many of them can be gone back to. */
#define TR_VERSIONS_KEPT 10
uint32_t tr_script_number(const tr_script *script);
uint32_t tr_script_oldest(const tr_script *script);
/* old_turns.c: open turns of code that serves their agent no more: their number. why: each is ended with `cancelled` and that text, those that
 * could be are counted and named in *who (may be NULL). */
size_t tr_script_old_turns(tr_script *script, const char *why, tr_buf *who);
/* canary.c: new code that serves only some keys. Its number is the next one; which keys, as a text ("10%", "key anna"). 0: there is none. */
#define TR_CANARY_TEXT 300
uint32_t tr_script_canary(const tr_script *script, char which[TR_CANARY_TEXT]);
/* Of a type that it has: who is on it, and failed turns of it and of the code that serves the others since it began. */
typedef struct tr_canary_about { uint32_t instances, turns, failed, failed_others; } tr_canary_about;
bool tr_script_class_canary(const tr_class *class_, tr_canary_about *out);
/* Older code of the type that instances are on or turns run: the i-th, the oldest first. False: no more. */
typedef struct tr_old_code { uint32_t number, instances, turns; } tr_old_code;
bool tr_script_class_older(const tr_class *class_, size_t i, tr_old_code *out);

/* --- luv.c --- */
bool tr_script_has_luv(const tr_script *script);   /* a script has required it */
bool tr_script_luv_alive(tr_script *script);       /* a handle of a script's would keep a loop running */
/* Before the loop is closed, which then has to run until it is done: all handles are closed, no callback is called any more. */
void tr_script_luv_close(tr_script *script);

/* --- for consoles (console.c, visit.c) --- */
/* How long turns run is measured while it is wanted by anybody. Counted. */
void tr_script_time(tr_script *script, bool wanted);
/* What is known of an instance. False: it is not one of this room's. The texts live until it runs again. */
typedef struct tr_script_agent {
  int64_t version;
  uint32_t number;    /* of the reload that its code is of; 0: it was not made yet */
  bool canary;        /* and that is the canary's */
  const char *file;
  bool program;
  size_t memory;      /* bytes that are charged to it */
  tr_time busy;       /* running time, while it was measured */
  uint32_t failures;  /* messages that it failed at */
  const char *failed; /* the last of them; NULL: none */
  tr_time failed_at;
} tr_script_agent;
bool tr_script_agent_about(const tr_agent *agent, tr_script_agent *about);
/* Append members of a JSON object, each with a comma before it: type, messages, subscriptions; timers; open turns with their tracebacks;
 * state (about `limit` bytes of it). Runs none of its code. err: TR_EINVALID, TR_EMEMORY. */
int tr_script_inspect(const tr_agent *agent, size_t limit, tr_buf *out, tr_error *error);
/* Its turn that computes for so long that the log tells of it (turn.stuck); at: "file:line". False: there is none. */
typedef struct tr_stuck { const char *type; tr_time ran; char at[200]; } tr_stuck;
bool tr_script_stuck(const tr_agent *agent, tr_stuck *out);
/* End its turn that computes; where there is none, and `waiting`, those that wait: their number. Their traceback is appended to out. err:
 * TR_EINVALID where there is none, TR_EMEMORY. */
int tr_script_break(tr_agent *agent, bool waiting, tr_buf *out, tr_error *error);
/* Evaluate Lua text in a turn of this agent, in its environment, with `self` and `ctx`, as soon as it does not compute: the answer is
 * { values = { text… }, output = text } or { error, traceback }. NULL: *error says why not. */
tr_call *tr_script_visit(tr_agent *agent, tr_slice code, tr_time deadline, tr_reply_fn fn, void *ud, tr_error *error);
/* Nobody wants to know any more: what computes ends, too. fn is not called. agent NULL: it is gone. */
void tr_script_unvisit(tr_agent *agent, tr_call *call);
/* How this beginning of an expression may go on: a JSON array of texts, appended. Runs none of its code. */
int tr_script_complete(const tr_agent *agent, tr_slice text, tr_buf *out, tr_error *error);

/* Version of Lua compiled in: "5.4.4". */
const char *tr_script_lua_version(void);

#endif
