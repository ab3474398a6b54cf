/* SPDX-License-Identifier: MIT
 * A worker that compresses: with hosts that take it, with one that does not, and what it keeps of a stream that is lost. */
#include "worker_stage.h"

#include <stdio.h>

static stage *s;

static proc *set(place *at, uint32_t from) {
  tr_worker_options o = { .register_types = true, .compress_from = from };
  proc *p = proc_new(s, NULL, at, &o);
  actor_new(p, "a", "x", NULL);
  tr_worker_start(p->worker);
  stage_run(s);
  return p;
}

static const char *long_text(void) {
  static char text[5000];
  memset(text, 'y', sizeof text - 1);
  text[0] = text[sizeof text - 2] = '"';
  return text;
}

static void give(proc *p, const char *body) { tr_core_post(p->core, message(p->core, TR_MSG_EVENT, "x", "k", "T", body)); }

CHECK_CASE(a_worker_compresses_for_a_host_that_takes_it) {
  for (int from = 0; from < 2; from++) {
    s = stage_new();
    place *f = fake_new(s, true);
    proc *p = set(f, from ? 1000 : 0);
    for (int i = 0; i < 20; i++) give(p, i % 2 ? long_text() : "1");
    stage_run(s);
    for (int i = 0; i < 20; i++) CHECK(holds(fake_hear(f), i % 2 ? long_text() : "1"));
    CHECK_INT(tr_worker_gzip(p->worker)->stats.deflated, ==, from ? 10 : 0);
    CHECK(tr_worker_idle(p->worker)); /* all is known to be written, though it was less */
    stage_free(s);
  }
}

CHECK_CASE(a_host_that_cannot_read_gzip_is_joined_without) {
  s = stage_new();
  place *f = fake_new(s, false);
  f->refuse = 12;
  f->refuse_text = "Compression \"gzip\" is no encoding of this server";
  proc *p = set(f, 100);
  f->refuse = 0;
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  give(p, long_text());
  CHECK(holds(fake_hear(f), long_text()));
  CHECK_INT(tr_worker_gzip(p->worker)->stats.deflated, ==, 0);
  stage_free(s);
}

CHECK_CASE(what_was_not_written_is_sent_again_compressed_or_not) {
  for (size_t piece = 1; piece < 60; piece += 7) {
    s = stage_new();
    place *f = fake_new(s, true);
    proc *p = set(f, 100);
    s->piece = piece;
    for (int i = 0; i < 50; i++) {
      char body[16];
      snprintf(body, sizeof body, "%d", i);
      give(p, i % 3 ? body : long_text());
      if (i % 10 == 7) proc_cut(p);
      stage_sleep(s, TR_MILLISECONDS(200));
    }
    stage_sleep(s, TR_SECONDS(5));
    CHECK(tr_worker_idle(p->worker));
    CHECK_INT(p->dead_letters, ==, 0);
    stage_free(s);
  }
}
