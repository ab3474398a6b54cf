/* SPDX-License-Identifier: MIT
 * Shared types: who has which id.
 *
 * An id (type and key) that is spoken to for the first time is given a *place*: the member that has it, from then on. New ones go to
 * the least loaded; where members hardly differ in load, by rendezvous hashing (each key orders the members by a hash of both, the
 * first one has it): so most ids lie where the hash alone would put them, and a place that had to be forgotten is found again. Places
 * are forgotten when their member's stream is lost (the next message finds another: fail-over), and the longest unused ones when
 * there are too many in all.
 *
 * When a member joins, those ids whose first member it is move there, with their state (share_move.c), a few at a time; where either end
 * cannot do that, they stay. Ids of one key are kept together where they can be: an AutoGen worker that has two types gets an event once
 * for both. So a member is looked for among the other types' places first.
 *
 * Costs: a message to an id that has a place is one look-up more than to a type that is not shared. A new one looks at every member. */
#include "host/share.h"

#include "core/id.h"
#include "wire/note.h"

#define MOVES_MOST 32u         /* at a time */
#define CHECKS_MOST 256u       /* in one go */
#define WORK_COUNTED 64u       /* open requests of a member that count as load */

/* ---- members ---- */

tr_member *tr_share_member(const tr_share *share, const tr_client *client) {
  for (tr_link *link = client->shares.next; link != &client->shares; link = link->next) {
    tr_member *member = TR_CONTAINER(link, tr_member, by_client);
    if (member->share == share) return member;
  }
  return NULL;
}

#define EACH_MEMBER(share, member)                                                                              \
  for (tr_member *member = member_at(share, (share)->members.next); member; member = member_at(share, member->by_share.next))
static tr_member *member_at(const tr_share *share, const tr_link *link) {
  return link == &share->members ? NULL : TR_CONTAINER(link, tr_member, by_share);
}

static uint64_t mix(uint64_t x) { /* splitmix64 */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Not seeded: it is to be the same after a restart. */
static uint64_t hash_of(tr_slice text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < text.n; i++) hash = (hash ^ (uint8_t)text.p[i]) * 0x100000001b3u;
  return mix(hash);
}

/* What it has, and what it has to do. */
static uint32_t load_of(const tr_member *member) {
  uint32_t open = 0;
  for (const tr_link *link = member->client->work.next; link != &member->client->work && open < WORK_COUNTED; link = link->next) open++;
  return member->keys + open;
}

/* ---- choosing ---- */

/* Who has the same key of another type. */
static tr_member *companion(const tr_share *share, tr_slice key, const tr_member *but) {
  for (tr_link *link = share->host->shares.next; link != &share->host->shares; link = link->next) {
    tr_share *other = TR_CONTAINER(link, tr_share, link);
    tr_place *place = other == share ? NULL : tr_map_get(&other->places, key);
    tr_member *member = place && place->member ? tr_share_member(share, place->member->client) : NULL;
    if (member != but && tr_member_here(member)) return member;
  }
  return NULL;
}

tr_member *tr_share_choose(tr_share *share, tr_slice key, const tr_member *but) {
  tr_member *best = companion(share, key, but);
  uint32_t least = UINT32_MAX;
  uint64_t hash = hash_of(key), first = 0;
  if (best) return best;
  EACH_MEMBER(share, member) {
    uint32_t load = tr_member_here(member) && member != but ? load_of(member) : UINT32_MAX;
    if (load < least) least = load;
  }
  if (least == UINT32_MAX) return NULL;
  EACH_MEMBER(share, member) {
    if (!tr_member_here(member) || member == but || load_of(member) > least + least / 8 + 1) continue;
    uint64_t score = mix(hash ^ member->hash);
    if (best && score < first) continue;
    best = member;
    first = score;
  }
  return best;
}

/* By rendezvous alone. */
static tr_member *home_of(const tr_share *share, tr_slice key, bool any) {
  tr_member *best = NULL;
  uint64_t hash = hash_of(key), first = 0;
  EACH_MEMBER(share, member) {
    uint64_t score = mix(hash ^ member->hash);
    if ((!any && !tr_member_here(member)) || (best && score < first)) continue;
    best = member;
    first = score;
  }
  return best;
}

/* ---- places ---- */

void tr_place_give(tr_place *place, tr_member *member) {
  if (place->member) place->member->keys--;
  tr_link_remove(&place->by_member);
  place->member = member;
  if (!member) return;
  member->keys++;
  tr_list_push(&member->places, &place->by_member);
}

void tr_place_forget(tr_place *place) {
  tr_share *share = place->share;
  tr_place_give(place, NULL);
  tr_link_remove(&place->by_age);
  tr_map_remove(&share->places, tr_place_key(place));
  share->host->n_places--;
  tr_free(share->host->mem, place, sizeof *place + place->length);
}

static void touch(tr_place *place) {
  tr_link_remove(&place->by_age);
  tr_list_push(place->epoch == place->share->epoch ? &place->share->placed : &place->share->to_check, &place->by_age);
}

/* Of this type: each has its share of what is forgotten by speaking to new ones. */
static void forget_oldest(tr_share *share) {
  tr_link *lists[] = { &share->to_check, &share->placed };
  for (int i = 0; i < 2; i++) {
    for (tr_link *link = lists[i]->next; link != lists[i]; link = link->next) {
      tr_place *place = TR_CONTAINER(link, tr_place, by_age);
      if (place->move) continue;
      tr_place_forget(place);
      if (tr_guard_worth_a_line(++share->host->n_forgotten))
        tr_log_write(share->host->log, TR_LOG_WARN, "share.forgotten", "type=%s count=%llu reason=\"more than %u ids of shared types\"",
                     share->name, (unsigned long long)share->host->n_forgotten, (unsigned)share->host->o.max_places);
      return;
    }
  }
}

static tr_place *place_new(tr_share *share, tr_slice key) {
  tr_host *host = share->host;
  if (host->n_places >= host->o.max_places) forget_oldest(share);
  tr_place *place = tr_calloc(host->mem, 1, sizeof *place + key.n);
  if (!place) return NULL;
  place->share = share;
  place->length = (uint32_t)key.n;
  place->epoch = share->epoch;
  if (key.n) memcpy(place->key, key.p, key.n);
  if (tr_map_put(&share->places, tr_place_key(place), place, NULL)) {
    tr_free(host->mem, place, sizeof *place + key.n);
    return NULL;
  }
  host->n_places++;
  tr_list_push(&share->placed, &place->by_age);
  return place;
}

/* Somebody has joined since it was placed: is it that one's? */
static void check_place(tr_place *place) {
  tr_share *share = place->share;
  uint32_t since = place->epoch;
  place->epoch = share->epoch;
  tr_link_remove(&place->by_age);
  tr_list_push(&share->placed, &place->by_age);
  tr_member *home = home_of(share, tr_place_key(place), false);
  if (!home || home == place->member || home->epoch <= since || place->move) return;
  if (!home->client->troupe || !place->member->client->troupe) return; /* AutoGen's workers keep their state */
  tr_move_start(place, home);
}

/* Without a place: where nobody is connected, and for keys longer than an agent of ours may have, which are not worth remembering. */
static tr_client *without_place(const tr_share *share, tr_slice key) {
  tr_member *member = home_of(share, key, false);
  if (!member) member = home_of(share, key, true);
  return member ? member->client : NULL;
}

tr_place *tr_share_place(tr_share *share, tr_slice key, uint8_t priority, tr_client **away) {
  tr_place *place = tr_map_get(&share->places, key);
  *away = NULL;
  if (!place && key.n > TR_ID_MAX) {
    *away = without_place(share, key);
    return NULL;
  }
  if (!place) {
    tr_member *member = tr_share_choose(share, key, NULL);
    if (!member) {
      *away = without_place(share, key);
      return NULL;
    }
    place = place_new(share, key);
    if (!place) return NULL;
    tr_place_give(place, member);
  } else if (place->epoch != share->epoch && !place->move && share->host->n_moves < MOVES_MOST) {
    check_place(place);
  } else if (place->by_age.next != &share->placed) {
    touch(place);
  }
  place->lanes |= (uint8_t)(1u << priority);
  return place;
}

tr_client *tr_share_owner(const tr_share *share, tr_slice key) {
  const tr_place *place = tr_map_get(&share->places, key);
  if (place) return place->move ? NULL : place->member->client;
  return without_place(share, key);
}

/* ---- one is about to leave ---- */

/* false: there are more of it, or some are still on their way. */
static bool give_places(tr_member *member) {
  bool all = true;
  for (tr_link *link = member->places.next, *next; link != &member->places; link = next) {
    tr_place *place = TR_CONTAINER(link, tr_place, by_member);
    next = link->next;
    if (place->stays) continue;
    tr_member *to = place->move || member->share->host->n_moves >= MOVES_MOST ? NULL : tr_share_choose(member->share, tr_place_key(place), member);
    place->stays = !place->move && member->share->host->n_moves < MOVES_MOST && (!to || !to->client->troupe || !tr_move_start(place, to));
    all = all && place->stays;
    if (!all && member->share->host->n_moves >= MOVES_MOST) return false;
  }
  return all;
}

static void give_all(tr_client *client) {
  bool all = true;
  for (tr_link *link = client->shares.next; link != &client->shares; link = link->next)
    all = give_places(TR_CONTAINER(link, tr_member, by_client)) && all;
  if (!all) return;
  client->giving = false;
  client->host->n_giving--;
  tr_wire_note note = { .kind = TR_NOTE_GIVEN };
  tr_blob *frame = tr_wire_encode_note(client->host->mem, TR_SLICE_LITERAL("given"), &note);
  if (frame) tr_client_send(client, frame, true);
  tr_blob_unref(frame);
}

static void give_on(tr_host *host) {
  for (tr_link *link = host->clients_list.next; link != &host->clients_list && host->n_giving; link = link->next) {
    tr_client *client = TR_CONTAINER(link, tr_client, link);
    if (client->giving) give_all(client);
  }
}

void tr_share_give(tr_client *client) {
  if (client->giving || !client->stream) return;
  client->giving = true;
  client->host->n_giving++;
  for (tr_link *link = client->shares.next; link != &client->shares; link = link->next)
    TR_CONTAINER(link, tr_member, by_client)->leaving = true;
  give_all(client);
}

static void stop_giving(tr_client *client) {
  client->host->n_giving -= client->giving;
  client->giving = false;
}

/* ---- looking which should move ---- */

static void on_check(tr_timer *timer) {
  tr_host *host = TR_CONTAINER(timer, tr_host, share_timer);
  uint32_t left = CHECKS_MOST;
  if (host->n_giving) give_on(host);
  for (tr_link *link = host->shares.next; link != &host->shares; link = link->next) {
    tr_share *share = TR_CONTAINER(link, tr_share, link);
    while (!tr_list_empty(&share->to_check) && host->n_moves < MOVES_MOST) {
      if (left-- == 0) {
        tr_timer_start(host->timers, timer, tr_core_now(host->core), on_check);
        return;
      }
      check_place(TR_CONTAINER(share->to_check.next, tr_place, by_age));
    }
  }
}

void tr_share_check(tr_share *share) {
  tr_host *host = share->host;
  if (!tr_timer_running(&host->share_timer)) tr_timer_start(host->timers, &host->share_timer, tr_core_now(host->core), on_check);
}

/* All places are to be looked at again. */
static void member_is_here(tr_member *member) {
  tr_share *share = member->share;
  member->epoch = ++share->epoch;
  if (tr_list_empty(&share->placed)) return;
  tr_link *first = share->placed.next, *last = share->placed.prev, *end = share->to_check.prev;
  end->next = first, first->prev = end;
  last->next = &share->to_check, share->to_check.prev = last;
  tr_list_init(&share->placed);
  tr_share_check(share);
}

/* ---- joining and leaving ---- */

bool tr_share_wanted(const tr_host *host, tr_slice type, const tr_rpc_call *call) {
  return tr_rpc_call_header(call, "troupe-shared").p || (host->o.shared && tr_text_lists(tr_slice_of(host->o.shared), type));
}

static tr_share *share_new(tr_host *host, tr_slice type) {
  tr_share *share = tr_calloc(host->mem, 1, sizeof *share + type.n + 1);
  if (!share) return NULL;
  share->host = host;
  share->length = (uint32_t)type.n;
  if (type.n) memcpy(share->name, type.p, type.n);
  tr_dest_init(&share->dest, &tr_share_ops);
  tr_list_init(&share->members);
  tr_list_init(&share->placed);
  tr_list_init(&share->to_check);
  tr_map_init(&share->places, host->mem, tr_random_next(tr_core_random(host->core)));
  tr_list_push(&host->shares, &share->link);
  host->n_shares++;
  return share;
}

static void share_free(tr_share *share) {
  tr_host *host = share->host;
  tr_router_forget(host->router, &share->dest);
  for (tr_link *lists[] = { &share->placed, &share->to_check }, **list = lists; list < lists + 2; list++)
    while (!tr_list_empty(*list)) {
      tr_place *place = TR_CONTAINER((*list)->next, tr_place, by_age);
      if (place->move) tr_move_drop(place->move); /* and forgets it */
      else tr_place_forget(place);
    }
  tr_map_fini(&share->places);
  tr_link_remove(&share->link);
  host->n_shares--;
  tr_free(host->mem, share, sizeof *share + share->length + 1);
}

int tr_share_join(tr_host *host, tr_slice type, tr_client *client) {
  tr_share *share = tr_share_of(tr_router_owner(host->router, type));
  bool made = !share;
  if (share && tr_share_member(share, client)) return TR_EEXISTS;
  if (made && !(share = share_new(host, type))) return TR_EMEMORY;
  int err = made ? tr_router_register(host->router, type, &share->dest, NULL) : 0;
  tr_member *member = err ? NULL : TR_NEW(host->mem, tr_member);
  if (!member) {
    if (made) share_free(share);
    return err ? err : TR_EMEMORY;
  }
  member->share = share;
  member->client = client;
  member->hash = hash_of(tr_client_id(client));
  member->generation = client->generation;
  tr_list_init(&member->places);
  tr_list_push(&share->members, &member->by_share);
  tr_list_push(&client->shares, &member->by_client);
  if (client->stream) member_is_here(member);
  return 0;
}

static void leave(tr_member *member) {
  tr_share *share = member->share;
  while (!tr_list_empty(&member->places)) tr_place_forget(TR_CONTAINER(member->places.next, tr_place, by_member));
  tr_link_remove(&member->by_share);
  tr_link_remove(&member->by_client);
  TR_DELETE(share->host->mem, member);
  if (tr_list_empty(&share->members)) share_free(share);
}

void tr_share_leave_all(tr_client *client) {
  stop_giving(client);
  if (tr_list_empty(&client->shares)) return;
  tr_move_lost(client->host, client);
  while (!tr_list_empty(&client->shares)) leave(TR_CONTAINER(client->shares.next, tr_member, by_client));
}

void tr_share_here(tr_client *client) {
  for (tr_link *link = client->shares.next; link != &client->shares; link = link->next) {
    TR_CONTAINER(link, tr_member, by_client)->leaving = false;
    member_is_here(TR_CONTAINER(link, tr_member, by_client));
  }
}

void tr_share_away(tr_client *client) {
  stop_giving(client);
  if (tr_list_empty(&client->shares)) return;
  tr_move_lost(client->host, client);
  for (tr_link *link = client->shares.next; link != &client->shares; link = link->next) {
    tr_member *member = TR_CONTAINER(link, tr_member, by_client);
    while (!tr_list_empty(&member->places)) tr_place_forget(TR_CONTAINER(member->places.next, tr_place, by_member));
  }
}

/* ---- what a worker says that it has ---- */

void tr_share_drop(tr_client *client, tr_slice type, tr_slice key) {
  tr_wire_note note = { .kind = TR_NOTE_DROP, .type = type, .content_type = key };
  tr_blob *frame = tr_wire_encode_note(client->host->mem, TR_SLICE_LITERAL("drop"), &note);
  if (frame) tr_client_send(client, frame, true);
  tr_blob_unref(frame);
}

/* A host that was restarted may have heard of an id before the worker that has it was back: then that one is older than this host. */
static bool is_older(const tr_client *client) {
  const tr_host *host = client->host;
  return client->generation == 1 && tr_core_now(host->core) < host->since + host->o.grace;
}

void tr_share_have(tr_client *client, tr_slice type, tr_slice key) {
  tr_share *share = tr_share_of(tr_router_owner(client->host->router, type));
  tr_member *member = share ? tr_share_member(share, client) : NULL;
  if (!member || !tr_member_here(member)) return;
  tr_place *place = tr_map_get(&share->places, key);
  if (place && (place->member != member || place->move)) { /* another has it by now */
    bool yields = !place->move && is_older(client) && place->member->client->troupe;
    if (!yields || !tr_move_yield(place, member)) tr_share_drop(client, type, key);
    return;
  }
  if (!place && key.n <= TR_ID_MAX) place = place_new(share, key);
  if (place && !place->member) tr_place_give(place, member);
}

/* ---- who has what, for the operator ---- */

void tr_host_each_shared(const tr_host *host, void (*each)(void *ud, const tr_host_shared *shared), void *ud) {
  for (tr_link *link = host->shares.next; link != &host->shares; link = link->next) {
    tr_share *share = TR_CONTAINER(link, tr_share, link);
    EACH_MEMBER(share, member) {
      uint32_t open = load_of(member) - member->keys;
      tr_host_shared shared = { share->name, member->client->id, tr_member_here(member), member->keys, open, member };
      each(ud, &shared);
    }
  }
}

void tr_host_each_place(const tr_host_shared *shared, uint32_t most, void (*each)(void *ud, tr_slice key), void *ud) {
  const tr_member *member = shared->member;
  for (tr_link *link = member->places.next; link != &member->places && most-- > 0; link = link->next)
    each(ud, tr_place_key(TR_CONTAINER(link, tr_place, by_member)));
}
