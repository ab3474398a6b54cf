/* SPDX-License-Identifier: MIT
 * Retained events: the last N of a topic, where the operator says so (--retain TOPIC=N), for who subscribes too late for them.
 *
 * The host taps the topic, so it hears what clients and agents here publish on it, and keeps the frames, at most BYTES of them. A client
 * that subscribes gets them, oldest first, if this is the first of its subscriptions that hears the topic: with an earlier one it has had
 * them, and its other agents would get them twice. One that reconnects within its grace has kept its subscriptions, and gets
 * nothing again.
 *
 * A worker of ours knows its own subscriptions before it asks for them. AutoGen's adds them only when the host has agreed, so it gets the
 * events a little after the answer. */
#include "host/internal.h"

#define BYTES ((size_t)16 << 20) /* of a topic's frames */
#define LITTLE TR_MILLISECONDS(100)
#define TOPICS_MOST 64
#define EVENTS_MOST 10000

struct tr_retained {
  tr_link link; /* host->retained */
  tr_host *host;
  tr_name *topic;
  uint64_t tap;
  uint64_t total; /* that there were; the newest kept one is the last of them */
  uint32_t most, first, count;
  size_t bytes, size; /* size: of this block */
  struct { tr_blob *frame; uint8_t lane; } events[]; /* a ring */
};

struct tr_late { /* a client that is about to get them */
  tr_link link; /* client->late */
  tr_client *client;
  const tr_retained *from;
  uint64_t upto; /* later ones it hears by itself */
  tr_timer timer;
};

/* ---- keeping ---- */

static void drop_oldest(tr_retained *r) {
  tr_blob *frame = r->events[r->first].frame;
  r->bytes -= frame->len;
  tr_blob_unref(frame);
  r->first = (r->first + 1) % r->most;
  r->count--;
}

static void on_event(void *ud, tr_msg *msg) {
  tr_retained *r = ud;
  tr_blob *frame = NULL;
  if (tr_wire_encode_event(msg, (tr_slice){ NULL, 0 }, &frame, NULL)) return; /* who sends it is told why */
  if (frame->len <= BYTES) {
    while (r->count && (r->count == r->most || r->bytes + frame->len > BYTES)) drop_oldest(r);
    uint32_t at = (r->first + r->count++) % r->most;
    r->events[at].frame = tr_blob_ref(frame);
    r->events[at].lane = msg->priority;
    r->bytes += frame->len;
    r->total++;
  }
  tr_blob_unref(frame);
}

static void free_retained(tr_retained *r) {
  while (r->count) drop_oldest(r);
  if (r->tap) tr_core_untap(r->host->core, r->tap);
  tr_link_remove(&r->link);
  tr_name_unref(r->topic);
  tr_free(r->host->mem, r, r->size);
}

int tr_host_retain(tr_host *host, tr_slice topic, uint32_t most, tr_error *error) {
  size_t count = 0;
  int rc = tr_topic_type_check(topic, error);
  if (rc) return rc;
  if (most == 0 || most > EVENTS_MOST) return tr_error_set(error, TR_EINVALID, "between 1 and %d events of a topic can be retained", EVENTS_MOST);
  for (const tr_link *link = host->retained.next; link != &host->retained; link = link->next, count++)
    if (tr_slice_equal(tr_name_view(TR_CONTAINER(link, tr_retained, link)->topic), topic))
      return tr_error_set(error, TR_EEXISTS, "topic %.*s is retained already", TR_BRIEF(topic));
  if (count >= TOPICS_MOST) return tr_error_set(error, TR_ELIMIT, "at most %d topics can be retained", TOPICS_MOST);
  size_t size = sizeof(tr_retained) + most * sizeof ((tr_retained *)NULL)->events[0];
  tr_retained *r = tr_calloc(host->mem, 1, size);
  if (!r) return tr_error_set(error, TR_EMEMORY, "out of memory");
  r->host = host;
  r->most = most;
  r->size = size;
  r->topic = tr_name_new(tr_core_names(host->core), topic);
  if (r->topic && !tr_core_tap(host->core, TR_SUB_TYPE, topic, on_event, r, &r->tap)) {
    tr_list_push(&host->retained, &r->link);
    return 0;
  }
  free_retained(r);
  return tr_error_set(error, TR_EMEMORY, "out of memory");
}

void tr_retain_fini(tr_host *host) {
  while (!tr_list_empty(&host->retained)) free_retained(TR_CONTAINER(host->retained.next, tr_retained, link));
}

/* ---- giving them to who comes late ---- */

static void free_late(tr_late *late) {
  tr_host *host = late->client->host;
  tr_timer_stop(host->timers, &late->timer);
  tr_link_remove(&late->link);
  TR_DELETE(host->mem, late);
}

void tr_retain_forget(tr_client *client) {
  while (!tr_list_empty(&client->late)) free_late(TR_CONTAINER(client->late.next, tr_late, link));
}

static void give(tr_client *client, const tr_retained *r, uint64_t upto) {
  unsigned dead = 0;
  for (uint64_t next = r->total - r->count; next < upto; next++) {
    uint64_t oldest = r->total - r->count; /* what is told of a loss may come to be retained itself */
    if (next < oldest) next = oldest;
    if (next >= upto) return;
    uint32_t at = (uint32_t)((r->first + (next - oldest)) % r->most);
    tr_error error;
    tr_error_init(&error);
    tr_blob *frame = tr_blob_ref(r->events[at].frame);
    int err = tr_deliver_frame(client, &frame, r->events[at].lane, false, &error);
    if (err) tr_deliver_lost(client->host, client, frame, err, error.text[0] ? error.text : tr_error_default_text(err), dead++ < TR_LETTERS_AT_ONCE);
    tr_blob_unref(frame);
  }
}

static void on_late(tr_timer *timer) {
  tr_late *late = TR_CONTAINER(timer, tr_late, timer);
  tr_client *client = late->client;
  const tr_retained *from = late->from;
  uint64_t upto = late->upto;
  free_late(late);
  give(client, from, upto);
}

static bool hears(const tr_sub *sub, tr_slice topic) {
  tr_slice wanted = tr_name_view(sub->topic);
  return sub->kind == TR_SUB_PREFIX ? tr_slice_starts(topic, wanted) : tr_slice_equal(topic, wanted);
}

static void subscribed(tr_client *client, const tr_retained *r) {
  unsigned matching = 0;
  for (const tr_link *link = client->subs.next; link != &client->subs && matching < 2; link = link->next) {
    const tr_sub *sub = TR_CONTAINER(link, tr_sub, by_owner);
    matching += hears(sub, tr_name_view(r->topic)) && tr_router_owner(client->host->router, tr_name_view(sub->agent_type)) == &client->dest;
  }
  if (matching != 1 || r->count == 0) return;
  tr_late *late = client->troupe ? NULL : TR_NEW(client->host->mem, tr_late);
  if (!late) {
    give(client, r, r->total);
    return;
  }
  late->client = client;
  late->from = r;
  late->upto = r->total;
  tr_list_push(&client->late, &late->link);
  tr_timer_start(client->host->timers, &late->timer, tr_core_now(client->host->core) + LITTLE, on_late);
}

void tr_retain_subscribed(tr_client *client, tr_sub_kind kind, tr_slice topic) {
  tr_host *host = client->host;
  for (tr_link *link = host->retained.next; link != &host->retained; link = link->next) {
    const tr_retained *r = TR_CONTAINER(link, tr_retained, link);
    tr_slice name = tr_name_view(r->topic);
    if (kind == TR_SUB_PREFIX ? tr_slice_starts(name, topic) : tr_slice_equal(name, topic)) subscribed(client, r);
  }
}
