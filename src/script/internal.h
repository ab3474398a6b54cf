/* SPDX-License-Identifier: MIT
 * What the files of this room share: the structures of one Lua state with its agents, and the functions between
 * them.
 *
 * Reading order: state.c (the state and its protection), copy.c and slots.c (bodies), definition.c (what a file
 * returns), class.c and turn.c (how the core runs it), ctx.c (what a handler sees), load.c and reload.c (how code
 * comes and changes).
 *
 * Who may raise: a function that takes a lua_State may raise a Lua error (out of memory at least) unless it says
 * that it does not; one that takes only a tr_script never does. What the core calls back outside ops->run must not
 * raise (core.h). */
#ifndef TR_SCRIPT_INTERNAL_H
#define TR_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/tally.h"
#include "core/id.h"
#include "script/script.h"

/* Instructions between two looks of the hook, and one slice of a turn; the same in coroutines that scripts make. */
#ifdef TR_HOSTILE
#define TR_TICK 50
#define TR_TICK_INNER 20
#else
#define TR_TICK 10000
#define TR_TICK_INNER 1000
#endif
#define TR_TIMERS_MAX 10000 /* default of limits.timers */
#define TR_SUBS_MAX 10000   /* of limits.subscriptions */
#define TR_INSTRUCTIONS 100000000u /* default of limits.instructions */
#define TR_STREAM_WINDOW 16  /* parts of an answer that wait for who reads them */
#define TR_COPY_MAX 4000000  /* values in one body */

typedef struct tr_lua_turn tr_lua_turn;
typedef struct tr_definition tr_definition;
typedef struct tr_script_class tr_script_class;
typedef struct tr_instance tr_instance;
typedef struct tr_script_file tr_script_file;
typedef struct tr_unit tr_unit;
typedef struct tr_address tr_address;
typedef struct tr_future tr_future;
typedef struct tr_code tr_code;
typedef struct tr_luv tr_luv;
typedef struct tr_looked tr_looked;

/* --- refs.c: where the placeholders of a body are while it is written --- */
typedef struct tr_ref_writer { tr_buf text; uint32_t nulls; } tr_ref_writer;
void tr_ref_writer_null(tr_ref_writer *refs, const tr_future *f); /* f stands where the next null is */

#include "script/limits.h"

/* --- slots.c: bodies that wait --- */
typedef struct tr_slots {
  uint32_t *next; /* free list through the unused ones; TR_SLOT_… flags of the used ones */
  uint32_t count, cap, free;
} tr_slots;
#define TR_SLOT_NULLS 1u /* a map in it has a null member */
#define TR_SLOT_PARCEL 1 /* above this bit: the account of its blocks */

/* --- foreign.c: a Lua state that is not ours; its turns and bodies are also those of a state of one agent alone (own.c) --- */
/* The script whose code runs there, or one that holds what all share. */
tr_script *tr_foreign_script(lua_State *L);
/* From here on it is `script` that runs; what was there before comes back with tr_foreign_leave. Nothing happens in a state of our own. */
tr_script *tr_foreign_enter(tr_script *script);
void tr_foreign_leave(tr_script *script, tr_script *before);
int tr_foreign_run(tr_script_class *class_, tr_turn *turn); /* as tr_lua_run; does not raise */
/* The checked value on the top goes home as a body; [-1, +0, m]. 0, or a code. */
int tr_foreign_keep(lua_State *L, tr_script *script, bool nulls, tr_body *body, tr_error *error);
/* Push what lies at home in a slot. 0, or a code (nothing is pushed). Does not raise. */
int tr_foreign_fetch(lua_State *L, tr_script *script, uint32_t slot, bool keep_nulls, tr_error *error);
void tr_foreign_future(lua_State *L, tr_script *script); /* the future on the top was made: it may outlive the script */
/* For functions that may be called when nothing of ours runs: push what leads to the script (nil, of a state of our own), and follow it;
 * raises where the script is gone. */
void tr_foreign_handle_push(lua_State *L, const tr_script *script);
tr_script *tr_foreign_handle_at(lua_State *L, int at);
void tr_foreign_close(tr_script *script); /* of a home: its foreign one */
/* In a body: a value that stays in the state of a script that has a home, since placeholders are in it. The rest of the number says whose
 * it is and in which slot, in a table of the home. */
#define TR_SLOT_LOCAL 0x80000000u
typedef struct tr_local { tr_script *script; uint32_t slot; } tr_local; /* script NULL: free, slot is the next free one */

/* --- code.c: the texts that a file was made of, for states that run it again --- */
struct tr_code { unsigned refs; tr_mem *mem; char *name; char **args; size_t argc; tr_link texts; };
tr_code *tr_code_new(tr_mem *mem); /* NULL: out of memory */
tr_code *tr_code_ref(tr_code *code);
void tr_code_unref(tr_code *code); /* may be NULL */
int tr_code_set_main(tr_code *code, const char *name, tr_slice source, char *const *args, size_t argc); /* once; TR_EMEMORY */
int tr_code_add(tr_code *code, const char *path, tr_slice text); /* in place of what was there; TR_EMEMORY */
bool tr_code_find(const tr_code *code, const char *path, tr_slice *text);

/* --- own.c: a state of its own for each instance (vm = "own") --- */
typedef struct tr_own tr_own;
int tr_own_run(tr_script_class *class_, tr_turn *turn); /* as tr_lua_run; does not raise */
int tr_own_catch_up(tr_own *own, tr_instance *instance, tr_error *error); /* after a reload: its new version runs; does not raise */
void tr_own_leave(tr_own *own); /* its instance has left memory */
void tr_owns_close(tr_script *script); /* all of a home */
void tr_owns_plug(tr_script *script);  /* they have serializers now */

/* --- address.c --- */
struct tr_address { tr_name *type, *key; tr_address *next; bool bare; };
enum { TR_RECENT = 32 };
typedef struct tr_recent { const void *text; const tr_address *address; } tr_recent;

typedef struct tr_instance_more { /* what few instances need */
  tr_link timers;
  unsigned timer_count;
  uint32_t over_memory; /* how often in a row a turn ended with too much */
  struct tr_life *life; /* life.c; NULL: it has never failed, and `idle` is off */
  tr_time busy;         /* running time, as long as somebody wanted to know */
  int before_ref;       /* its state before the canary, which the code of before cannot migrate back; 0: none */
  tr_buf *before;       /* requeue: its state when its open turn began; NULL or empty: it does not count */
  tr_time output_from;  /* output.c: the second that is counted, and its lines */
  uint64_t output_lines;
  void *server;         /* serve.c: of the runtime; NULL: none */
  tr_link late;         /* late.c: of the home's */
  tr_instance *late_instance;
} tr_instance_more;

/* --- state.c --- */
struct tr_script {
  tr_script_options options;
  tr_mem *mem;
  tr_core *core;
  lua_State *L; /* the main thread: the core runs on it, coroutines are resumed from it */
  tr_script *home;    /* L is a thread in somebody else's state, and bodies are kept by this one; NULL: all is our own */
  tr_script *foreign; /* the one whose home this is */
  tr_luv *luv;        /* luv.c; NULL: no script has required it */
  tr_own *own;        /* L is a state of one instance alone, which is ours but has a home */
  tr_link owns;       /* those whose home this is */
  tr_code *code;      /* own: what it runs; else what is being staged from texts that were kept; NULL: files are read */
  tr_link *steps;     /* of descriptor sets that a reload brings, while it stages; NULL: none does */
  tr_local *locals;   /* of a home: bodies that are elsewhere */
  uint32_t local_count, local_cap, local_free;
  int thread_ref, objects_ref, handle_ref; /* foreign: L itself; what may outlive us, by weak keys; what leads to us */
  size_t used;  /* bytes of the Lua state */
  tr_account *accounts, no_accounts[2]; /* alloc.c */
  uint32_t account_count, account_cap, account_first_free;
  uint32_t owner;       /* to whom what is allocated now is charged, */
  uint32_t base_owner;  /* and where no turn runs: the runtime, or in a state of its own the one agent */
  size_t memory_hard;   /* what it is refused */
  size_t refused;       /* so much was refused to it; 0: nothing */
  tr_free_block *free_blocks[TR_SIZE_CLASSES + 1]; /* by size / 16 */
  tr_chunk *chunks;
  /* registry references */
  int slots_ref, instances_ref, agents_ref, topics_ref, types_ref, array_ref, error_ref, bytes_ref, ctx_ref,
      sandbox_ref, library_ref, dummy_ref, future_ref, placeholder_ref, proxy_ref, token_ref, owners_ref, stream_ref;
  tr_slots slots, instances;
  /* what runs now */
  tr_lua_turn *running; /* the turn whose code runs: its agent's ctx is valid */
  tr_meter *meter;      /* of the code that runs */
  lua_State *active;    /* and its coroutine */
  uint8_t young;        /* state.c: look_at_size */
  bool starved;         /* no memory to enter Lua: turns fail without it */
  bool loading;         /* a file runs: no other isolate does */
  bool can_wait;        /* no C call of the script's is between here and the turn */
  uint8_t closes;       /* coroutines being closed within each other */
  tr_pause pause;
  uint64_t waits;       /* number of the last wait */
  tr_lua_turn *free_turns;
  unsigned free_turn_count;
  tr_address *addresses, *old_addresses; /* entries of the address caches; those of before they were cleared */
  unsigned address_count;
  tr_recent recent[3][TR_RECENT]; /* by the string's place: agents, topics, types */
  size_t recent_most;   /* longer strings are not in it */
  tr_address passing[2]; /* an agent's and a topic's that is not remembered: until the next one */
  const void *seen[TR_RECENT / 2][2]; /* strings of those */
  tr_link files, classes;
  tr_link late;         /* late.c: tr_instance_more of those that are to come to their code; of a home */
  tr_instance_more no_more; /* of instances that have none of their own */
  unsigned programs;    /* running ones */
  int exit_status;
  uint64_t unhandled;   /* events that no handler took */
  tr_name *get_type;    /* TR_GET_TYPE */
  unsigned schema_sets; /* definitions that have schemas */
  /* letters.c */
  tr_link letters;
  unsigned letter_count;
  tr_timer letter_timer;
  tr_name *letter_topic;
  uint64_t next_timer;
  tr_link futures;      /* open ones */
  tr_link settled;      /* whose dependents have not been told */
  uint64_t settles;     /* number of the last one that was settled */
  bool settling;
  bool closing;         /* tr_script_free is at work */
  tr_codecs *codecs;    /* the options', or our own: */
  bool own_codecs;
  bool plugged;         /* there are serializers */
  unsigned timed;       /* so many consoles want to know how long turns run */
  tr_ref_writer *ref_writer; /* refs.c is writing a body */
  tr_map saved;         /* of tr_saved */
  tr_map sleepers;      /* timer.c: timers of instances that are not in memory */
  uint64_t next_sub;    /* ids that ctx:subscribe gave */
  const tr_state_out *keep; /* instances that leave at the end are stored here; NULL: not the end */
  size_t saved_bytes, saved_limit;
  char reloaded[200];   /* files of the last reload */
  uint32_t number;      /* of the reload that serves, from 1; */
  uint32_t last_number; /* and the last one that was given */
  tr_reloading *canary; /* new code that serves some keys; NULL: there is none */
  bool held;            /* the last reload was refused because it was undone before */
  tr_tally told;        /* failures that were told of; of a home */
  tr_looks looks;       /* look.c; of a home */
};

/* Stack indexes of the main thread during a batch. */
enum { TR_AT_SLOTS = 1, TR_AT_INSTANCES, TR_AT_TYPES };

/* Whose state this is, by the allocator that all threads of a state share; a state of somebody else's has the one that runs in it. */
static inline tr_script *tr_script_of(lua_State *L) {
  void *ud;
  return lua_getallocf(L, &ud) == tr_script_allocate ? ud : tr_foreign_script(L);
}
int tr_script_caught(lua_State *L, int status, tr_error *error); /* the error of a failed pcall on a main thread, popped: its code */
void tr_script_init(tr_script *script, tr_mem *mem); /* the lists of a zeroed one */
/* Call fn(L, ud) under lua_pcall on the main thread. Returns its result, or TR_EMEMORY, TR_EINTERNAL. Does not
 * raise. */
int tr_script_protect(tr_script *script, int (*fn)(lua_State *L, void *ud), void *ud, tr_error *error);
/* Open and close the Lua state of a script that has its memory and its core. err: TR_EMEMORY; then it is closed. */
int tr_script_state_open(tr_script *script, tr_error *error);
void tr_script_state_close(tr_script *script);
/* In somebody else's state, whose allocator, coroutines and end are not ours. */
static inline bool tr_script_is_foreign(const tr_script *script) { return script->home && !script->own; }
/* Who keeps the bodies and states of this one. */
static inline tr_script *tr_script_home(tr_script *script) { return script->home ? script->home : script; }
static inline void tr_push_ref(lua_State *L, int ref) { lua_rawgeti(L, LUA_REGISTRYINDEX, ref); }
void tr_raise_memory(lua_State *L) __attribute__((noreturn)) TR_COLD;
void tr_need_stack(lua_State *L, int slots); /* or raise out of memory */

/* --- copy.c --- */
typedef struct tr_copy {
  lua_State *L;
  const char *root;  /* what the value is called in errors: "body" */
  bool trusted;      /* it was checked before */
  bool check;        /* make no copy */
  bool drop;         /* leave out null members of maps */
  bool nulls;        /* out: there is a null member */
  const tr_lua_turn *turn; /* whose placeholders may be in it; NULL: anybody's */
  tr_future *wait;   /* placeholders that are not there yet stay in, and this one needs them; NULL: they are an error */
  bool refs;         /* those whose content is elsewhere stay in */
  unsigned held;     /* out: so many did */
  bool pending;      /* out: there was such an error */
  unsigned depth;
  long left;         /* values that may still be made, but for those that text stands for: */
  size_t text;       /* bytes of it */
  int above[TR_DEPTH_MAX + 1]; /* stack indexes of the tables that the value lies in */
  tr_error *error;
  char path[256];
  size_t path_at;
  unsigned path_levels; /* levels below this are left out of the path */
  unsigned left_levels; /* how many have given up */
} tr_copy;
/* Replace the value on the top by a copy that shares nothing. 0, or a code with the field in *error (the top is then
 * undefined but nothing below it). lua: [-1, +1, m] */
int tr_copy_top(lua_State *L, tr_copy *copy);
/* The value on the top may be walked as it is: checked like a copy, and only replaced by one where placeholders are in it. As tr_copy_top,
 * in half of its time. */
int tr_copy_check(lua_State *L, tr_copy *copy);
/* Push a copy of the value at `at` (from 1), of this type. 0, or a code as above (nothing is pushed). lua: [-0, +1, m] */
int tr_copy_push(lua_State *L, int at, int type, tr_copy *copy);
/* A general clone for state: any value, cycles and metatables kept. lua: [-1, +1, m] */
void tr_clone_top(lua_State *L);
void tr_table_become(lua_State *L, int table, int content); /* the same fields; lua: absolute indexes, [-0, +0, m] */
bool tr_is_null(lua_State *L, int at);   /* troupe.null */
bool tr_is_array(lua_State *L, int at);  /* marked by troupe.array; does not raise */
void tr_mark_array(lua_State *L);        /* the table on the top */

/* --- slots.c --- */
/* Keep the value on the top; [-1, +0, m]. `table` is the stack or upvalue index of the table of slots. Never 0. */
uint32_t tr_slot_new(lua_State *L, tr_slots *slots, int table);
/* Keep what `push` pushes (protected; 0, or a code) as a body, with an account of its own for who takes it. *slot is 0 where that fails. */
int tr_slot_make(tr_script *script, int (*push)(lua_State *L, void *ud), void *ud, uint32_t *slot, tr_error *error);
void tr_locals_forget(const tr_script *script); /* it is about to close */
/* The number in the script's own table. */
static inline uint32_t tr_slot_here(tr_script *script, uint32_t slot) {
  return slot & TR_SLOT_LOCAL ? tr_script_home(script)->locals[slot & ~TR_SLOT_LOCAL].slot : slot;
}
void tr_slot_free(tr_script *script, tr_slots *slots, int table_ref, uint32_t slot); /* does not raise */
/* `table` below: index of the table of slots. A checked copy of the value at `at` as a body; nil: none. 0, or a code with the field named. [-0, +0, m] */
int tr_body_from(lua_State *L, int at, int table, const char *root, tr_body *body, tr_error *error);
/* The same for what may hold placeholders. Where `wait` is NULL and one is not there yet, *pending is set. */
typedef struct tr_body_with { const tr_lua_turn *turn; tr_future *wait; bool pending, refs; unsigned held; size_t made; } tr_body_with; /* as in tr_copy; made: bytes of the copy */
int tr_body_from_with(lua_State *L, int at, int table, const char *root, tr_body_with *with, tr_body *body, tr_error *error);
/* Push a body as a value and give its content up. 0, or a code (nothing is pushed). lua: [-0, +1, m] */
int tr_body_take(lua_State *L, tr_body *body, int table, bool keep_nulls, tr_error *error);
/* The same with the content left where it is. */
int tr_body_push(lua_State *L, const tr_body *body, bool keep_nulls, tr_error *error);
void tr_slots_open(lua_State *L, tr_script *script);
void tr_slots_close(tr_script *script);
extern const tr_body_ops tr_slots_gone;
tr_body_ops tr_slots_ops(tr_script *script);

/* --- letters.c --- */
void tr_letters_close(tr_script *script); /* those that wait */

/* --- walk.c, build.c --- */
int tr_walk(lua_State *L, int at, const tr_sink *sink, tr_error *error); /* a checked value; does not raise */
/* Push what bytes hold. 0, or a code (nothing is pushed). lua: [-0, +1, m] */
int tr_decode(lua_State *L, const tr_body *body, bool keep_nulls, tr_error *error);
/* Push on L what is at `at` of `from`, a checked value in another state; or a tree. 0, or a code; raise only on L. */
int tr_walk_into(lua_State *from, int at, lua_State *L, bool keep_nulls, tr_error *error);
int tr_value_into(const tr_value *value, lua_State *L, bool keep_nulls, tr_error *error);
int tr_decode_native(lua_State *L, tr_slice bytes, bool keep_nulls, tr_error *error);

/* --- encode.c: bodies in other forms --- */
/* None of these raises. */
extern const char tr_encoding_unknown[];
void tr_encoding_default(tr_script *script, const tr_name *type, tr_body *body); /* for one that asked for nothing, where script->plugged */
/* Make the body what its format says, where that is protobuf or a serializer's; placeholders must be there. err: TR_EINVALID naming
 * the field, TR_EMEMORY, a serializer's own; the body is as it was then. */
int tr_body_encode(tr_script *script, tr_slice type, tr_body *body, tr_error *error);
/* The body of an answer in what its request came in, if that can be. Only where tr_reply_asks. */
static inline bool tr_reply_asks(const tr_script *script, const tr_msg *request) {
  uint8_t format = request->body.format;
  return script->plugged || format == TR_FORMAT_PROTOBUF || format == TR_FORMAT_OTHER;
}
int tr_reply_encode(tr_script *script, const tr_msg *request, const tr_name *type, tr_body *body, tr_error *error);
tr_value *tr_other_read(tr_script *script, const tr_body *body, tr_error *error); /* of TR_FORMAT_OTHER; the caller's */
int tr_body_recode(void *ud, const tr_body *body, tr_format format, tr_buf *out, tr_error *error);
uint16_t tr_serializer_find(void *ud, tr_slice type, tr_slice content_type);
tr_slice tr_serializer_content_type(void *ud, uint16_t number);

/* --- refs.c: bodies with references to results in them --- */
int tr_fill_body(void *ud, const tr_body *body, const tr_filling *items, size_t count, tr_body *out, tr_error *error);
/* A slot's value with placeholders in it whose content is elsewhere, as bytes with nulls there, and the text of tr_msg_more.refs. Does not
 * raise. err: TR_EINVALID, TR_EMEMORY. own: two blobs. */
int tr_refs_encode(lua_State *L, int at, tr_blob **bytes, tr_blob **refs, tr_error *error);

/* --- bytes.c: troupe.bytes --- */
void tr_bytes_open(lua_State *L, tr_script *script);
void tr_bytes_push(lua_State *L, tr_slice bytes);
bool tr_bytes_get(lua_State *L, int at, tr_slice *bytes); /* does not raise */

/* --- fail.c: error objects --- */
void tr_fail_open(lua_State *L, tr_script *script);
/* Push an error object; agent and type may be NULL. lua: [-0, +1, m] */
void tr_fail_push(lua_State *L, int code, const char *text, const char *agent, const char *type) TR_COLD;
void tr_fail_raise(lua_State *L, int code, const char *format, ...) __attribute__((format(printf, 3, 4))) __attribute__((noreturn)) TR_COLD;
void tr_fail_raise_error(lua_State *L, const tr_error *error) __attribute__((noreturn)) TR_COLD;
/* Code and text of the error value at `at`. Does not raise and runs no script's code. */
void tr_fail_read(lua_State *L, int at, tr_error *error) TR_COLD;
/* Log the failure that ended `co` (its error value on its top; NULL: no code ran) with its traceback: the first of this event, agent
 * type, code and line, then the 2nd, 4th, 8th, …. Does not raise. */
void tr_fail_log(tr_script *script, lua_State *co, const char *event, const tr_agent *agent, const char *type, const tr_error *error) TR_COLD;
/* Where the nearest Lua function of the stack is (a C function has no line): ar->short_src and the line; "?" and 0. Does not raise. */
int tr_fail_line(lua_State *L, lua_Debug *ar);
/* Is a failure of this kind to be told of once more? As tr_tally_tell. */
bool tr_fail_tell(tr_script *script, char times[TR_TALLY_TIMES], const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- address.c: texts → names, remembered --- */
/* Raise `invalid` where the text at `at` is none. `table`: index of the cache. The result lives as long as the
 * caller's C function runs. */
const tr_address *tr_address_agent(lua_State *L, int at, int table);
const tr_address *tr_address_topic(lua_State *L, int at, int table); /* bare: key is NULL */
tr_name *tr_address_type(lua_State *L, int at, int table);           /* a message type; borrowed */
int tr_message_type_check(tr_slice type, tr_error *error);
void tr_address_open(lua_State *L, tr_script *script);
void tr_address_close(tr_script *script);

/* --- sandbox.c, guard.c, coroutine.c, library.c, later.c --- */
void tr_sandbox_open(lua_State *L, tr_script *script); /* once a state */

/* --- look.c --- */
/* What the running code is told: value is how it is really. Only where home->looks.fn is set. */
int64_t tr_look_at(tr_script *script, tr_look_kind kind, int64_t value);
void tr_looked_free(tr_script *script, tr_lua_turn *turn);
/* The template of the sandbox on the top: put what asks into it, where somebody is to be asked. [-0, +0, m] */
void tr_looks_install(lua_State *L, tr_script *script);
/* Push a fresh environment for `unit` (at index `unit`), whose user value it becomes. lua: [-0, +1, m] */
void tr_sandbox_push(lua_State *L, int unit);
/* replace what needs bounds in the library table on the top */
void tr_guard_install(lua_State *L, const char *library);
void tr_deterministic_install(lua_State *L, int template); /* deterministic.c: over what the template has of Lua */
extern const luaL_Reg tr_pattern_functions[]; /* find, match, gmatch, gsub with a bound: pattern_library.c */
void tr_coroutine_push(lua_State *L);
int tr_xpcall(lua_State *L);
void tr_library_open(lua_State *L, tr_script *script);
void tr_library_push(lua_State *L);                       /* a fresh `troupe` table */
/* Names of api.md that a later version gives: one list. NULL-terminated. */
extern const char *const tr_later_methods[], *const tr_later_options[], *const tr_later_functions[],
    *const tr_later_keys[];
bool tr_name_in(const char *const *names, const char *name);

/* --- unit.c: one version of a file with what it required --- */
typedef struct tr_module { tr_link link; uint64_t hash; char path[]; } tr_module;
struct tr_unit { tr_script *script; tr_link modules; char *folder; size_t folder_size; tr_code *code; bool luv; }; /* code: NULL: texts are not kept */
void tr_unit_open(lua_State *L);
tr_unit *tr_unit_push(lua_State *L, const char *name); /* [-0, +1, m] a userdata that owns it */
int tr_require(lua_State *L); /* upvalues: unit, environment, loaded */
/* Compile `source` and push the function; 0 or TR_EINVALID with file:line. lua: [-0, +1, m] */
int tr_compile(lua_State *L, const char *name, tr_slice source, tr_error *error);
int tr_read_source(tr_script *script, const char *path, tr_buf *text, tr_error *error);
uint64_t tr_source_hash(tr_slice source);
void tr_unit_remember(lua_State *L, tr_unit *unit, const char *path, tr_slice source); /* a file that belongs to it */
tr_buf *tr_unit_buffer(lua_State *L); /* [-0, +1, m] owned by what is pushed; tr_buf_fini may come before */
int tr_protobuf(lua_State *L); /* protobuf.c; upvalue: unit */
/* luv.c: push what `require "luv"` gives to this file, or raise; [-0, +1, m] */
void tr_luv_require(lua_State *L, tr_unit *unit, int unit_at);
void tr_luv_leave(tr_script *script, const void *key);       /* handles of an instance, or a unit, are closed; does not raise */
void tr_luv_leave_unit(tr_script *script, int unit_ref);     /* of the unit in the registry, or LUA_NOREF */
void tr_luv_free(tr_script *script);                         /* after its state */
/* output.c: one more line of what is running; false: there were too many, which is in the log. It is charged to the turn. */
#define TR_OUTPUT_LINE 65536 /* bytes of a printed line; more is cut */
bool tr_output_take(lua_State *L, size_t size);
/* exec.c */
int tr_exec(lua_State *L);
void tr_exec_stop(tr_lua_turn *lt); /* the program that its turn waits for */
int tr_http(lua_State *L); /* http.c */
void tr_http_stop(tr_lua_turn *lt); /* the request that its turn waits for */
int tr_serve(lua_State *L); /* serve.c */
void tr_serve_stop(tr_instance *instance); /* its server; it has one */
void tr_json_install(lua_State *L); /* json.c: into the table on the top */
void tr_turn_sleep(tr_lua_turn *lt, tr_time wait); /* ctx_time.c: its timer wakes it, with timed_out */
void tr_outside_install(lua_State *L, int env); /* outside.c: fs and env, into the table on the top */

#include "script/definitions.h"

#include "script/classes.h"

int tr_describe(lua_State *L, const tr_script_class *class_, const tr_definition *def, const tr_sink *sink); /* describe.c: what this code says of itself, a map */

/* --- contract.c: where schemas are applied; 0, or a code with the field named --- */
int tr_contract_sent(lua_State *L, const tr_lua_turn *turn, const tr_msg *msg, int slots, tr_error *error);
int tr_contract_reply(lua_State *L, const tr_lua_turn *turn, const tr_name *type, const tr_body *body, tr_error *error);
int tr_contract_answer(lua_State *L, const tr_lua_turn *turn, tr_slice request, const tr_name *type, int at,
                       tr_error *error); /* at the caller */
/* Before a handler runs. False: the request is answered, or the message is a dead letter. */
bool tr_contract_received(lua_State *L, const tr_instance *instance, tr_turn *turn);
void tr_contract_refuse(tr_turn *turn, const tr_error *error) TR_COLD; /* a message that cannot be taken: an error to its caller, else a dead letter */
/* --- life.c: failures and idleness --- */
void tr_instance_failed(tr_instance *instance, const tr_error *error) TR_COLD; /* one of its messages failed */
void tr_instance_touch(tr_instance *instance); /* it does something now */
void tr_instance_forget(tr_instance *instance); /* it leaves memory */

/* --- saved.c: states that are not in memory --- */
typedef struct tr_saved { size_t key_size, size; lua_Integer version; char data[]; } tr_saved; /* the key "type/key", then the bytes */
/* The instance's state by its save hook, as native bytes appended to out: 0, or a code. Does not raise. */
int tr_instance_save(tr_instance *instance, tr_buf *out, tr_error *error);
int tr_saved_put(tr_script *script, tr_slice id, lua_Integer version, tr_slice bytes); /* in place of an older one; TR_EMEMORY */
const tr_saved *tr_saved_find(tr_script *script, tr_slice id);
void tr_saved_remove(tr_script *script, tr_slice id);
void tr_saved_remove_type(tr_script *script, const char *type);
void tr_saved_fini(tr_script *script);
static inline tr_slice tr_saved_bytes(const tr_saved *saved) {
  return tr_slice_make(saved->data + saved->key_size, saved->size);
}
/* --- shards.c: parts of the state that come to memory when they are touched --- */
int tr_shards_read(lua_State *L, int at, tr_definition *definition, const tr_place *place);
void tr_shards_free(tr_definition *definition);
void tr_shards_open(lua_State *L, tr_script *script);
void tr_shards_own(lua_State *L, int at); /* the table on the top is the `self` of the instance at `at` */
bool tr_shard_is(const tr_definition *definition, tr_slice name);
/* Is it stored and not in memory? */
bool tr_shard_is_away(lua_State *L, const tr_instance *instance, const tr_definition *definition, tr_slice name);
void tr_shards_hide(lua_State *L, const tr_instance *instance);   /* of `self` on the top: what is away is absent, not the default */
void tr_shards_settle(lua_State *L, tr_instance *instance); /* it has taken up its state: what is in `self` is away no more */
/* To a definition that lists fewer of them: what is no longer one comes into `self`, on the top. */
void tr_shards_adopt(lua_State *L, tr_instance *instance, const tr_definition *definition);
/* Those that are in memory, as native bytes. Does not raise. */
typedef int (*tr_shard_fn)(void *ud, tr_slice name, tr_slice bytes);
int tr_shards_save(tr_instance *instance, tr_shard_fn fn, void *ud, tr_error *error);
int tr_shard_put(tr_script *script, tr_slice id, tr_slice name, lua_Integer version, tr_slice bytes); /* away */
const tr_saved *tr_shard_find(tr_script *script, tr_slice id, tr_slice name); /* one that is not in memory; NULL: there is none */
void tr_shards_forget(tr_script *script, tr_slice id, const tr_definition *definition);

/* --- persist.c: what a state file holds of this room --- */
int tr_script_timers_save(const tr_instance *instance, tr_slice id, const tr_state_out *out); /* timer.c */
int tr_sleepers_save(tr_script *script, const tr_state_out *out);
int tr_sleeper_save(tr_script *script, tr_slice id, const tr_state_out *out);
void tr_sleepers_wake(tr_instance *instance); /* it has been made: they are its own now */
void tr_sleepers_return(tr_instance *instance); /* it could not take up its state: its timers wait with that */
void tr_sleepers_remove(tr_script *script, tr_slice id);
void tr_sleepers_remove_type(tr_script *script, const char *type);
void tr_sleepers_fini(tr_script *script);
int tr_script_timer_restore(tr_script *script, tr_slice id, tr_slice bytes, tr_time passed, tr_error *error);
void tr_instance_keep(tr_instance *instance); /* it leaves memory: at the end of all it is stored first */
/* requeue.c: a turn of an agent with `requeue` begins, and ends. Do not raise. */
void tr_requeue_begin(tr_lua_turn *turn);
void tr_requeue_end(tr_lua_turn *turn);
/* There is saved state for instances of the class from now on. */
void tr_script_class_restores(tr_script_class *class_);
tr_script_class *tr_script_class_find(const tr_script *script, tr_slice type);

/* --- timer.c: ctx:after, ctx:every, `timers` --- */
/* period 0: once. body is taken. 0, or TR_EMEMORY, TR_EOVERLOADED. Does not raise. */
int tr_script_timer_start(tr_instance *instance, tr_name *type, tr_time first, tr_time period, bool declared,
                          tr_body *body, uint64_t *id);
bool tr_script_timer_cancel(tr_instance *instance, uint64_t id);
/* Compare the declared timers with the definition's: start what is new, stop what is gone, change periods. */
void tr_script_timers_sync(tr_instance *instance, const tr_definition *def);
void tr_script_timers_stop(tr_instance *instance);

#include "script/canary.h"

/* --- turn.c, pool.c --- */
struct tr_lua_turn { /* pooled with its coroutine */
  tr_script *script;
  lua_State *co;
  int co_ref;
  tr_turn *turn;
  tr_instance *instance;
  tr_definition *def; /* the code it began with */
  tr_meter meter;
  uint64_t sent;      /* messages */
  size_t held;        /* bytes of the bodies among them that it has not let go of: until it waits or ends */
  uint64_t wait;      /* number of the wait it is in */
  tr_call *call;
  tr_link futures;    /* that it made */
  tr_timer timer;
  tr_looked *looked;  /* look.c: what it asked for; NULL: nothing */
  void *fetch;        /* http.c: a request that it waits for; NULL: none */
  void *program;      /* exec.c: that it waits for, until when, and when it looks again; NULL: none */
  tr_time program_until, program_look;
  bool timed_out, answered, unhandled, restored;
  int code;           /* of the reply that came; error has the text */
  tr_time began;
  tr_name *reply_type;
  tr_body reply;
  tr_msg *received;   /* being read by ctx:receive */
  tr_msg *kept;       /* requeue: the message as it came */
  tr_error error;
  tr_lua_turn *next;
};
tr_lua_turn *tr_lua_turn_take(lua_State *L, tr_script *script); /* with a coroutine */
void tr_lua_turn_give(tr_script *script, tr_lua_turn *turn);
void tr_lua_turn_drop(tr_script *script, tr_lua_turn *turn); /* its coroutine */
/* The same after closing what it left open; that code is bounded by the meter, and has no ctx. */
void tr_lua_turn_reset(tr_script *script, tr_lua_turn *turn, tr_meter *meter);
int tr_lua_run(void *class_ud, tr_turn *turn);
int tr_lua_run_on(lua_State *L, tr_script_class *class_, tr_turn *turn); /* the same where the stack is set up; may raise */
void tr_lua_cancel(void *class_ud, tr_turn *turn);
/* Call the function below its nargs arguments on a metered coroutine that may not wait. The results are pushed on L:
 * their number, or a negative code with file:line in *error. [-(nargs+1), +n, m] */
int tr_metered_call(lua_State *L, int nargs, const char *what, uint64_t limit, tr_error *error);
void tr_lua_turns_close(tr_script *script);
/* Suspend the running turn from C code called by its script; `k` goes on. */
int tr_lua_pause(lua_State *L, tr_pause pause, lua_KFunction k);
int tr_lua_suspend(lua_State *L, tr_script *script, tr_pause pause, lua_KFunction k); /* the same after tr_lua_check_wait */
void tr_lua_check_wait(lua_State *L); /* raises where it cannot wait */
/* A program has ended. */
void tr_program_over(tr_script *script, int status) TR_COLD;
void tr_lua_give_answer(lua_State *L, tr_lua_turn *turn, int count); /* reply.c: the `count` results on the top of L */
/* In a continuation: the turn, once it is sure that this is the wait it was made for. */
tr_lua_turn *tr_lua_resumed(lua_State *L, lua_KContext wait);

#include "script/consoles.h"
#include "script/futures.h"

/* --- ctx.c, ctx_message.c, ctx_time.c, ctx_other.c --- */
/* upvalues of each method */
enum { TR_UP_SLOTS = 1, TR_UP_AGENTS, TR_UP_TOPICS, TR_UP_TYPES, TR_UP_COUNT = TR_UP_TYPES };
void tr_ctx_open(lua_State *L, tr_script *script);
/* The running turn, if the ctx at index 1 is its agent's; else an error. */
tr_lua_turn *tr_ctx_turn(lua_State *L);
extern const luaL_Reg tr_ctx_message_methods[], tr_ctx_time_methods[], tr_ctx_other_methods[], tr_ctx_agent_methods[],
    tr_ctx_launch_methods[];
int tr_ctx_callback(lua_State *L); /* callback.c */
extern const char *const tr_ctx_field_names[];
int tr_ctx_field(lua_State *L, tr_lua_turn *turn, int field); /* [-0, +1, m] */
tr_time tr_check_seconds(lua_State *L, int at, const char *what);

#include "script/files.h"

#endif
