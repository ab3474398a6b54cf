/* SPDX-License-Identifier: MIT
 * Child processes that are spoken to by a socket: their descriptor 3 is one end of a pair, ours the other. So nobody else can
 * connect, there is no file to leave behind, and the end of either process, however it comes, is the end of the stream at the
 * other. What they write to their standard output and error is read line by line. */
#ifndef TR_NET_PROCESS_H
#define TR_NET_PROCESS_H

#include "net/net.h"

#define TR_PROCESS_FD 3

typedef struct tr_process tr_process;
typedef struct tr_process_options {
  const char *program; /* a path, or a name to be found in PATH */
  char *const *argv;   /* with its own name first, NULL-terminated */
  const tr_net_handlers *handlers; /* of the connection to its descriptor 3 */
  void *handlers_ud;
  /* A line of its standard error (or output), without its end; cut at 4 KB, the rest of it is left out. */
  void (*line)(void *ud, bool error, tr_slice line);
  /* It has ended, and all that it wrote was told; last. signal 0: by itself, with `status`. */
  void (*ended)(void *ud, int status, int signal);
  void *ud;
} tr_process_options;

/* Start it, in a session of its own, so that the terminal's signals do not reach it. err: TR_EIO, TR_EMEMORY; no handler is called
 * then. *conn lives as every connection. */
int tr_process_start(tr_net *net, const tr_process_options *options, tr_net_conn **conn, tr_process **out, tr_error *error);
int tr_process_pid(const tr_process *process);
void tr_process_kill(tr_process *process, int signal);
/* End it at once; no handler is called any more. It is waited for as the loop runs (tr_net_idle). */
void tr_process_drop(tr_process *process);
/* For tr_net_close. */
void tr_process_drop_all(tr_net *net);

/* The other end, in such a process: speak over this descriptor, from now on owned, as if it had been accepted. err: TR_EIO, TR_EMEMORY. */
int tr_net_adopt(tr_net *net, int fd, tr_net_accept_fn accept, void *ud, tr_error *error);

#endif
