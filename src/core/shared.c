/* SPDX-License-Identifier: MIT
 * Agent types that several workers of a host have (`shared`): which of them has an id is the host's to say, so what is sent here to
 * such an id goes up, though the type is here, and comes back if the agent is ours. What comes by the door is for agents here. An
 * event that is published here passes over them; the host sends it back (an echo, which all others have had), or to another.
 *
 * Of several isolates the first has the uplinks: so what is sent in another one goes by it, and what comes from there is for agents of this one.
 * Without an uplink they are agents like all others. */
#include "base/text.h"
#include "core/internal.h"

bool tr_class_is_shared(const tr_class *class_) { return class_->shared; }
bool tr_core_has_shared(const tr_core *core) { return core->shared > 0; }

bool tr_core_has_way_up(const tr_core *core) {
  for (uint32_t i = 0; i < core->uplink_count; i++)
    if (!core->uplinks[i]->bound) return true;
  return false;
}

static bool is_from_here(const tr_msg *msg) { return !msg->from_wire || msg->inside; }

static bool has_way_up(const tr_core *core, const tr_msg *msg) {
  if (core->far && core->index > 0) return !msg->crossed && core->far->has_way_up(core->far_ud);
  return tr_core_has_way_up(core);
}

bool tr_shared_goes_up(const tr_class *class_, const tr_msg *msg) {
  return class_->shared && is_from_here(msg) && !msg->own && has_way_up(class_->core, msg);
}

bool tr_shared_hears(const tr_class *class_, const tr_msg *event) {
  const tr_msg_more *more = event->more;
  if (more && more->types && tr_text_lists(tr_name_view(more->types), tr_name_view(class_->type)) != more->only_types) return false;
  return !tr_shared_goes_up(class_, event);
}
