/* SPDX-License-Identifier: MIT
 * Watching files: tells that something in the watched folders may have changed, once things are quiet again. */
#ifndef TR_NET_WATCH_H
#define TR_NET_WATCH_H

#include "net/net.h"

typedef struct tr_watch tr_watch;
typedef void (*tr_watch_fn)(void *ud);

/* fn is called from the loop, `quiet_ms` after the last change in any watched folder. NULL: out of memory. */
tr_watch *tr_watch_new(tr_mem *mem, uv_loop_t *loop, unsigned quiet_ms, tr_watch_fn fn, void *ud);
/* Watch the folder that holds this file. Folders that are watched already cost nothing. err: TR_EIO, TR_EMEMORY. */
int tr_watch_file(tr_watch *watch, const char *path, tr_error *error);
void tr_watch_close(tr_watch *watch); /* frees itself from the loop; fn is not called again */

#endif
