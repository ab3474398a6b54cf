/* SPDX-License-Identifier: MIT
 * What a loaded agent type says about itself, as a value: for troupe_metadata, and whoever shows it. */
#include "script/internal.h"

typedef struct describe_call { const tr_script_class *class_; const tr_sink *sink; } describe_call;

static int put_text(const tr_sink *sink, const char *key, tr_slice text) {
  int rc = sink->key(sink->ud, tr_slice_of(key));
  return rc ? rc : sink->string(sink->ud, text);
}

static int put_flag(const tr_sink *sink, const char *key) {
  int rc = sink->key(sink->ud, tr_slice_of(key));
  return rc ? rc : sink->boolean(sink->ud, true);
}

/* --- parts --- */

static int put_description(lua_State *L, const tr_definition *def, const tr_sink *sink) {
  tr_slice text;
  tr_need_stack(L, 8);
  tr_push_ref(L, def->table_ref);
  int type = tr_raw_field(L, -1, "description");
  text.p = type == LUA_TSTRING ? lua_tolstring(L, -1, &text.n) : NULL;
  int rc = text.p ? put_text(sink, "description", text) : 0;
  lua_pop(L, 2);
  return rc;
}

static bool in_handlers(const tr_handlers *handlers, const tr_name *type) {
  for (size_t i = 0; i < handlers->cap; i++)
    if (handlers->items[i].type == type) return true;
  return false;
}

static int put_messages(const tr_definition *def, const tr_sink *sink) {
  const tr_handler_set *set = def->handlers; /* NULL: a program */
  const tr_handlers *const both[] = { set ? &set->requests : NULL, set ? set->events : NULL };
  int rc = sink->key(sink->ud, TR_SLICE_LITERAL("messages"));
  if (!rc) rc = sink->begin_array(sink->ud, TR_SIZE_UNKNOWN);
  for (int n = 0; set && n < 2; n++)
    for (size_t i = 0; !rc && i < both[n]->cap; i++) {
      const tr_name *type = both[n]->items[i].type;
      if (type && !(n && in_handlers(both[0], type))) rc = sink->string(sink->ud, tr_name_view(type));
    }
  if (!rc && set && (both[0]->star.ref != LUA_NOREF || both[1]->star.ref != LUA_NOREF))
    rc = sink->string(sink->ud, TR_SLICE_LITERAL("*"));
  return rc ? rc : sink->end_array(sink->ud);
}

static int put_sub(const tr_sub_spec *sub, const tr_sink *sink) {
  int rc = sink->begin_map(sink->ud, TR_SIZE_UNKNOWN);
  if (!rc && sub->custom) rc = put_flag(sink, "custom");
  if (!rc && !sub->custom) rc = put_text(sink, sub->kind == TR_SUB_PREFIX ? "prefix" : "topic", tr_slice_make(sub->topic, sub->topic_size - 1));
  if (!rc && sub->key) rc = put_text(sink, "key", tr_slice_make(sub->key, sub->key_size - 1));
  if (!rc && sub->all) rc = put_flag(sink, "all");
  return rc ? rc : sink->end_map(sink->ud);
}

static int put_subs(const tr_script_class *class_, const tr_sink *sink) {
  const tr_link *const lists[] = { &class_->subs, &class_->run_subs };
  int rc = sink->key(sink->ud, TR_SLICE_LITERAL("subscriptions"));
  if (!rc) rc = sink->begin_array(sink->ud, TR_SIZE_UNKNOWN);
  for (int i = 0; i < 2; i++)
    for (const tr_link *link = lists[i]->next; !rc && link != lists[i]; link = link->next)
      rc = put_sub(TR_CONTAINER(link, tr_sub_spec, link), sink);
  return rc ? rc : sink->end_array(sink->ud);
}

/* --- the whole --- */

int tr_describe(lua_State *L, const tr_script_class *class_, const tr_definition *def, const tr_sink *sink) {
  int rc = sink->begin_map(sink->ud, TR_SIZE_UNKNOWN);
  if (!rc) rc = put_text(sink, "type", tr_slice_of(def->type));
  if (!rc) rc = put_text(sink, "where", tr_slice_of(class_->script->home ? "table" : "file"));
  if (!rc) rc = put_description(L, def, sink);
  if (!rc) rc = sink->key(sink->ud, TR_SLICE_LITERAL("version"));
  if (!rc) rc = sink->integer(sink->ud, def->version);
  if (!rc) rc = put_messages(def, sink);
  if (!rc) rc = put_subs(class_, sink);
  return rc ? rc : sink->end_map(sink->ud);
}

static int describe(lua_State *L, void *ud) {
  const describe_call *call = ud;
  return tr_describe(L, call->class_, call->class_->def, call->sink);
}

tr_value *tr_script_describe(tr_script *script, tr_slice type, tr_error *error) {
  const tr_script_class *class_ = tr_script_class_find(script, type);
  tr_value_builder builder;
  if (!class_) return NULL;
  tr_value_builder_init(&builder, script->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  describe_call call = { class_, &sink };
  tr_value *value = tr_script_protect(class_->script, describe, &call, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  if (!value && !error->code) tr_error_set(error, TR_EMEMORY, "out of memory");
  return value;
}

bool tr_script_has_agents(const tr_script *script, tr_slice type) {
  const tr_script_class *class_ = tr_script_class_find(script, type);
  return class_ && !class_->def->program;
}
