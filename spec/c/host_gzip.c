/* SPDX-License-Identifier: MIT
 * Compression at the host: offered, or answered in kind; counted; slow receivers are bounded by what is sent. */
#include "host_peer.h"
#include "wire/note.h"

static stage *s;
static peer *p;

static void set(uint32_t from) {
  tr_host_options o = { .compress_from = from };
  s = stage_new(&o);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

static pcall *gzip_channel(const char *client_id) {
  tr_rpc_header header = { TR_SLICE_LITERAL("grpc-encoding"), TR_SLICE_LITERAL("gzip") };
  pcall *c = call_open(p, "OpenChannel", client_id, &header, 1);
  stage_run(s);
  return c;
}

static void join_worker(const char *id) {
  reg(p, id, id);
  sub(p, id, id, "x", id);
}

CHECK_CASE(gzip_goes_to_who_sends_it_and_to_no_other) {
  set(0);
  pcall *plain = channel(p, "plain"), *packed = gzip_channel("packed");
  join_worker("plain");
  join_worker("packed");
  tr_slice sent = event("x", "k", big(5000));
  say(plain, sent);
  tr_slice one = hear(plain), other = hear(packed);
  CHECK_MEM(one.p, one.n, sent.p, sent.n);
  CHECK_MEM(other.p, other.n, sent.p, sent.n);
  CHECK_INT(tr_host_gzip(s->host)->stats.deflated, ==, 1);
  CHECK(tr_host_gzip(s->host)->stats.deflated_to < 500);
  say(plain, event("x", "k", "small"));
  hear(packed);
  CHECK_INT(tr_host_gzip(s->host)->stats.deflated, ==, 1);
  stage_free(s);
}

CHECK_CASE(gzip_is_offered_and_an_event_is_compressed_once) {
  set(100);
  pcall *all[10];
  for (int i = 0; i < 10; i++) {
    all[i] = channel(p, text("c%d", i).p);
    join_worker(text("c%d", i).p);
  }
  tr_slice sent = event("x", "k", big(5000));
  say(all[0], sent);
  for (int i = 0; i < 10; i++) {
    tr_slice got = hear(all[i]);
    CHECK_MEM(got.p, got.n, sent.p, sent.n);
  }
  CHECK_INT(tr_host_gzip(s->host)->stats.deflated, ==, 1);
  say(all[0], request("1", "c1", "k", big(5000)));
  serve(all[1], big(3000));
  expect_answer(all[0], "1", big(3000));
  CHECK_INT(tr_host_gzip(s->host)->stats.deflated, ==, 3);
  stage_free(s);
}

/* A channel of troupe's that sends compressed, and has had so many messages. */
static pcall *resumed_channel(const char *had) {
  tr_rpc_header headers[] = { { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("9") },
                              { TR_SLICE_LITERAL("grpc-encoding"), TR_SLICE_LITERAL("gzip") },
                              { TR_SLICE_LITERAL(TR_RECEIVED_HEADER), tr_slice_of(had) } };
  pcall *c = call_open(p, "OpenChannel", "ours", headers, 3);
  stage_run(s);
  return c;
}

CHECK_CASE(what_went_compressed_is_sent_again_to_who_lost_it) {
  set(0);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *from = channel(q, "from"), *c = resumed_channel("0");
  join_worker("ours");
  tr_slice sent = event("x", "k", big(5000));
  say(from, sent);
  hear(c); /* it came, but its process did not get to it */
  CHECK_INT(tr_host_gzip(s->host)->stats.deflated, ==, 1);
  p->stalled = true;
  say(from, sent); /* and this one never left */
  stage_run(s);
  peer_cut(p);
  p = peer_new(s, "10.0.0.1:2", NULL);
  c = resumed_channel("0");
  for (int i = 0; i < 2; i++) {
    tr_slice got = hear(c);
    CHECK_MEM(got.p, got.n, sent.p, sent.n);
  }
  CHECK(silent(c));
  stage_free(s);
}
