/* SPDX-License-Identifier: MIT
 * src/net on real loopback sockets: addresses, echo in both directions, more bytes than the kernel takes at once, refusal,
 * stale Unix sockets, cancelled dials, the end of everything. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/watch.h"
#include "net_kit.h"

/* ---- addresses ---- */

static int parse(const char *text, tr_address *out, tr_error *error) {
  tr_error_init(error);
  return tr_address_parse(tr_slice_of(text), out, error);
}

CHECK_CASE(addresses_read_and_write_back) {
  static const char *const good[] = { "127.0.0.1:0", "localhost:65535", "[::1]:50051", "unix:/tmp/x", "unix:x:1", "a.b-c:1" };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    tr_address address;
    tr_error error;
    char text[TR_ADDRESS_MAX];
    CHECK_INT(parse(good[i], &address, &error), ==, 0);
    tr_address_format(&address, text, sizeof text);
    CHECK_STR(text, good[i]);
  }
}

CHECK_CASE(addresses_that_are_wrong_say_why) {
  static const char *const bad[][2] = {
    { "", "expected host:port" }, { "localhost", "expected host:port" }, { ":1", "missing" }, { "a:", "expected host:port" },
    { "a:65536", "expected host:port" }, { "a:1x", "expected host:port" }, { "::1:80", "brackets" }, { "[[]]:0", "brackets" }, { "a[b]:1", "brackets" }, { "a\xff:1", "UTF-8" },
    { "http://a:1", "no scheme" }, { "unix:", "1 to 107" }, { "a:-1", "expected host:port" },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_address address;
    tr_error error;
    CHECK_INT(parse(bad[i][0], &address, &error), ==, TR_EINVALID);
    if (!strstr(error.text, bad[i][1])) CHECK_FAIL("\"%s\": %s", bad[i][0], error.text);
  }
  char longest[120] = "unix:";
  memset(longest + 5, 'x', 107);
  tr_address address;
  tr_error error;
  CHECK_INT(parse(longest, &address, &error), ==, 0);
  longest[112] = 'x';
  CHECK_INT(parse(longest, &address, &error), ==, TR_EINVALID);
}

CHECK_CASE(a_number_is_known_without_asking) {
  static const char *const numbers[] = { "127.0.0.1:1", "[::1]:50051", "0.0.0.0:0" }, *const others[] = { "localhost:1", "1.2.3:4", "unix:/1" };
  tr_address address;
  tr_error error;
  struct sockaddr_storage storage;
  for (size_t i = 0; i < 3; i++) {
    CHECK_INT(parse(numbers[i], &address, &error), ==, 0);
    CHECK(tr_address_numeric(&address, &storage));
    CHECK_INT(parse(others[i], &address, &error), ==, 0);
    CHECK(!tr_address_numeric(&address, &storage));
  }
}

/* ---- two ends ---- */

static void echo_over(const char *address, size_t total) {
  world w;
  world_open(&w, address, NULL, NULL);
  w.client.total = total;
  world_dial(&w, w.bound);
  world_until(&w, &w.client.closed);
  CHECK_INT(w.client.received, ==, total);
  CHECK(!w.client.bad && !w.server.bad);
  world_until(&w, &w.server.closed);
  CHECK_STR(w.server.reason, "closed by the peer");
  world_close(&w);
}

CHECK_CASE(a_few_bytes_come_back_over_tcp) { echo_over("127.0.0.1:0", 3); }
/* More than any socket buffer: try_write takes a part, the rest goes by uv_write, in order. */
CHECK_CASE(many_megabytes_come_back_over_tcp) { echo_over("127.0.0.1:0", 24u << 20); }

static int option_of(const tr_net_conn *conn, int level, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  uv_os_fd_t fd;
  CHECK_INT(uv_fileno(&conn->handle.any, &fd), ==, 0);
  CHECK_INT(getsockopt(fd, level, option, &value, &length), ==, 0);
  return value;
}

CHECK_CASE(both_ends_of_a_tcp_connection_are_kept_alive_without_delay) {
  world w;
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  w.client.total = 1u << 20;
  world_dial(&w, w.bound);
  world_until(&w, &w.dialed);
  world_until(&w, &w.server.opened);
  const tr_net_conn *const ends[] = { w.client.conn, w.server.conn };
  for (int i = 0; i < 2; i++) {
    CHECK_INT(option_of(ends[i], SOL_SOCKET, SO_KEEPALIVE), ==, 1);
    CHECK_INT(option_of(ends[i], IPPROTO_TCP, TCP_KEEPIDLE), ==, 60);
    CHECK_INT(option_of(ends[i], IPPROTO_TCP, TCP_NODELAY), ==, 1);
  }
  world_close(&w);
}

static void unix_path(char *out, size_t size) { snprintf(out, size, "unix:/tmp/troupe-check-%ld", (long)getpid()); }

CHECK_CASE(bytes_come_back_over_a_unix_socket) {
  char path[64];
  unix_path(path, sizeof path);
  echo_over(path, 1u << 20);
  CHECK(access(path + 5, F_OK) < 0); /* the file went with the listener */
}

CHECK_CASE(a_name_is_resolved) {
  world w;
  world_open(&w, "localhost:0", NULL, NULL);
  w.client.total = 10;
  world_dial(&w, w.bound);
  world_until(&w, &w.client.closed);
  world_close(&w);
}

/* The system's own, for this program: "two.example" has two addresses, and nobody listens at the first; all else is here. */
static struct addrinfo *one_address(const char *number, const char *port, struct addrinfo *next) {
  struct addrinfo *it = calloc(1, sizeof *it + sizeof(struct sockaddr_in));
  struct sockaddr_in *address = (struct sockaddr_in *)(void *)(it + 1);
  CHECK_INT(uv_ip4_addr(number, atoi(port), address), ==, 0);
  *it = (struct addrinfo){ .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof *address,
                           .ai_addr = (struct sockaddr *)(void *)address, .ai_next = next };
  return it;
}
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
  (void)hints;
  struct addrinfo *here = one_address("127.0.0.1", service ? service : "0", NULL);
  *out = strcmp(name, "two.example") ? here : one_address("127.0.0.2", service ? service : "0", here);
  return 0;
}

CHECK_CASE(a_name_with_several_addresses_has_each_tried_in_turn) {
  world w;
  char address[60];
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  w.client.total = 10;
  snprintf(address, sizeof address, "two.example%s", strrchr(w.bound, ':'));
  world_dial(&w, address);
  world_until(&w, &w.client.closed);
  CHECK(w.client.opened);
  world_close(&w);
}

CHECK_CASE(a_port_that_nobody_listens_on_is_refused) {
  world w;
  world_open(&w, NULL, NULL, NULL);
  world_dial(&w, "127.0.0.1:1");
  world_until(&w, &w.dialed);
  CHECK(w.client.conn == NULL);
  CHECK_STR(w.failure, "connection refused");
  world_close(&w);
}

CHECK_CASE(a_unix_path_that_is_not_there_is_an_error) {
  world w;
  world_open(&w, NULL, NULL, NULL);
  world_dial(&w, "unix:/tmp/troupe-check-nowhere");
  world_until(&w, &w.dialed);
  CHECK_STR(w.failure, "no such file or directory");
  world_close(&w);
}

CHECK_CASE(a_cancelled_dial_calls_nobody) {
  world w;
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  world_dial(&w, w.bound);
  tr_net_dial_cancel(w.dial);
  world_close(&w);
  CHECK(!w.dialed);
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  world_dial(&w, w.bound);
  world_close(&w); /* closed while resolving */
  CHECK(!w.dialed);
}

CHECK_CASE(a_refused_connection_is_closed) {
  world w;
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  w.refuse = true;
  w.client.total = 10;
  world_dial(&w, w.bound);
  world_until(&w, &w.client.closed);
  world_close(&w);
}

CHECK_CASE(an_address_in_use_is_an_error_that_says_so) {
  world w;
  world_open(&w, "127.0.0.1:0", NULL, NULL);
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_net_listen(w.net, tr_slice_of(w.bound), world_accept, &w, NULL, NULL, &error), ==, TR_EIO);
  CHECK(strstr(error.text, "address already in use") != NULL);
  world_close(&w);
}

CHECK_CASE(a_stale_unix_socket_is_replaced_and_a_live_one_is_not) {
  char path[64];
  unix_path(path, sizeof path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un addr = { .sun_family = AF_UNIX };
  snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path + 5);
  CHECK_INT(bind(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
  close(fd); /* the file stays, nobody listens: as after SIGKILL */
  world w;
  world_open(&w, path, NULL, NULL);
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_net_listen(w.net, tr_slice_of(path), world_accept, &w, NULL, NULL, &error), ==, TR_EIO);
  world_close(&w);
}

/* ---- watching ---- */

static void on_change(void *ud) { *(bool *)ud = true; }

CHECK_CASE(a_renamed_over_file_is_noticed) {
  char folder[] = "/tmp/troupe-check-XXXXXX", file[64], other[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(file, sizeof file, "%s/a.lua", folder);
  snprintf(other, sizeof other, "%s/b.lua", folder);
  fclose(fopen(file, "w"));
  uv_loop_t loop;
  uv_loop_init(&loop);
  bool changed = false;
  tr_watch *watch = tr_watch_new(check_mem(), &loop, 5, on_change, &changed);
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_watch_file(watch, file, &error), ==, 0);
  CHECK_INT(tr_watch_file(watch, other, &error), ==, 0); /* the same folder */
  for (int round = 0; round < 3; round++) { /* the watch survives what ends a watch on the file */
    changed = false;
    fclose(fopen(other, "w"));
    rename(other, file);
    for (int i = 0; i < 1000 && !changed; i++) uv_run(&loop, UV_RUN_ONCE);
    CHECK(changed);
  }
  CHECK_INT(tr_watch_file(watch, "/tmp/troupe-check-none/x.lua", &error), ==, TR_EIO);
  tr_watch_close(watch);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK_INT(uv_loop_close(&loop), ==, 0);
  unlink(file);
  rmdir(folder);
}
