/* SPDX-License-Identifier: MIT
 * A reload on its way, between the files that make it: reload.c (what changed, who becomes what, the swap), migration.c (instances
 * and their states), canary.c (one that serves only some keys), changes.c (what it would do). */
#ifndef TR_SCRIPT_RELOADING_H
#define TR_SCRIPT_RELOADING_H

#include "script/internal.h"

typedef struct tr_swap { tr_script_file *file; tr_stage stage; tr_buf text; bool staged; } tr_swap;
typedef struct tr_pair { /* an agent type and its new code */
  tr_script_class *class_;
  tr_definition *def;
  tr_script_file *file;
  tr_link added; /* subscriptions that only the new code has; active, not yet the class's */
  bool fresh;    /* the type itself is new */
} tr_pair;
typedef enum { TR_FOR_ALL = 0, TR_FOR_SOME, TR_FOR_NONE } tr_reach; /* SOME: the keys of ->next; NONE: a canary is undone */
struct tr_reloading {
  tr_script *script;
  tr_swap *swaps;
  size_t swap_count;
  tr_pair *pairs;
  size_t pair_count, pair_cap;
  int backups_ref;  /* { [self] = clone } */
  tr_reach reach;   /* whom the new code is to serve after this step, */
  tr_canary next;   /* which keys, */
  tr_canary share;  /* and of a canary that runs, which it has now */
  bool trial, canary, going_back; /* canary: it runs; going_back: to what was */
  tr_link steps;    /* descriptor sets that it brought: they stay when it is taken */
  bool taken;
  size_t used_most; /* above that garbage is collected meanwhile */
  bool held_gc;
  tr_error *error;
};

/* Which code this instance is to be on after the step. */
tr_definition *tr_reloading_target(const tr_reloading *p, const tr_pair *pair, const tr_agent *agent);
bool tr_reloading_has(const tr_reloading *p, const tr_script_file *file); /* it was staged */

void tr_reloading_free(tr_reloading *p);

bool tr_reloading_keeps(const tr_reloading *p, const tr_script_class *class_); /* the new code has this type */

/* --- migration.c --- */
/* Instances that are idle come to the version of their next code: all or none, whose states are what they were. 0 or a code. */
int tr_reloading_migrate(tr_reloading *p);
void tr_reloading_restore(const tr_reloading *p); /* states are again what they were before that */
void tr_reloading_settle(tr_reloading *p, tr_pair *pair); /* they are on the next code now; does not fail */
void tr_reloading_rest(tr_reloading *p); /* what the step held besides the plan */

/* --- canary.c --- */
/* Another step of the one that runs; all that can fail. *out NULL: nothing is to be done. */
int tr_canary_step(tr_script *script, const tr_reload_options *options, size_t *changed, tr_reloading **out, tr_error *error);
void tr_canary_commit(tr_reloading *p); /* FOR_SOME and FOR_NONE */
void tr_canary_over(tr_reloading *p);   /* before it becomes all: its types are as if it had not been one */

/* --- old_turns.c --- */
void tr_class_trim(const tr_script_class *class_); /* not more than TR_VERSIONS_KEPT versions are run */

#endif
