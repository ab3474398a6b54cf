/* SPDX-License-Identifier: MIT
 * Child processes: what they write comes by lines, their end with its status, their descriptor 3 is spoken to. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "net/internal.h"
#include "net/process.h"

typedef struct child {
  uv_loop_t loop;
  tr_net *net;
  tr_process *process;
  tr_net_conn *conn;
  char lines[16384], heard[256];
  size_t longest;
  int status, signal;
  bool ended, closed, sent;
} child;

static int on_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  child *c = ud;
  size_t n = strlen(c->heard);
  (void)conn;
  snprintf(c->heard + n, sizeof c->heard - n, "%.*s", TR_SLICE_ARG(bytes));
  return 0;
}
static int on_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  child *c = ud;
  (void)conn;
  (void)limit;
  if (!c->sent) tr_buf_slice(out, tr_slice_of("hello\n"));
  c->sent = true;
  return 0;
}
static bool on_finished(void *ud, tr_net_conn *conn) {
  (void)ud;
  (void)conn;
  return false;
}
static void on_closed(void *ud, tr_net_conn *conn, const char *reason) {
  child *c = ud;
  (void)conn;
  (void)reason;
  c->closed = true;
}
static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

static void on_line(void *ud, bool error, tr_slice line) {
  child *c = ud;
  size_t n = strlen(c->lines);
  if (line.n > c->longest) c->longest = line.n;
  snprintf(c->lines + n, sizeof c->lines - n, "%s%.*s; ", error ? "!" : "", line.n > 20 ? 20 : (int)line.n, line.p);
}

static void on_ended(void *ud, int status, int number) {
  child *c = ud;
  CHECK(!c->ended);
  c->ended = true;
  c->status = status;
  c->signal = number;
}

static int start(child *c, const char *program, const char *script) {
  char name[] = "sh", flag[] = "-c", *argv[] = { name, flag, (char *)(uintptr_t)script, NULL };
  tr_process_options options = { .program = program, .argv = argv, .handlers = &handlers, .handlers_ud = c, .line = on_line,
                                 .ended = on_ended, .ud = c };
  tr_error error;
  memset(c, 0, sizeof *c);
  signal(SIGPIPE, SIG_IGN); /* it may have ended before it is spoken to */
  tr_error_init(&error);
  CHECK_INT(uv_loop_init(&c->loop), ==, 0);
  c->net = tr_net_new(check_mem(), NULL, &c->loop);
  return tr_process_start(c->net, &options, &c->conn, &c->process, &error);
}

static void run(child *c) {
  for (int i = 0; i < 10000 && !(c->ended && c->closed); i++) uv_run(&c->loop, UV_RUN_ONCE);
  CHECK(c->ended && c->closed);
}

static void finish(child *c) {
  tr_net_close(c->net);
  uv_run(&c->loop, UV_RUN_DEFAULT);
  CHECK(tr_net_idle(c->net));
  tr_net_free(c->net);
  CHECK_INT(uv_loop_close(&c->loop), ==, 0);
}

CHECK_CASE(a_process_is_spoken_to_and_its_lines_and_its_end_are_told) {
  child c;
  CHECK_INT(start(&c, "/bin/sh", "read word <&3; echo \"$word back\" >&3; echo one; echo two >&2; printf three; exit 5"), ==, 0);
  run(&c);
  CHECK_STR(c.heard, "hello back\n");
  CHECK(strstr(c.lines, "one; ") && strstr(c.lines, "!two; ") && strstr(c.lines, "three; "));
  CHECK_INT(c.status, ==, 5);
  CHECK_INT(c.signal, ==, 0);
  finish(&c);
}

CHECK_CASE(a_line_without_end_is_cut) {
  child c;
  CHECK_INT(start(&c, "/bin/sh", "i=0; while [ $i -lt 1000 ]; do printf 0123456789; i=$((i+1)); done; echo; echo next"), ==, 0);
  run(&c);
  CHECK_INT(c.longest, ==, 4096);
  CHECK_STR(c.lines, "01234567890123456789; next; ");
  finish(&c);
}

CHECK_CASE(a_process_that_is_killed_says_by_which_signal) {
  child c;
  CHECK_INT(start(&c, "/bin/sh", "kill -9 $$"), ==, 0);
  run(&c);
  CHECK_INT(c.signal, ==, SIGKILL);
  finish(&c);
}

/* Somebody else may have inherited its output: that is not waited for. */
CHECK_CASE(a_process_ends_though_its_output_is_still_open) {
  child c;
  CHECK_INT(start(&c, "/bin/sh", "sleep 60 3>&- & echo $! ; exit 0"), ==, 0);
  run(&c);
  CHECK_INT(c.status, ==, 0);
  kill(atoi(c.lines), SIGKILL);
  finish(&c);
}

CHECK_CASE(a_program_that_is_not_there_is_an_error) {
  child c;
  CHECK_INT(start(&c, "/nowhere/at/all", ""), ==, TR_EIO);
  finish(&c);
  CHECK(!c.ended && !c.closed);
}

CHECK_CASE(closing_ends_a_process_and_tells_nobody) {
  child c;
  CHECK_INT(start(&c, "/bin/sh", "read word <&3; read word <&3"), ==, 0);
  uv_run(&c.loop, UV_RUN_NOWAIT);
  finish(&c);
  CHECK(!c.ended);
}

CHECK_CASE(starting_a_process_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    child c;
    memset(&c, 0, sizeof c);
    signal(SIGPIPE, SIG_IGN);
    CHECK_INT(uv_loop_init(&c.loop), ==, 0);
    c.net = tr_net_new(check_mem(), NULL, &c.loop);
    if (c.net) {
      char name[] = "true", *argv[] = { name, NULL };
      tr_process_options options = { .program = "/bin/true", .argv = argv, .handlers = &handlers, .handlers_ud = &c, .line = on_line,
                                     .ended = on_ended, .ud = &c };
      if (tr_process_start(c.net, &options, &c.conn, &c.process, NULL) == 0) run(&c);
      finish(&c);
    } else {
      CHECK_INT(uv_loop_close(&c.loop), ==, 0);
    }
    CHECK_INT(check_mem()->used, ==, 0);
  }
}
