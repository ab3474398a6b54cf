/* SPDX-License-Identifier: MIT
 * troupe_secure: a host and a worker of one program with TLS, a token and rights; what is wrong with a file; failed allocations. */
#include "runtime_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "runtime/secure.h"

static char folder[64];

static const char *path_of(const char *name) {
  static char paths[32][128];
  static int next;
  snprintf(paths[next % 32], sizeof paths[0], "%s/%s", folder, name);
  return paths[next++ % 32];
}

static void write_file(const char *name, tr_slice text) {
  FILE *file = fopen(path_of(name), "w");
  CHECK(file && fwrite(text.p, 1, text.n, file) == text.n);
  fclose(file);
  chmod(path_of(name), 0600);
}

static void make_files(void) {
  static const char *const names[] = { "127.0.0.1", NULL };
  tr_buf ca, ca_key, cert, key;
  tr_buf *const bufs[] = { &ca, &ca_key, &cert, &key };
  tr_cert_request request = { .kind = TR_CERT_CA, .name = "ca", .from = -1000, .until = 100000 };
  for (int i = 0; i < 4; i++) tr_buf_init(bufs[i], check_mem());
  snprintf(folder, sizeof folder, "/tmp/troupe-secure-XXXXXX");
  CHECK(mkdtemp(folder) != NULL);
  CHECK_INT(tr_runtime_make_cert(&request, (tr_slice){ NULL, 0 }, (tr_slice){ NULL, 0 }, &ca, &ca_key, NULL), ==, 0);
  request.kind = TR_CERT_HOST;
  request.names = names;
  CHECK_INT(tr_runtime_make_cert(&request, tr_buf_view(&ca), tr_buf_view(&ca_key), &cert, &key, NULL), ==, 0);
  write_file("ca", tr_buf_view(&ca));
  write_file("cert", tr_buf_view(&cert));
  write_file("key", tr_buf_view(&key));
  write_file("tokens", TR_SLICE_LITERAL("ci 0123456789abcdef\n"));
  write_file("token", TR_SLICE_LITERAL("0123456789abcdef\n"));
  write_file("rights", TR_SLICE_LITERAL("[token:ci]\ncall = echo\n"));
  write_file("key.sign", TR_SLICE_LITERAL("ci hmac 0123456789abcdef\n"));
  for (int i = 0; i < 4; i++) tr_buf_fini(bufs[i]);
}

static void drop_files(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  if (system(command)) CHECK_FAIL("%s", command);
}

static troupe_security_t host_security(void) {
  return (troupe_security_t){ .size = sizeof(troupe_security_t), .cert = path_of("cert"), .key = path_of("key"), .tokens = path_of("tokens"),
                              .rights = path_of("rights"), .verify_keys = path_of("key.sign") };
}

typedef struct heard { bool over; int status; char text[300]; } heard;

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  heard *h = ud;
  (void)type; (void)body;
  h->over = true;
  h->status = status;
  snprintf(h->text, sizeof h->text, "%s", text ? text : "");
}

static heard ask(troupe_t *client, troupe_t *host) {
  heard h = { false, 0, "" };
  CHECK_INT(troupe_call(client, "echo", "Say", NULL, 5000000, on_reply, &h), ==, 0);
  while (!h.over) {
    troupe_poll(client, 1000);
    troupe_poll(host, 1000);
  }
  return h;
}

CHECK_CASE(a_program_is_host_and_worker_with_tls_a_token_and_signatures) {
  const char *bound;
  char address[TR_ADDRESS_MAX];
  make_files();
  troupe_t *host = kit_open("return { type = 'echo', on = { Say = function(_, m) return m end } }"), *client;
  CHECK_INT(troupe_new(&client, NULL), ==, 0);
  troupe_security_t security = host_security();
  CHECK_INT(troupe_secure(host, &security), ==, 0);
  CHECK_INT(troupe_listen(host, "tls:127.0.0.1:0", &bound), ==, 0);
  snprintf(address, sizeof address, "%s", bound);
  troupe_security_t own = { .size = sizeof own, .ca = path_of("ca"), .token_file = path_of("token"), .sign_key = path_of("key.sign") };
  CHECK_INT(troupe_secure(client, &own), ==, 0);
  CHECK_INT(troupe_connect(client, address), ==, 0);
  heard h = ask(client, host);
  if (h.status) CHECK_FAIL("%s", h.text);
  write_file("rights", TR_SLICE_LITERAL("[token:ci]\ncall = none\n"));
  CHECK_INT(troupe_secure(host, NULL), ==, 0);
  h = ask(client, host);
  CHECK_INT(h.status, ==, TROUPE_EPERMISSION);
  CHECK(strstr(h.text, "call = echo/default") != NULL);
  write_file("rights", TR_SLICE_LITERAL("[nobody]\n")); /* the old stays */
  CHECK_INT(troupe_secure(host, NULL), ==, TROUPE_EINVALID);
  CHECK(strstr(troupe_error(host), "rights:1: a name is") != NULL);
  h = ask(client, host);
  CHECK_INT(h.status, ==, TROUPE_EPERMISSION);
  own.sign_key = NULL;
  write_file("rights", TR_SLICE_LITERAL("[token:ci]\ncall = *\n"));
  CHECK_INT(troupe_secure(host, NULL), ==, 0);
  CHECK_INT(troupe_secure(client, &own), ==, 0);
  h = ask(client, host);
  CHECK(h.status == TROUPE_EPERMISSION && strstr(h.text, "it is not signed") != NULL);
  troupe_free(client);
  troupe_free(host);
  drop_files();
}

CHECK_CASE(security_that_cannot_be_is_refused_and_why) {
  static const struct { const char *cert, *key, *token, *address, *why; } bad[] = {
    { NULL, "key", NULL, NULL, "has no certificate beside it" }, { "cert", NULL, NULL, NULL, "has no key beside it" },
    { NULL, NULL, "short", NULL, "a token has 16" }, { NULL, NULL, "0123456789abcdef", "192.0.2.1:1", "a token is not shown" },
  };
  make_files();
  troupe_t *rt;
  CHECK_INT(troupe_new(&rt, NULL), ==, 0);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    troupe_security_t o = { .size = sizeof o, .cert = bad[i].cert ? path_of(bad[i].cert) : NULL, .key = bad[i].key ? path_of(bad[i].key) : NULL, .token = bad[i].token };
    int rc = troupe_secure(rt, &o);
    if (rc == 0 && bad[i].address) rc = troupe_connect(rt, bad[i].address);
    CHECK(rc < 0);
    if (!strstr(troupe_error(rt), bad[i].why)) CHECK_FAIL("%zu: %s", i, troupe_error(rt));
    CHECK(!bad[i].token || !strstr(troupe_error(rt), bad[i].token));
  }
  troupe_security_t newer = { .size = sizeof newer + 8 };
  CHECK_INT(troupe_secure(rt, &newer), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_listen(rt, "0.0.0.0:0", NULL), ==, TROUPE_EPERMISSION);
  troupe_free(rt);
  drop_files();
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  if (new_size) return tr_realloc(check_mem(), ptr, old_size, new_size);
  tr_free(check_mem(), ptr, old_size);
  return NULL;
}

CHECK_CASE(securing_without_memory) {
  make_files();
  troupe_t *rt;
  troupe_options_t options = { .size = sizeof options, .seed = 1, .allocate = allocate };
  troupe_security_t security = host_security();
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  CHECK_INT(troupe_secure(rt, &security), ==, 0);
  CHECK_EACH_ALLOCATION_FAILS { /* what was in force stays */
    int rc = troupe_secure(rt, NULL);
    CHECK_INT(rc, ==, check_mem_refused() ? TROUPE_EMEMORY : 0);
  }
  troupe_free(rt);
  drop_files();
}
