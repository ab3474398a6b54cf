/* SPDX-License-Identifier: MIT
 * Agent types that several workers of a host have (`shared`): which of them has an id is the host's to say, so what is sent here to
 * such an id goes up, though the type is here, and comes back if the agent is ours. What comes by the door is for agents here. An
 * event that is published here passes over them; the host sends it back (an echo, which all others have had), or to another.
 *
 * Without an uplink they are agents like all others. With several isolates they are, too: the host is not told then. */
#include "base/text.h"
#include "core/internal.h"

bool tr_class_is_shared(const tr_class *class_) { return class_->shared && !class_->core->far; }
bool tr_core_has_shared(const tr_core *core) { return core->shared > 0 && !core->far; }

static bool is_from_here(const tr_msg *msg) { return !msg->from_wire || msg->inside; }

bool tr_shared_goes_up(const tr_class *class_, const tr_msg *msg) {
  tr_core *core = class_->core;
  return tr_class_is_shared(class_) && is_from_here(msg) && !msg->own && tr_uplink_pick(core, class_->type);
}

bool tr_shared_hears(const tr_class *class_, const tr_msg *event) {
  const tr_msg_more *more = event->more;
  if (more && more->types && tr_text_lists(tr_name_view(more->types), tr_name_view(class_->type)) != more->only_types) return false;
  return !tr_shared_goes_up(class_, event);
}
