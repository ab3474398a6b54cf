/* SPDX-License-Identifier: MIT
 * Agents in processes of their own: launch.c starts and ends them, dist.c moves agents there. */
#ifndef TR_RUNTIME_LAUNCH_H
#define TR_RUNTIME_LAUNCH_H

#include "net/process.h"
#include "runtime/internal.h"

#define TR_LAUNCHED_MAX_MESSAGE (64u << 20) /* states of moved agents go through it */

typedef struct tr_launched {
  tr_remote remote;
  tr_link all;             /* rt->launched */
  troupe_t *rt;
  tr_worker *worker;
  tr_net_conn *conn;       /* NULL: none */
  tr_process *process;     /* NULL: none */
  tr_timer timer;          /* no process: start one; else: kill it; stopping and no process: free this */
  tr_time started_at;
  unsigned failures;       /* in a row */
  bool dialing;            /* the worker waits for a connection */
  bool idle;               /* no process is wanted until it is used */
  bool broken;             /* it did not start; until it is tried again whoever asks hears why */
  bool stopping;
  bool brought;            /* its id lives in this isolate by tr_together_bring */
  bool serves_moved;       /* serves what is moved there, nothing else */
  int exit_status, exit_signal;
  char *id, *file, *allow;
  char **args;
  size_t argc;
  char last[160];          /* the last line of its standard error */
  char why[400];           /* what became of the last process */
  struct tr_launched **owner; /* who points to it besides: set to NULL when it is freed; may be NULL */
} tr_launched;

typedef struct tr_launch_plan { tr_slice type, key, file; const tr_slice *args; size_t argc; const char *allow; bool lazy, moved; } tr_launch_plan;
/* A process for an agent, not started yet; the agent is bound to it by the caller. err: TR_EINVALID, TR_ELIMIT, TR_EMEMORY. */
tr_launched *tr_launched_new(troupe_t *rt, const tr_launch_plan *plan, const tr_remote_ops *ops, tr_error *error);
void tr_launched_want(tr_launched *launched);                  /* start it if it does not run */
void tr_launched_stop(tr_launched *launched, tr_time deadline); /* in order; it is freed when it has ended */
bool tr_launched_same(const tr_launched *launched, const tr_launch_plan *plan);
/* What was sent to an agent that it serves: as tr_remote_ops.forward. */
void tr_launched_send(tr_launched *launched, tr_remote *remote, tr_msg *msg);

#endif
