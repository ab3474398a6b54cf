/* SPDX-License-Identifier: MIT
 * Code that serves only some keys of a type: which they are, and what instances and turns ask of it. A part of internal.h, which includes
 * it where the types that it builds on are there. */
#ifndef TR_SCRIPT_CANARY_H
#define TR_SCRIPT_CANARY_H

typedef struct tr_canary { uint32_t portion; char key[TR_ID_MAX + 1]; } tr_canary; /* portion: of 10 000 keys, in place of one */
int tr_canary_read(const char *text, tr_canary *out, tr_error *error); /* 0 or TR_EINVALID */
bool tr_canary_has(const tr_canary *self, tr_slice type, tr_slice key);
bool tr_class_is_canary(const tr_script_class *class_, tr_slice key); /* is this key of the canary? It has one */
/* The code that this instance is to run. */
static inline tr_definition *tr_class_code(const tr_script_class *class_, const tr_agent *agent) {
  return class_->canary && tr_class_is_canary(class_, tr_name_view(agent->key)) ? class_->canary : class_->def;
}
/* `self`, on the top, comes to this code: kept, if it is the canary's and there is no other way back. May raise. [-0, +0, m] */
void tr_canary_keep(lua_State *L, tr_instance *instance, const tr_definition *def);
/* From the canary's code to one that cannot migrate its state: what it was before takes the place of `self`, also on the top. lua: the
 * instance at `at`; does not raise. False: nothing is known of before. */
bool tr_canary_take_back(lua_State *L, tr_instance *instance, int at);
bool tr_canary_needs(const tr_instance *instance); /* it stays in memory: as it would be stored only the canary could read it */
void tr_canary_failed(const tr_instance *instance, uint32_t number) TR_COLD; /* a turn of this code: counted */
bool tr_canary_refuses(const tr_script_class *class_, tr_turn *turn); /* the type is the canary's, and this key is not: answered */
/* What the type subscribes to for this code alone; NULL: it is not a canary's. Of the class's own then only those count that it has, too. */
const tr_link *tr_canary_subs(const tr_script_class *class_, const tr_definition *def);
void tr_canary_drop(tr_script *script); /* all ends */

#endif
