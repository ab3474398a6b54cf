/* SPDX-License-Identifier: MIT
 * See process.h. A process is three libuv handles, itself and the reading ends of two pipes, which close one by one; the struct goes
 * with the last of them.
 *
 * When it has ended, what it wrote is in the pipes: that is read to its end there and then, since somebody else may have
 * inherited the writing ends and keep them open. The socket is not ours to look after: its connection ends by itself. */
#include "net/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "net/internal.h"

#define LINE_MAX_BYTES 4096

typedef struct output {
  tr_process *process;
  uv_pipe_t pipe;
  bool error, open, cut; /* cut: the rest of this line is left out */
  size_t length;
  char line[LINE_MAX_BYTES];
} output;

struct tr_process {
  tr_net *net;
  tr_link all;
  uv_process_t handle;
  output out, err;
  void (*line)(void *ud, bool error, tr_slice line);
  void (*ended)(void *ud, int status, int signal);
  void *ud;
  int handles;
};

/* ---- what it writes ---- */

static void tell_line(output *self) {
  if (self->process->line && !self->cut) self->process->line(self->process->ud, self->error, tr_slice_make(self->line, self->length));
  self->length = 0;
}

static void take(output *self, const char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (bytes[i] == '\n') {
      tell_line(self);
      self->cut = false;
    } else if (self->length < sizeof self->line) {
      self->line[self->length++] = bytes[i];
    } else if (!self->cut) {
      tell_line(self);
      self->cut = true;
    }
  }
}

static void release(uv_handle_t *handle) {
  tr_process *process = handle->data;
  process->net->handles--;
  if (--process->handles == 0) TR_DELETE(process->net->mem, process);
}

static void close_output(output *self) {
  if (!self->open) return;
  self->open = false;
  if (self->length) tell_line(self);
  uv_close((uv_handle_t *)&self->pipe, release);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  const tr_process *process = handle->data;
  *buf = uv_buf_init(process->net->read_buffer, TR_NET_READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  output *self = TR_CONTAINER(stream, output, pipe);
  if (n > 0) take(self, buf->base, (size_t)n);
  else if (n < 0) close_output(self);
}

static void read_rest(output *self) {
  uv_os_fd_t fd;
  char block[4096];
  ssize_t n;
  if (self->open && uv_fileno((uv_handle_t *)&self->pipe, &fd) == 0) {
    while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
      if (n > 0) take(self, block, (size_t)n);
  }
  close_output(self);
}

/* ---- its life ---- */

static void on_exit(uv_process_t *handle, int64_t status, int signal) {
  tr_process *process = handle->data;
  tr_link_remove(&process->all);
  read_rest(&process->out);
  read_rest(&process->err);
  uv_close((uv_handle_t *)handle, release);
  if (process->ended) process->ended(process->ud, (int)status, signal);
}

static int open_output(tr_process *process, output *self, bool error) {
  self->process = process;
  self->error = error;
  int rc = uv_pipe_init(process->net->loop, &self->pipe, 0);
  if (rc < 0) return rc;
  self->pipe.data = process;
  self->open = true;
  process->handles++;
  process->net->handles++;
  return 0;
}

static int spawn(tr_process *process, const tr_process_options *o, tr_net_conn *conn) {
  uv_stdio_container_t stdio[TR_PROCESS_FD + 1] = {
    { .flags = UV_IGNORE },
    { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->out.pipe },
    { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->err.pipe },
    { .flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE, .data.stream = &conn->handle.stream },
  };
  uv_process_options_t options = {
    .file = o->program, .args = (char **)o->argv, .exit_cb = on_exit, .stdio = stdio, .stdio_count = TR_PROCESS_FD + 1,
    .flags = UV_PROCESS_DETACHED,
  };
  process->handle.data = process;
  process->handles++;
  process->net->handles++;
  return uv_spawn(process->net->loop, &process->handle, &options);
}

/* Nothing of it has begun. */
static void abandon(tr_process *process, bool spawned) {
  process->line = NULL;
  process->ended = NULL;
  process->handles++; /* held until all are closed */
  process->net->handles++;
  close_output(&process->out);
  close_output(&process->err);
  if (spawned) uv_close((uv_handle_t *)&process->handle, release);
  process->net->handles--;
  if (--process->handles == 0) TR_DELETE(process->net->mem, process);
}

int tr_process_start(tr_net *net, const tr_process_options *options, tr_net_conn **conn, tr_process **out, tr_error *error) {
  bool spawned = false;
  int rc = UV_ENOMEM;
  tr_process *process = TR_NEW(net->mem, tr_process);
  tr_net_conn *socket = process ? tr_net_conn_new(net, true) : NULL;
  if (!socket) {
    if (process) TR_DELETE(net->mem, process);
    return tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  process->net = net;
  process->line = options->line;
  process->ended = options->ended;
  process->ud = options->ud;
  rc = open_output(process, &process->out, false);
  if (rc == 0) rc = open_output(process, &process->err, true);
  if (rc == 0) {
    spawned = true;
    rc = spawn(process, options, socket);
  }
  if (rc < 0) {
    abandon(process, spawned);
    tr_net_conn_drop(socket);
    return tr_error_set(error, TR_EIO, "%s cannot be started: %s", options->program, uv_strerror(rc));
  }
  tr_list_push(&net->processes, &process->all);
  uv_read_start((uv_stream_t *)&process->out.pipe, on_alloc, on_read);
  uv_read_start((uv_stream_t *)&process->err.pipe, on_alloc, on_read);
  if (tr_net_conn_start(socket, options->handlers, options->handlers_ud) < 0) tr_net_conn_fail(socket, "its socket cannot be read");
  *conn = socket;
  *out = process;
  return 0;
}

int tr_process_pid(const tr_process *process) { return process->handle.pid; }
void tr_process_kill(tr_process *process, int number) { uv_process_kill(&process->handle, number); }

void tr_process_drop(tr_process *process) {
  process->line = NULL;
  process->ended = NULL;
  uv_process_kill(&process->handle, SIGKILL);
}

void tr_process_drop_all(tr_net *net) {
  for (tr_link *l = net->processes.next; l != &net->processes; l = l->next) tr_process_drop(TR_CONTAINER(l, tr_process, all));
}

/* ---- the other end ---- */

int tr_net_adopt(tr_net *net, int fd, tr_net_accept_fn accept_fn, void *ud, tr_error *error) {
  const tr_net_handlers *handlers = NULL;
  void *handlers_ud = NULL;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  tr_net_conn *conn = tr_net_conn_new(net, true);
  if (!conn) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = uv_pipe_open(&conn->handle.pipe, fd);
  if (rc == 0) handlers_ud = accept_fn(ud, conn, TR_SLICE_LITERAL("unix"), &handlers);
  if (rc == 0) rc = handlers_ud ? tr_net_conn_start(conn, handlers, handlers_ud) : UV_ENOMEM;
  if (rc == 0) return 0;
  tr_net_conn_drop(conn);
  return tr_error_set(error, TR_EIO, "descriptor %d is no socket to speak over: %s", fd, uv_strerror(rc));
}
