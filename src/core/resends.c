/* SPDX-License-Identifier: MIT
 * Requests that come a second time: a caller with `retry` sends the same request again when it was told that the first did not get
 * through, and that is not always known (a connection breaks behind the request, and before its answer). A handler should
 * not run twice for that.
 *
 * A request that may be sent again carries a token of 128 random bits, the same in each attempt (tr_msg_more.token; `troupe-resend` on the
 * wire), and is remembered by it here, with its id: while it is handled, a second one joins it and gets the same answer; afterwards
 * it gets a copy of that. Nobody else knows the token, so ids of two callers never meet; requests without one, and those are all
 * that a client built itself, are never taken for each other, whatever their ids.
 *
 * An answer by which the caller tries again anyway (unavailable, overloaded), or that says that nobody waited, is not remembered: the
 * next attempt is a new one. One that ended by its deadline is, as "timeout": an attempt that comes even later was under way for long. What is remembered is bounded by number, bytes and time: until a minute after the caller's deadline. It does
 * not ask again after that deadline, but what it had sent may lie in a network that stands still, and a deadline is counted from the arrival.
 * Past a bound the oldest go, and a very late second attempt runs anew. */
#include "core/internal.h"

#ifdef TR_HOSTILE
#define OPEN_MOST 16u
#define KEPT_MOST 16u
#else
#define OPEN_MOST 4096u
#define KEPT_MOST 1024u
#endif
#define BYTES_MOST ((size_t)16 << 20)
#define TIME_MOST TR_SECONDS(600)
#define TIME_LATE TR_SECONDS(60) /* after the deadline; from now where the request has none */
#define JOINED_MOST 16u

typedef struct joined { tr_link link; tr_holder holder; tr_msg *msg; tr_resend *to; } joined;

struct tr_resend {
  tr_core *core;
  uint64_t token[2]; /* the key */
  tr_name *id;       /* may be NULL */
  tr_msg *first;     /* not counted: being handled. NULL: answered */
  tr_link waiting;   /* of joined */
  uint32_t joined_count;
  tr_link by_age;    /* core->answered */
  tr_timer timer;
  int code;
  char *error;
  size_t error_size, size;
  tr_name *type;
  tr_body body;
};

static tr_slice key_of(const uint64_t token[2]) { return tr_slice_make(token, 2 * sizeof token[0]); }

void tr_resends_init(tr_core *core) {
  tr_map_init(&core->resends, core->mem, core->seed);
  tr_list_init(&core->answered);
}

static void drop(tr_resend *r) {
  tr_core *core = r->core;
  if (tr_link_in(&r->by_age)) {
    core->answered_count--;
    core->answered_bytes -= r->size;
  }
  tr_link_remove(&r->by_age);
  if (core->timers) tr_timer_stop(core->timers, &r->timer);
  tr_map_remove(&core->resends, key_of(r->token));
  tr_name_unref(r->id);
  tr_name_unref(r->type);
  tr_body_release(core, &r->body);
  tr_free(core->mem, r->error, r->error_size);
  TR_DELETE(core->mem, r);
}

void tr_resends_fini(tr_core *core) {
  while (!tr_list_empty(&core->answered)) drop(TR_CONTAINER(core->answered.next, tr_resend, by_age));
  tr_map_fini(&core->resends);
}

/* ---- joining ---- */

static tr_msg *leave(joined *j) {
  tr_msg *msg = j->msg;
  msg->holder = NULL;
  tr_link_remove(&j->link);
  j->to->joined_count--;
  TR_DELETE(msg->core->mem, j);
  return msg;
}

/* The caller gave up its second attempt; of the first nobody may be waiting any more. */
static void asker_gave_up(tr_holder *holder, tr_msg *request) {
  joined *j = TR_CONTAINER(holder, joined, holder);
  tr_resend *r = j->to;
  (void)request;
  tr_msg_unref(leave(j));
  if (r->first && !r->joined_count && !r->first->reply_to.answer) tr_msg_cancel(r->first);
}

static const tr_holder_ops holder_ops = { .cancel = asker_gave_up };

static int join(tr_resend *r, tr_msg *msg) {
  tr_core *core = r->core;
  joined *j = r->joined_count < JOINED_MOST ? TR_NEW(core->mem, joined) : NULL;
  if (!j) return tr_core_undeliverable(core, msg, r->joined_count < JOINED_MOST ? TR_EMEMORY : TR_EOVERLOADED, NULL);
  j->msg = tr_msg_ref(msg);
  j->to = r;
  j->holder.ops = &holder_ops;
  msg->holder = &j->holder;
  tr_list_push(&r->waiting, &j->link);
  r->joined_count++;
  return 0;
}

static void answer_from(const tr_resend *r, tr_msg *msg) {
  tr_reply reply = { .code = r->code, .type = r->type, .body = r->body };
  if (r->code) reply.error = tr_slice_of(r->error ? r->error : tr_error_default_text(r->code));
  if (reply.body.kind >= TR_BODY_BYTES) tr_blob_ref(reply.body.bytes);
  tr_msg_answer(msg, &reply);
}

static void answer_joined(tr_resend *r) {
  for (tr_link *link; (link = r->waiting.next) != &r->waiting;) {
    tr_msg *msg = leave(TR_CONTAINER(link, joined, link));
    answer_from(r, msg);
    tr_msg_unref(msg);
  }
}

/* ---- the first ---- */

int tr_resend_take(tr_core *core, tr_msg *msg) {
  tr_resend *r = tr_map_get(&core->resends, key_of(msg->more->token));
  if (r && r->id != msg->id) return 0; /* not our own doing: as any request */
  if (r) {
    core->stats.repeated++;
    if (r->first) join(r, msg);
    else answer_from(r, msg);
    return 1;
  }
  if (core->resends.count - core->answered_count >= OPEN_MOST) return 0;
  r = TR_NEW(core->mem, tr_resend);
  if (!r) return 0; /* it is handled, and not remembered */
  r->core = core;
  memcpy(r->token, msg->more->token, sizeof r->token);
  tr_list_init(&r->waiting);
  if (tr_map_put(&core->resends, key_of(r->token), r, NULL)) {
    TR_DELETE(core->mem, r);
    return 0;
  }
  r->id = tr_name_ref(msg->id);
  r->first = msg;
  msg->more->resend = r;
  return 0;
}

static bool is_final(int code) {
  return code != TR_EUNAVAILABLE && code != TR_EOVERLOADED && code != TR_ECANCELLED && code != TR_ETIMEOUT && code != TR_EMEMORY;
}

/* own: nothing. False: out of memory. */
static bool take_answer(tr_resend *r, tr_reply *reply) {
  tr_core *core = r->core;
  r->code = reply->code;
  r->type = tr_name_ref(reply->type);
  r->size = sizeof *r;
  if (reply->code) {
    r->error = tr_strndup(core->mem, reply->error.p, reply->error.n);
    r->error_size = r->error ? reply->error.n + 1 : 0;
    return true;
  }
  if (reply->body.kind == TR_BODY_SLOT) {
    tr_error error = { 0 };
    tr_format format;
    tr_blob *bytes;
    int err = tr_body_bytes(core, &reply->body, (tr_format)reply->body.format, &bytes, &format, &error);
    if (err) return false; /* sending it will say why */
    tr_body_release(core, &reply->body);
    reply->body = (tr_body){ .kind = TR_BODY_BYTES, .format = (uint8_t)format, .bytes = bytes };
  }
  r->body = reply->body;
  if (r->body.kind >= TR_BODY_BYTES) r->size += tr_blob_ref(r->body.bytes)->len;
  return true;
}

static void time_is_up(tr_timer *timer) { drop(TR_CONTAINER(timer, tr_resend, timer)); }

static void remember(tr_resend *r, tr_time deadline) {
  tr_core *core = r->core;
  tr_time until = (deadline == TR_NEVER ? core->now : deadline) + TIME_LATE;
  if (until > core->now + TIME_MOST) until = core->now + TIME_MOST;
  tr_list_push(&core->answered, &r->by_age);
  core->answered_count++;
  core->answered_bytes += r->size;
  tr_timer_start(core->timers, &r->timer, until, time_is_up);
  while (core->answered_count > KEPT_MOST || core->answered_bytes > BYTES_MOST)
    drop(TR_CONTAINER(core->answered.next, tr_resend, by_age));
}

void tr_resend_answered(tr_msg *request, tr_reply *reply) {
  tr_resend *r = request->more->resend;
  request->more->resend = NULL;
  r->first = NULL;
  bool whole = take_answer(r, reply);
  if (!whole) {
    r->code = TR_EUNAVAILABLE; /* those that joined may try again */
    tr_name_unref(r->type);
    r->type = NULL;
  }
  answer_joined(r);
  bool late = r->code == TR_ETIMEOUT && request->deadline <= r->core->now;
  if (whole && (late || is_final(r->code)) && !r->core->closing) remember(r, request->deadline);
  else drop(r);
}

void tr_resend_dropped(tr_resend *r, tr_time deadline) {
  bool late = deadline <= r->core->now;
  r->first = NULL;
  r->code = late ? TR_ETIMEOUT : TR_EUNAVAILABLE;
  r->size = sizeof *r;
  answer_joined(r);
  if (late && !r->core->closing) remember(r, deadline);
  else drop(r);
}

bool tr_resend_is_awaited(const tr_resend *r) { return r->joined_count > 0; }
