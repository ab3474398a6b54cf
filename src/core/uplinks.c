/* SPDX-License-Identifier: MIT
 * Uplinks: which of several takes a message for a type that nobody here has.
 *
 * Nobody can be asked beforehand what they know: what a host has changes, and a list of it would be old when it came. So the
 * message itself asks. It goes to the first uplink, and where that answers that the type is not registered there (troupe's host does
 * at once; AutoGen's never answers, so it is best given last), to the next. What was found is remembered for a second: until
 * then messages for this type begin where the last one ended. With one uplink nothing of this is looked at.
 *
 * Those that are not connected come last: what they are given waits for them.
 *
 * What clients of this host ask for may go up, too, from host to host (more->hops). Hosts that are joined in a circle would send it round for
 * ever: so each host counts, past TR_HOPS_MOST of them the type is not registered, and only the first two try one uplink after the other
 * (else a misspelt type would take every way through a mesh of hosts). Up only: what came down by an uplink is for agents here. */
#include <stdio.h>

#include "core/internal.h"

#ifdef TR_HOSTILE
#define HINTS_MOST 2
#else
#define HINTS_MOST 4096
#endif
#define HINTS_LAST TR_SECONDS(1)
#define HOPS_TO_CHOOSE 2

typedef struct hint { tr_name *type; uint32_t first; } hint; /* uplinks before this one do not have it */

/* ---- what was learned ---- */

void tr_uplinks_init(tr_core *core) { tr_table_init(&core->hints, core->mem, offsetof(hint, type)); }

static void forget_hints(tr_core *core) {
  if (core->hints.count == 0) return;
  for (uint32_t i = 0; i < core->hints.cap; i++) {
    hint *it = core->hints.items[i];
    if (!it) continue;
    tr_name_unref(it->type);
    TR_DELETE(core->mem, it);
  }
  tr_table_fini(&core->hints);
  tr_uplinks_init(core);
}

static uint32_t first_to_ask(tr_core *core, const tr_name *type) {
  if (core->hints.count == 0) return 0;
  if (core->now >= core->hints_until) forget_hints(core);
  const hint *it = core->hints.count ? tr_table_get(&core->hints, type) : NULL;
  return it ? it->first : 0;
}

static void remember(tr_core *core, tr_name *type, uint32_t first) {
  hint *it = core->hints.count ? tr_table_get(&core->hints, type) : NULL;
  if (!it) {
    if (core->hints.count >= HINTS_MOST) forget_hints(core);
    if (core->hints.count == 0) core->hints_until = core->now + HINTS_LAST;
    it = TR_NEW(core->mem, hint);
    if (!it) return;
    it->type = tr_name_ref(type);
    if (tr_table_add(&core->hints, it)) {
      tr_name_unref(type);
      TR_DELETE(core->mem, it);
      return;
    }
  }
  it->first = first;
}

/* ---- asking ---- */

static bool is_there(const tr_dest *uplink) { return !uplink->down && !uplink->away; }

/* The next to be asked, from this place on; the connected ones first, then the first that is not. */
static tr_dest *pick_from(const tr_core *core, uint32_t first) {
  for (uint32_t i = first; i < core->uplink_count; i++)
    if (!core->uplinks[i]->bound && is_there(core->uplinks[i])) return core->uplinks[i];
  for (uint32_t i = 0; i < core->uplink_count; i++)
    if (!core->uplinks[i]->bound && !is_there(core->uplinks[i])) return core->uplinks[i];
  return NULL;
}

tr_dest *tr_uplink_pick(tr_core *core, tr_name *type) {
  if (core->uplink_count == 0) return NULL;
  if (core->uplink_count == 1) return core->uplinks[0]->bound ? NULL : core->uplinks[0];
  tr_dest *found = pick_from(core, first_to_ask(core, type));
  return found ? found : pick_from(core, 0);
}

tr_dest *tr_uplink_named(const tr_core *core, uint32_t number) {
  for (uint32_t i = 0; i < core->uplink_count; i++)
    if (core->uplinks[i]->number == number) return core->uplinks[i];
  return NULL;
}

bool tr_core_may_reach(const tr_core *core, tr_slice type) {
  tr_name *name = core->unlisted.count ? tr_name_find(core->names, type) : NULL;
  return (name && tr_table_get(&core->unlisted, name)) || tr_core_has_way_up(core);
}

const char *tr_core_unregistered(tr_slice type, char *out) {
  snprintf(out, TR_ERROR_TEXT, "agent type %.*s is not registered", (int)tr_utf8_cut(type, 256), type.n ? type.p : "");
  return out;
}

bool tr_core_ask_next(tr_core *core, tr_dest *uplink, tr_msg *msg, tr_slice text) {
  char unregistered[TR_ERROR_TEXT];
  if (core->uplink_count < 2 || uplink->bound || msg->via || core->closing) return false;
  if (msg->more && msg->more->hops > HOPS_TO_CHOOSE) return false;
  tr_core_unregistered(tr_name_view(msg->target_type), unregistered);
  if (!tr_slice_starts(text, tr_slice_of(unregistered))) return false; /* it may go on: "(did you mean …)" */
  uint32_t at = 0;
  while (at < core->uplink_count && core->uplinks[at] != uplink) at++;
  tr_dest *next = pick_from(core, at + 1);
  if (!next || next == uplink) return false;
  remember(core, msg->target_type, at + 1);
  tr_core_to_door(core, next, msg);
  return true;
}

/* ---- adding and removing ---- */

int tr_core_add_uplink(tr_core *core, tr_dest *uplink) {
  if (core->uplink_count == core->uplink_cap) {
    uint32_t cap = core->uplink_cap ? core->uplink_cap * 2 : 2;
    void *grown = tr_realloc(core->mem, core->uplinks, core->uplink_cap * sizeof(tr_dest *), cap * sizeof(tr_dest *));
    if (!grown) return TR_EMEMORY;
    core->uplinks = grown;
    core->uplink_cap = cap;
  }
  core->uplinks[core->uplink_count++] = uplink;
  core->listening += uplink->events == TR_UPLINK_ALL;
  uplink->number = ++core->last_uplink;
  forget_hints(core);
  return 0;
}

void tr_core_remove_uplink(tr_core *core, tr_dest *uplink) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < core->uplink_count; i++)
    if (core->uplinks[i] != uplink) core->uplinks[kept++] = core->uplinks[i];
  if (kept < core->uplink_count) core->listening -= uplink->events == TR_UPLINK_ALL;
  core->uplink_count = kept;
  forget_hints(core);
}

void tr_core_set_uplink_events(tr_core *core, tr_dest *uplink, tr_uplink_events events) {
  bool added = tr_uplink_named(core, uplink->number) == uplink;
  if (added) core->listening += (events == TR_UPLINK_ALL) - (uplink->events == TR_UPLINK_ALL);
  uplink->events = (uint8_t)events;
}

void tr_uplinks_fini(tr_core *core) {
  forget_hints(core);
  tr_table_fini(&core->hints);
}
