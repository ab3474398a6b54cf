/* SPDX-License-Identifier: MIT
 * troupe: a Lua-scriptable agent host, embedded.
 *
 * One header, C and C++. A troupe_t is one runtime; any number of them may live in a process. It starts no thread, installs no
 * signal handler (but libuv's for SIGCHLD where a process is launched), prints nothing, never exits or aborts, and has no global state.
 *
 *   troupe_t *rt;
 *   if (troupe_new(&rt, NULL)) return 1;
 *   troupe_load_file(rt, "greeter.lua");
 *   troupe_call(rt, "greeter/default", "Greeting", troupe_pack(rt, "{s:s}", "content", "hi"), 0, on_reply, NULL);
 *   while (troupe_poll(rt, 1000) > 0) { }
 *   troupe_free(rt);
 *
 * Functions that can fail return 0 or a negative TROUPE_E…; troupe_error(rt) then tells what, where and what to do. Text is UTF-8. Times are
 * microseconds. Values handed in are taken, also where the call fails; values handed to a callback are borrowed and live as long as
 * the callback. All calls belong to the thread that made the runtime. */
#ifndef TROUPE_H
#define TROUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define TROUPE_API
#else
#define TROUPE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct troupe troupe_t;
typedef struct tr_value troupe_value_t;

/* --- errors: one number each; the same names are codes of error objects in Lua --- */
enum {
  TROUPE_OK = 0,
  TROUPE_ECANT_HANDLE = -1, TROUPE_EHANDLER = -2, TROUPE_ETIMEOUT = -3, TROUPE_EOVERLOADED = -4, TROUPE_EINVALID = -5,
  TROUPE_EDEADLOCK = -6, TROUPE_ECONSTRUCTION = -7, TROUPE_ELIMIT = -8, TROUPE_ETOO_LARGE = -9, TROUPE_EMEMORY = -10,
  TROUPE_EDATA_LOSS = -11, TROUPE_ENOT_FOUND = -12, TROUPE_ECANCELLED = -13, TROUPE_EUNAVAILABLE = -14,
  TROUPE_EUNAUTHENTICATED = -15, TROUPE_EPERMISSION = -16, TROUPE_EEXISTS = -17, TROUPE_EIO = -18, TROUPE_EINTERNAL = -19
};

/* "not_found" for TROUPE_ENOT_FOUND. */
TROUPE_API const char *troupe_error_name(int code);
/* The text of the last error of this runtime; valid until the next call on it. "" when there was none. */
TROUPE_API const char *troupe_error(const troupe_t *rt);
/* "troupe 0.1.0 (Lua 5.4.4, libuv 1.44.2, nghttp2 1.52.0, nanopb 0.4.7)" */
TROUPE_API const char *troupe_version(void);

/* --- runtime --- */
typedef enum { TROUPE_LOG_ERROR = 0, TROUPE_LOG_WARN, TROUPE_LOG_INFO, TROUPE_LOG_DEBUG, TROUPE_LOG_PRINT } troupe_log_level;

typedef struct troupe_options {
  size_t size;      /* sizeof(troupe_options_t): later versions may add fields. All others may be zero. */
  void *userdata;   /* given to the callbacks below */
  /* Allocator in the form of lua_Alloc: new_size 0 frees. NULL result: out of memory. */
  void *(*allocate)(void *userdata, void *ptr, size_t old_size, size_t new_size);
  /* One line, without newline. TROUPE_LOG_PRINT: a script's print(). Without it nothing is logged or printed. */
  void (*log)(void *userdata, troupe_log_level level, const char *event, const char *text);
  troupe_log_level log_level; /* most detailed level wanted; TROUPE_LOG_ERROR (0) is the default */
  /* Read a script (from a pak file, say): return a buffer made by `allocate` (or malloc) of exactly *length bytes, or NULL where
   * there is none. Without it files are read from disk. */
  char *(*load)(void *userdata, const char *path, size_t *length);
  int64_t (*clock_us)(void *userdata); /* monotonic; without it the system's monotonic clock */
  void (*wake)(void *userdata);        /* work arrived while idle: call troupe_poll soon */
  uint64_t seed;                       /* of ids and hashes; 0: from the system */
  const char *program;                 /* the troupe program, which launched agents run in: a path, or a name in PATH; NULL: "troupe" */
  size_t launch_max;                   /* how many processes may be launched; 0: 64 */
  const char *grants;                  /* what scripts may do beyond the sandbox, by name, with spaces between: "launch fs.read=PATH env=NAME";
                                        * a backslash is before a space or a backslash that belongs to a name */
  /* So many threads share the agents, 64 at most (0: 1, the caller's, and no other is started). The caller's thread has the doors, programs
   * and callbacks as before; `allocate`, `load`, `log`, `clock_us` and `wake` are then called from any of them, `log` by one at a time:
   * it must not call the runtime. Callbacks of other functions here (interceptors, serializers, …) are called from the caller's thread alone. */
  unsigned threads;
  uint32_t compress_from;              /* messages of so many bytes and more go compressed (gzip) to hosts and workers that take that; 0: none do.
                                        * What comes compressed is always read, and who sends so is answered so */
  int deterministic;                   /* 1: with the same seed, clock and calls scripts do the same each time: `pairs` and `next` go by the keys (numbers,
                                        * texts, booleans), os.time, os.date and os.clock by clock_us, from 2000-01-01 on. Not with threads (TROUPE_EINVALID) */
} troupe_options_t;

/* Make a runtime. options may be NULL. TROUPE_EMEMORY, TROUPE_EINVALID. *out is NULL on failure. */
TROUPE_API int troupe_new(troupe_t **out, const troupe_options_t *options);
/* Open calls get their callbacks with TROUPE_ECANCELLED; all memory is given back. NULL is fine. */
TROUPE_API void troupe_free(troupe_t *rt);

/* Load agents from source text (length 0: up to its NUL; name: shown in messages, gives the default agent type) or from a file. All or nothing:
 * an error names file and line, and nothing was loaded. A name that is loaded already is reloaded. */
TROUPE_API int troupe_load(troupe_t *rt, const char *name, const char *source, size_t length);
TROUPE_API int troupe_load_file(troupe_t *rt, const char *path);
/* Reload files whose content changed (name NULL: all), all or nothing. State stays. Returns how many were swapped, or an error. */
TROUPE_API int troupe_reload(troupe_t *rt, const char *name);

/* The same with more to say. One of canary, promote, undo and to. */
typedef struct troupe_reload_options {
  size_t size;         /* sizeof(troupe_reload_options_t), set by the caller */
  const char *name;    /* of a file; NULL: all */
  const char *canary;  /* for these keys alone: "10%" of them, or one ("=10" where it looks like a part); the others keep the code that serves */
  int promote, undo;   /* 1: the canary that runs serves all; serves nobody any more */
  uint32_t to;         /* back to what was when this version served */
  int again;           /* 1: also files that were taken back and have not changed since */
  int pin, unpin;      /* 1: after this nothing is reloaded any more (alone: nothing now, either); it is again */
  uint32_t failures;   /* take it back by itself at so many failed turns of the new code (0: never) */
  int64_t within_us;   /* in this time (0: a minute; of a canary: while it is one) */
  int64_t drain_us;    /* end turns of older code, with TROUPE_ECANCELLED for their callers, after so long (0: never) */
} troupe_reload_options_t;
TROUPE_API int troupe_reload_with(troupe_t *rt, const troupe_reload_options_t *options);

/* Do what is due, for about budget_us (0: until nothing is ready). 1: work is left; 0: idle; negative: error. Never blocks. */
TROUPE_API int troupe_poll(troupe_t *rt, int64_t budget_us);
/* µs until the next timer, 0: work is ready, -1: none. */
TROUPE_API int64_t troupe_next_deadline(troupe_t *rt);
/* Block and work: until troupe_stop (or ctx:exit) — or, without a door, until nothing can happen any more. Returns the exit status ≥ 0. */
TROUPE_API int troupe_run(troupe_t *rt);
/* Block and work until idle (0) or for limit_us (TROUPE_ETIMEOUT). */
TROUPE_API int troupe_run_until_idle(troupe_t *rt, int64_t limit_us);
/* End: new messages from outside are `unavailable`, what is queued is handled for up to drain_us, close hooks run in the rest of it, then
 * troupe_run returns. What was dropped is in the log, by agent. May be called twice. */
TROUPE_API void troupe_stop(troupe_t *rt, int64_t drain_us);

typedef struct troupe_stats {
  size_t size; /* sizeof(troupe_stats_t), set by the caller */
  uint64_t turns, events, requests, sends, replies, late_replies, dead_letters, overloaded, failures; /* since the beginning */
  uint64_t agents, open_turns, open_calls, queued;                                                    /* now */
  uint64_t kept_states, kept_bytes;      /* of instances that are not in memory: idle, or restored and not used yet */
  uint64_t unsaved_bytes, unsaved_tries; /* state files that the disk did not take: what waits, how often it was tried again */
  uint64_t memory;                       /* bytes */
  uint64_t dropped;                      /* by an interceptor, since the beginning */
  uint64_t deflated, deflated_from, deflated_to; /* messages that went compressed; their bytes before and after */
  uint64_t inflated, inflated_from, inflated_to; /* and that came so; … as they came and as they are */
  uint64_t inflate_refused;                      /* of those: damaged, or too large when inflated */
} troupe_stats_t;
TROUPE_API void troupe_get_stats(troupe_t *rt, troupe_stats_t *stats);

/* --- state --- */
typedef struct troupe_state_options {
  size_t size;             /* sizeof(troupe_state_options_t). All others may be zero. */
  /* Only these: a list that ends with NULL of ids ("game/7"), types ("game") and patterns, in which * stands for any text; one without a slash
   * is a type, and brings its subscriptions too. NULL: all. */
  const char *const *only;
  int64_t timeout_us;      /* saving: how long to wait for open turns; 0: 3 s; negative: not at all */
} troupe_state_options_t;

/* Save the states of all agents (by their `save` hooks) with the mail they have not handled, their timers and the subscriptions added
 * at run time to one file, atomically and checksummed: the old file stays until the new one is whole.
 * No new turn begins until those that are open have ended (those of programs and of agents with `requeue` aside); after the time-out
 * that is TROUPE_ETIMEOUT, naming them. Returns how many agents could not be saved (they are in the log; the others are saved), or an
 * error. TROUPE_EIO, TROUPE_EUNAVAILABLE (somebody else writes it): the old file is as it was, and what was to be written is kept in
 * memory (64 MiB at most) and tried again while the runtime works; the next save to the same path takes its place. */
TROUPE_API int troupe_save(troupe_t *rt, const char *path);
TROUPE_API int troupe_save_with(troupe_t *rt, const char *path, const troupe_state_options_t *options); /* options may be NULL */
/* The same to memory: *bytes is freed by troupe_free_text(rt, bytes, length), also if some agents failed. */
TROUPE_API int troupe_save_bytes(troupe_t *rt, char **bytes, size_t *length, const troupe_state_options_t *options);
/* Restore such a file: an agent takes its state up when it is next made, by its first message or timer; one that is live is made anew.
 * TROUPE_ENOT_FOUND, TROUPE_EDATA_LOSS: damaged; TROUPE_EINVALID: from a newer version of an agent, or of the format. Nothing was
 * restored then. Returns how many records could not be restored (they are in the log). */
TROUPE_API int troupe_restore(troupe_t *rt, const char *path);
TROUPE_API int troupe_restore_with(troupe_t *rt, const char *path, const troupe_state_options_t *options);
TROUPE_API int troupe_restore_bytes(troupe_t *rt, const char *bytes, size_t length, const troupe_state_options_t *options);

/* --- messages; body may be NULL ({}) --- */
/* topic: "type/source", or "type" with source "default". 0, TROUPE_EINVALID, TROUPE_EMEMORY. */
TROUPE_API int troupe_publish(troupe_t *rt, const char *topic, const char *type, troupe_value_t *body);
/* agent: "type/key", or "type" with key "default". No answer; undeliverable: the error here, or a dead letter. */
TROUPE_API int troupe_send(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body);
/* status 0: type and body are the reply's; negative: type and body are NULL and text says why. */
typedef void (*troupe_reply_fn)(void *ud, int status, const char *text, const char *type, const troupe_value_t *body);
/* Ask an agent. timeout_us 0: 30 s; negative: none. When 0 is returned, fn is called exactly once, from troupe_poll, troupe_run or troupe_free;
 * when an error is returned, never. */
TROUPE_API int troupe_call(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body, int64_t timeout_us,
                           troupe_reply_fn fn, void *ud);
/* More about one message: the same three with these. options may be NULL. */
typedef struct troupe_message_options {
  size_t size;                 /* sizeof(troupe_message_options_t). All others may be zero. */
  int64_t timeout_us;          /* of a call: as above; for others how long it is worth delivering. 0: the default */
  int priority;                /* 1 high, -1 low */
  const char *id;              /* message id */
  const char *encoding;        /* as in troupe_encode_as, for this one */
  const char *const *metadata; /* names and values in turn, NULL ends */
} troupe_message_options_t;
TROUPE_API int troupe_publish_with(troupe_t *rt, const char *topic, const char *type, troupe_value_t *body,
                                   const troupe_message_options_t *options);
TROUPE_API int troupe_send_with(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body,
                                const troupe_message_options_t *options);
TROUPE_API int troupe_call_with(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body,
                                const troupe_message_options_t *options, troupe_reply_fn fn, void *ud);
typedef void (*troupe_event_fn)(void *ud, const char *topic, const char *type, const troupe_value_t *body);
/* Events of a topic type ("chat"), or of all that begin so ("home.*"). Returns an id > 0, or an error. */
TROUPE_API int64_t troupe_subscribe(troupe_t *rt, const char *topic, troupe_event_fn fn, void *ud);
TROUPE_API int troupe_unsubscribe(troupe_t *rt, int64_t id);

/* Several connections to one host, for a program that calls and publishes and has no agents there. A message goes by the one that is
 * joined and has the fewest calls open; one that breaks is opened again, its open calls fail with TROUPE_EUNAVAILABLE, and the others go on.
 * The runtime must be polled or run, as ever. */
typedef struct troupe_pool troupe_pool_t;
/* size: connections, 1000 at most; 0: 5. They are opened by and by: what is called before waits. *out: until troupe_pool_close, or
 * troupe_free. TROUPE_EINVALID, TROUPE_EMEMORY, TROUPE_EUNAVAILABLE. */
TROUPE_API int troupe_pool_open(troupe_t *rt, troupe_pool_t **out, const char *host, unsigned size);
/* As troupe_publish_with and troupe_call_with; options may be NULL. Only the host's side gets them: nobody in this runtime does. */
TROUPE_API int troupe_pool_publish(troupe_pool_t *pool, const char *topic, const char *type, troupe_value_t *body,
                                   const troupe_message_options_t *options);
TROUPE_API int troupe_pool_call(troupe_pool_t *pool, const char *agent, const char *type, troupe_value_t *body,
                                const troupe_message_options_t *options, troupe_reply_fn fn, void *ud);
typedef struct troupe_pool_stats {
  size_t size;            /* sizeof(troupe_pool_stats_t), set by the caller */
  uint64_t members, joined, open_calls;
} troupe_pool_stats_t;
TROUPE_API void troupe_pool_get_stats(troupe_pool_t *pool, troupe_pool_stats_t *stats);
/* Open calls get their callbacks with TROUPE_ECANCELLED, now; what is published is still sent, for 3 s at most, while the runtime works.
 * The pool may not be used any more. NULL is fine. */
TROUPE_API void troupe_pool_close(troupe_pool_t *pool);

/* A message on its way, as an interceptor sees it. */
typedef struct troupe_message {
  const char *kind;           /* "request", "send", "event" */
  const char *target;         /* "type/key" of the agent, or "topic/source" */
  const char *type;
  const char *sender;         /* "type/key"; NULL: no agent sent it */
  const char *id;
  const troupe_value_t *body; /* NULL: it cannot be read here; it goes on as it is */
  const char *new_type;       /* set by the interceptor to change it; borrowed until it returns */
  troupe_value_t *new_body;   /* likewise; taken */
  const char *error;          /* why, where it returns an error; borrowed until the next call on the runtime */
} troupe_message_t;
enum { TROUPE_PASS = 0, TROUPE_DROP = 1 };
/* TROUPE_PASS; TROUPE_DROP: nobody gets it, and a request is answered `cancelled`; a TROUPE_E…: a request is answered that, anything else
 * is a dead letter. */
typedef int (*troupe_intercept_fn)(void *ud, troupe_message_t *message);
/* fn sees every message before it is delivered: sent by agents, from C, and from the wire; not those that are sent while it runs, nor replies.
 * One at a time; NULL: none any more. troupe_stats_t.dropped counts what it dropped. */
TROUPE_API int troupe_intercept(troupe_t *rt, troupe_intercept_fn fn, void *ud);

/* --- agents --- */
/* Make an instance of an agent type of this process, as its first message would. fn is called as by troupe_call, without type and body, once its
 * `init` has run; or with the error that kept it from being made. timeout_us as there. TROUPE_ENOT_FOUND: no such type here. */
TROUPE_API int troupe_get(troupe_t *rt, const char *agent, int64_t timeout_us, troupe_reply_fn fn, void *ud);
typedef struct troupe_agent {
  const char *id, *type, *key;
  const char *state;      /* "new" (its init has not ended), "idle", "working", "closing", "halted" (by `failures`) */
  uint64_t mailbox;       /* messages that wait */
  uint64_t turns;         /* open ones: several where calls are nested, or it is reentrant */
} troupe_agent_t;
/* fn for each instance in memory, programs and what C subscribed with aside; it must not make or stop any. Returns how many. */
TROUPE_API int troupe_agents(troupe_t *rt, void (*fn)(void *ud, const troupe_agent_t *agent), void *ud);
/* What is known of an agent's type: { type, description?, version, messages: [..], subscriptions: [{..}], where: "file" | "table" }, or of one in
 * another process { type, where: "remote" }. agent: an id or a type. NULL: see troupe_error (not_found). Free it. */
TROUPE_API troupe_value_t *troupe_metadata(troupe_t *rt, const char *agent);

/* --- bodies: what they look like outside this process; within it they stay values --- */
/* As a host: workers of this agent type are given bodies in "json", or in "protobuf", only; of the types that were loaded. Before they
 * join. (AutoGen's .NET workers get protobuf always, others what they publish in.) */
TROUPE_API int troupe_give(troupe_t *rt, const char *agent_type, const char *encoding);
/* Message types from a google.protobuf.FileDescriptorSet (protoc --include_imports --descriptor_set_out=FILE), for scripts, C and the
 * host alike. name is shown in errors; the same name again replaces what it brought. All of it or nothing. Copied. TROUPE_EINVALID,
 * TROUPE_EEXISTS: another set has one of its files or types differently. */
TROUPE_API int troupe_protobuf(troupe_t *rt, const char *name, const void *set, size_t length);
/* What C sends of this message type goes so: "protobuf" (the type is a full name, "package.Message"), "json", "text", "bytes", or a content type of
 * which there is a serializer. A body that does not fit makes the sending call fail with TROUPE_EINVALID, naming the field. */
TROUPE_API int troupe_encode_as(troupe_t *rt, const char *type, const char *encoding);
/* Read and write bodies of a message type ("*": any) in a content type ("application/cbor"; for "application/json" it takes JSON's place). What
 * comes in it is read by decode: a request that it cannot read is answered TROUPE_EINVALID, an event is a dead letter. A reply goes in what
 * its request came in. The same pair again replaces the functions, which must be usable until troupe_free. */
typedef struct troupe_output troupe_output_t;
TROUPE_API int troupe_output_bytes(troupe_output_t *out, const void *bytes, size_t length); /* append */
TROUPE_API int troupe_output_fail(troupe_output_t *out, const char *text); /* returns TROUPE_EINVALID; the text is for the sender */
typedef int (*troupe_encode_fn)(void *ud, const char *type, const troupe_value_t *body, troupe_output_t *out); /* 0, or an error */
/* type: as it was given to troupe_serializer. The value is taken; NULL: it cannot be read (troupe_output_fail says why). */
typedef troupe_value_t *(*troupe_decode_fn)(void *ud, const char *type, const void *bytes, size_t length, troupe_output_t *why);
TROUPE_API int troupe_serializer(troupe_t *rt, const char *type, const char *content_type, troupe_encode_fn encode,
                                 troupe_decode_fn decode, void *ud);

/* --- doors --- */
typedef struct troupe_security {
  size_t size;           /* sizeof(troupe_security_t). All others may be zero. */
  const char *cert, *key; /* PEM files: what tls: listeners show, and uplinks to hosts that ask for it; "a.pem,b.pem": by the name asked for */
  const char *ca;        /* whose certificates are believed of hosts; NULL: the system's */
  const char *client_ca; /* clients of tls: listeners must have a certificate of these; NULL: none is asked for */
  const char *token;      /* shown to hosts, but not in plaintext to other machines; or: */
  const char *token_file; /* a file with nothing else in it */
  const char *tokens;    /* file: whose tokens our listeners take, "NAME TOKEN" or "NAME sha256:HEX" a line; who has none must have a certificate, or
                          * be of this user at a unix: listener */
  const char *rights;    /* file: who may do what at our listeners (docs/security.md); NULL: everything */
  const char *sign_key;  /* file: what leaves this process is signed with it ("NAME ed25519-private BASE64" or "NAME hmac SECRET") */
  const char *verify_keys; /* file: requests and events that come in must be signed by one of these */
  bool insecure;         /* listen, and show the token, in plaintext where other machines reach it, too */
} troupe_security_t;
/* Before the doors that need it. Again: what comes from now on has the new; what is open goes on. options NULL: the same files are read
 * again. TROUPE_EINVALID names the file, and what was in force stays. */
TROUPE_API int troupe_secure(troupe_t *rt, const troupe_security_t *options);
/* Become a host: others join at "host:port", "tls:host:port" or "unix:PATH" (port 0: a free one); again for more. *bound (may be NULL) is
 * the real address, valid until the next call. TROUPE_EPERMISSION: in plaintext where other machines reach it (troupe_secure). */
TROUPE_API int troupe_listen(troupe_t *rt, const char *address, const char **bound);
/* Become a worker of a host, troupe's or AutoGen's. Returns at once; joining goes on while polling, again and again until the host is there. */
TROUPE_API int troupe_connect(troupe_t *rt, const char *address);

/* --- moving --- */
typedef struct troupe_to_dist_options {
  size_t size;      /* sizeof(troupe_to_dist_options_t) */
  const char *host; /* a runtime that listens there and has the agent's type; NULL: a process is launched for it (troupe_options_t.program) */
  bool lazy;        /* at its first message rather than now */
} troupe_to_dist_options_t;
/* status 0: it has moved. Else it goes on here, and text says why. Once. */
typedef void (*troupe_done_fn)(void *ud, int status, const char *text);
/* Move a live agent, with its state (save, restore), its timers and its mail. Who calls it, sends to it or publishes what it hears does
 * not notice: open turns end here, what is in its mailbox goes after it, in order. options NULL: now, into a process. fn may be NULL; it is
 * not called where an error is returned. TROUPE_ENOT_FOUND, TROUPE_EEXISTS: it is elsewhere already; TROUPE_EINVALID: it cannot be moved
 * (from memory, with a `pool`, a program). */
TROUPE_API int troupe_to_dist(troupe_t *rt, const char *agent, const troupe_to_dist_options_t *options, troupe_done_fn fn, void *ud);

/* --- values --- */
typedef enum {
  TROUPE_NULL = 0, TROUPE_BOOLEAN, TROUPE_INTEGER, TROUPE_NUMBER, TROUPE_STRING, TROUPE_BYTES, TROUPE_ARRAY, TROUPE_MAP
} troupe_kind;

/* Make a value: "{s:i,s:[F,F]}" with keys and items in order. s const char *, i int, I int64_t, F double, b int as boolean, n null,
 * v troupe_value_t * (taken). NULL: bad format or no memory; the call that it is handed to then fails with TROUPE_EINVALID. */
TROUPE_API troupe_value_t *troupe_pack(troupe_t *rt, const char *format, ...);
/* Read one: pointers in the same order; "s?" before a key's colon marks a member that may be absent. Strings are borrowed from the value. */
TROUPE_API int troupe_unpack(const troupe_value_t *value, const char *format, ...);
/* Not text: troupe.bytes in Lua, base64 in JSON. troupe_value_string reads it. */
TROUPE_API troupe_value_t *troupe_value_bytes(troupe_t *rt, const void *bytes, size_t length);
TROUPE_API troupe_value_t *troupe_value_array(troupe_t *rt);
TROUPE_API troupe_value_t *troupe_value_map(troupe_t *rt);
TROUPE_API int troupe_value_push(troupe_value_t *array, troupe_value_t *item);
TROUPE_API int troupe_value_set(troupe_value_t *map, const char *key, troupe_value_t *item);
TROUPE_API troupe_kind troupe_value_kind(const troupe_value_t *value);
TROUPE_API size_t troupe_value_length(const troupe_value_t *value);
TROUPE_API const troupe_value_t *troupe_value_at(const troupe_value_t *value, size_t index);   /* from 0; NULL: none */
TROUPE_API const troupe_value_t *troupe_value_get(const troupe_value_t *map, const char *key); /* NULL: none */
/* false: of another kind, *out untouched. */
TROUPE_API bool troupe_value_boolean(const troupe_value_t *value, bool *out);
TROUPE_API bool troupe_value_integer(const troupe_value_t *value, int64_t *out);
TROUPE_API bool troupe_value_number(const troupe_value_t *value, double *out);
/* NUL-terminated; *length (may be NULL) counts without it. NULL: not a string. */
TROUPE_API const char *troupe_value_string(const troupe_value_t *value, size_t *length);
TROUPE_API troupe_value_t *troupe_value_from_json(troupe_t *rt, const char *json, size_t length); /* NULL: see troupe_error */
/* JSON text; free it with troupe_free_text. */
TROUPE_API char *troupe_value_to_json(troupe_t *rt, const troupe_value_t *value, size_t *length);
TROUPE_API void troupe_free_text(troupe_t *rt, char *text, size_t length);
TROUPE_API void troupe_value_free(troupe_value_t *value);

#ifdef __cplusplus
}
#endif

#endif
