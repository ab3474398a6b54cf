/* SPDX-License-Identifier: MIT
 * A program that is run to its end: text in, text out, a status. Looked at from time to time, so by any thread: it hangs on no loop. */
#ifndef TR_NET_PROGRAM_H
#define TR_NET_PROGRAM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

typedef struct tr_program tr_program;
typedef struct tr_program_result {
  int status, signal; /* signal 0: it ended by itself */
  tr_slice out, err;  /* valid until tr_program_stop */
} tr_program_result;

/* argv[0] is a path, or a name to be found in PATH; environment: "NAME=value", NULL at the end; both, and `in`, are copied or used up at
 * once. It has a process group of its own, and no descriptor of ours. most: bytes of each output. err: TR_EIO, TR_ENOT_FOUND, TR_EMEMORY. */
tr_program *tr_program_start(tr_mem *mem, char *const *argv, char *const *environment, tr_slice in, size_t most, tr_error *error);
/* 0: it runs on. 1: it has ended. err: TR_ETOO_LARGE, TR_EMEMORY. */
int tr_program_look(tr_program *program, tr_program_result *result, tr_error *error);
/* Wait for its end on the spot, for so long at most; what it says is for tr_program_look to tell. */
void tr_program_wait(tr_program *program, int64_t us);
/* End it and all that it started, at once, and free it. */
void tr_program_stop(tr_program *program);

#endif
