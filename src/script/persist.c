/* SPDX-License-Identifier: MIT
 * Records of a state file: all that this room has to say about its instances, and back.
 *
 * States are made by saved.c, timers by timer.c; here is who is asked, and the subscriptions that were added at run time:
 * those belong to an agent type, with the number that ctx:subscribe returned, since an agent may keep it in its state. One
 * with functions cannot be stored, and is left out with a line in the log.
 *
 * At the end of a runtime each instance is stored at the moment when it leaves memory, so after its close hook. */
#include "codec/native.h"
#include "core/id.h"
#include "script/internal.h"

/* --- values --- */

tr_value *tr_script_value(tr_script *script, tr_slice bytes, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, script->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_native_parse(bytes, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  if (!value && !error->code) tr_error_set(error, TR_EMEMORY, "out of memory");
  return value;
}

int tr_script_body(tr_script *script, const tr_value *value, tr_body *body, tr_error *error) {
  *body = (tr_body){ .kind = TR_BODY_NONE };
  if (!value || (tr_value_get_kind(value) == TR_VALUE_MAP && tr_value_length(value) == 0)) return 0;
  body->kind = TR_BODY_NULL;
  if (tr_value_get_kind(value) == TR_VALUE_NULL) return 0;
  body->kind = TR_BODY_NONE;
  tr_script_builder *builder = tr_script_build_begin(script, error);
  if (!builder) return TR_EMEMORY;
  tr_sink sink = tr_script_build_sink(builder);
  int rc = tr_value_walk(value, &sink, error);
  tr_script_build_end(builder, body);
  if (!body->slot && !rc) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (tr_value_get_kind(value) == TR_VALUE_BYTES) body->format = TR_FORMAT_BYTES;
  if (rc) tr_body_release(script->core, body);
  return rc;
}

/* --- subscriptions --- */

static int put_text(const tr_sink *sink, const char *key, const char *text) {
  int rc = text ? sink->key(sink->ud, tr_slice_of(key)) : 0;
  return rc || !text ? rc : sink->string(sink->ud, tr_slice_of(text));
}

static int encode_sub(const tr_sub_spec *sub, tr_buf *out, tr_error *error) {
  tr_native_writer writer;
  tr_native_writer_init(&writer, out, error);
  tr_sink sink = tr_native_sink(&writer);
  int rc = sink.begin_map(sink.ud, TR_SIZE_UNKNOWN);
  if (!rc) rc = put_text(&sink, sub->kind == TR_SUB_PREFIX ? "prefix" : "topic", sub->topic);
  if (!rc) rc = put_text(&sink, "key", sub->key);
  if (!rc) rc = sink.key(sink.ud, TR_SLICE_LITERAL("all"));
  if (!rc) rc = sink.boolean(sink.ud, sub->all);
  if (!rc) rc = sink.key(sink.ud, TR_SLICE_LITERAL("id"));
  if (!rc) rc = sink.integer(sink.ud, (int64_t)sub->number);
  if (!rc) rc = sink.end_map(sink.ud);
  return !rc && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

static int save_sub(tr_script_class *class_, const tr_sub_spec *sub, const tr_state_out *out) {
  tr_slice type = tr_slice_of(class_->def->type);
  tr_buf bytes;
  tr_error error;
  if (sub->custom) {
    if (tr_script_class_once(class_, "unsaved:subscription", TR_SLICE_LITERAL("")))
      tr_log_write(tr_core_log(class_->script->core), TR_LOG_WARN, "save.subscription",
                   "agent_type=%s: one with a function is not saved (told once)", class_->def->type);
    return 0;
  }
  tr_error_init(&error);
  tr_buf_init(&bytes, class_->script->mem);
  int rc = encode_sub(sub, &bytes, &error) ? out->failed(out->ud, type, &error)
                                           : out->record(out->ud, "subscription", type, (tr_slice){ NULL, 0 }, 1, tr_buf_view(&bytes));
  tr_buf_fini(&bytes);
  return rc;
}

static char *text_of(tr_script *script, const tr_value *map, const char *name, size_t *size) {
  tr_slice text;
  const tr_value *value = tr_value_get(map, tr_slice_of(name));
  char *copy = value && tr_value_as_string(value, &text) ? tr_strndup(script->mem, text.p, text.n) : NULL;
  *size = copy ? text.n + 1 : 0;
  return copy;
}

static tr_sub_spec *sub_of(tr_script *script, const tr_value *map) {
  int64_t number = 0;
  const tr_value *id = tr_value_get(map, TR_SLICE_LITERAL("id")), *all = tr_value_get(map, TR_SLICE_LITERAL("all"));
  tr_sub_spec *sub = TR_NEW(script->mem, tr_sub_spec);
  if (!sub) return NULL;
  sub->script = script;
  sub->match_ref = sub->agent_ref = LUA_NOREF;
  tr_buf_init(&sub->found, script->mem);
  sub->topic = text_of(script, map, "topic", &sub->topic_size);
  if (!sub->topic) {
    sub->kind = TR_SUB_PREFIX;
    sub->topic = text_of(script, map, "prefix", &sub->topic_size);
  }
  sub->key = text_of(script, map, "key", &sub->key_size);
  if (all) tr_value_as_boolean(all, &sub->all);
  if (id) tr_value_as_integer(id, &number);
  sub->number = (uint64_t)number;
  if (sub->topic) return sub;
  tr_sub_spec_free(sub);
  return NULL;
}

/* One that is there already takes over the number. */
static bool is_there(tr_script_class *class_, const tr_sub_spec *sub) {
  for (tr_link *link = class_->run_subs.next; link != &class_->run_subs; link = link->next) {
    tr_sub_spec *at = TR_CONTAINER(link, tr_sub_spec, link);
    if (!tr_sub_spec_same(at, sub)) continue;
    at->number = sub->number;
    return true;
  }
  return false;
}

/* Each isolate gives numbers of its own range; alone, it gives all. */
static bool is_of_own_range(const tr_script *script, uint64_t number) {
  return !script->options.subscribed || number >> TR_SUB_RANGE == script->options.first_sub >> TR_SUB_RANGE;
}

static int restore_sub(tr_script *script, tr_slice type, tr_slice bytes, tr_error *error) {
  tr_script_class *class_ = tr_script_class_find(script, type);
  if (!class_) return tr_error_set(error, TR_ENOT_FOUND, "no agent type \"%.*s\" here", TR_SLICE_ARG(type));
  tr_value *map = tr_script_value(script, bytes, error);
  if (!map) return error->code;
  tr_sub_spec *sub = sub_of(script, map);
  tr_value_free(map);
  if (!sub) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (sub->number > script->next_sub && is_of_own_range(script, sub->number)) script->next_sub = sub->number;
  int rc = is_there(class_, sub) ? TR_EEXISTS : tr_sub_spec_activate(sub, class_->core_class, error);
  if (rc) {
    tr_sub_spec_free(sub);
    if (rc == TR_EEXISTS) tr_error_init(error); /* the definition has it now */
    return rc == TR_EEXISTS ? 0 : rc;
  }
  tr_run_sub_add(class_, sub);
  if (script->options.classes_changed) script->options.classes_changed(script->options.ud);
  return 0;
}

/* --- instances --- */

typedef struct putting { const tr_instance *instance; tr_slice id; const tr_state_out *out; bool stopped; } putting;

static int put_shard(void *ud, tr_slice name, tr_slice bytes) {
  putting *self = ud;
  int rc = self->out->record(self->out->ud, "state", self->id, name, self->instance->def->version, bytes);
  self->stopped = rc != 0;
  return rc;
}

static int put_state(tr_instance *instance, tr_slice id, tr_slice bytes, const tr_state_out *out) {
  putting self = { instance, id, out, false };
  tr_error error;
  tr_error_init(&error);
  int rc = out->record(out->ud, "state", id, (tr_slice){ NULL, 0 }, instance->def->version, bytes);
  if (!rc) rc = tr_shards_save(instance, put_shard, &self, &error);
  if (rc && error.code && !self.stopped) rc = out->failed(out->ud, id, &error);
  return rc ? rc : tr_script_timers_save(instance, id, out);
}

static int save_instance(tr_script *script, tr_instance *instance, const tr_state_out *out) {
  char name[2 * 4096 + 2];
  tr_error error;
  tr_buf bytes;
  tr_agent_name(instance->agent, name, sizeof name);
  tr_slice id = tr_slice_of(name);
  if (instance->stored || (out->wanted && !out->wanted(out->ud, id))) return 0;
  if (tr_saved_find(script, id)) return tr_script_timers_save(instance, id, out); /* it is on its way in or out of memory */
  if (tr_script_requeues(instance->agent))
    return instance->more->before && instance->more->before->len ? put_state(instance, id, tr_buf_view(instance->more->before), out) : 0;
  tr_error_init(&error);
  tr_buf_init(&bytes, script->mem);
  int rc = tr_instance_save(instance, &bytes, &error) ? out->failed(out->ud, id, &error)
                                                      : put_state(instance, id, tr_buf_view(&bytes), out);
  tr_buf_fini(&bytes);
  return rc;
}

static bool is_kept(tr_script_class *class_) {
  class_ = tr_class_whole(class_);
  return !class_->def->program && class_->def->pool <= 1 && class_->file;
}

static int save_class(tr_script_class *class_, const tr_state_out *out, bool requeued) {
  int rc = 0;
  for (tr_agent *agent = NULL; !rc && (agent = tr_class_next_agent(class_->core_class, agent));) {
    tr_instance *instance = agent->user;
    if (!instance || !instance->has_self || (requeued && !tr_script_requeues(agent))) continue;
    rc = save_instance(class_->script, instance, out);
    if (requeued) instance->stored = true;
  }
  return rc;
}

static int save_subs(tr_script_class *class_, const tr_state_out *out) {
  int rc = 0;
  if (out->wanted && !out->wanted(out->ud, tr_slice_of(class_->def->type))) return 0;
  for (tr_link *link = class_->run_subs.next; link != &class_->run_subs && !rc; link = link->next)
    rc = save_sub(class_, TR_CONTAINER(link, tr_sub_spec, link), out);
  return rc;
}

/* States, or their parts: those stand behind all states, since a restored state begins without parts. */
static int save_kept(tr_script *script, const tr_state_out *out, bool parts) {
  size_t at = 0;
  tr_slice key;
  void *value;
  int rc = 0;
  while (!rc && tr_map_next(&script->saved, &at, &key, &value)) {
    const char *nul = memchr(key.p, 0, key.n); /* a shard's name follows */
    tr_slice part = { NULL, 0 };
    if (nul) part = tr_slice_make(nul + 1, key.n - (size_t)(nul + 1 - key.p));
    if (nul) key.n = (size_t)(nul - key.p);
    if ((nul != NULL) != parts) continue;
    if (!out->wanted || out->wanted(out->ud, key))
      rc = out->record(out->ud, "state", key, part, ((const tr_saved *)value)->version, tr_saved_bytes(value));
  }
  return rc;
}

static int save_classes(tr_script *script, const tr_state_out *out) {
  int rc = 0;
  for (tr_link *link = script->classes.next; link != &script->classes && !rc; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (!is_kept(class_)) continue;
    rc = save_subs(class_, out);
    if (!rc) rc = save_class(class_, out, false);
  }
  return !rc && script->foreign ? save_classes(script->foreign, out) : rc;
}

int tr_script_save(tr_script *script, const tr_state_out *out) {
  int rc = save_kept(script, out, false);
  if (!rc) rc = save_classes(script, out);
  if (!rc) rc = save_kept(script, out, true);
  return rc ? rc : tr_sleepers_save(script, out);
}

/* What it costs does not depend on how many others there are; but where nobody knows which parts it has. */
int tr_script_save_one(tr_script *script, tr_slice id, const tr_state_out *out) {
  tr_agent_id parsed;
  const tr_slice none = { NULL, 0 };
  if (tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, NULL)) return TR_EINVALID;
  tr_script_class *class_ = tr_script_class_find(script, parsed.type);
  const tr_saved *saved = tr_saved_find(script, id);
  if (!class_) return tr_script_save(script, out);
  int rc = saved ? out->record(out->ud, "state", id, none, saved->version, tr_saved_bytes(saved)) : 0;
  const tr_agent *agent = is_kept(class_) ? tr_class_find(class_->core_class, parsed.key) : NULL;
  tr_instance *instance = agent ? agent->user : NULL;
  if (!rc && instance && instance->has_self) rc = save_instance(class_->script, instance, out);
  for (size_t i = 0; !rc && i < class_->def->shard_count; i++) {
    tr_slice part = tr_slice_of(class_->def->shards[i].text);
    saved = tr_shard_find(script, id, part);
    if (saved) rc = out->record(out->ud, "state", id, part, saved->version, tr_saved_bytes(saved));
  }
  return rc ? rc : tr_sleeper_save(script, id, out);
}

int tr_script_save_requeued(tr_script *script, const tr_state_out *out) {
  int rc = 0;
  for (tr_link *link = script->classes.next; link != &script->classes && !rc; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (is_kept(class_) && class_->def->requeue) rc = save_class(class_, out, true);
  }
  return !rc && script->foreign ? tr_script_save_requeued(script->foreign, out) : rc;
}

/* --- the end --- */

void tr_script_keep(tr_script *script, const tr_state_out *out) { script->keep = out; }

void tr_instance_keep(tr_instance *instance) {
  tr_script *script = tr_script_home(instance->class_->script);
  const tr_agent *agent = instance->agent;
  if (!tr_agent_is_closing(agent) || agent->close_why != TR_CLOSE_DRAIN) return;
  if (instance->has_self && is_kept(instance->class_)) save_instance(script, instance, script->keep);
}

/* --- back --- */

int tr_script_can_restore(const tr_script *script, tr_slice id, int64_t version, tr_error *error) {
  tr_agent_id parsed;
  int rc = tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, error);
  const tr_script_class *class_ = rc ? NULL : tr_script_class_find(script, parsed.type);
  if (!class_) return rc;
  const tr_definition *def = class_->canary && tr_class_is_canary(class_, parsed.key) ? class_->canary : class_->def;
  if (version <= def->version) return 0;
  return tr_error_set(error, TR_EINVALID, "the state of %.*s is of version %lld, newer than the code's %lld", TR_SLICE_ARG(id),
                      (long long)version, (long long)def->version);
}

static int restore_state(tr_script *script, tr_slice id, int64_t version, tr_slice bytes, tr_error *error) {
  tr_agent_id parsed;
  int rc = tr_script_can_restore(script, id, version, error);
  if (!rc) rc = tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, error);
  if (rc) return rc;
  tr_script_class *class_ = tr_script_class_find(script, parsed.type);
  if (class_) tr_shards_forget(script, id, class_->def);
  if (tr_saved_put(script, id, version, bytes)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!class_) return 0;
  tr_script_class_restores(class_);
  tr_agent *agent = tr_class_find(class_->core_class, parsed.key);
  if (agent && agent->user) tr_agent_restart(script->core, agent);
  return 0;
}

static int restore_part(tr_script *script, tr_slice id, tr_slice part, int64_t version, tr_slice bytes, tr_error *error) {
  tr_agent_id parsed;
  int rc = tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, error);
  const tr_script_class *class_ = rc ? NULL : tr_script_class_find(script, parsed.type);
  if (class_ && !tr_shard_is(class_->def, part))
    return tr_error_set(error, TR_EINVALID, "`%.*s` is stored as a part, but is none of the agent's `shards` (list it, and move it in `migrate`)",
                        TR_SLICE_ARG(part));
  return rc ? rc : tr_error_set(error, tr_shard_put(script, id, part, version, bytes), "out of memory");
}

int tr_script_restore(tr_script *script, tr_slice kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes, tr_time passed,
                      tr_error *error) {
  if (tr_slice_is(kind, "state") && part.n) return restore_part(script, key, part, version, bytes, error);
  if (tr_slice_is(kind, "state")) return restore_state(script, key, version, bytes, error);
  if (tr_slice_is(kind, "timer")) return tr_script_timer_restore(script, key, bytes, passed, error);
  return restore_sub(script, key, bytes, error);
}
