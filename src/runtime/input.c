/* SPDX-License-Identifier: MIT
 * Telling when a descriptor can be read, from the runtime's loop: for a prompt on standard input, whatever that is. A terminal, a pipe or a
 * socket is polled; a file, which always can be read, is asked for in every round of the loop. */
#include <sys/stat.h>

#include "runtime/internal.h"

struct tr_input {
  troupe_t *rt;
  union { uv_handle_t any; uv_poll_t poll; uv_idle_t idle; } handle;
  void (*fn)(void *ud);
  void *ud;
};

static void on_poll(uv_poll_t *poll, int status, int events) {
  tr_input *input = poll->data;
  (void)status; /* reading says what it is */
  (void)events;
  input->fn(input->ud);
}

static void on_idle(uv_idle_t *idle) {
  tr_input *input = idle->data;
  input->fn(input->ud);
}

static bool can_be_polled(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int tr_runtime_input(troupe_t *rt, int fd, void (*fn)(void *ud), void *ud, tr_input **out) {
  tr_runtime_error(rt);
  int rc = tr_runtime_loop_open(rt);
  tr_input *input = rc ? NULL : TR_NEW(&rt->mem, tr_input);
  if (!input) return rc ? rc : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  *input = (tr_input){ .rt = rt, .fn = fn, .ud = ud };
  bool polled = can_be_polled(fd) && uv_poll_init(rt->loop, &input->handle.poll, fd) == 0; /* /dev/null cannot */
  if (!polled) uv_idle_init(rt->loop, &input->handle.idle);
  input->handle.any.data = input;
  if (polled) uv_poll_start(&input->handle.poll, UV_READABLE, on_poll);
  else uv_idle_start(&input->handle.idle, on_idle);
  *out = input;
  return 0;
}

static void on_closed(uv_handle_t *handle) {
  tr_input *input = handle->data;
  TR_DELETE(&input->rt->mem, input);
}

void tr_runtime_input_close(tr_input *input) {
  if (input) uv_close(&input->handle.any, on_closed);
}
