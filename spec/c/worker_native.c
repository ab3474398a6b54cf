/* SPDX-License-Identifier: MIT
 * Bodies in the native format go only to a host that takes it: not before it said so, and not to another one that came in its place while
 * they waited. */
#include "worker_stage.h"

static stage *s;
static place *f;
static proc *p;

static int encode(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud;
  (void)slot;
  (void)error;
  return tr_buf_text(out, format == TR_FORMAT_NATIVE ? "in native" : "in json") ? 0 : TR_EMEMORY;
}
static void release(void *ud, uint32_t slot) {
  (void)ud;
  (void)slot;
}

static void set(bool native) {
  s = stage_new();
  f = fake_new(s, true);
  f->native = native;
  p = proc_new(s, NULL, f, NULL);
  actor_new(p, "a", "x", NULL);
  tr_body_ops ops = { .encode = encode, .release = release };
  tr_core_set_body_ops(p->core, &ops);
  tr_worker_start(p->worker);
}

static void give(tr_msg_kind kind) {
  tr_msg *msg = message(p->core, kind, kind == TR_MSG_EVENT ? "x" : "elsewhere", "k", "T", NULL);
  tr_body_release(p->core, &msg->body);
  msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = 1 };
  tr_core_post(p->core, msg);
}

CHECK_CASE(native_bodies_go_to_a_host_that_takes_them) {
  set(true);
  stage_run(s);
  give(TR_MSG_EVENT);
  CHECK(holds(fake_hear(f), "in native"));
  give(TR_MSG_SEND);
  tr_slice there = fake_hear(f);
  CHECK(holds(there, "in native") && holds(there, "application/x-troupe"));
  stage_free(s);
}

CHECK_CASE(other_hosts_get_json) {
  set(false);
  give(TR_MSG_EVENT); /* before it is there at all */
  CHECK(holds(fake_hear(f), "in json"));
  give(TR_MSG_EVENT);
  CHECK(holds(fake_hear(f), "in json"));
  stage_free(s);
}

CHECK_CASE(what_waited_is_written_anew_for_another_host) {
  for (int native = 0; native < 2; native++) {
    set(true);
    stage_run(s);
    p->stalled = true;
    give(TR_MSG_EVENT);
    give(TR_MSG_SEND);
    stage_run(s);
    f->native = f->troupe = native;
    proc_cut(p);
    p->stalled = false;
    stage_sleep(s, TR_SECONDS(10));
    for (int i = 0; i < 2; i++) {
      tr_slice there = fake_hear(f);
      CHECK(holds(there, "in json")); /* also where it takes both: it had not said so yet */
      CHECK(!holds(there, "in native") && !holds(there, "application/x-troupe"));
    }
    stage_free(s);
  }
}
