/* SPDX-License-Identifier: MIT
 * The instances of a runtime, of all its isolates, for the operator's verbs: each one, one by its name, all names.
 *
 * "agents" { limit? } → { agents = [ { id, state, program } ], types = [ { type, messages, topics } ], more } (what a prompt completes from) */
#include <stdio.h>

#include "base/text.h"
#include "runtime/operator.h"

#define NAMES_MOST 500 /* that a misspelt one is compared with */

unsigned tr_isolates_of(const troupe_t *rt) { return rt->crew ? rt->crew->count : 1; }
tr_core *tr_core_of_isolate(const troupe_t *rt, unsigned i) { return rt->crew ? rt->crew->isolates[i]->core : rt->core; }
tr_script *tr_script_of_isolate(const troupe_t *rt, unsigned i) { return rt->crew ? rt->crew->isolates[i]->script : rt->script; }

void tr_agents_each(troupe_t *rt, bool (*fn)(void *ud, tr_agent *agent, unsigned isolate), void *ud) {
  bool more = true;
  tr_crew_pause(rt->crew);
  for (unsigned i = 0; more && i < tr_isolates_of(rt); i++)
    for (tr_class *class_ = NULL; more && (class_ = tr_core_next_class(tr_core_of_isolate(rt, i), class_));) {
      if (class_ == rt->subscriber) continue;
      for (tr_agent *agent = NULL; more && (agent = tr_class_next_mailbox(class_, agent));) more = fn(ud, agent, i);
    }
  tr_crew_resume(rt->crew);
}

/* ---- one by its name ---- */

typedef struct search {
  tr_slice type, key;
  bool bare;
  size_t of_type, count, used;
  tr_agent *last; /* of the type */
  unsigned isolate;
  const char *names[NAMES_MOST + 1];
  char texts[NAMES_MOST * 48];
} search;

static bool look_at(void *ud, tr_agent *agent, unsigned isolate) {
  search *s = ud;
  const tr_name *type = tr_class_type(agent->class_);
  if (tr_slice_equal(tr_name_view(type), s->type)) {
    bool exact = tr_slice_equal(tr_name_view(agent->key), s->key); /* it has mail, and is about to be made */
    s->of_type = exact ? 1 : s->of_type + 1;
    s->last = agent;
    s->isolate = isolate;
    s->bare |= exact;
    if (exact) return false;
  }
  size_t room = sizeof s->texts - s->used;
  int n = s->count < NAMES_MOST ? snprintf(s->texts + s->used, room, "%s/%s", type->text, agent->key->text) : -1;
  if (n < 0 || (size_t)n >= room) return true;
  s->names[s->count++] = s->texts + s->used;
  s->used += (size_t)n + 1;
  return true;
}

static int tell_missing(troupe_t *rt, search *s, const char *name, tr_error *error) {
  char full[2 * TR_ID_MAX + 10];
  snprintf(full, sizeof full, s->bare ? "%s/default" : "%s", name);
  const char *nearest = tr_text_nearest(tr_slice_of(full), s->names);
  if (nearest) return tr_error_set(error, TR_ENOT_FOUND, "no agent \"%.200s\" lives here (did you mean %.200s?)", name, nearest);
  if (s->of_type)
    return tr_error_set(error, TR_ENOT_FOUND, "no agent \"%.200s\" lives here; of its type there are %zu, for example %.*s/%.150s", name, s->of_type,
                        (int)(s->type.n < 100 ? s->type.n : 100), s->type.p, s->last->key->text);
  if (tr_core_find_class(rt->core, s->type))
    return tr_error_set(error, TR_ENOT_FOUND, "no agent \"%.200s\" lives here; its type is loaded, its first message makes it", name);
  return tr_error_set(error, TR_ENOT_FOUND, "no agent \"%.200s\" lives here (%zu do: troupe top shows them)", name, s->count);
}

tr_agent *tr_agents_find(troupe_t *rt, const char *name, unsigned *isolate, tr_error *error) {
  tr_agent_id id;
  if (tr_agent_id_parse(tr_slice_of(name), TR_SLICE_LITERAL("default"), &id, error)) return NULL;
  for (unsigned i = 0; i < tr_isolates_of(rt); i++) {
    const tr_class *class_ = tr_core_find_class(tr_core_of_isolate(rt, i), id.type);
    tr_agent *agent = class_ ? tr_class_find(class_, id.key) : NULL;
    *isolate = i;
    if (agent) return agent;
  }
  search *s = TR_NEW(&rt->mem, search);
  if (!s) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  s->type = id.type;
  s->key = id.key;
  s->bare = !strchr(name, '/');
  tr_agents_each(rt, look_at, s);
  tr_agent *only = s->bare && s->of_type == 1 ? s->last : NULL;
  *isolate = s->isolate;
  if (!only) tell_missing(rt, s, name, error);
  TR_DELETE(&rt->mem, s);
  return only;
}

/* ---- all names ---- */

typedef struct listing { tr_buf out; size_t count, limit; } listing;

static bool list(void *ud, tr_agent *agent, unsigned isolate) {
  listing *l = ud;
  char id[2 * TR_ID_MAX + 2];
  (void)isolate;
  if (l->count++ >= l->limit) return false;
  tr_agent_name(agent, id, sizeof id);
  tr_question_put(&l->out, l->count > 1 ? ",{\"id\":" : "{\"id\":", id);
  tr_buf_printf(&l->out, ",\"state\":\"%s\",\"program\":%s}", tr_agent_doing(agent), tr_class_is_program(agent->class_) ? "true" : "false");
  return true;
}

static void put_texts(tr_buf *out, const tr_value *list, const char *member) {
  const char *comma = "";
  for (size_t i = 0; list && i < tr_value_length(list); i++) {
    tr_slice text;
    const tr_value *item = tr_value_at(list, i), *found = member ? tr_value_get(item, tr_slice_of(member)) : item;
    if (!found || !tr_value_as_string(found, &text)) continue;
    tr_question_put(out, comma, text.p);
    comma = ",";
  }
}

static void put_types(tr_buf *out, troupe_t *rt) {
  const char *comma = "";
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(rt->core, class_));) {
    tr_error error;
    tr_error_init(&error);
    tr_value *about = class_ == rt->subscriber || tr_class_is_program(class_) ? NULL : tr_script_describe(rt->script, tr_name_view(tr_class_type(class_)), &error);
    if (about) {
      tr_buf_text(out, comma);
      tr_question_put(out, "{\"type\":", tr_class_type(class_)->text);
      tr_buf_text(out, ",\"messages\":[");
      put_texts(out, tr_value_get(about, TR_SLICE_LITERAL("messages")), NULL);
      tr_buf_text(out, "],\"topics\":[");
      put_texts(out, tr_value_get(about, TR_SLICE_LITERAL("subscriptions")), "topic");
      tr_buf_text(out, "]}");
      comma = ",";
    }
    tr_value_free(about);
  }
}

void tr_answer_agents(tr_question *q) {
  double limit = tr_question_number(q, "limit", 1000);
  listing l = { .limit = limit >= 1 && limit <= 100000 ? (size_t)limit : 1000 };
  tr_buf_init(&l.out, &q->self->rt->mem);
  tr_buf_text(&l.out, "{\"agents\":[");
  tr_agents_each(q->self->rt, list, &l);
  tr_buf_text(&l.out, "],\"types\":[");
  put_types(&l.out, q->self->rt);
  tr_buf_printf(&l.out, "],\"more\":%s}", l.count > l.limit ? "true" : "false");
  tr_question_answer(q, &l.out);
}
