/* SPDX-License-Identifier: MIT
 * troupe.serve with the n-th allocation failing: in opening the door, and in a request from its connection to its answer. Who asks hears an
 * answer or the end of the connection, the next one is served, and nothing is left open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "runtime_kit.h"

static const char agents[] =
  "return { type = 'a', on = {\n"
  "  Serve = function(self, m) return (troupe.serve{ address = m.at, secret = 'key', signature = 'X-Signed', most = 70000 }) end,\n"
  "  Leave = function(self, m, ctx) ctx:stop() return 'left' end,\n"
  "  Http = function(self, m) return { status = 201, headers = { ['X-A'] = m.headers['x-a'], ['X-B'] = m.query }, body = m.method .. #m.body .. ('b'):rep(40000) } end } }";

/* HMAC-SHA256 of 50 000 x with "key". */
#define BODY 50000
static const char signed_with[] = "a57893342e1e47008d6809cbc5a6aba9c0f30b740fd23bd3aa15cf3c1b674a94";

static char address[200];
static troupe_t *rt;

static kit_heard ask(const char *type) { return kit_ask(rt, "a", type, troupe_pack(rt, "{s:s}", "at", address)); }

static void start(void) {
  char right[240];
  snprintf(address, sizeof address, "unix:%s", kit_path());
  snprintf(right, sizeof right, "listen=%s", address);
  kit_clock = 1;
  rt = kit_open(agents);
  CHECK_INT(tr_runtime_allow(rt, right), ==, 0);
}

static int reach(void) {
  struct sockaddr_un to = { .sun_family = AF_UNIX };
  snprintf(to.sun_path, sizeof to.sun_path, "%s", kit_path());
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
    close(fd);
    return -1;
  }
  CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
  return fd;
}

/* The status of its answer; 0: the connection was ended. */
static int post(char *answer, size_t size) {
  static char request[BODY + 400];
  int n = snprintf(request, sizeof request, "POST /x?q=1 HTTP/1.1\r\nHost: h\r\nX-A: one\r\nX-A: two\r\nX-Signed: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
                   signed_with, BODY);
  memset(request + n, 'x', BODY);
  size_t left = (size_t)n + BODY, sent = 0, got = 0;
  int fd = reach();
  CHECK(fd >= 0);
  for (int i = 0; i < 2000; i++) {
    if (sent < left) {
      ssize_t wrote = send(fd, request + sent, left - sent, MSG_NOSIGNAL);
      if (wrote > 0) sent += (size_t)wrote;
      else if (errno != EAGAIN) sent = left;
    }
    kit_pass(rt, i < 100 ? 0.0001 : 0.1);
    ssize_t read_ = recv(fd, answer + got, size - got - 1, 0);
    if (read_ > 0) got += (size_t)read_;
    else if (read_ == 0 || errno != EAGAIN) break;
  }
  close(fd);
  kit_work(rt);
  answer[got] = 0;
  return got ? atoi(answer + 9) : 0;
}

static bool is_whole(const char *answer) {
  return strstr(answer, "x-a: one, two") || (strstr(answer, "X-A: one, two\r\n") && strstr(answer, "X-B: q=1\r\n") && strstr(answer, "\r\n\r\nPOST50000bbb"));
}

CHECK_CASE(doors_for_http_without_memory) {
  start();
  CHECK_INT(ask("Serve").status, ==, 0); /* what is made once is made */
  CHECK_INT(ask("Leave").status, ==, 0);
  kit_pass(rt, 1);
  int files = kit_open_files(), failed = 0;
  for (size_t n = 1;; n++) {
    check_mem_fail_at(n);
    kit_heard h = ask("Serve");
    bool refused = check_mem_refused();
    check_mem_fail_at(0);
    failed += h.status != 0;
    if (h.status && h.status != TROUPE_EMEMORY) CHECK_FAIL("allocation %zu: %d %s", n, h.status, h.text);
    if (h.status) h = ask("Serve");
    CHECK(h.status == 0 || h.status == TROUPE_EEXISTS); /* where only the reply was lost */
    int fd = reach();
    CHECK(fd >= 0);
    close(fd);
    CHECK_INT(ask("Leave").status, ==, 0);
    for (int i = 0; i < 10; i++) kit_pass(rt, 0.1);
    CHECK_INT(reach(), ==, -1);
    if (!refused) break;
  }
  CHECK_INT(failed, >, 0);
  CHECK_INT(kit_open_files(), ==, files);
  troupe_free(rt);
}

CHECK_CASE(requests_of_http_without_memory) {
  static char answer[100000];
  start();
  CHECK_INT(ask("Serve").status, ==, 0);
  CHECK_INT(post(answer, sizeof answer), ==, 201);
  CHECK(is_whole(answer));
  int files = kit_open_files(), failed = 0;
  for (size_t n = 1;; n++) {
    check_mem_fail_at(n);
    int status = post(answer, sizeof answer);
    bool refused = check_mem_refused();
    check_mem_fail_at(0);
    failed += status != 201;
    if (status != 201 && status != 0 && status < 500) CHECK_FAIL("allocation %zu: %d %s", n, status, answer);
    if (status == 201) CHECK(is_whole(answer));
    CHECK_INT(post(answer, sizeof answer), ==, 201);
    if (!refused) break;
  }
  CHECK_INT(failed, >, 0);
  kit_pass(rt, 60);
  CHECK_INT(kit_open_files(), ==, files);
  troupe_free(rt);
}
