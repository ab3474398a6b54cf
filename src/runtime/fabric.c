/* SPDX-License-Identifier: MIT
 * A network in memory. It stands where src/net stands: it gives the protocol ends bytes and takes theirs (doors.c), and knows no protocol.
 *
 * A *place* is a name under which a host may be found; it stays when that host is gone, and another may take it. A *link* is an uplink's way
 * to a place: it dials when the worker asks. A *wire* is one connection; it has a queue of packets each way. A packet arrives at a
 * time of its own, but never before the one ahead of it. All that is random comes from one seed, so a run can be repeated.
 *
 * Nothing here calls into a runtime but from tr_fabric_step, tr_fabric_cut and tr_fabric_leave, so that no node is entered from within
 * itself: what a node wants (to dial, to hang up) is only noted. */
#include "runtime/fabric.h"

#include <stdio.h>
#include <string.h>

#define FLIGHT_MAX 262144 /* bytes under way on one wire, one way; a protocol end holds back the rest */
#define PACKET_MAX 65536
#define NAME_MAX_ 64

typedef struct packet {
  tr_link next;
  tr_time at;
  size_t n;
  char bytes[];
} packet;

typedef struct lane { tr_link packets; size_t bytes; tr_time last; } lane;
enum { UP, DOWN };

typedef struct place {
  tr_link all;
  troupe_t *rt; /* NULL: nobody is there */
  char name[NAME_MAX_];
} place;

struct tr_fabric_link {
  tr_link all;
  tr_fabric *fabric;
  place *to;
  tr_uplink *uplink;
  struct wire *wire; /* NULL: not connected */
  tr_time dial_at;   /* TR_NEVER: no dial is under way */
  bool stalled;
};

typedef struct wire {
  tr_link all;
  tr_fabric_link *link; /* NULL: the worker hung up; what it had sent still arrives */
  place *to;
  tr_host_conn *conn;
  bool stalled, broken; /* broken: bytes were taken and there was no memory for them */
  lane ways[2];
} wire;

struct tr_fabric {
  tr_mem mem;
  size_t refs;
  tr_random random;
  tr_time now;
  tr_fabric_weather weather;
  tr_fabric_stats stats;
  tr_link places, links, wires;
};

tr_fabric *tr_fabric_new(const tr_mem *given, uint64_t seed) {
  tr_mem mem;
  tr_mem_init(&mem);
  if (given) mem = *given;
  tr_fabric *fabric = TR_NEW(&mem, tr_fabric);
  if (!fabric) return NULL;
  fabric->mem = mem;
  fabric->refs = 1;
  tr_random_init(&fabric->random, seed);
  tr_list_init(&fabric->places);
  tr_list_init(&fabric->links);
  tr_list_init(&fabric->wires);
  return fabric;
}

void tr_fabric_unref(tr_fabric *fabric) {
  if (!fabric || --fabric->refs) return;
  for (tr_link *l; (l = tr_list_pop(&fabric->places));) {
    place *at = TR_CONTAINER(l, place, all);
    TR_DELETE(&fabric->mem, at);
  }
  tr_mem mem = fabric->mem;
  TR_DELETE(&mem, fabric); /* wires and links went with their nodes */
}

void tr_fabric_set_weather(tr_fabric *fabric, const tr_fabric_weather *weather) { fabric->weather = *weather; }
void tr_fabric_get_stats(const tr_fabric *fabric, tr_fabric_stats *stats) { *stats = fabric->stats; }

static uint64_t below(tr_fabric *fabric, uint64_t n) { return n ? tr_random_next(&fabric->random) % n : 0; }

static tr_time delay(tr_fabric *fabric) {
  const tr_fabric_weather *w = &fabric->weather;
  return w->delay_min + (tr_time)below(fabric, (uint64_t)(w->delay_max - w->delay_min) + 1);
}

/* ---- wires ---- */

static void drop_packets(tr_fabric *fabric, lane *way) {
  for (tr_link *l; (l = tr_list_pop(&way->packets));) {
    packet *p = TR_CONTAINER(l, packet, next);
    tr_free(&fabric->mem, p, sizeof *p + p->n);
  }
  way->bytes = 0;
}

static void tick(troupe_t *rt) { tr_core_set_now(rt->core, tr_runtime_now(rt)); }

/* It is gone for both ends; the worker hears why. */
static void end_wire(tr_fabric *fabric, wire *w, const char *reason) {
  tr_fabric_link *link = w->link;
  tr_link_remove(&w->all);
  if (w->conn) {
    tick(w->to->rt);
    tr_host_conn_closed(w->conn);
  }
  drop_packets(fabric, &w->ways[UP]);
  drop_packets(fabric, &w->ways[DOWN]);
  TR_DELETE(&fabric->mem, w);
  if (!link) return;
  link->wire = NULL;
  tick(link->uplink->rt);
  tr_worker_disconnected(link->uplink->worker, reason);
}

static int make_wire(tr_fabric *fabric, tr_fabric_link *link, const char **why) {
  tr_error error;
  tr_error_init(&error);
  *why = "connection refused";
  if (!link->to->rt) return TR_EUNAVAILABLE;
  wire *w = TR_NEW(&fabric->mem, wire);
  *why = "out of memory";
  if (!w) return TR_EMEMORY;
  tick(link->to->rt);
  w->conn = tr_host_accept(link->to->rt->host, tr_slice_of("sim"), NULL, &error);
  if (!w->conn) {
    TR_DELETE(&fabric->mem, w);
    *why = "closed by the peer";
    return TR_EUNAVAILABLE;
  }
  tr_list_init(&w->ways[UP].packets);
  tr_list_init(&w->ways[DOWN].packets);
  w->link = link;
  w->to = link->to;
  w->stalled = link->stalled;
  link->wire = w;
  tr_list_push(&fabric->wires, &w->all);
  return 0;
}

static bool try_dial(tr_fabric *fabric, tr_fabric_link *link) {
  const char *why;
  if (link->dial_at > fabric->now || link->stalled) return false;
  link->dial_at = TR_NEVER;
  fabric->stats.dials++;
  int rc = make_wire(fabric, link, &why);
  tick(link->uplink->rt);
  if (rc == 0) {
    tr_worker_connected(link->uplink->worker);
  } else {
    fabric->stats.refused++;
    tr_worker_disconnected(link->uplink->worker, why);
  }
  return true;
}

/* ---- bytes ---- */

static bool put_packet(tr_fabric *fabric, lane *way, tr_slice bytes) {
  packet *p = bytes.n ? tr_alloc(&fabric->mem, sizeof *p + bytes.n) : NULL;
  if (!p) return false;
  tr_time at = fabric->now + delay(fabric);
  *p = (packet){ .at = at > way->last ? at : way->last, .n = bytes.n };
  memcpy(p->bytes, bytes.p, bytes.n);
  way->last = p->at;
  way->bytes += p->n;
  tr_list_push(&way->packets, &p->next);
  fabric->stats.packets++;
  fabric->stats.bytes += p->n;
  return true;
}

/* What an end has to send, as long as the wire takes it. */
static bool pull(tr_fabric *fabric, wire *w, int direction) {
  lane *way = &w->ways[direction];
  tr_buf out;
  bool moved = false;
  if (w->stalled || (direction == UP && !w->link)) return false;
  tr_buf_init(&out, &fabric->mem);
  while (way->bytes < FLIGHT_MAX) {
    tr_buf_clear(&out);
    if (direction == UP) tr_worker_output(w->link->uplink->worker, &out, PACKET_MAX);
    else tr_host_output(w->conn, &out, PACKET_MAX);
    w->broken = out.failed || (!put_packet(fabric, way, tr_buf_view(&out)) && out.len);
    if (w->broken || !out.len) break;
    moved = true;
  }
  tr_buf_fini(&out);
  return moved;
}

static int feed(wire *w, int direction, tr_slice bytes) {
  tr_error error;
  tr_error_init(&error);
  if (direction == UP) {
    tick(w->to->rt);
    return tr_host_feed(w->conn, bytes, &error);
  }
  if (!w->link) return 0; /* hung up */
  tick(w->link->uplink->rt);
  return tr_worker_feed(w->link->uplink->worker, bytes, &error);
}

static int feed_pieces(tr_fabric *fabric, wire *w, int direction, tr_slice bytes) {
  int rc = 0;
  while (bytes.n && rc >= 0) {
    size_t n = fabric->weather.piece && bytes.n > fabric->weather.piece ? 1 + (size_t)below(fabric, fabric->weather.piece) : bytes.n;
    rc = feed(w, direction, tr_slice_make(bytes.p, n));
    bytes.p += n;
    bytes.n -= n;
  }
  return rc;
}

/* The first packet, if it is due. True: the wire may have ended (*ended). */
static bool deliver(tr_fabric *fabric, wire *w, int direction, bool *ended) {
  lane *way = &w->ways[direction];
  if (w->stalled || tr_list_empty(&way->packets)) return false;
  packet *p = TR_CONTAINER(way->packets.next, packet, next);
  if (p->at > fabric->now) return false;
  tr_link_remove(&p->next);
  way->bytes -= p->n;
  bool cut = fabric->weather.cut_one_in && below(fabric, fabric->weather.cut_one_in) == 0;
  int rc = feed_pieces(fabric, w, direction, tr_slice_make(p->bytes, cut ? (size_t)below(fabric, p->n + 1) : p->n));
  tr_free(&fabric->mem, p, sizeof *p + p->n);
  if (!cut && rc >= 0) return true;
  fabric->stats.cuts += cut;
  end_wire(fabric, w, cut ? "connection reset by peer" : "closed by the peer");
  return *ended = true;
}

static bool step_wire(tr_fabric *fabric, wire *w) {
  bool moved = pull(fabric, w, UP), ended = false;
  if (!w->broken) moved |= pull(fabric, w, DOWN);
  if (w->broken) {
    end_wire(fabric, w, "out of memory");
    return true;
  }
  while (!ended && deliver(fabric, w, UP, &ended)) moved = true;
  while (!ended && deliver(fabric, w, DOWN, &ended)) moved = true;
  if (ended) return true;
  bool over = tr_host_conn_finished(w->conn) && tr_list_empty(&w->ways[DOWN].packets);
  if (!w->link && tr_list_empty(&w->ways[UP].packets)) over = true;
  if (over) end_wire(fabric, w, "closed by the peer");
  return moved || over;
}

bool tr_fabric_step(tr_fabric *fabric, tr_time now) {
  bool moved = false;
  fabric->now = now;
  for (tr_link *l = fabric->links.next; l != &fabric->links; l = l->next) moved |= try_dial(fabric, TR_CONTAINER(l, tr_fabric_link, all));
  for (tr_link *l = fabric->wires.next, *next; l != &fabric->wires; l = next) {
    next = l->next;
    moved |= step_wire(fabric, TR_CONTAINER(l, wire, all));
  }
  return moved;
}

tr_time tr_fabric_next(const tr_fabric *fabric) {
  tr_time next = TR_NEVER;
  for (const tr_link *l = fabric->links.next; l != &fabric->links; l = l->next) {
    const tr_fabric_link *link = TR_CONTAINER(l, tr_fabric_link, all);
    if (!link->stalled && link->dial_at < next) next = link->dial_at;
  }
  for (const tr_link *l = fabric->wires.next; l != &fabric->wires; l = l->next) {
    const wire *w = TR_CONTAINER(l, wire, all);
    for (int i = 0; i < 2 && !w->stalled; i++) {
      if (tr_list_empty(&w->ways[i].packets)) continue;
      const packet *p = TR_CONTAINER(w->ways[i].packets.next, packet, next);
      if (p->at < next) next = p->at;
    }
  }
  return next;
}

/* ---- nodes ---- */

static int attach(tr_fabric *fabric, troupe_t *rt) {
  if (rt->fabric && rt->fabric != fabric) return tr_runtime_fail(rt, TR_EINVALID, "the runtime is in another network");
  if (rt->crew) return tr_runtime_fail(rt, TR_EINVALID, "a runtime with threads cannot be in a network in memory");
  if (!rt->fabric) fabric->refs++;
  rt->fabric = fabric;
  return 0;
}

static place *place_of(tr_fabric *fabric, const char *name) {
  for (tr_link *l = fabric->places.next; l != &fabric->places; l = l->next) {
    place *at = TR_CONTAINER(l, place, all);
    if (strcmp(at->name, name) == 0) return at;
  }
  return NULL;
}

static place *find_place(tr_fabric *fabric, troupe_t *rt, const char *name) {
  place *at = place_of(fabric, name);
  if (at) return at;
  if (!*name || strlen(name) >= NAME_MAX_) {
    tr_runtime_fail(rt, TR_EINVALID, "a node's name must have 1 to %d bytes", NAME_MAX_ - 1);
    return NULL;
  }
  at = TR_NEW(&fabric->mem, place);
  if (!at) {
    tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
    return NULL;
  }
  snprintf(at->name, sizeof at->name, "%s", name);
  tr_list_push(&fabric->places, &at->all);
  return at;
}

int tr_fabric_serve(tr_fabric *fabric, troupe_t *rt, const char *name) {
  tr_runtime_error(rt);
  place *at = find_place(fabric, rt, name);
  if (!at) return rt->error.code;
  if (at->rt) return tr_runtime_fail(rt, TR_EEXISTS, "there is a host named %s already", name);
  int rc = attach(fabric, rt);
  if (rc == 0) rc = tr_runtime_open_host(rt);
  if (rc == 0) at->rt = rt;
  return rc;
}

int tr_fabric_join(tr_fabric *fabric, troupe_t *rt, const char *name) {
  tr_runtime_error(rt);
  place *at = find_place(fabric, rt, name);
  if (!at) return rt->error.code;
  int rc = attach(fabric, rt);
  if (rc) return rc;
  tr_fabric_link *link = TR_NEW(&fabric->mem, tr_fabric_link);
  if (!link) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  *link = (tr_fabric_link){ .fabric = fabric, .to = at, .dial_at = TR_NEVER };
  tr_list_push(&fabric->links, &link->all);
  rc = tr_runtime_connect_by(rt, name, link, &link->uplink);
  if (rc == 0) return 0;
  tr_link_remove(&link->all);
  TR_DELETE(&fabric->mem, link);
  return rc;
}

/* The links of a node to a place. */
#define FOR_EACH_LINK(fabric, rt_, name, link)                                                                            \
  for (tr_link *l_ = (fabric)->links.next, *n_ = l_->next; l_ != &(fabric)->links; l_ = n_, n_ = l_->next)                \
    for (tr_fabric_link *link = TR_CONTAINER(l_, tr_fabric_link, all); link; link = NULL)                                 \
      if (link->uplink->rt == (rt_) && strcmp(link->to->name, (name)) == 0)

void tr_fabric_cut(tr_fabric *fabric, troupe_t *rt, const char *name) {
  FOR_EACH_LINK(fabric, rt, name, link) {
    if (!link->wire) continue;
    fabric->stats.cuts++;
    end_wire(fabric, link->wire, "connection reset by peer");
  }
}

void tr_fabric_stall(tr_fabric *fabric, troupe_t *rt, const char *name, bool stalled) {
  FOR_EACH_LINK(fabric, rt, name, link) {
    link->stalled = stalled;
    if (link->wire) link->wire->stalled = stalled;
  }
}

bool tr_fabric_joined(const troupe_t *rt) {
  for (const tr_link *l = rt->uplinks.next; l != &rt->uplinks; l = l->next)
    if (tr_worker_get_state(TR_CONTAINER(l, tr_uplink, all)->worker) != TR_WORKER_JOINED) return false;
  return true;
}

/* ---- what an uplink asks for ---- */

void tr_fabric_dial(tr_fabric_link *link) { link->dial_at = link->fabric->now + delay(link->fabric); }

void tr_fabric_hang_up(tr_fabric_link *link) {
  link->dial_at = TR_NEVER;
  if (!link->wire) return;
  link->wire->link = NULL;
  link->wire->stalled = false; /* what was sent before arrives, or else it would be kept for ever */
  link->wire = NULL;
}

static bool is_of(const wire *w, const troupe_t *rt) { return w->to->rt == rt || (w->link && w->link->uplink->rt == rt); }

void tr_fabric_leave(troupe_t *rt) {
  tr_fabric *fabric = rt->fabric;
  if (!fabric) return;
  for (tr_link *l = fabric->wires.next, *next; l != &fabric->wires; l = next) {
    next = l->next;
    wire *w = TR_CONTAINER(l, wire, all);
    if (is_of(w, rt)) end_wire(fabric, w, "connection reset by peer");
  }
  for (tr_link *l = fabric->places.next; l != &fabric->places; l = l->next) {
    place *at = TR_CONTAINER(l, place, all);
    if (at->rt == rt) at->rt = NULL;
  }
  for (tr_link *l = fabric->links.next, *next; l != &fabric->links; l = next) {
    next = l->next;
    tr_fabric_link *link = TR_CONTAINER(l, tr_fabric_link, all);
    if (link->uplink->rt != rt) continue;
    link->uplink->link = NULL;
    tr_link_remove(&link->all);
    TR_DELETE(&fabric->mem, link);
  }
  rt->fabric = NULL;
  tr_fabric_unref(fabric);
}
