/* SPDX-License-Identifier: MIT
 * The forms of a subscription: "chat", { "chat", key = "main" }, { "noise", all = true }, { prefix = "home." },
 * { match = function(topic), agent = function(topic) }. */
#include "core/id.h"
#include "script/internal.h"

static const char *const names[] = { "key", "all", "prefix", "match", "agent", NULL };

/* --- the function form, as the core asks --- */

#define INSTRUCTIONS_MOST 1000000 /* every event asks, and nothing else goes on meanwhile */

typedef struct match_call { tr_sub_spec *sub; tr_msg *event; tr_slice *type, *key; bool result; } match_call;

static void push_topic(lua_State *L, const tr_msg *event) {
  lua_pushfstring(L, "%s/%s", event->target_type->text, event->target_key ? event->target_key->text : "");
}

static int ask(lua_State *L, int ref, const tr_msg *event, const char *what, tr_error *error) {
  tr_script *script = tr_script_of(L);
  uint32_t owner = script->owner;
  tr_push_ref(L, ref);
  push_topic(L, event);
  script->owner = TR_ACCOUNT_TRANSIT; /* not of whoever publishes */
  int n = tr_metered_call(L, 1, what, INSTRUCTIONS_MOST, error);
  script->owner = owner;
  return n;
}

static int choose_agent(lua_State *L, match_call *call, tr_error *error) {
  tr_sub_spec *sub = call->sub;
  tr_agent_id id;
  int n = ask(L, sub->agent_ref, call->event, "choosing the agent of a subscription", error);
  if (n < 0) return n;
  if (n == 0 || lua_type(L, -n) != LUA_TSTRING)
    return tr_error_set(error, TR_EINVALID, "`agent` of a subscription must return an agent id, not %s",
                        n ? tr_type_name(L, -n) : "nil");
  tr_slice text;
  text.p = lua_tolstring(L, -n, &text.n);
  tr_buf_clear(&sub->found);
  if (!tr_buf_slice(&sub->found, text)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = tr_agent_id_parse(tr_buf_view(&sub->found), TR_SLICE_LITERAL("default"), &id, error);
  if (rc) return rc;
  *call->type = id.type;
  *call->key = id.key;
  return 0;
}

static int match_main(lua_State *L, void *ud) {
  match_call *call = ud;
  tr_error error;
  tr_error_init(&error);
  int n = ask(L, call->sub->match_ref, call->event, "matching a subscription", &error);
  if (n >= 0) call->result = n > 0 && lua_toboolean(L, -n);
  if (call->result && call->sub->agent_ref != LUA_NOREF && choose_agent(L, call, &error)) call->result = false;
  char times[TR_TALLY_TIMES];
  call->sub->over = error.code == TR_ELIMIT;
  if (error.code && tr_fail_tell(call->sub->script, times, "subscription.failed %p %d", (const void *)call->sub, error.code))
    tr_log_write(tr_core_log(call->sub->script->core), TR_LOG_ERROR, "subscription.failed", "topic=%s error=\"%s: %s\"%s%s",
                 call->event->target_type->text, tr_error_name(error.code), error.text, call->sub->over ? " (it is asked no more)" : "", times);
  return 0;
}

static bool match(void *ud, tr_msg *event, tr_slice *type, tr_slice *key) {
  tr_sub_spec *sub = ud;
  match_call call = { sub, event, type, key, false };
  return !sub->over && tr_script_protect(sub->script, match_main, &call, NULL) == 0 && call.result;
}

/* --- reading a form --- */

typedef struct form { int topic, key, match, agent; bool all, prefix; } form; /* stack indexes; 0: not there */

static int field(lua_State *L, int at, const char *name, int type, const char *expected, int *out, tr_error *error) {
  int found = tr_raw_field(L, at, name);
  *out = found == LUA_TNIL ? 0 : lua_gettop(L);
  if (found == LUA_TNIL || found == type) return 0;
  return tr_error_set(error, TR_EINVALID, "`%s` must be %s, not %s", name, expected, tr_type_name(L, -1));
}

static int read_form(lua_State *L, int at, form *f, tr_error *error) {
  int all, prefix, rc;
  if (lua_rawlen(L, at) > 1) return tr_error_set(error, TR_EINVALID, "one topic expected in each subscription");
  int first = lua_rawgeti(L, at, 1);
  if (first != LUA_TNIL && first != LUA_TSTRING)
    return tr_error_set(error, TR_EINVALID, "the topic must be a string, not %s", tr_type_name(L, -1));
  if (first == LUA_TSTRING) f->topic = lua_gettop(L);
  if ((rc = field(L, at, "key", LUA_TSTRING, "a string", &f->key, error)) != 0) return rc;
  if ((rc = field(L, at, "all", LUA_TBOOLEAN, "true", &all, error)) != 0) return rc;
  if ((rc = field(L, at, "prefix", LUA_TSTRING, "a string", &prefix, error)) != 0) return rc;
  if ((rc = field(L, at, "match", LUA_TFUNCTION, "a function", &f->match, error)) != 0) return rc;
  if ((rc = field(L, at, "agent", LUA_TFUNCTION, "a function", &f->agent, error)) != 0) return rc;
  f->all = all && lua_toboolean(L, all);
  f->prefix = prefix != 0;
  int forms = (f->topic != 0) + (prefix != 0) + (f->match != 0);
  if (forms != 1) return tr_error_set(error, TR_EINVALID, "either a topic, `prefix` or `match` expected");
  if (f->agent && !f->match) return tr_error_set(error, TR_EINVALID, "`agent` goes with `match`");
  if (f->match && (f->key || f->all)) return tr_error_set(error, TR_EINVALID, "`key` and `all` do not go with `match`");
  if (prefix) f->topic = prefix;
  return 0;
}

static int check_topic(lua_State *L, const form *f, tr_error *error) {
  tr_slice topic, key = { NULL, 0 };
  if (f->key) key.p = lua_tolstring(L, f->key, &key.n);
  if (tr_name_reserved(key))
    return tr_error_set(error, TR_EINVALID, "`key`: keys that begin with \"" TR_RESERVED "\" are reserved");
  if (!f->topic) return 0;
  topic.p = lua_tolstring(L, f->topic, &topic.n);
  if (memchr(topic.p, '/', topic.n))
    return tr_error_set(error, TR_EINVALID,
                        "topic `%s`: a subscription has a topic's type, without a source (for one instance: key =)",
                            topic.p);
  if (f->prefix && topic.n == 0) return 0;
  return tr_topic_type_check(topic, error);
}

static int check_names(lua_State *L, int at, tr_error *error) {
  tr_place place = { "", { NULL, 0 }, error };
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    if (lua_isinteger(L, -2)) continue;
    if (lua_type(L, -2) != LUA_TSTRING || !tr_name_in(names, lua_tostring(L, -2))) {
      lua_newtable(L);
      lua_pushvalue(L, -3);
      lua_pushboolean(L, 1);
      lua_rawset(L, -3);
      return tr_fields_known(L, -1, &place, NULL, "a subscription", names);
    }
  }
  return 0;
}

static char *copy_text(lua_State *L, tr_script *script, int at, size_t *size) {
  size_t n;
  const char *text = lua_tolstring(L, at, &n);
  char *copy = tr_strndup(script->mem, text, n);
  *size = copy ? n + 1 : 0;
  return copy;
}

static int make(lua_State *L, const form *f, tr_sub_spec **out, tr_error *error) {
  tr_script *script = tr_script_of(L);
  int match_ref = LUA_NOREF, agent_ref = LUA_NOREF;
  if (f->match) {
    lua_pushvalue(L, f->match);
    match_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  if (f->agent) {
    lua_pushvalue(L, f->agent);
    agent_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  tr_sub_spec *sub = TR_NEW(script->mem, tr_sub_spec);
  if (!sub) return tr_error_set(error, TR_EMEMORY, "out of memory");
  sub->script = script;
  sub->match_ref = match_ref;
  sub->agent_ref = agent_ref;
  tr_buf_init(&sub->found, script->mem);
  sub->kind = f->prefix ? TR_SUB_PREFIX : TR_SUB_TYPE;
  sub->all = f->all;
  sub->custom = f->match != 0;
  if (f->topic) sub->topic = copy_text(L, script, f->topic, &sub->topic_size);
  if (f->key) sub->key = copy_text(L, script, f->key, &sub->key_size);
  *out = sub;
  if ((f->topic && !sub->topic) || (f->key && !sub->key)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  return 0;
}

int tr_sub_spec_read(lua_State *L, int at, tr_sub_spec **out, tr_error *error) {
  int top = lua_gettop(L), rc = 0;
  form f = { 0 };
  *out = NULL;
  at = lua_absindex(L, at);
  tr_need_stack(L, 20);
  if (lua_type(L, at) == LUA_TSTRING) {
    f.topic = at;
  } else if (lua_type(L, at) == LUA_TTABLE) {
    rc = check_names(L, at, error);
    if (!rc) rc = read_form(L, at, &f, error);
  } else {
    rc = tr_error_set(error, TR_EINVALID, "a subscription must be a topic or a table, not %s", tr_type_name(L, at));
  }
  if (!rc) rc = check_topic(L, &f, error);
  if (!rc) rc = make(L, &f, out, error);
  lua_settop(L, top);
  if (rc && *out) {
    tr_sub_spec_free(*out);
    *out = NULL;
  }
  return rc;
}

int tr_subs_read(lua_State *L, int at, tr_definition *definition, const tr_place *place) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, at), keys = 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) keys++;
  if (keys != n)
    return tr_definition_error(place, NULL, "subscriptions",
                               "`subscriptions` must be a list, such as { \"chat\", { \"noise\", all = true } }");
  for (lua_Integer i = 1; i <= n; i++) {
    tr_sub_spec *sub = NULL;
    tr_error error;
    tr_error_init(&error);
    lua_rawgeti(L, at, i);
    int rc = tr_sub_spec_read(L, -1, &sub, &error);
    lua_pop(L, 1);
    if (rc == TR_EMEMORY) tr_raise_memory(L);
    if (rc)
      return tr_definition_error(place, NULL, "subscriptions", "subscriptions[%lld]: %s", (long long)i, error.text);
    for (tr_link *link = definition->subs.next; link != &definition->subs; link = link->next) {
      if (!tr_sub_spec_same(sub, TR_CONTAINER(link, tr_sub_spec, link))) continue;
      tr_sub_spec_free(sub);
      return tr_definition_error(place, NULL, "subscriptions", "subscriptions[%lld] is there twice", (long long)i);
    }
    tr_list_push(&definition->subs, &sub->link);
  }
  return 0;
}

/* --- life --- */

void tr_sub_spec_free(tr_sub_spec *sub) {
  if (!sub) return;
  tr_script *script = sub->script;
  if (lua_checkstack(script->L, 4)) {
    luaL_unref(script->L, LUA_REGISTRYINDEX, sub->match_ref);
    luaL_unref(script->L, LUA_REGISTRYINDEX, sub->agent_ref);
  }
  tr_free(script->mem, sub->topic, sub->topic_size);
  tr_free(script->mem, sub->key, sub->key_size);
  tr_buf_fini(&sub->found);
  TR_DELETE(script->mem, sub);
}

bool tr_sub_spec_same(const tr_sub_spec *a, const tr_sub_spec *b) {
  if (a->custom || b->custom || a->kind != b->kind || a->all != b->all || !a->key != !b->key) return false;
  return strcmp(a->topic, b->topic) == 0 && (!a->key || strcmp(a->key, b->key) == 0);
}

bool tr_subs_have(const tr_definition *def, const tr_sub_spec *sub) {
  for (const tr_link *link = def->subs.next; link != &def->subs; link = link->next)
    if (tr_sub_spec_same(sub, TR_CONTAINER(link, tr_sub_spec, link))) return true;
  return false;
}

int tr_sub_spec_activate(tr_sub_spec *sub, tr_class *class_, tr_error *error) {
  tr_local_sub_options options = {
    .kind = sub->kind,
    .topic = tr_slice_of(sub->topic),
    .key = tr_slice_make(sub->key, sub->key ? sub->key_size - 1 : 0),
    .all = sub->all,
    .match = sub->custom ? match : NULL,
    .ud = sub,
  };
  return tr_class_subscribe(class_, &options, &sub->id, error);
}

/* ---- several isolates: each has its own record of every subscription ---- */

tr_shared_sub tr_sub_spec_shared(const tr_sub_spec *sub, const char *type) {
  return (tr_shared_sub){
    .type = tr_slice_of(type), .topic = tr_slice_of(sub->topic), .key = tr_slice_make(sub->key, sub->key ? sub->key_size - 1 : 0),
    .kind = sub->kind, .all = sub->all, .id = sub->number,
  };
}

static tr_sub_spec *copy_shared(tr_script *script, const tr_shared_sub *shared) {
  tr_sub_spec *sub = TR_NEW(script->mem, tr_sub_spec);
  if (!sub) return NULL;
  sub->script = script;
  sub->match_ref = sub->agent_ref = LUA_NOREF;
  tr_buf_init(&sub->found, script->mem);
  sub->kind = shared->kind;
  sub->all = shared->all;
  sub->topic = tr_strndup(script->mem, shared->topic.p, shared->topic.n);
  sub->topic_size = sub->topic ? shared->topic.n + 1 : 0;
  if (shared->key.p) sub->key = tr_strndup(script->mem, shared->key.p, shared->key.n);
  sub->key_size = sub->key ? shared->key.n + 1 : 0;
  if (sub->topic && (sub->key || !shared->key.p)) return sub;
  tr_sub_spec_free(sub);
  return NULL;
}

void tr_run_sub_add(tr_script_class *class_, tr_sub_spec *sub) {
  tr_list_push(&class_->run_subs, &sub->link);
  class_->run_sub_count++;
}

void tr_run_sub_drop(tr_script_class *class_, tr_sub_spec *sub) {
  tr_class_unsubscribe(class_->core_class, sub->id);
  tr_link_remove(&sub->link);
  tr_sub_spec_free(sub);
  class_->run_sub_count--;
}

static void add_shared(tr_script *script, tr_script_class *class_, const tr_shared_sub *shared) {
  tr_error error;
  tr_error_init(&error);
  tr_sub_spec *sub = copy_shared(script, shared);
  int rc = sub ? tr_sub_spec_activate(sub, class_->core_class, &error) : tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (rc && rc != TR_EEXISTS) /* there already: two instances asked for the same at once */
    tr_log_write(tr_core_log(script->core), TR_LOG_ERROR, "subscription.lost", "agent_type=%s reason=\"%s\"", class_->def->type, error.text);
  if (rc && sub) tr_sub_spec_free(sub);
  if (rc) return;
  sub->number = shared->id;
  tr_run_sub_add(class_, sub);
}

void tr_script_share(tr_script *script, const tr_shared_sub *shared, bool added) {
  tr_script_class *class_ = tr_script_class_find(script, shared->type);
  if (class_ && added) add_shared(script, class_, shared);
  for (tr_link *link = class_ && !added ? class_->run_subs.next : NULL; link && link != &class_->run_subs; link = link->next) {
    tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    if (sub->number != shared->id) continue;
    tr_run_sub_drop(class_, sub);
    return;
  }
}
