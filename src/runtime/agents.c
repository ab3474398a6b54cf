/* SPDX-License-Identifier: MIT
 * Agents as C sees them: made on request, listed, described.
 *
 * To make one is to send it a request that the script room answers itself (TR_GET_TYPE), so that it waits for the
 * instance's `init` as any other would, and hears of its failure. */
#include <stdio.h>

#include "runtime/internal.h"

int troupe_get(troupe_t *rt, const char *agent, int64_t timeout_us, troupe_reply_fn fn, void *ud) {
  tr_error *error = tr_runtime_error(rt);
  tr_agent_id id;
  int rc = tr_agent_id_parse(tr_slice_of(agent), TR_SLICE_LITERAL("default"), &id, error);
  if (rc) return rc;
  if (!tr_script_has_agents(rt->script, id.type))
    return tr_runtime_fail(rt, TR_ENOT_FOUND, "no agent type \"%.*s\" in this process", TR_SLICE_ARG(id.type));
  return troupe_call(rt, agent, TR_GET_TYPE, NULL, timeout_us, fn, ud);
}

static void show(const tr_agent *agent, void (*fn)(void *ud, const troupe_agent_t *agent), void *ud) {
  char id[2 * TR_ID_MAX + 2];
  const tr_name *type = tr_class_type(agent->class_);
  snprintf(id, sizeof id, "%s/%s", type->text, agent->key->text);
  troupe_agent_t info = { .id = id, .type = type->text, .key = agent->key->text, .state = tr_agent_doing(agent),
                          .mailbox = tr_agent_mail_count(agent), .turns = tr_agent_turn_count(agent) };
  fn(ud, &info);
}

static int show_all(const troupe_t *rt, const tr_core *core, void (*fn)(void *ud, const troupe_agent_t *agent), void *ud) {
  int count = 0;
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(core, class_));) {
    if (tr_class_is_program(class_) || class_ == rt->subscriber) continue;
    for (tr_agent *agent = NULL; (agent = tr_class_next_mailbox(class_, agent)); count++)
      if (fn) show(agent, fn, ud);
  }
  return count;
}

int troupe_agents(troupe_t *rt, void (*fn)(void *ud, const troupe_agent_t *agent), void *ud) {
  int count = 0;
  tr_together_pause(rt, false);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) count += show_all(rt, tr_runtime_share(rt, i).core, fn, ud);
  tr_together_resume(rt);
  return count;
}

troupe_value_t *troupe_metadata(troupe_t *rt, const char *agent) {
  tr_error *error = tr_runtime_error(rt);
  tr_agent_id id;
  if (tr_agent_id_parse(tr_slice_of(agent), TR_SLICE_LITERAL("default"), &id, error)) return NULL;
  troupe_value_t *value = tr_script_describe(rt->script, id.type, error);
  if (value || error->code) return value;
  if (!tr_router_owner(tr_core_router(rt->core), id.type)) {
    tr_runtime_fail(rt, TR_ENOT_FOUND, "no agent type \"%.*s\" is known here", TR_SLICE_ARG(id.type));
    return NULL;
  }
  value = tr_value_map(&rt->mem);
  if (value && !tr_value_set(value, TR_SLICE_LITERAL("type"), tr_value_string(&rt->mem, id.type)) &&
      !tr_value_set(value, TR_SLICE_LITERAL("where"), tr_value_string(&rt->mem, TR_SLICE_LITERAL("remote"))))
    return value;
  tr_value_free(value);
  tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  return NULL;
}
