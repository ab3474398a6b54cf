/* SPDX-License-Identifier: MIT
 * Agent types that several workers of a host have (`shared`): which of them has an id is the host's to say, so what is sent here to
 * such an id goes up, though the type is here, and comes back if the agent is ours. What comes by the door is for agents here. An
 * event that is published here passes over them; the host sends it back (an echo, which all others have had), or to another.
 *
 * Without an uplink they are agents like all others. With several isolates they are, too: the host is not told then. */
#include "core/internal.h"

static bool lists(tr_slice list, tr_slice word) {
  while (list.n) {
    const char *comma = memchr(list.p, ',', list.n);
    tr_slice item = { list.p, comma ? (size_t)(comma - list.p) : list.n };
    if (tr_slice_equal(item, word)) return true;
    list.p += item.n + (comma != NULL);
    list.n -= item.n + (comma != NULL);
  }
  return false;
}

bool tr_class_is_shared(const tr_class *class_) { return class_->shared && !class_->core->far; }
bool tr_core_has_shared(const tr_core *core) { return core->shared > 0 && !core->far; }

static bool is_from_here(const tr_msg *msg) { return !msg->from_wire || msg->inside; }

bool tr_shared_goes_up(const tr_class *class_, const tr_msg *msg) {
  tr_core *core = class_->core;
  return tr_class_is_shared(class_) && is_from_here(msg) && tr_uplink_pick(core, class_->type);
}

bool tr_shared_hears(const tr_class *class_, const tr_msg *event) {
  if (event->more && event->more->types && lists(tr_name_view(event->more->types), tr_name_view(class_->type)) != event->more->only_types)
    return false;
  return !tr_shared_goes_up(class_, event);
}
