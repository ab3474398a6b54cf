/* SPDX-License-Identifier: MIT
 * Calls that a script holds in its hand: futures, tokens, groups of them, placeholders, and results that stay elsewhere. A part of
 * internal.h, which includes it where the types that it builds on are there. */
#ifndef TR_SCRIPT_FUTURES_H
#define TR_SCRIPT_FUTURES_H

/* --- future.c, token.c, gather.c, placeholder.c --- */
typedef struct tr_edge { tr_link link; tr_future *need, *to; struct tr_edge *next; } tr_edge; /* link: need->dependents, while it is waited for */
struct tr_future {
  unsigned refs;
  uint32_t owner;      /* to whom it is charged */
  tr_script *script;
  tr_lua_turn *turn;   /* NULL: it is over */
  tr_link open, by_turn, by_token;
  tr_call *call;       /* NULL: not sent, or settled */
  struct tr_stream *parts; /* stream.c; NULL: it takes none */
  tr_msg *msg;         /* to be sent yet, or again */
  tr_msg *request;     /* this one does not call: it answers that */
  tr_holder holder;    /* of that request */
  tr_edge *needs;      /* what must be there first */
  tr_link dependents;  /* edges of those that need it */
  unsigned missing, retries, attempt;
  tr_time timeout, deadline;
  tr_timer timer;      /* until it is sent again */
  bool settled, watched, wanted, read, has_value, nulls_keep;
  /* kept.c: results that stay where they were made */
  bool keeps;          /* the callee is asked to keep the result */
  bool reading;        /* somebody here reads the content */
  bool held;           /* its body holds placeholders whose content is elsewhere */
  bool content;        /* its receiver cannot have those: the content has to be sent */
  unsigned users;      /* edges to this one */
  uint32_t via;        /* of its message */
  tr_blob *kept;       /* where the result is; NULL: nowhere but in `reply`, or let go */
  tr_call *fetch;      /* its content is on the way here */
  tr_msg *asked;       /* the call's message, still in the outbox of its turn's wait number asked_at */
  uint64_t asked_at;
  bool pass_type, nothing; /* of an answer: the type is that of what it needed; its body is null for this caller */
  uint64_t order;      /* the n-th that was settled */
  int code;
  char *error;
  size_t error_size;
  tr_name *reply_type;
  tr_body reply;
  tr_name *agent, *key, *type, *asker, *asker_key;
  tr_name *from, *from_key, *from_type; /* whose failure it is; NULL: its own */
};
/* Parts that came and were not taken yet: stream.c */
typedef struct tr_stream {
  tr_body items[TR_STREAM_WINDOW];
  uint32_t first, count;
  uint32_t taken;      /* since the callee got credit */
  bool skip;           /* nobody takes any more: only the result is wanted */
} tr_stream;
void tr_stream_part(void *ud, tr_call *call, tr_reply *part); /* a tr_part_fn */
void tr_stream_free(tr_future *f);
void tr_stream_open(lua_State *L, tr_script *script);
extern const luaL_Reg tr_ctx_stream_methods[];
typedef struct tr_token { tr_link futures; bool cancelled; } tr_token;
tr_future *tr_future_new(lua_State *L, tr_lua_turn *lt, int meta_ref); /* [-0, +1, m] */
void tr_future_unref(tr_future *f);
bool tr_future_need(tr_future *f, tr_future *need); /* false: out of memory */
/* The content of `need` is elsewhere: whoever handles the call may fetch it. false: out of memory. */
bool tr_future_refer(tr_future *f, tr_future *need);
void tr_future_start(tr_future *f, tr_msg *msg, unsigned retries); /* takes msg */
void tr_future_answer(tr_future *f, tr_msg *request, tr_name *type); /* its body is in f->reply */
void tr_future_cancel(tr_future *f);
void tr_future_unwatch(tr_future *f); /* it is not waited for at the moment */
/* Of this turn, when it ends: a failed one's are cancelled. */
void tr_futures_leave(tr_lua_turn *lt, bool failed);
void tr_futures_close(tr_script *script);
tr_future *tr_future_at(lua_State *L, int at);    /* a future or placeholder, else NULL */
bool tr_placeholder_is(lua_State *L, int at);
tr_future *tr_future_check(lua_State *L, int at); /* and of the turn that runs */
void tr_future_watch(tr_future *f, bool wanted);  /* its settling wakes its turn; wanted: which waits for this one */
int tr_future_push_value(lua_State *L, int at, tr_future *f); /* 0 or a code, then nothing is pushed */
void tr_future_push_type(lua_State *L, const tr_future *f);
void tr_future_raise(lua_State *L, tr_future *f, bool where) __attribute__((noreturn));
const char *tr_future_error(const tr_future *f, bool where, char out[TR_ERROR_TEXT]); /* where: say where it came from */
int tr_future_await(lua_State *L); /* the one at index 1 */
int tr_future_gc(lua_State *L);
int tr_future_tostring(lua_State *L);
void tr_future_lock(lua_State *L, const char *name); /* the metatable on the top */
void tr_future_open(lua_State *L, tr_script *script);
void tr_future_take_error(tr_future *f, tr_slice text);
void tr_future_tell(tr_future *f); /* those that need it: it is there, or failed */
void tr_future_go(tr_future *f);   /* all that it needs is there */

/* --- kept.c --- */
static inline bool tr_future_away(const tr_future *f) { return f->settled && !f->code && f->reply.kind == TR_BODY_REF; }
static inline bool tr_future_here(const tr_future *f) { return f->settled && !tr_future_away(f); }
bool tr_future_is_remote(const tr_future *f, const tr_msg *msg); /* its call goes to another process */
/* May its receiver fetch what it needs? Only a JSON body has places for it. */
static inline bool tr_future_takes_refs(const tr_future *f) {
  return f->msg && f->msg->body.format == TR_FORMAT_JSON && !f->content && !f->script->home && tr_future_is_remote(f, f->msg);
}
/* The body of f->msg with references in it, into msg. 0, or a code. */
int tr_future_refer_body(const tr_future *f, tr_msg *msg, tr_error *error);
void tr_future_ask_keep(tr_future *f, tr_msg *msg, bool in_turn); /* as it is sent */
void tr_future_hold(tr_future *f); /* its reply says where the result is */
void tr_future_fetch(tr_future *f);
void tr_future_fetch_stop(tr_future *f);
void tr_future_fetch_needs(tr_future *f); /* all whose content is elsewhere; then tr_future_go */
void tr_future_let_go(tr_future *f); /* of what is kept for it, if nobody needs that any more */
void tr_future_release(tr_future *f); /* in any case */

void tr_token_open(lua_State *L, tr_script *script);
tr_token *tr_token_at(lua_State *L, int at); /* or NULL */
void tr_token_join(tr_token *token, tr_future *f);
void tr_placeholder_open(lua_State *L, tr_script *script);
int tr_ipairs(lua_State *L);
/* ctx_message.c. Make a future of the call whose arguments are at 2 to 5, in place of index 1, and start it. via: tr_msg.via. */
void tr_async(lua_State *L, tr_lua_turn *lt, int meta_ref, uint32_t via);
/* Push a proxy for the agent whose id is on the top, made by the ctx at 1. lua: [-1, +1, m] */
void tr_proxy_push(lua_State *L, uint32_t via);
bool tr_proxy_push_id(lua_State *L, int at); /* the id of the proxy at `at`; false: it is none, and nothing is pushed */
uint32_t tr_check_uplink(lua_State *L, int at); /* the number of the uplink to the address at `at`, or raises */
extern const luaL_Reg tr_token_functions[], tr_gather_functions[], tr_placeholder_functions[];

#endif
