/* SPDX-License-Identifier: MIT
 * A stage for the host: one host, any number of connections joined to it in memory, virtual time. The clients are
 * rpc's own client half; the protobuf they send is written here by hand, independent of src/wire. */
#ifndef HOST_PEER_H
#define HOST_PEER_H

#include "check.h"

#include "base/buf.h"
#include "base/text.h"
#include "core/core.h"
#include "host/host.h"
#include "rpc/rpc.h"

/* CHECK_SLICE, its argument evaluated once. */
#define CHECK_TEXT(slice, expected)      \
  do {                                   \
    tr_slice check_slice = (slice);      \
    CHECK_SLICE(check_slice, (expected)); \
  } while (0)

typedef struct stage stage;
typedef struct peer peer;   /* a connection */
typedef struct pcall pcall; /* a call on it; lives as long as the stage */

struct stage {
  tr_core *core;
  tr_host *host;
  tr_mem mem; /* the clients' side and the tests' own: never refused */
  tr_time now;
  tr_log log;
  peer *peers;
  pcall *calls;
  tr_random random;
  bool split; /* bytes travel in pieces of random size */
  unsigned dead_letters;
  int dead_code;
  struct { char event[32]; unsigned count, told; char last[256]; } lines[64]; /* told: at info or above */
};

struct peer {
  stage *on;
  peer *next;
  tr_rpc_conn *rpc;
  tr_host_conn *conn; /* NULL: closed */
  bool stalled;       /* it reads nothing */
  bool mute;          /* it says nothing */
  bool dirty;         /* the host says there is something for it */
  bool goaway;
  unsigned pongs;
  char user_agent[64];
};

typedef struct pmessage { struct pmessage *next; size_t n; char bytes[]; } pmessage;

struct pcall {
  pcall *next;
  peer *on;
  tr_rpc_call *call; /* NULL: closed */
  bool headers, closed;
  int status;
  char text[256];
  char version[32], received[32]; /* troupe-version and troupe-received of the response headers */
  pmessage *first, **end;
  unsigned count; /* messages that wait */
};

/* NULL: out of memory. tweaks: options but for core; NULL: defaults. */
stage *stage_new(const tr_host_options *tweaks);
void stage_free(stage *s);
void stage_run(stage *s);                 /* until nothing moves */
void stage_sleep(stage *s, tr_time time); /* and let time pass, running */
unsigned stage_logged(const stage *s, const char *event);
unsigned stage_told(const stage *s, const char *event);    /* of these: at info or above */
const char *stage_line(const stage *s, const char *event); /* the last one's text */
tr_host_stats stage_stats(const stage *s);

peer *peer_new(stage *s, const char *address, const char *user_agent); /* NULL: refused or no memory */
void peer_cut(peer *p); /* the connection breaks */

pcall *call_open(peer *p, const char *method, const char *client_id, const tr_rpc_header *more, size_t count);
pcall *channel(peer *p, const char *client_id);                             /* OpenChannel, and runs */
pcall *troupe_channel(peer *p, const char *client_id);                      /* the same, announcing troupe-version */
int unary(peer *p, const char *method, const char *client_id, tr_slice request); /* its status; runs */
pcall *unary_call(peer *p, const char *method, const char *client_id, tr_slice request, bool retried);
void say(pcall *c, tr_slice message);       /* one message; does not run */
void cancel(pcall *c);
tr_slice hear(pcall *c);                    /* the next message: runs; fails the case where there is none */
bool silent(pcall *c);                      /* nothing waits; runs */
void hear_end(pcall *c, int status, const char *text); /* text NULL: any */

/* unary calls with AutoGen's words; each expects OK */
void reg(peer *p, const char *client_id, const char *type);
void sub(peer *p, const char *client_id, const char *id, const char *topic, const char *type);
void sub_prefix(peer *p, const char *client_id, const char *id, const char *prefix, const char *type);
unsigned count_subscriptions(peer *p);

/* ---- protobuf by hand; the slices live until the end of the case ---- */

tr_slice text(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *big(size_t n); /* so many x */
tr_slice join(tr_slice a, tr_slice b);
tr_slice pb_field(unsigned number, tr_slice value);  /* length-delimited */
tr_slice pb_string(unsigned number, const char *value);
tr_slice pb_get(tr_slice message, unsigned number);  /* the last one; {NULL, 0} */
unsigned pb_count(tr_slice message, unsigned number);

tr_slice register_bytes(const char *type);
tr_slice subscription_bytes(const char *id, unsigned kind, const char *topic, const char *type);
tr_slice agent(const char *type, const char *key);
tr_slice payload(const char *type, const char *content_type, const char *data);
/* agents.Message */
tr_slice request(const char *id, const char *type, const char *key, const char *data);
tr_slice request_with(const char *id, const char *type, const char *key, const char *data, tr_slice more); /* more: fields of RpcRequest */
tr_slice metadata(const char *key, const char *value); /* of a request */
tr_slice response(tr_slice id, const char *data);
tr_slice error_response(tr_slice id, const char *error);
tr_slice event(const char *topic, const char *source, const char *data);           /* JSON */
tr_slice proto_event(const char *topic, const char *source, const char *type);     /* as .NET writes it */

/* What a message is: the request id of a request or a response, its parts */
tr_slice request_id(tr_slice message);
tr_slice body_of(tr_slice message);  /* payload.data of either, or an event's binary_data */
tr_slice error_of(tr_slice message); /* of a response */
tr_slice topic_of(tr_slice message);
void expect_error(pcall *c, const char *id, const char *beginning);
/* A request forwarded to `worker` is heard, answered with `data`, and the answer heard by `caller` under `id`. */
void serve(pcall *worker, const char *data);
void expect_answer(pcall *caller, const char *id, const char *data);

#endif
