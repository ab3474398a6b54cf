/* SPDX-License-Identifier: MIT
 * TLS over real loopback sockets, both ends ours: bytes, names, certificates that are wrong in each way, plaintext at the wrong port,
 * resumption, certificates that change, memory that runs out. */
#include "check.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/cert.h"
#include "net_kit.h"

/* ---- certificates, in a folder of the case ---- */

static char folder[64];

static const char *file_of(const char *name, const char *ending) {
  static char paths[8][128];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s%s", folder, name, ending);
  return path;
}

static void write_file(const char *path, tr_slice text) {
  FILE *file = fopen(path, "w");
  CHECK(file && fwrite(text.p, 1, text.n, file) == text.n);
  fclose(file);
}

static tr_slice read_file(const char *path) {
  size_t n;
  const char *text = check_file(path, &n);
  return tr_slice_make(text, n);
}

#define DAY 86400

static void make(tr_cert_kind kind, const char *file, const char *name, const char *ca, const char *const *names, long until) {
  tr_buf cert, key;
  tr_error error;
  tr_error_init(&error);
  tr_buf_init(&cert, check_mem());
  tr_buf_init(&key, check_mem());
  tr_cert_request request = { .kind = kind, .name = name, .names = names, .from = -DAY, .until = until };
  tr_slice none = { NULL, 0 };
  if (tr_cert_make(&request, ca ? read_file(file_of(ca, ".pem")) : none, ca ? read_file(file_of(ca, ".key")) : none, &cert, &key, &error))
    CHECK_FAIL("%s", error.text);
  write_file(file_of(file, ".pem"), tr_buf_view(&cert));
  write_file(file_of(file, ".key"), tr_buf_view(&key));
  tr_buf_fini(&cert);
  tr_buf_fini(&key);
}

static const char *const local[] = { "localhost", "127.0.0.1", NULL }, *const elsewhere[] = { "elsewhere.example", NULL };

static void clean(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  if (system(command)) CHECK_FAIL("%s", command);
}

static void make_all(void) {
  snprintf(folder, sizeof folder, "/tmp/troupe-tls-XXXXXX");
  CHECK(mkdtemp(folder) != NULL);
  make(TR_CERT_CA, "ca", "our ca", NULL, NULL, DAY);
  make(TR_CERT_CA, "other", "other ca", NULL, NULL, DAY);
  make(TR_CERT_HOST, "host", "host", "ca", local, DAY);
  make(TR_CERT_HOST, "old", "host", "ca", local, -1);
  make(TR_CERT_HOST, "away", "host", "ca", elsewhere, DAY);
  make(TR_CERT_CLIENT, "anna", "anna", "ca", elsewhere, DAY);
  make(TR_CERT_CLIENT, "eve", "eve", "other", NULL, DAY);
}

static tr_tls *tls_of(bool server, const char *cert, const char *ca) {
  tr_tls *tls;
  tr_error error;
  tr_error_init(&error);
  tr_tls_options o = { .server = server, .cert = cert ? file_of(cert, ".pem") : NULL, .key = cert ? file_of(cert, ".key") : NULL,
                       .ca = ca ? file_of(ca, ".pem") : NULL };
  if (tr_tls_new(check_mem(), &o, &tls, &error)) CHECK_FAIL("%s", error.text);
  return tls;
}

/* ---- two ends ---- */

/* Dial, send `total` bytes and get them back; or why not. */
static const char *echo(world *w, const char *address, size_t total) {
  tr_error error;
  tr_error_init(&error);
  w->dialed = false;
  memset(&w->client, 0, sizeof w->client);
  w->client.total = total;
  if (tr_net_connect(w->net, tr_slice_of(address), &world_handlers, &w->client, world_dialed, w, NULL, &error)) CHECK_FAIL("%s", error.text);
  world_until(w, &w->dialed);
  if (!w->client.conn) return w->failure;
  world_until(w, &w->client.closed);
  world_until(w, &w->server.closed);
  if (w->client.received != total) return w->client.reason;
  return "";
}

static const char *by_name(const world *w) {
  static char text[TR_ADDRESS_MAX];
  const char *port = strrchr(w->bound, ':');
  snprintf(text, sizeof text, "tls:localhost%.10s", port);
  return text;
}

CHECK_CASE(bytes_come_back_over_tls) {
  world w;
  make_all();
  world_open(&w, "tls:127.0.0.1:0", tls_of(true, "host", NULL), tls_of(false, NULL, "ca"));
  CHECK(strncmp(w.bound, "tls:127.0.0.1:", 14) == 0);
  CHECK_STR(echo(&w, w.bound, 10), "");
  CHECK_STR(echo(&w, by_name(&w), 3u << 20), "");
  CHECK_STR(w.server.names, "");
  CHECK_STR(w.server.reason, "closed by the peer");
  world_close(&w);
  clean();
}

CHECK_CASE(a_session_of_tls_is_resumed_until_the_certificates_change) {
  world w;
  make_all();
  world_open(&w, "tls:127.0.0.1:0", tls_of(true, "host", "ca"), tls_of(false, "anna", "ca"));
  CHECK_STR(echo(&w, w.bound, 10), "");
  CHECK(!w.client.resumed);
  w.server.names[0] = 0;
  CHECK_STR(echo(&w, w.bound, 10), "");
  CHECK(w.client.resumed);
  CHECK_STR(w.server.names, "cert:anna\ncert:elsewhere.example"); /* who it is is part of the session */
  tr_tls *server = tls_of(true, "host", "ca");
  tr_net_set_tls(w.net, server, w.net->tls_client);
  tr_tls_unref(server);
  CHECK_STR(echo(&w, w.bound, 10), "");
  CHECK(!w.client.resumed);
  world_close(&w);
  clean();
}

static void refused(tr_tls *server, tr_tls *client, const char *address, const char *why) {
  world w;
  world_open(&w, "tls:127.0.0.1:0", server, client);
  const char *port = strrchr(w.bound, ':');
  char to[TR_ADDRESS_MAX];
  snprintf(to, sizeof to, "%s%.10s", address, port);
  const char *text = echo(&w, to, 10);
  if (!strstr(text, why)) CHECK_FAIL("\"%s\" is not in \"%s\"", why, text);
  world_close(&w);
}

CHECK_CASE(a_certificate_that_is_wrong_is_refused_and_why) {
  make_all();
  refused(tls_of(true, "host", NULL), tls_of(false, NULL, "other"), "tls:127.0.0.1", "not to be believed");
  refused(tls_of(true, "host", NULL), tls_of(false, NULL, NULL), "tls:127.0.0.1", "--tls-ca names the CA");
  refused(tls_of(true, "old", NULL), tls_of(false, NULL, "ca"), "tls:127.0.0.1", "has expired");
  refused(tls_of(true, "away", NULL), tls_of(false, NULL, "ca"), "tls:127.0.0.1", "is for another name (elsewhere.example), not for 127.0.0.1");
  refused(tls_of(true, "away", NULL), tls_of(false, NULL, "ca"), "tls:localhost", "is for another name (elsewhere.example), not for localhost");
  refused(tls_of(true, "anna", NULL), tls_of(false, NULL, "ca"), "tls:localhost", "not to be believed"); /* a client's is no host's */
  clean();
}

CHECK_CASE(a_client_without_the_right_certificate_is_refused_and_why) {
  make_all();
  refused(tls_of(true, "host", "ca"), tls_of(false, NULL, "ca"), "tls:127.0.0.1", "wants a certificate of ours");
  refused(tls_of(true, "host", "ca"), tls_of(false, "eve", "ca"), "tls:127.0.0.1", "does not believe our certificate");
  refused(tls_of(true, "host", "ca"), tls_of(false, "host", "ca"), "tls:127.0.0.1", "TLS"); /* a host's is no client's */
  clean();
}

CHECK_CASE(a_peer_that_speaks_plaintext_is_told) {
  world w;
  make_all();
  world_open(&w, "127.0.0.1:0", tls_of(true, "host", NULL), tls_of(false, NULL, "ca"));
  tr_buf_text(&w.server.queue, "PRI * HTTP/2.0\r\n"); /* as a host's first word would be: no TLS */
  char to[TR_ADDRESS_MAX];
  snprintf(to, sizeof to, "tls:%.100s", w.bound);
  const char *why = echo(&w, to, 10);
  if (!strstr(why, "does not speak TLS at this port")) CHECK_FAIL("%s", why);
  world_close(&w);
  clean();
}

static int raw_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  tr_buf *got = ud;
  (void)conn;
  tr_buf_slice(got, bytes);
  return 0;
}
static int raw_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  tr_buf *got = ud;
  (void)conn; (void)limit;
  if (got->cap) return 0;
  tr_buf_reserve(got, 200);
  tr_buf_text(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  return 0;
}
static bool raw_gone;
static void raw_closed(void *ud, tr_net_conn *conn, const char *reason) {
  (void)ud; (void)conn; (void)reason;
  raw_gone = true;
}

CHECK_CASE(a_plaintext_client_at_a_port_of_tls_is_told_in_its_language) {
  static const tr_net_handlers raw = { raw_data, raw_output, world_finished, raw_closed };
  world w;
  tr_buf got;
  tr_error error;
  make_all();
  tr_error_init(&error);
  tr_buf_init(&got, check_mem());
  world_open(&w, "tls:127.0.0.1:0", tls_of(true, "host", NULL), tls_of(false, NULL, "ca"));
  CHECK_INT(tr_net_connect(w.net, tr_slice_of(w.bound + 4), &raw, &got, world_dialed, &w, NULL, &error), ==, 0);
  world_until(&w, &raw_gone);
  w.client.opened = false;
  static const uint8_t settings[] = { 0, 0, 0, 4, 0, 0, 0, 0, 0 };
  CHECK(got.len > 26 && memcmp(got.data, settings, 9) == 0 && got.data[9 + 3] == 7); /* GOAWAY */
  CHECK_INT(got.len, ==, 9 + 9 + (size_t)got.data[9 + 2]);
  tr_buf_byte(&got, 0);
  CHECK(strstr((char *)got.data + 26, "this port speaks TLS") != NULL);
  world_until(&w, &w.server.closed);
  if (!strstr(w.server.reason, "in plaintext")) CHECK_FAIL("%s", w.server.reason);
  tr_buf_fini(&got);
  world_close(&w);
  clean();
}

CHECK_CASE(a_handshake_that_does_not_end_is_given_up) {
  world w;
  make_all();
  world_open(&w, "127.0.0.1:0", tls_of(true, "host", NULL), tls_of(false, NULL, "ca")); /* a server that never answers */
  char to[TR_ADDRESS_MAX];
  tr_error error;
  tr_error_init(&error);
  snprintf(to, sizeof to, "tls:%.100s", w.bound);
  w.server.echo = false;
  CHECK_INT(tr_net_connect(w.net, tr_slice_of(to), &world_handlers, &w.client, world_dialed, &w, NULL, &error), ==, 0);
  while (tr_list_empty(&w.net->handshakes)) uv_run(&w.loop, UV_RUN_ONCE);
  CHECK(!w.dialed && uv_is_active((uv_handle_t *)&w.net->late));
  CHECK_INT(uv_timer_get_due_in(&w.net->late), <=, 10000);
  uv_timer_start(&w.net->late, w.net->late.timer_cb, 0, 0); /* too early: it looks, and waits on */
  uv_run(&w.loop, UV_RUN_NOWAIT);
  CHECK(!w.dialed && uv_is_active((uv_handle_t *)&w.net->late));
  w.loop.time += 10000; /* instead of waiting */
  uv_timer_start(&w.net->late, w.net->late.timer_cb, 0, 0);
  w.net->late.timer_cb(&w.net->late);
  world_until(&w, &w.dialed);
  CHECK(strstr(w.failure, "not done in time") != NULL);
  world_close(&w);
  clean();
}

CHECK_CASE(files_that_are_no_certificates_are_named) {
  static const struct { const char *cert, *key, *ca, *why; } bad[] = {
    { "none.pem", "none.key", NULL, "none.pem" }, { "host.key", "host.key", NULL, "there is none in it" },
    { "host.pem", "anna.key", NULL, "is not the one of the certificate" }, { "host.pem", "none.key", NULL, "none.key" },
    { "host.pem", "", NULL, "has no key beside it" }, { "host.pem", "host.key", "none.pem", "none.pem" },
    { "host.pem", "host.key", "host.key", "host.key" },
  };
  make_all();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_tls *tls;
    tr_error error;
    tr_error_init(&error);
    tr_tls_options o = { .server = true, .cert = file_of(bad[i].cert, ""), .key = *bad[i].key ? file_of(bad[i].key, "") : NULL,
                         .ca = bad[i].ca ? file_of(bad[i].ca, "") : NULL };
    CHECK_INT(tr_tls_new(check_mem(), &o, &tls, &error), ==, TR_EINVALID);
    if (!strstr(error.text, bad[i].why)) CHECK_FAIL("%zu: %s", i, error.text);
  }
  clean();
}

CHECK_CASE(a_server_of_two_names_shows_the_right_certificate) {
  make_all();
  char certs[300], keys[300];
  snprintf(certs, sizeof certs, "%s,%s", file_of("away", ".pem"), file_of("host", ".pem"));
  snprintf(keys, sizeof keys, "%s,%s", file_of("away", ".key"), file_of("host", ".key"));
  tr_tls_options o = { .server = true, .cert = certs, .key = keys };
  tr_tls *server;
  CHECK_INT(tr_tls_new(check_mem(), &o, &server, NULL), ==, 0);
  world w;
  world_open(&w, "tls:127.0.0.1:0", server, tls_of(false, NULL, "ca"));
  CHECK_STR(echo(&w, by_name(&w), 10), "");
  CHECK(strstr(echo(&w, w.bound, 10), "is for another name") != NULL); /* a number asks for none: the first */
  world_close(&w);
  clean();
}

CHECK_CASE(plaintext_where_others_reach_it_is_refused) {
  world w;
  tr_error error;
  tr_error_init(&error);
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  CHECK_INT(tr_net_listen(w.net, TR_SLICE_LITERAL("0.0.0.0:0"), world_accept, &w, NULL, NULL, &error), ==, TR_EPERMISSION);
  CHECK(strstr(error.text, "--insecure") != NULL);
  CHECK_INT(tr_net_listen(w.net, TR_SLICE_LITERAL("[::]:0"), world_accept, &w, NULL, NULL, NULL), ==, TR_EPERMISSION);
  CHECK_INT(tr_net_listen(w.net, TR_SLICE_LITERAL("[::1]:0"), world_accept, &w, NULL, NULL, NULL), !=, TR_EPERMISSION);
  CHECK_INT(tr_net_listen(w.net, TR_SLICE_LITERAL("localhost:0"), world_accept, &w, NULL, NULL, NULL), ==, 0);
  tr_error_init(&error);
  CHECK_INT(tr_net_listen(w.net, TR_SLICE_LITERAL("tls:127.0.0.1:0"), world_accept, &w, NULL, NULL, &error), ==, TR_EINVALID);
  CHECK(strstr(error.text, "--tls-cert") != NULL);
  tr_net_set_insecure(w.net, true);
  CHECK_INT(tr_net_listen(w.net, TR_SLICE_LITERAL("0.0.0.0:0"), world_accept, &w, NULL, NULL, NULL), ==, 0);
  world_close(&w);
}

/* ---- memory ---- */

static void on_tick(uv_timer_t *timer) { ++*(int *)timer->data; }

static void try_all(void) {
  tr_error error;
  tr_error_init(&error);
  tr_tls *server = NULL, *client = NULL;
  tr_tls_options so = { .server = true, .cert = file_of("host", ".pem"), .key = file_of("host", ".key"), .ca = file_of("ca", ".pem") };
  tr_tls_options co = { .cert = file_of("anna", ".pem"), .key = file_of("anna", ".key"), .ca = file_of("ca", ".pem") };
  uv_loop_t loop;
  CHECK_INT(uv_loop_init(&loop), ==, 0);
  world w = { .server.echo = true };
  char bound[TR_ADDRESS_MAX];
  w.net = tr_net_new(check_mem(), NULL, &loop);
  tr_buf_init(&w.server.queue, check_mem());
  tr_tls_new(check_mem(), &so, &server, &error);
  tr_tls_new(check_mem(), &co, &client, &error);
  w.client.total = 100;
  int ticks = 0; /* of 5 ms: who failed without a word to the other end is not waited for */
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  timer.data = &ticks;
  uv_timer_start(&timer, on_tick, 5, 5);
  if (w.net && server && client) {
    tr_net_set_tls(w.net, server, client);
    if (tr_net_listen(w.net, TR_SLICE_LITERAL("tls:127.0.0.1:0"), world_accept, &w, bound, NULL, &error) == 0 &&
        tr_net_connect(w.net, tr_slice_of(bound), &world_handlers, &w.client, world_dialed, &w, NULL, &error) == 0)
      while (ticks < 4 && !(w.dialed && (!w.client.conn || w.client.closed)) && !w.server.closed) uv_run(&loop, UV_RUN_ONCE);
  }
  tr_tls_unref(server);
  tr_tls_unref(client);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&loop, UV_RUN_NOWAIT);
  if (w.net) {
    tr_net_close(w.net);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(tr_net_idle(w.net));
  }
  tr_net_free(w.net);
  tr_buf_fini(&w.server.queue);
  CHECK_INT(uv_loop_close(&loop), ==, 0);
}

CHECK_CASE(tls_lives_through_each_failed_allocation) {
  make_all();
  CHECK_EACH_ALLOCATION_FAILS { try_all(); }
  clean();
}

/* OpenSSL's own: the n-th is refused, for n in steps, since there are thousands. */
static size_t until_failure;

static void *ssl_malloc(size_t n, const char *file, int line) {
  (void)file; (void)line;
  return until_failure && --until_failure == 0 ? NULL : malloc(n);
}
static void *ssl_realloc(void *p, size_t n, const char *file, int line) {
  (void)file; (void)line;
  return until_failure && --until_failure == 0 ? NULL : realloc(p, n);
}
static void ssl_free(void *p, const char *file, int line) {
  (void)file; (void)line;
  free(p);
}

CHECK_CASE(tls_lives_through_failed_allocations_of_openssl) {
  CHECK_INT(CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free), ==, 1);
  make_all();
  until_failure = 0;
  try_all(); /* what OpenSSL makes once, is there */
  for (size_t n = 1;; n += n < 200 ? 17 : 151) {
    until_failure = n;
    try_all();
    if (until_failure) break; /* it was not reached */
  }
  until_failure = 0;
  try_all();
  clean();
}
