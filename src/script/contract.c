/* SPDX-License-Identifier: MIT
 * Where schemas are applied; the rule is in docs/api.md.
 *
 * Who sends to an agent of this process is held to that agent's schema of the type, else, as for everything that
 * goes elsewhere or to a topic, to the sender's own. What arrives is checked again by the receiver: it may come from
 * another process, from C, by a topic, or from before a reload. A reply is checked by the one who gives it, and by the
 * one who gets it; but not one of the request's own type, which only means that nobody gave it another. */
#include "script/internal.h"

static const tr_schema *schema_of_target(tr_script *script, const tr_msg *msg) {
  if (msg->kind == TR_MSG_EVENT) return NULL;
  tr_class *class_ = tr_core_find_class(script->core, tr_name_view(msg->target_type));
  const tr_script_class *ours = class_ ? tr_script_class_of(class_) : NULL;
  if (!ours) return NULL;
  bool canary = ours->canary && msg->target_key && tr_class_is_canary(ours, tr_name_view(msg->target_key));
  return tr_schema_of(canary ? ours->canary : ours->def, msg->type);
}

int tr_contract_sent(lua_State *L, const tr_lua_turn *lt, const tr_msg *msg, int slots, tr_error *error) {
  tr_script *script = lt->script;
  if (tr_script_home(script)->schema_sets == 0) return 0;
  const tr_schema *schema = schema_of_target(script, msg);
  if (!schema) schema = tr_schema_of(lt->def, msg->type);
  return schema ? tr_schema_check_body(L, schema, &msg->body, slots, "body", error) : 0;
}

int tr_contract_reply(lua_State *L, const tr_lua_turn *lt, const tr_name *type, const tr_body *body, tr_error *error) {
  const tr_schema *schema = type && type != lt->turn->msg->type ? tr_schema_of(lt->def, type) : NULL;
  return schema ? tr_schema_check_body(L, schema, body, TR_AT_SLOTS, "reply", error) : 0;
}

int tr_contract_answer(lua_State *L, const tr_lua_turn *lt, tr_slice request, const tr_name *type, int at, tr_error *error) {
  bool other = type && !tr_slice_equal(tr_name_view(type), request);
  const tr_schema *schema = other ? tr_schema_of(lt->def, type) : NULL;
  return schema ? tr_schema_check(L, schema, at, "reply", error) : 0;
}

void tr_contract_refuse(tr_turn *turn, const tr_error *error) {
  tr_msg *msg = turn->msg;
  if (msg->kind == TR_MSG_REQUEST) {
    tr_turn_fail(turn, error->code, error->text);
    return;
  }
  char name[160], text[TR_ERROR_TEXT];
  tr_agent_name(turn->agent, name, sizeof name);
  snprintf(text, sizeof text, "%.320s (refused by %s)", error->text, name);
  tr_core_dead_letter(tr_turn_core(turn), msg, error->code, text);
}

bool tr_contract_received(lua_State *L, const tr_instance *instance, tr_turn *turn) {
  tr_msg *msg = turn->msg;
  tr_error error;
  const tr_schema *schema = tr_schema_of(instance->def, msg->type);
  if (!schema) return true;
  tr_error_init(&error);
  if (!tr_schema_check_body(L, schema, &msg->body, TR_AT_SLOTS, "body", &error)) return true;
  tr_contract_refuse(turn, &error);
  return false;
}
