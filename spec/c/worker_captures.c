/* SPDX-License-Identifier: MIT
 * What AutoGen's own host said to real workers (spec/data/wire/captures), said to ours: it first opens the recorded calls in the
 * recorded order, then hears the recorded bytes, cut anywhere. The recorded workers had announced larger frames than ours
 * does, so their DATA frames are cut to what this host may send to us. Then the same with bytes missing and bytes changed. */
#include "worker_stage.h"

#include <stdio.h>
#include <stdlib.h>

#define FRAME 16384

static stage *s;
static place *f;
static proc *p;
static tr_buf bytes;

static void put_frame(tr_buf *out, const uint8_t *head, const uint8_t *body, size_t n, uint8_t flags) {
  uint8_t h[9];
  memcpy(h, head, 9);
  h[0] = (uint8_t)(n >> 16);
  h[1] = (uint8_t)(n >> 8);
  h[2] = (uint8_t)n;
  h[4] = flags;
  tr_buf_append(out, h, 9);
  tr_buf_append(out, body, n);
}

static void load(const char *name) {
  char path[200];
  size_t n;
  snprintf(path, sizeof path, "spec/data/wire/captures/%s.server-to-client.bin", name);
  const uint8_t *at = (const uint8_t *)check_file(path, &n), *end = at + n;
  tr_buf_init(&bytes, &s->mem);
  while (end - at >= 9) {
    size_t length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
    const uint8_t *body = at + 9;
    for (; at[3] == 0 && length > FRAME; body += FRAME, length -= FRAME) put_frame(&bytes, at, body, FRAME, at[4] & 0xfe);
    put_frame(&bytes, at, body, length, at[4]);
    at = body + length;
  }
  CHECK(at == end);
}

static void set(const char *type, const char *topic) {
  s = stage_new();
  f = fake_new(s, false);
  f->mute = true;
  p = proc_new(s, NULL, f, NULL);
  if (type) actor_new(p, type, topic, NULL);
}

static int feed(size_t piece) {
  tr_error error;
  tr_error_init(&error);
  for (size_t at = 0; at < bytes.len && p->up;) {
    size_t n = piece ? 1 + (size_t)(tr_random_next(&s->random) % piece) : bytes.len;
    if (n > bytes.len - at) n = bytes.len - at;
    int rc = tr_worker_feed(p->worker, tr_slice_make(bytes.data + at, n), &error);
    if (rc < 0) return rc;
    at += n;
    tr_buf out;
    tr_buf_init(&out, &s->mem);
    tr_worker_output(p->worker, &out, 65536);
    tr_buf_fini(&out);
  }
  return 0;
}

static void on_types(void *ud, int code, const char *text) {
  (void)text;
  *(int *)ud = code + 1;
}

static const size_t pieces[] = { 0, 1, 2, 7, 100, 5000 };
#define EACH_PIECE(i) for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)

CHECK_CASE(a_python_workers_session) {
  EACH_PIECE(i) {
    tr_slice type = TR_SLICE_LITERAL("echo");
    int result = 0;
    set("echo", "news");
    load("python-worker-full");
    tr_worker_start(p->worker);
    stage_run(s); /* streams 1 to 7 */
    tr_worker_wait_types(p->worker, &type, 1, s->now + TR_SECONDS(5), on_types, &result); /* 9 */
    actor *late = actor_new(p, "later", NULL, NULL);
    tr_worker_sync(p->worker);
    stage_run(s); /* 11 */
    actor *a = tr_class_ud(tr_core_find_class(p->core, TR_SLICE_LITERAL("echo")));
    uint64_t written = p->written;
    CHECK_INT(feed(pieces[i]), ==, 0);
    stage_run(s);
    CHECK_INT(result, ==, 1);
    CHECK_INT(a->count, ==, 4); /* two events, two requests */
    CHECK_STR(a->first->body, "{\"text\": \"hello\", \"n\": 1}");
    CHECK_STR(a->first->type, "Ask");
    CHECK(!a->first->request && a->first->next->next->request);
    CHECK_INT(p->written, >, written); /* their answers */
    CHECK_INT(stage_logged(s, "answer.unknown"), ==, 2); /* the recorded answers, to requests that were not ours */
    CHECK_STR(p->reason, "type later is held by another worker");
    CHECK_INT(late->count, ==, 0);
    tr_buf_fini(&bytes);
    stage_free(s);
  }
}

CHECK_CASE(a_go_workers_session) {
  EACH_PIECE(i) {
    set("goagent", NULL);
    load("go-worker");
    tr_worker_start(p->worker);
    stage_run(s);
    CHECK_INT(feed(pieces[i]), ==, 0);
    CHECK_INT(stage_logged(s, "answer.unknown"), ==, 1);
    stage_run(s);
    CHECK_INT(p->reasons, ==, 1);
    CHECK(strstr(p->reason, "the host ended the stream ("));
    tr_buf_fini(&bytes);
    stage_free(s);
  }
}

CHECK_CASE(a_host_that_punishes_pings) {
  EACH_PIECE(i) {
    set(NULL, NULL);
    load("go-keepalive-too-many-pings");
    tr_worker_start(p->worker);
    stage_run(s);
    CHECK_INT(p->state, ==, TR_WORKER_JOINED);
    feed(pieces[i]);
    stage_run(s);
    CHECK_STR(p->reason, "the host ended the stream (unavailable: Too many pings)");
    tr_buf_fini(&bytes);
    stage_free(s);
  }
}

CHECK_CASE(a_host_that_shuts_down) { /* recorded with two workers on the connection; to ours the other's stream is a unary call */
  EACH_PIECE(i) {
    set(NULL, NULL);
    for (int n = 0; n < 5; n++) {
      char type[8];
      snprintf(type, sizeof type, "t%d", n);
      actor_new(p, type, NULL, NULL);
    }
    load("python-two-workers-host-shutdown");
    tr_worker_start(p->worker);
    stage_run(s);
    feed(pieces[i]);
    stage_run(s);
    CHECK_INT(p->hang_ups, ==, 1);
    CHECK(strstr(p->reason, "Cancelling all calls") || strstr(p->reason, "shutting down"));
    tr_buf_fini(&bytes);
    stage_free(s);
  }
}

static const char *const names[] = { "python-worker-full", "go-worker", "go-errors", "python-metadata" };

CHECK_CASE(cut_at_every_byte_it_waits_for_more) {
  for (size_t n = 0; n < 4; n++) {
    for (size_t cut = 0;; cut += cut < 600 ? 1 : 97) {
      set("echo", "news");
      load(names[n]);
      bool last = cut >= bytes.len;
      if (!last) bytes.len = cut;
      tr_worker_start(p->worker);
      stage_run(s);
      feed(0);
      proc_cut(p);
      stage_run(s);
      CHECK_INT(p->state, ==, TR_WORKER_DIALING);
      tr_buf_fini(&bytes);
      stage_free(s);
      if (last) break;
    }
  }
}

CHECK_CASE(changed_anywhere_it_neither_hangs_nor_falls) {
  tr_random random;
  tr_random_init(&random, 1);
  for (int round = 0; round < 1500; round++) {
    set("echo", "news");
    load(names[round % 4]);
    for (int i = 0; i < 1 + round % 5; i++) bytes.data[tr_random_next(&random) % bytes.len] = (uint8_t)tr_random_next(&random);
    tr_worker_start(p->worker);
    stage_run(s);
    answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
    feed(round % 2 ? 1000 : 0);
    stage_run(s);
    proc_cut(p);
    f->mute = false;
    stage_sleep(s, TR_SECONDS(10));
    CHECK(got->done);
    CHECK_INT(p->state, ==, TR_WORKER_JOINED);
    tr_buf_fini(&bytes);
    stage_free(s);
  }
}
