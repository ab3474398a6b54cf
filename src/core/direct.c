/* SPDX-License-Identifier: MIT
 * Direct topics: a class hears "TYPE:…" as if it had subscribed to that prefix (wire.md §5).
 *
 * That subscription costs 10 000 instructions and 700 bytes, three maps here and three at the router, and nearly no
 * type is ever spoken to by it. So it is a mark at the type in the router (`direct`) until somebody would see the difference: the
 * match of the router knows the mark, and the subscription is made when a topic of that type is given out here, when
 * another of the same meaning is added, and when all are listed. Next: local_subs.c. */
#include "core/internal.h"

static int subscribe(tr_class *class_) {
  tr_buf prefix;
  tr_buf_init(&prefix, class_->core->mem);
  tr_buf_slice(&prefix, tr_name_view(class_->type));
  tr_buf_byte(&prefix, ':');
  tr_local_sub_options options = { .kind = TR_SUB_PREFIX, .topic = tr_buf_view(&prefix) };
  int err = prefix.failed ? TR_EMEMORY : tr_class_subscribe(class_, &options, NULL, NULL);
  tr_buf_fini(&prefix);
  return err;
}

static int make(tr_route_type *type) {
  if (!type->direct) return 0;
  type->direct = false; /* first: adding the subscription asks for it */
  int err = subscribe(type->user);
  if (err == TR_EEXISTS) err = 0; /* the class made one of its own */
  type->direct = err != 0;
  return err;
}

int tr_direct_hear(tr_class *class_) {
  if (class_->unlisted) return subscribe(class_);
  tr_router_type(class_->core->router, class_->type)->direct = true;
  class_->core->sub_generation++;
  return 0;
}

int tr_direct_look(tr_core *core, tr_slice topic) {
  tr_route_type *type = tr_router_direct_type(core->router, topic);
  return type ? make(type) : 0;
}

int tr_core_list_subs(tr_core *core) {
  int err = 0;
  for (tr_route_type *type = NULL; !err && (type = tr_router_next_type(core->router, &core->local, type));) err = make(type);
  return err;
}
