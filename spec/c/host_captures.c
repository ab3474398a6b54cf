/* SPDX-License-Identifier: MIT
 * What real peers said to AutoGen's own host, said to ours: spec/data/wire/captures. What that host answered is read frame by
 * frame (with an HPACK decoder, without src/rpc) and compared, call by call; where ours is better on purpose,
 * the case says so. Forwarded requests carry our ids, so the recorded workers' answers match none: those are left out. */
#include "host_peer.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a reader of what a server sent ---- */

typedef struct told { /* on one stream */
  bool ended;
  int status;
  char text[512];
  tr_slice data;
} told;

typedef struct reader {
  nghttp2_hd_inflater *hd;
  told streams[64]; /* by (id - 1) / 2 */
  tr_slice block;
  bool ends;
} reader;

static void header(told *t, const nghttp2_nv *nv) {
  tr_slice name = tr_slice_make(nv->name, nv->namelen), value = tr_slice_make(nv->value, nv->valuelen);
  if (tr_slice_is(name, "grpc-status")) t->status = atoi((const char *)nv->value);
  if (tr_slice_is(name, "grpc-message")) snprintf(t->text, sizeof t->text, "%.*s", TR_SLICE_ARG(value));
}

static void block(reader *r, told *t) {
  const uint8_t *p = (const uint8_t *)r->block.p;
  size_t n = r->block.n;
  for (;;) {
    nghttp2_nv nv;
    int flags = 0;
    ssize_t used = nghttp2_hd_inflate_hd2(r->hd, &nv, &flags, p, n, 1);
    CHECK_INT(used, >=, 0);
    p += used;
    n -= (size_t)used;
    if (flags & NGHTTP2_HD_INFLATE_EMIT) header(t, &nv);
    if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
  }
  nghttp2_hd_inflate_end_headers(r->hd);
  r->block.n = 0;
}

static reader *read_all(tr_slice bytes) {
  reader *r = calloc(1, sizeof *r);
  nghttp2_hd_inflate_new(&r->hd);
  for (int i = 0; i < 64; i++) r->streams[i].status = -1;
  while (bytes.n >= 9) {
    const uint8_t *h = (const uint8_t *)bytes.p;
    size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    uint32_t id = (uint32_t)(h[5] & 127) << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
    CHECK_INT(bytes.n, >=, 9 + n);
    tr_slice body = { bytes.p + 9, n };
    told *t = &r->streams[id / 2 % 64];
    bool data = h[3] == 0, headers = h[3] == 1 || h[3] == 9;
    if ((data || headers) && (h[4] & 8) && h[3] != 9) {
      size_t pad = (uint8_t)body.p[0];
      body = (tr_slice){ body.p + 1, body.n - 1 - pad };
    }
    if (data) t->data = join(t->data, body);
    if (headers) r->block = join(r->block, body);
    if (h[3] == 1) r->ends = h[4] & 1;
    if (headers && (h[4] & 4)) block(r, t);
    if ((data && (h[4] & 1)) || (headers && r->ends)) t->ended = true;
    bytes = (tr_slice){ bytes.p + 9 + n, bytes.n - 9 - n };
  }
  return r;
}

static void reader_free(reader *r) {
  nghttp2_hd_inflate_del(r->hd);
  free(r);
}

/* ---- a recording, played ---- */

#define FOLDER "spec/data/wire/captures/"

static tr_slice file(const char *name, const char *ending) {
  size_t n;
  const char *bytes = check_file(text(FOLDER "%s%s", name, ending).p, &n);
  return tr_slice_make(bytes, n);
}

static void collect(peer *p, tr_slice *out) {
  while (p->conn && p->dirty) {
    tr_buf bytes;
    tr_buf_init(&bytes, &p->on->mem);
    p->dirty = false;
    tr_host_output(p->conn, &bytes, 65536);
    if (bytes.len) p->dirty = true;
    *out = join(*out, tr_buf_view(&bytes));
    tr_buf_fini(&bytes);
  }
}

static void feed_split(stage *s, peer *p, tr_slice bytes, unsigned most, tr_slice *out) {
  while (bytes.n) {
    size_t n = most ? 1 + tr_random_next(&s->random) % most : bytes.n;
    if (n > bytes.n) n = bytes.n;
    tr_error error;
    tr_error_init(&error);
    if (tr_host_feed(p->conn, (tr_slice){ bytes.p, n }, &error)) CHECK_FAIL("feed: %s", error.text);
    if (tr_random_next(&s->random) & 1) collect(p, out);
    bytes = (tr_slice){ bytes.p + n, bytes.n - n };
  }
  collect(p, out);
}

/* Says each chunk at its time, in pieces of at most `most` bytes. What the host said. */
static tr_slice play(const char *name, unsigned most, uint64_t seed, bool drain, tr_host_stats *stats) {
  tr_host_options o = { .max_frame = 4u << 20 };
  stage *s = stage_new(&o);
  tr_random_init(&s->random, seed);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  tr_slice said = file(name, ".client-to-server.bin"), heard = { NULL, 0 };
  tr_time begin = s->now;
  for (const char *at = file(name, ".json").p; (at = strstr(at, "\"t_ms\": ")); at++) {
    double ms;
    size_t from, length;
    char direction[8];
    if (sscanf(at, "\"t_ms\": %lf , \"dir\": \"%3s\" , \"offset\": %zu , \"len\": %zu", &ms, direction, &from, &length) != 4) continue;
    s->now = begin + (tr_time)(ms * 1000);
    tr_core_set_now(s->core, s->now);
    tr_core_step(s->core, s->now, 0);
    collect(p, &heard);
    if (strcmp(direction, "c2s") == 0) feed_split(s, p, (tr_slice){ said.p + from, length }, most, &heard);
  }
  if (drain) tr_host_drain(s->host, s->now);
  tr_core_step(s->core, s->now + TR_MILLISECONDS(1), 0);
  collect(p, &heard);
  *stats = stage_stats(s);
  stage_free(s);
  return heard;
}

/* ---- comparing ---- */

/* The events and requests in a stream's DATA, requests without their id; answers left out. */
static tr_slice content(tr_slice data) {
  tr_slice all = { NULL, 0 };
  while (data.n >= 5) {
    const uint8_t *h = (const uint8_t *)data.p;
    size_t n = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
    CHECK_INT(data.n, >=, 5 + n);
    tr_slice message = { data.p + 5, n };
    if (pb_count(message, 3)) all = join(all, message);
    if (pb_count(message, 1)) all = join(join(all, pb_get(pb_get(message, 1), 3)), pb_get(pb_get(message, 1), 5));
    data = (tr_slice){ data.p + 5 + n, data.n - 5 - n };
  }
  return all;
}

typedef struct better { unsigned stream; int status; const char *text; } better; /* ours, on purpose */

static void compare(const char *name, const better *list, bool drain, uint64_t seed, unsigned most) {
  tr_host_stats stats;
  reader *theirs = read_all(file(name, ".server-to-client.bin")), *ours = read_all(play(name, most, seed, drain, &stats));
  for (unsigned i = 0; i < 64; i++) {
    told *t = &theirs->streams[i], *u = &ours->streams[i];
    const better *b = list;
    while (b && b->stream && b->stream != i * 2 + 1) b++;
    if (b && b->stream) {
      CHECK_STR(u->text, b->text);
      CHECK_INT(u->status, ==, b->status);
      continue;
    }
    if (t->status != u->status || strcmp(t->text, u->text) != 0)
      CHECK_FAIL("%s, stream %u: %d \"%s\", recorded %d \"%s\"", name, i * 2 + 1, u->status, u->text, t->status, t->text);
    tr_slice x = content(t->data), y = content(u->data);
    if (x.n || y.n) CHECK_MEM(x.p, x.n, y.p, y.n);
    else if (t->ended) CHECK_INT(t->data.n, ==, u->data.n);
  }
  reader_free(theirs);
  reader_free(ours);
}

static void at_any_split(const char *name, const better *list, bool drain) {
  compare(name, list, drain, 1, 0);
  for (uint64_t seed = 2; seed < 12; seed++) compare(name, list, drain, seed, seed % 2 ? 7 : 3000);
  compare(name, list, drain, 99, 1);
}

#define UNTOLD -1 /* the stream lives on */

CHECK_CASE(a_recorded_python_worker) { at_any_split("python-worker-full", NULL, false); }
CHECK_CASE(recorded_metadata_of_grpcio) { at_any_split("python-metadata", NULL, false); }

CHECK_CASE(two_recorded_python_workers_on_one_connection) {
  static const better ours[] = { { 1, 14, "the host is shutting down" }, { 3, 14, "the host is shutting down" }, { 0 } };
  at_any_split("python-two-workers-host-shutdown", ours, true);
}

CHECK_CASE(a_recorded_go_worker) {
  static const better ours[] = { { 1, UNTOLD, "" }, { 0 } }; /* there the client had closed the socket */
  at_any_split("go-worker", ours, false);
}

CHECK_CASE(recorded_errors_of_go) {
  static const better ours[] = { { 25, 3, "Invalid subscription message." }, { 27, 3, "Invalid subscription message." },
                                 { 35, 5, "Subscription does not exist" },
                                 { 47, 4, "Deadline Exceeded" }, { 0 } };
  at_any_split("go-errors", ours, false);
}

CHECK_CASE(recorded_keepalive_pings_do_no_harm) {
  static const better ours[] = { { 1, UNTOLD, "" }, { 0 } }; /* there: GOAWAY too_many_pings */
  at_any_split("go-keepalive-too-many-pings", ours, false);
}
