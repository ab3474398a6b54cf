/* SPDX-License-Identifier: MIT
 * What bounds running code, and whose memory is whose. A part of internal.h, which includes it where the types that it builds on are there. */
#ifndef TR_SCRIPT_LIMITS_H
#define TR_SCRIPT_LIMITS_H

/* --- limit.c: what bounds the running code --- */
#define TR_STUCK TR_SECONDS(1) /* of running time: the first line in the log; the next after twice as long */
typedef struct tr_meter {
  uint64_t used, limit;  /* instructions */
  tr_time spent, time_limit; /* of running time; looked at where the hook comes, and at waits */
  tr_time since;         /* when the clock was last looked at; 0: not since it began to run */
  tr_time warn_at;       /* of `spent`: the next line in the log that it is still running */
  size_t memory_at;      /* of the agent's account: collect, and end the turn if that does not help */
  unsigned waits;        /* so far */
  bool preempted;
  tr_time slice_from;    /* of `spent`: where the slice began, of one that is heavy */
  size_t most;           /* script->used: what code that is no turn, and nobody's, may bring it to; 0: as much as there is */
  size_t stack;          /* what a stack has grown to, and no instruction has been since; 0: none has */
  uint8_t doubled;       /* how often it grew once more */
  enum tr_depth { TR_DEPTH_FINE, TR_DEPTH_TOO_MUCH, TR_DEPTH_ENDLESS } depth; /* of a stack; the last: a chain of __call without end */
  uint8_t heavy;         /* its agent's account's */
  uint8_t calm;          /* looks since it took long */
  bool closely;          /* the clock is looked at whenever it runs */
  bool killed;           /* over the limit: every further instruction raises */
  lua_State *base;       /* the coroutine it was started on */
  const char *what;      /* "loading"; NULL: a turn */
  tr_error *error;       /* filled in when it is killed */
} tr_meter;
/* What a coroutine was suspended for; set just before its yield. */
typedef enum { TR_PAUSE_NONE = 0, TR_PAUSE_WAIT, TR_PAUSE_SLICE, TR_PAUSE_FLUSH } tr_pause;

void tr_meter_begin(tr_meter *meter, const tr_definition *def, lua_State *co, tr_error *error); /* for a turn; does not raise */
void tr_meter_resume(tr_script *script, tr_meter *meter); /* its code is about to go on */
void tr_meter_pause(tr_meter *meter, bool preempted);     /* and has stopped */
void tr_meter_wait(lua_State *L, tr_script *script);      /* it is about to wait; raises when it has run for too long */
void tr_meter_alarm(tr_script *script) TR_COLD;           /* the hook comes at the next instruction */
/* The turn was good: may its agent have so much memory? Else *error says how much too much. */
bool tr_meter_memory_fine(lua_State *L, tr_lua_turn *lt, tr_error *error) TR_COLD;
/* It was not good: has it left its agent with much memory? The log says so now, not at the next message. */
void tr_meter_memory_tell(lua_State *L, const tr_lua_turn *lt) TR_COLD;
/* Where the handler of a message begins: ar->short_src and ar->linedefined. Does not raise; needs 4 slots of stack. */
void tr_handler_place(lua_State *L, const tr_definition *def, const tr_msg *msg, lua_Debug *ar);
/* Raise limit_exceeded: more than `limit` of these, naming agent, message type and file:line. */
void tr_limit_raise(lua_State *L, const tr_lua_turn *lt, const char *what, uint64_t limit, const char *when) __attribute__((noreturn)) TR_COLD;
/* Out of memory ended it; was that the agent's own limit? Then *error says so. */
bool tr_meter_was_refused(tr_lua_turn *lt, tr_error *error) TR_COLD;
/* The same of code that is no turn: meter->error says so. Also true where it was killed. */
bool tr_meter_call_refused(tr_script *script, tr_meter *meter, lua_State *co) TR_COLD;
#define TR_CALL_MEMORY ((size_t)256 << 20) /* that code which is nobody's may take: a file that is loaded */
/* The same where no code of the agent's runs, in a state of its own: `doing` says what went on. */
bool tr_meter_own_refused(tr_script *script, const tr_definition *def, const char *doing, tr_error *error);
void tr_meter_arm(tr_meter *meter, lua_State *co);       /* hook a base coroutine; does not raise */
void tr_meter_break(tr_lua_turn *turn, const char *why);                  /* a turn that computes ends at its next instruction; does not raise */
void tr_meter_arm_inner(lua_State *co);                  /* and one that the script made */
void tr_meter_charge(lua_State *L, uint64_t instructions); /* for work in C; raises when the limit is spent */
void tr_meter_raise(lua_State *L, tr_meter *meter) __attribute__((noreturn)) TR_COLD; /* again, once killed */

/* --- alloc.c: Lua's memory --- */
#define TR_SIZE_CLASSES 32 /* of 16 bytes */
typedef struct tr_free_block tr_free_block;
typedef struct tr_chunk tr_chunk;
void *tr_script_allocate(void *ud, void *ptr, size_t old_size, size_t new_size); /* a lua_Alloc */
void tr_script_free_chunks(tr_script *script);
/* Whose memory it is. Numbers; 0 is the runtime itself. None of these raises. */
typedef struct tr_account {
  size_t used;
  uint32_t parent; /* of a free one: the next free one */
  uint8_t size;    /* 0, or of the longest string: it has TR_HEAVY << size bytes, or half of that */
  uint8_t heavy;   /* how often the hook comes: every TR_TICK >> heavy instructions */
  uint8_t slow;    /* how often these took too long, up to 2 */
  uint8_t told;    /* how often the log told of it */
} tr_account;
/* With strings longer than this an instruction may take so long that the hook has to come more often: twice as long, twice as often. */
#define TR_HEAVY (16u << 10)
#define TR_HEAVY_MOST 12 /* TR_TICK >> 12 is 2 */
enum { TR_ACCOUNT_TRANSIT = 1 }; /* bodies that nobody has taken, and what those who are gone left behind */
void tr_accounts_init(tr_script *script); /* none but the runtime's own */
bool tr_accounts_open(tr_script *script);
void tr_accounts_close(tr_script *script);
uint32_t tr_account_new(tr_script *script);               /* of an agent */
void tr_account_leave(tr_script *script, uint32_t id);    /* the agent is gone */
/* What C holds for an agent, as if it were a block of Lua's: to whoever runs, who is returned and is to be discharged of it. */
uint32_t tr_account_charge(tr_script *script, size_t size);
void tr_account_discharge(tr_script *script, uint32_t id, size_t size);
uint32_t tr_parcel_begin(tr_script *script);              /* for a body; make it script->owner while it is copied */
uint32_t tr_parcel_end(tr_script *script, uint32_t id);   /* the same, or 0 where nothing was charged to it */
void tr_parcel_take(tr_script *script, uint32_t id);      /* script->owner has it now */
void tr_account_lighten(tr_account *account);             /* it is told of a long string: can it still have it? */

#endif
