/* SPDX-License-Identifier: MIT
 * Two ends of a connection in memory, for the checks of src/rpc. What an end's handlers are told becomes lines of text:
 *
 *   open 1 /agents.AgentRpc/OpenChannel      headers 1      message 1 hello      oversize 1 70000 aaaa…
 *   half_closed 1      writable 1      closed 1 0      closed 1 14 connection closed      goaway 0      pong 7
 *
 * Calls are numbered as they are opened. `act`, where set, is called after each line to do something about it. */
#ifndef RPC_PEERS_H
#define RPC_PEERS_H

#include "check.h"
#include "rpc/rpc.h"

#define CALLS 64

struct peer {
  tr_rpc_conn *conn;
  tr_rpc_options options;
  tr_buf lines, out;
  int calls, closed, dirty; /* how many of each were told */
  size_t messages, bytes;   /* how many came, and their bytes */
  tr_rpc_call *call[CALLS]; /* by number; NULL once closed */
  bool quiet;               /* count, but write no lines */
  bool sizes;               /* a message's size instead of its text; no payload of PINGs */
  uint32_t sum;             /* of the messages' bytes (FNV-1a) */
  int64_t now;
  tr_error error;
  void (*act)(struct peer *self, int call, const char *event);
  const char *at;           /* for act */
};

/* options: what differs from the defaults; its handlers, mem, ud and server are filled in. */
void peer_init(struct peer *self, bool server, tr_rpc_options options);
/* As the first, but the connection may be missing where memory is refused. */
bool peer_try(struct peer *self, bool server, tr_rpc_options options);
void peer_fini(struct peer *self);
/* A client's call; its number. */
int peer_call(struct peer *self, const char *path);
int peer_send(struct peer *self, int call, const char *text); /* as tr_rpc_send; TR_EMEMORY where the frame failed */
int peer_send_size(struct peer *self, int call, size_t size); /* that many 'x' */
int peer_finish(struct peer *self, int call, int status, const char *text);
int peer_feed(struct peer *self, const void *bytes, size_t n);
/* What `from` has to say goes to `to`, in pieces of at most `step` bytes (0: in one); the number of bytes. */
size_t peer_pass(struct peer *from, struct peer *to, size_t step);
/* Both ways until both are silent. */
void peers_talk(struct peer *a, struct peer *b, size_t step);
/* The lines since the last time. */
void peer_said(struct peer *self, const char *file, int line, const char *wanted);
#define CHECK_SAID(peer, wanted) peer_said((peer), __FILE__, __LINE__, (wanted))
/* A client and a server that have shaken hands. */
void peers_pair(struct peer *client, struct peer *server, tr_rpc_options client_options, tr_rpc_options server_options);

/* --- bytes by hand --- */
/* Append a frame with its head. */
void raw_frame(tr_buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t n);
/* Append a gRPC prefix. */
void raw_prefix(tr_buf *out, uint8_t flag, uint32_t size);
/* The first frame of this type in bytes, its payload of *n bytes; NULL: none. */
const uint8_t *raw_find(const tr_buf *bytes, uint8_t type, size_t *n);
/* The preface and an empty SETTINGS. */
void raw_preface(tr_buf *out);
/* Append literal header fields without indexing: name, value, …, NULL. */
void raw_fields(tr_buf *out, ...) __attribute__((sentinel));
/* The HEADERS of a good request. */
void raw_request(tr_buf *out, uint32_t stream, const char *path, uint8_t flags);

#endif
