/* SPDX-License-Identifier: MIT
 * Who gets what: agent types → destinations, topics → subscriptions → destinations.
 *
 * A destination is a local class of agents (ops NULL: the core itself) or something behind a door (a host's client,
 * a worker's uplink, later a backplane). The router knows nothing else about it. An agent type has one owner. A subscription
 * names an agent type; its events go to whoever owns that type at that time, each destination once.
 * Rules: wire.md §5 (equality of subscriptions), §9.1 (matching). */
#ifndef TR_CORE_ROUTER_H
#define TR_CORE_ROUTER_H

#include "base/error.h"
#include "base/list.h"
#include "base/names.h"
#include "core/message.h"

typedef struct tr_router tr_router;
typedef struct tr_dest tr_dest;

typedef struct tr_dest_ops {
  void (*event)(tr_dest *dest, tr_msg *msg);   /* borrows msg; encodes or queues it */
  void (*request)(tr_dest *dest, tr_msg *msg); /* REQUEST or SEND; borrows (refs what it keeps); a request must end in tr_msg_answer */
} tr_dest_ops;

struct tr_dest { /* embedded in its owner */
  const tr_dest_ops *ops; /* NULL: the core's own agents */
  bool away;              /* its peer is gone for a while: events go on to it, requests fail, its types may be taken over */
  bool down;              /* an uplink: not connected. What it is given waits, but another is asked first */
  bool bound;             /* an uplink: takes only what names it (tr_msg.via), not what nobody here knows */
  uint8_t events;         /* an uplink: a tr_uplink_events */
  uint32_t number;        /* an uplink: never 0, and never used again */
  tr_link types;          /* list of its types */
  uint64_t matched;       /* the router's: number of the last match that found it */
};
void tr_dest_init(tr_dest *dest, const tr_dest_ops *ops);

tr_router *tr_router_new(tr_mem *mem, tr_names *names, uint64_t seed);
void tr_router_free(tr_router *router);

/* --- agent types --- */
/* Make dest the owner of `type`. A type whose owner is `away` changes hands.
 * err: TR_EEXISTS (also for dest itself; *owner gets who has it), TR_EMEMORY. The type's rules are the caller's to check. */
int tr_router_register(tr_router *router, tr_slice type, tr_dest *dest, tr_dest **owner);
int tr_router_unregister(tr_router *router, tr_slice type, tr_dest *dest); /* TR_ENOT_FOUND if dest has it not */
void tr_router_forget(tr_router *router, tr_dest *dest);                    /* all its types */
tr_dest *tr_router_owner(const tr_router *router, tr_slice type);           /* NULL: nobody */
/* Of the first TR_ROUTER_NEAREST types that are met the one whose name is nearest to this, of those that may be told (may NULL: all); NULL: none
 * is near. Borrowed. */
#define TR_ROUTER_NEAREST 200
const char *tr_router_nearest(const tr_router *router, tr_slice type, bool (*may)(void *ud, tr_slice type), void *ud);
/* Iterate a destination's types: start with NULL. `direct`: its owner hears "TYPE:…" though there is no subscription (core/direct.c). */
typedef struct tr_route_type { tr_link link; tr_name *name; tr_dest *dest; void *user; bool direct; } tr_route_type;
tr_route_type *tr_router_next_type(const tr_router *router, const tr_dest *dest, tr_route_type *after);

/* --- subscriptions --- */
typedef enum { TR_SUB_TYPE = 0 /* exact topic type */, TR_SUB_PREFIX = 1 } tr_sub_kind;
typedef struct tr_sub {
  tr_link all;        /* in order of adding */
  tr_link by_owner;   /* list of whoever added it: `owner`'s head is handed in at subscribe */
  tr_sub_kind kind;
  tr_name *id, *topic, *agent_type;
  tr_dest *added_by;  /* may be NULL (added without a stream) */
} tr_sub;

/* Who makes the subscriptions that are only marked (`direct`), where it must be there because a like one is being added. */
void tr_router_on_direct(tr_router *router, int (*make)(void *ud, tr_slice topic), void *ud);
/* Add. err: TR_EEXISTS where one of the same kind has the same id, or the same topic and agent type (*existing gets it);
 * TR_EMEMORY. added_by and owner_list may be NULL. */
int tr_router_subscribe(tr_router *router, tr_sub_kind kind, tr_slice id, tr_slice topic, tr_slice agent_type,
                        tr_dest *added_by, tr_link *owner_list, tr_sub **existing);
/* The same where several may add what is alike (core/shared.c): only the id counts. */
int tr_router_subscribe_too(tr_router *router, tr_sub_kind kind, tr_slice id, tr_slice topic, tr_slice agent_type,
                            tr_dest *added_by, tr_link *owner_list, tr_sub **existing);
/* Remove all (at most one of each kind) with this id; TR_ENOT_FOUND. */
int tr_router_unsubscribe(tr_router *router, tr_slice id);
void tr_router_drop(tr_router *router, tr_sub *sub);
tr_sub *tr_router_next_sub(const tr_router *router, tr_sub *after); /* in order of adding; NULL starts and ends; not those that are only marked */

/* The destinations of an event on this topic type, each once, in no promised order. The array is cached per topic and
 * valid until the router changes; costs do not depend on how many subscriptions there are. NULL with *count 0: none. */
tr_dest *const *tr_router_match(tr_router *router, tr_slice topic_type, size_t *count);

typedef struct tr_router_stats { size_t types, type_subs, prefix_subs, cached_topics; } tr_router_stats;
void tr_router_get_stats(const tr_router *router, tr_router_stats *stats);

#endif
