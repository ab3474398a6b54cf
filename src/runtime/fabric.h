/* SPDX-License-Identifier: MIT
 * A network in memory, in place of sockets: for simulations. Runtimes of one thread that share a clock are its nodes; what they send each
 * other takes a while, breaks and stands still as a seed says. See fabric.c. */
#ifndef TR_RUNTIME_FABRIC_H
#define TR_RUNTIME_FABRIC_H

#include "runtime/internal.h"

typedef struct tr_fabric tr_fabric;
typedef struct tr_fabric_link tr_fabric_link; /* an uplink's way to its host */

typedef struct tr_fabric_weather {
  tr_time delay_min, delay_max; /* of each packet; on one connection the order is kept, across connections it is not */
  unsigned cut_one_in;          /* of so many packets one breaks its connection, some way in; 0: none */
  size_t piece;                 /* what arrives comes in pieces of at most so many bytes; 0: whole */
} tr_fabric_weather;

typedef struct tr_fabric_stats { uint64_t packets, bytes, dials, refused, cuts; } tr_fabric_stats;

tr_fabric *tr_fabric_new(const tr_mem *mem, uint64_t seed); /* mem: copied; NULL: the usual. NULL: out of memory */
void tr_fabric_unref(tr_fabric *fabric); /* its nodes keep it as long as they live */
void tr_fabric_set_weather(tr_fabric *fabric, const tr_fabric_weather *weather);
void tr_fabric_get_stats(const tr_fabric *fabric, tr_fabric_stats *stats);

/* rt is a host of this name from now on: others find it there until it is freed. err: TR_EEXISTS, TR_EMEMORY. */
int tr_fabric_serve(tr_fabric *fabric, troupe_t *rt, const char *name);
/* rt is a worker of whoever has that name, now or later. err: as troupe_connect. */
int tr_fabric_join(tr_fabric *fabric, troupe_t *rt, const char *name);
/* All connections of rt to that name: broken (both ends hear of it), or standing still (nobody does) until they do not. */
void tr_fabric_cut(tr_fabric *fabric, troupe_t *rt, const char *name);
void tr_fabric_stall(tr_fabric *fabric, troupe_t *rt, const char *name, bool stalled);
/* All uplinks of rt are joined. */
bool tr_fabric_joined(const troupe_t *rt);

/* Move what can be moved now: true if anything was. Between turns of the nodes only. */
bool tr_fabric_step(tr_fabric *fabric, tr_time now);
tr_time tr_fabric_next(const tr_fabric *fabric); /* when something arrives; TR_NEVER */

/* ---- for doors.c ---- */
void tr_fabric_dial(tr_fabric_link *link);
void tr_fabric_hang_up(tr_fabric_link *link);
void tr_fabric_leave(troupe_t *rt); /* it is freed, or crashes: what it has open breaks. Not in a fabric: nothing */

#endif
