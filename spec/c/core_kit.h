/* SPDX-License-Identifier: MIT
 * What the checks of the core share: a core in virtual time, agents written in C, and a log of what happened, as text. */
#ifndef CORE_KIT_H
#define CORE_KIT_H

#include "check.h"
#include "core/core.h"

typedef int (*kit_run_fn)(void *ud, tr_turn *turn);

typedef struct kit_class { /* given to kit_class; all zero: a plain class */
  int (*make)(void *ud, tr_agent *agent, tr_error *error);
  uint32_t limit;
  tr_overflow overflow;
  bool reentrant, has_init, exclusive_init, direct_topics;
} kit_class_options;

typedef struct kit {
  tr_core *core;
  tr_time now;
  unsigned wakes, dead_letters, cancels, drops;
  int slots[64];         /* bodies: 0 free, else a value; slot 0 is not used */
  int live_slots;
  char log[8192];        /* "what happened; what happened; …" */
  void (*on_dead_letter)(tr_msg *msg, int code);
} kit;
extern kit K; /* every case runs in a process of its own */

/* A new core; false where memory was refused. */
bool kit_open(void);
void kit_close(void); /* and check that nothing of it is left */

void kit_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What was said since the last time. */
const char *kit_heard(void);

/* Add a class whose turns run `run`; NULL options: plain. NULL where memory was refused. */
tr_class *kit_class(const char *type, kit_run_fn run, const kit_class_options *options);

/* A message; target "type/key". NULL where memory was refused. */
tr_msg *kit_msg(tr_msg_kind kind, const char *target, const char *type);
/* From outside: the result of posting. */
int kit_send(const char *target, const char *type);
int kit_publish(const char *topic, const char *type);
/* A call from outside; the answer is said as "REPLY-TYPE" or "code: text", with `name` in front. */
tr_call *kit_call(const char *target, const char *type, const char *name);
tr_call *kit_call_until(const char *target, const char *type, const char *name, tr_time deadline);
void kit_said_reply(void *ud, tr_call *call, tr_reply *reply); /* ud: the name */

/* From inside a turn. */
int kit_turn_send(tr_turn *turn, const char *target, const char *type);
int kit_turn_publish(tr_turn *turn, const char *topic, const char *type);
/* Calls and wakes the turn when the answer is there; the answer is said. */
tr_call *kit_turn_call(tr_turn *turn, const char *target, const char *type);
void kit_turn_reply(tr_turn *turn, const char *type);
tr_slice kit_type(const tr_turn *turn); /* of its message; "init" in an INIT turn */
/* How often this turn ran before (kept in turn->user): 0 at first. */
int kit_phase(tr_turn *turn);

/* Says "type/key:MessageType" and is done; "+" in front of a request, whose reply is "Done". */
int kit_run_says(void *ud, tr_turn *turn);
/* Waits for ever at its first run, is done at the next. */
int kit_run_waits(void *ud, tr_turn *turn);

void kit_step(void);                /* until nothing is ready, no time passes */
void kit_advance(tr_time duration); /* timer by timer */
tr_agent *kit_agent(const char *id);
tr_core_stats kit_stats(void);
const char *kit_wanted(const char *format, int count); /* "a; a; a; " for long logs */

#endif
