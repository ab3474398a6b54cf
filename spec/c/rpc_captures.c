/* SPDX-License-Identifier: MIT
 * Recorded connections of real peers (spec/data/wire/captures; the .json beside each says what it shows), replayed: the
 * client's bytes to a server of ours, the server's bytes to a client of ours that has opened as many calls. Whole, cut at
 * every place (the long ones: at many), and in pieces of one size. MAX_FRAME_SIZE is 4 MiB, as the recorded peers had it.
 * Nothing is answered during a replay, so what is told depends on the bytes alone. */
#include <stdio.h>
#include <stdlib.h>

#include "rpc_peers.h"

static const struct capture {
  const char *name;
  int calls; /* how many the client opened */
  const char *to_server, *to_client;
  uint32_t sum_to_server, sum_to_client; /* of all messages' bytes */
} captures[] = {
  { "go-errors", 24,
    "open 1 /agents.AgentRpc/RegisterAgent\nmessage 1 (3)\nhalf_closed 1\npong\nopen 2 /agents.AgentRpc/RegisterAgent\n"
    "message 2 (3)\nhalf_closed 2\nopen 3 /agents.AgentRpc/RegisterAgent\nmessage 3 (3)\nhalf_closed 3\n"
    "open 4 /agents.AgentRpc/RegisterAgent\nmessage 4 (3)\nhalf_closed 4\nopen 5 /agents.AgentRpc/RegisterAgent\n"
    "message 5 (0)\nhalf_closed 5\nopen 6 /agents.AgentRpc/RegisterAgent\nmessage 6 (11)\nhalf_closed 6\n"
    "open 7 /agents.AgentRpc/AddSubscription\nmessage 7 (13)\nhalf_closed 7\nopen 8 /agents.AgentRpc/AddSubscription\n"
    "message 8 (14)\nhalf_closed 8\nopen 9 /agents.AgentRpc/AddSubscription\nmessage 9 (16)\nhalf_closed 9\n"
    "open 10 /agents.AgentRpc/AddSubscription\nmessage 10 (14)\nhalf_closed 10\nopen 11 /agents.AgentRpc/AddSubscription\n"
    "message 11 (26)\nhalf_closed 11\nopen 12 /agents.AgentRpc/AddSubscription\nmessage 12 (11)\n"
    "half_closed 12\nopen 13 /agents.AgentRpc/AddSubscription\nmessage 13 (5)\nhalf_closed 13\nopen 14 /agents.AgentRpc/AddSubscription\n"
    "message 14 (0)\nhalf_closed 14\nopen 15 /agents.AgentRpc/AddSubscription\nmessage 15 (14)\n"
    "half_closed 15\nopen 16 /agents.AgentRpc/GetSubscriptions\nmessage 16 (0)\nhalf_closed 16\n"
    "open 17 /agents.AgentRpc/GetSubscriptions\nmessage 17 (0)\nhalf_closed 17\nopen 18 /agents.AgentRpc/RemoveSubscription\n"
    "message 18 (6)\nhalf_closed 18\nopen 19 /agents.AgentRpc/RemoveSubscription\nmessage 19 (4)\n"
    "half_closed 19\nopen 20 /agents.AgentRpc/Nope\nmessage 20 (0)\nhalf_closed 20\nopen 21 /nope.Svc/Nope\n"
    "message 21 (0)\nhalf_closed 21\nopen 22 /agents.AgentRpc/OpenChannel\nclosed 22 1 NO_ERROR\n"
    "open 23 /agents.AgentRpc/RegisterAgent\nmessage 23 (4)\nhalf_closed 23\nopen 24 /agents.AgentRpc/OpenChannel\n"
    "pong\nclosed 24 1 CANCEL\n",
    "closed 1 3 client-id metadata not found.\nheaders 2\nmessage 2 (0)\nclosed 2 0\npong\nclosed 3 3 Agent type X already registered with client go-client-1.\n"
    "closed 4 3 Agent type X already registered with client go-client-1.\nheaders 5\nmessage 5 (0)\n"
    "closed 5 0\npong\nheaders 6\nmessage 6 (0)\nclosed 6 0\npong\nclosed 7 3 client-id metadata not found.\n"
    "headers 8\nmessage 8 (0)\nclosed 8 0\npong\nclosed 9 3 Subscription already exists\nclosed 10 3 Subscription already exists\n"
    "headers 11\nmessage 11 (0)\nclosed 11 0\npong\nheaders 12\nmessage 12 (0)\nclosed 12 0\npong\n"
    "closed 13 2 Unexpected <class 'ValueError'>: Invalid subscription message.\nclosed 14 2 Unexpected <class 'ValueError'>: Invalid subscription message.\n"
    "headers 15\nmessage 15 (0)\nclosed 15 0\npong\nheaders 16\nmessage 16 (103)\nclosed 16 0\npong\n"
    "closed 17 3 client-id metadata not found.\nclosed 18 2 Unexpected <class 'ValueError'>: Subscription does not exist\n"
    "headers 19\nmessage 19 (0)\nclosed 19 0\npong\nclosed 20 12 Method not found!\nclosed 21 12 Method not found!\n"
    "closed 22 3 client-id metadata not found.\nheaders 23\nmessage 23 (0)\nclosed 23 0\npong\n",
    616531425u, 2792747604u },
  { "go-keepalive-too-many-pings", 1,
    "open 1 /agents.AgentRpc/OpenChannel\nclosed 1 1 NO_ERROR\n",
    "pong\npong\npong\npong\npong\ngoaway 11 too_many_pings\nclosed 1 14 Too many pings\n",
    2166136261u, 2166136261u },
  { "go-worker", 3,
    "open 1 /agents.AgentRpc/OpenChannel\nopen 2 /agents.AgentRpc/RegisterAgent\nmessage 2 (9)\n"
    "half_closed 2\npong\nopen 3 /agents.AgentRpc/AddSubscription\nmessage 3 (24)\nhalf_closed 3\n"
    "message 1 (40061)\nmessage 1 (40047)\nmessage 1 (0)\nmessage 1 (19)\nmessage 1 (15)\nhalf_closed 1\n"
    "pong\ngoaway 0 client transport shutdown\n",
    "headers 2\nmessage 2 (0)\nclosed 2 0\npong\nheaders 3\nmessage 3 (0)\nclosed 3 0\npong\nheaders 1\n"
    "message 1 (40061)\npong\nmessage 1 (40047)\npong\nclosed 1 14 Socket closed\n",
    2508176686u, 3385617495u },
  { "python-metadata", 6,
    "open 1 /agents.AgentRpc/RegisterAgent\nmessage 1 (14)\nhalf_closed 1\npong\nopen 2 /agents.AgentRpc/RegisterAgent\n"
    "message 2 (14)\nhalf_closed 2\nopen 3 /agents.AgentRpc/GetSubscriptions\nmessage 3 (0)\nhalf_closed 3\n"
    "open 4 /agents.AgentRpc/GetSubscriptions\nmessage 4 (0)\nhalf_closed 4\nopen 5 /agents.AgentRpc/RegisterAgent\n"
    "message 5 (3)\nhalf_closed 5\nopen 6 /agents.AgentRpc/RegisterAgent\nmessage 6 (3)\nhalf_closed 6\n",
    "headers 1\nmessage 1 (0)\nclosed 1 0\npong\nclosed 2 3 Agent type é 100%~\n\"x\" already registered with client c%1.\n"
    "headers 3\nmessage 3 (0)\nclosed 3 0\nheaders 4\nmessage 4 (0)\nclosed 4 0\nheaders 5\nmessage 5 (0)\n"
    "closed 5 0\nheaders 6\nmessage 6 (0)\nclosed 6 0\n",
    3064074504u, 2166136261u },
  { "python-two-workers-host-shutdown", 10,
    "open 1 /agents.AgentRpc/OpenChannel\nopen 2 /agents.AgentRpc/OpenChannel\nopen 3 /agents.AgentRpc/RegisterAgent\n"
    "message 3 (6)\nhalf_closed 3\npong\nopen 4 /agents.AgentRpc/AddSubscription\nmessage 4 (55)\n"
    "half_closed 4\nopen 5 /agents.AgentRpc/AddSubscription\nmessage 5 (54)\nhalf_closed 5\nopen 6 /agents.AgentRpc/RegisterAgent\n"
    "message 6 (7)\nhalf_closed 6\nopen 7 /agents.AgentRpc/AddSubscription\nmessage 7 (57)\nhalf_closed 7\n"
    "open 8 /agents.AgentRpc/AddSubscription\nmessage 8 (54)\nhalf_closed 8\nmessage 2 (230)\npong\n"
    "message 2 (20228)\nmessage 2 (66)\nmessage 1 (57)\nmessage 2 (79)\nmessage 1 (57)\nopen 9 /agents.AgentRpc/GetSubscriptions\n"
    "message 9 (0)\nhalf_closed 9\nopen 10 /agents.AgentRpc/RegisterAgent\nmessage 10 (6)\nhalf_closed 10\n"
    "pong\npong\n",
    "headers 3\nmessage 3 (0)\nclosed 3 0\npong\nheaders 4\nmessage 4 (0)\nclosed 4 0\nheaders 5\n"
    "message 5 (0)\nclosed 5 0\nheaders 6\nmessage 6 (0)\nclosed 6 0\nheaders 7\nmessage 7 (0)\n"
    "closed 7 0\nheaders 8\nmessage 8 (0)\nclosed 8 0\nheaders 2\nmessage 2 (230)\nheaders 1\nmessage 1 (230)\n"
    "pong\nmessage 2 (20228)\nmessage 1 (20228)\nmessage 1 (66)\nmessage 2 (57)\nmessage 1 (79)\n"
    "message 2 (57)\nheaders 9\nmessage 9 (220)\nclosed 9 0\nclosed 10 3 Agent type echo already registered with client efd5c282-afdb-4ff0-a858-e8d42827983e.\n"
    "pong\ngoaway 0\ngoaway 0\nclosed 2 14 Cancelling all calls\nclosed 1 14 Cancelling all calls\n",
    1380780521u, 2770494808u },
  { "python-worker-full", 6,
    "open 1 /agents.AgentRpc/OpenChannel\nopen 2 /agents.AgentRpc/RegisterAgent\nmessage 2 (6)\n"
    "half_closed 2\npong\nopen 3 /agents.AgentRpc/AddSubscription\nmessage 3 (55)\nhalf_closed 3\n"
    "open 4 /agents.AgentRpc/AddSubscription\nmessage 4 (54)\nhalf_closed 4\nmessage 1 (230)\npong\n"
    "message 1 (20228)\nmessage 1 (66)\nmessage 1 (57)\nmessage 1 (79)\nmessage 1 (57)\nopen 5 /agents.AgentRpc/GetSubscriptions\n"
    "message 5 (0)\nhalf_closed 5\nopen 6 /agents.AgentRpc/RegisterAgent\nmessage 6 (6)\nhalf_closed 6\n"
    "pong\nclosed 1 1 CANCEL\n",
    "headers 2\nmessage 2 (0)\nclosed 2 0\npong\nheaders 3\nmessage 3 (0)\nclosed 3 0\nheaders 4\n"
    "message 4 (0)\nclosed 4 0\nheaders 1\nmessage 1 (230)\npong\nmessage 1 (20228)\nmessage 1 (66)\n"
    "message 1 (57)\nmessage 1 (79)\nmessage 1 (57)\nheaders 5\nmessage 5 (109)\nclosed 5 0\nclosed 6 3 Agent type echo already registered with client c6e0d94a-aadb-49ed-ba43-c8827d58ae0b.\n"
    "pong\n",
    2587394239u, 2225593719u },
};
#define CAPTURES (sizeof captures / sizeof *captures)

static const char *load(const struct capture *capture, bool server, size_t *n) {
  char path[200];
  snprintf(path, sizeof path, "spec/data/wire/captures/%s.%s.bin", capture->name, server ? "client-to-server" : "server-to-client");
  return check_file(path, n);
}

static void begin(struct peer *self, const struct capture *capture, bool server) {
  peer_init(self, server, (tr_rpc_options){ .max_frame = 4194304 });
  self->sizes = true;
  self->sum = 2166136261u;
  for (int i = 0; !server && i < capture->calls; i++) peer_call(self, "/x");
  CHECK_INT(tr_rpc_output(self->conn, &self->out, 1 << 20), ==, 0);
}

static void feed(struct peer *self, const char *bytes, size_t n) {
  char *copy = malloc(n + !n); /* so that reading past it is seen */
  memcpy(copy, bytes, n);
  CHECK_INT(peer_feed(self, copy, n), ==, 0);
  free(copy);
}

static void end(struct peer *self, const struct capture *capture, bool server) {
  CHECK_SAID(self, server ? capture->to_server : capture->to_client);
  CHECK_INT(self->sum, ==, server ? capture->sum_to_server : capture->sum_to_client);
  peer_fini(self);
}

/* In pieces of `step`, after a first one of `first`. */
static void replay(const struct capture *capture, bool server, size_t first, size_t step) {
  size_t n;
  const char *bytes = load(capture, server, &n);
  struct peer self;
  begin(&self, capture, server);
  for (size_t at = 0, piece = first; at < n; at += piece, piece = step) {
    if (piece > n - at) piece = n - at;
    feed(&self, bytes + at, piece);
  }
  end(&self, capture, server);
}

static void replay_cut_everywhere(size_t i) {
  for (int server = 0; server < 2; server++) {
    size_t n, by = 1;
    load(&captures[i], server, &n);
    if (n > 3000) by = n / 300 | 1; /* the long ones at some three hundred places */
    for (size_t cut = 0; cut <= n; cut += by) replay(&captures[i], server, cut, n);
  }
}

CHECK_CASE(rpc_captures_whole) {
  for (size_t i = 0; i < CAPTURES; i++) {
    replay(&captures[i], true, 1 << 20, 1 << 20);
    replay(&captures[i], false, 1 << 20, 1 << 20);
  }
}

CHECK_CASE(rpc_captures_in_pieces) {
  static const size_t steps[] = { 1, 2, 3, 5, 9, 17, 100, 1000, 1460, 4096, 16384 };
  for (size_t i = 0; i < CAPTURES; i++)
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
      replay(&captures[i], true, steps[k], steps[k]);
      replay(&captures[i], false, steps[k], steps[k]);
    }
}

CHECK_CASE(rpc_capture_go_errors_cut_everywhere) { replay_cut_everywhere(0); }
CHECK_CASE(rpc_capture_go_keepalive_cut_everywhere) { replay_cut_everywhere(1); }
CHECK_CASE(rpc_capture_go_worker_cut_everywhere) { replay_cut_everywhere(2); }
CHECK_CASE(rpc_capture_python_metadata_cut_everywhere) { replay_cut_everywhere(3); }
CHECK_CASE(rpc_capture_python_two_workers_cut_everywhere) { replay_cut_everywhere(4); }
CHECK_CASE(rpc_capture_python_worker_cut_everywhere) { replay_cut_everywhere(5); }

/* --- what a server of ours answers to a recorded client --- */

static void answer(struct peer *self, int call, const char *event) {
  if (strcmp(event, "half_closed") == 0) {
    peer_send(self, call, "");
    peer_finish(self, call, 0, "");
  }
}

CHECK_CASE(rpc_captures_with_answers) {
  for (size_t i = 0; i < CAPTURES; i++)
    for (size_t step = 1; step < 100000; step *= 7) {
      size_t n;
      const char *bytes = load(&captures[i], true, &n);
      struct peer self;
      begin(&self, &captures[i], true);
      self.act = answer;
      self.quiet = true;
      for (size_t at = 0, piece = step; at < n; at += piece) {
        if (piece > n - at) piece = n - at;
        feed(&self, bytes + at, piece);
        tr_buf_clear(&self.out);
        CHECK_INT(tr_rpc_output(self.conn, &self.out, 1 << 20), ==, 0);
      }
      CHECK_INT(self.calls, ==, captures[i].calls);
      peer_fini(&self);
    }
}
