/* SPDX-License-Identifier: MIT
 * A peer that goes away must not end an embedding program by SIGPIPE, nor may the program's own use of that signal change. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "troupe.h"

static int listen_at(const char *path) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
  return fd;
}

/* Accepted and closed before the runtime has written its first bytes. */
static void write_to_nobody(void) {
  char folder[] = "/tmp/troupe-pipe-XXXXXX", path[60], url[70];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/s", folder);
  snprintf(url, sizeof url, "unix:%s", path);
  int fd = listen_at(path);
  troupe_t *rt;
  CHECK_INT(troupe_new(&rt, NULL), ==, 0);
  CHECK_INT(troupe_connect(rt, url), ==, 0);
  close(accept(fd, NULL, NULL));
  for (int i = 0; i < 20; i++) troupe_poll(rt, 1000);
  troupe_free(rt);
  close(fd);
  unlink(path);
  rmdir(folder);
}

CHECK_CASE(a_peer_that_closes_raises_no_sigpipe) {
  sigset_t mask;
  void (*before)(int) = signal(SIGPIPE, SIG_DFL);
  write_to_nobody();
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGPIPE));
  CHECK(sigpending(&mask) == 0 && !sigismember(&mask, SIGPIPE));
  signal(SIGPIPE, before);
}

CHECK_CASE(a_sigpipe_of_the_program_itself_stays_pending) {
  sigset_t pipe, mask;
  void (*before)(int) = signal(SIGPIPE, SIG_DFL);
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, NULL);
  raise(SIGPIPE);
  write_to_nobody();
  CHECK(sigpending(&mask) == 0 && sigismember(&mask, SIGPIPE));
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGPIPE));
  signal(SIGPIPE, SIG_IGN); /* which takes it off */
  pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
  signal(SIGPIPE, before);
}
