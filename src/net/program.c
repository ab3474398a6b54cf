/* SPDX-License-Identifier: MIT
 * See program.h. Its input is a socket, so that writing to one that does not read it is an error and no signal; its outputs are pipes.
 * Ours are the ends that do not block: each look writes and reads what goes, then asks whether it has ended. When it has, its whole group
 * is ended before it is waited for, since only until then its number is its own; what the group wrote is in the pipes.
 * pipe2 and closefrom are hidden without _GNU_SOURCE. Why pipe2: between pipe and fcntl another thread could start a process that inherits it. */
#define _GNU_SOURCE
#include "net/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct tr_program {
  tr_mem *mem;
  pid_t pid; /* 0: it has been waited for */
  int fds[3]; /* ours; -1: closed */
  tr_buf in, outputs[2];
  size_t written, most;
};

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static bool open_pipes(tr_program *program, int theirs[3]) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return false;
  program->fds[0] = pair[0];
  theirs[0] = pair[1];
  for (int i = 1; i < 3; i++) {
    if (pipe2(pair, O_CLOEXEC)) return false;
    program->fds[i] = pair[0];
    theirs[i] = pair[1];
  }
  for (int i = 0; i < 3; i++)
    if (fcntl(program->fds[i], F_SETFL, O_NONBLOCK)) return false;
  return true;
}

/* errno, or 0. */
static int spawn(tr_program *program, char *const *argv, char *const *environment, const int theirs[3]) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  int rc = posix_spawn_file_actions_init(&actions);
  if (rc) return rc;
  rc = posix_spawnattr_init(&attributes);
  if (rc) {
    posix_spawn_file_actions_destroy(&actions);
    return rc;
  }
  sigemptyset(&none);
  sigfillset(&all);
  for (int i = 0; i < 3 && !rc; i++) rc = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
  if (!rc) rc = posix_spawn_file_actions_addclosefrom_np(&actions, 3); /* whatever the process around us left open */
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  if (!rc) rc = posix_spawnp(&program->pid, argv[0], &actions, &attributes, argv, environment);
  if (rc) program->pid = 0;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return rc;
}

tr_program *tr_program_start(tr_mem *mem, char *const *argv, char *const *environment, tr_slice in, size_t most, tr_error *error) {
  int theirs[3] = { -1, -1, -1 }, why = 0;
  tr_program *program = TR_NEW(mem, tr_program);
  if (!program) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  program->mem = mem;
  program->most = most;
  program->fds[0] = program->fds[1] = program->fds[2] = -1;
  tr_buf_init(&program->in, mem);
  tr_buf_init(&program->outputs[0], mem);
  tr_buf_init(&program->outputs[1], mem);
  bool room = tr_buf_slice(&program->in, in);
  if (room) why = open_pipes(program, theirs) ? spawn(program, argv, environment, theirs) : errno;
  for (int i = 0; i < 3; i++) close_fd(&theirs[i]);
  if (room && !why) return program;
  if (!room) tr_error_set(error, TR_EMEMORY, "out of memory");
  else tr_error_set(error, why == ENOENT ? TR_ENOT_FOUND : TR_EIO, "%.200s cannot be run: %s", argv[0], strerror(why));
  tr_program_stop(program);
  return NULL;
}

static void feed(tr_program *program) {
  size_t left = program->in.len - program->written;
  while (left > 0 && program->fds[0] >= 0) {
    ssize_t n = send(program->fds[0], program->in.data + program->written, left, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) break; /* it wants no more of it */
    program->written += (size_t)n;
    left -= (size_t)n;
  }
  close_fd(&program->fds[0]);
}

static int drain(tr_program *program, int i, tr_error *error) {
  tr_buf *out = &program->outputs[i];
  while (out->len <= program->most && program->fds[i + 1] >= 0) {
    if (!tr_buf_reserve(out, 16384)) return tr_error_set(error, TR_EMEMORY, "out of memory");
    ssize_t n = read(program->fds[i + 1], out->data + out->len, 16384);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) close_fd(&program->fds[i + 1]);
    else out->len += (size_t)n;
  }
  return out->len > program->most ? tr_error_set(error, TR_ETOO_LARGE, "it wrote more than %zu KiB", program->most >> 10) : 0;
}

/* Its group ends with it. */
static void finish(tr_program *program, int *status) {
  kill(-program->pid, SIGKILL);
  while (waitpid(program->pid, status, 0) < 0 && errno == EINTR) continue;
  program->pid = 0;
}

static bool has_ended(const tr_program *program) {
  siginfo_t info = { .si_pid = 0 };
  return waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno != EINTR : info.si_pid != 0;
}

static int64_t microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void tr_program_wait(tr_program *program, int64_t us) {
  int64_t end = microseconds() + us;
  tr_error error; /* comes again */
  tr_error_init(&error);
  while (!has_ended(program) && microseconds() < end) {
    feed(program);
    struct pollfd fds[3];
    for (int i = 0; i < 3; i++) fds[i] = (struct pollfd){ .fd = program->fds[i], .events = i ? POLLIN : POLLOUT };
    poll(fds, 3, 5);
    if (drain(program, 0, &error) || drain(program, 1, &error)) return;
  }
}

int tr_program_look(tr_program *program, tr_program_result *result, tr_error *error) {
  int status = 0;
  feed(program);
  bool ended = has_ended(program);
  if (ended) finish(program, &status);
  for (int i = 0; i < 2; i++) {
    int rc = drain(program, i, error);
    if (rc) return rc;
  }
  if (!ended) return 0;
  *result = (tr_program_result){ WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                                 tr_buf_view(&program->outputs[0]), tr_buf_view(&program->outputs[1]) };
  return 1;
}

void tr_program_stop(tr_program *program) {
  int status;
  if (program->pid) finish(program, &status);
  for (int i = 0; i < 3; i++) close_fd(&program->fds[i]);
  tr_buf_fini(&program->in);
  tr_buf_fini(&program->outputs[0]);
  tr_buf_fini(&program->outputs[1]);
  TR_DELETE(program->mem, program);
}
