/* SPDX-License-Identifier: MIT
 * What the operator may ask for. To add a verb: a function that answers its question, now or later, and a row in `verbs`. Those that
 * look at single agents have files of their own, operator_*.c.
 *
 * "ps" → { pid, version, uptime_s, stage, doors, rights, agents, stats } · "reload": operator_reload.c ·
 * "stop" { drain? } → { stopping }, and the question ends with the process · "state.save" { path?, only?, timeout? } →
 * { path, bytes, failed } · "state.restore" { path, only? } → { path, failed } · "state.show" { only?, timeout? } → the
 * state as state_show.c has it · "deadletters" { count? } → { total, letters } · "doctor"
 * → { pid, findings, checks }. Times are seconds. */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "codec/json.h"
#include "runtime/operator.h"

/* ---- ps ---- */

static void put_doors(tr_buf *out, const troupe_t *rt) {
  const char *comma = "";
  tr_buf_text(out, ",\"doors\":[");
  if (rt->listeners) {
    tr_question_put(out, "{\"kind\":\"listen\",\"address\":", rt->bound);
    tr_buf_text(out, "}");
    comma = ",";
  }
  for (const char *address = NULL; (address = tr_runtime_next_served(rt, address));) {
    tr_buf_text(out, comma);
    tr_question_put(out, "{\"kind\":\"serve\",\"address\":", address);
    tr_buf_text(out, "}");
    comma = ",";
  }
  for (const tr_link *link = rt->uplinks.next; link != &rt->uplinks; link = link->next) {
    static const char *const states[] = { "off", "dialing", "joining", "joined" };
    const tr_uplink *uplink = TR_CONTAINER(link, tr_uplink, all);
    tr_buf_text(out, comma);
    tr_question_put(out, "{\"kind\":\"host\",\"address\":", uplink->address);
    tr_buf_printf(out, ",\"state\":\"%s\"", states[tr_worker_get_state(uplink->worker)]);
    if (uplink->reason[0]) tr_question_put(out, ",\"reason\":", uplink->reason);
    tr_buf_text(out, "}");
    comma = ",";
  }
  tr_buf_text(out, "]");
}

typedef struct counts { size_t instances, mail, turns; } counts;

static void count(const tr_class *class_, counts *sum) {
  for (tr_agent *agent = NULL; class_ && (agent = tr_class_next_mailbox(class_, agent));) {
    sum->instances++;
    sum->mail += tr_agent_mail_count(agent);
    sum->turns += tr_agent_turn_count(agent);
  }
}

/* Of older code that something is still on, in all isolates. */
static void put_older(tr_buf *out, const troupe_t *rt, const tr_class *class_) {
  tr_old_code sums[TR_VERSIONS_KEPT], one;
  size_t n = 0;
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) {
    const tr_class *share = i ? tr_core_find_class(tr_runtime_share(rt, i).core, tr_name_view(tr_class_type(class_))) : class_;
    for (size_t k = 0, at; share && tr_script_class_older(share, k, &one); k++) {
      for (at = 0; at < n && sums[at].number != one.number; at++) { }
      if (at == TR_VERSIONS_KEPT) continue;
      if (at == n) sums[n++] = (tr_old_code){ one.number, 0, 0 };
      sums[at].instances += one.instances;
      sums[at].turns += one.turns;
    }
  }
  tr_buf_text(out, ",\"older\":[");
  for (size_t k = 0; k < n; k++)
    tr_buf_printf(out, "%s{\"code\":%u,\"instances\":%u,\"turns\":%u}", k ? "," : "", sums[k].number, sums[k].instances, sums[k].turns);
  tr_buf_text(out, "]");
}

/* Who is on the canary's code, and how both codes have done since it began. */
static void put_canary(tr_buf *out, const troupe_t *rt, const tr_class *class_) {
  tr_canary_about sum = { 0, 0, 0, 0 }, one;
  if (!tr_script_class_canary(class_, &sum)) return;
  for (unsigned i = 1; i < tr_runtime_shares(rt); i++) {
    const tr_class *share = tr_core_find_class(tr_runtime_share(rt, i).core, tr_name_view(tr_class_type(class_)));
    if (!share || !tr_script_class_canary(share, &one)) continue;
    sum.instances += one.instances;
    sum.turns += one.turns;
    sum.failed += one.failed;
    sum.failed_others += one.failed_others;
  }
  tr_buf_printf(out, ",\"canary\":{\"code\":%u,\"instances\":%u,\"turns\":%u,\"failed\":%u,\"failed_others\":%u}",
                tr_script_canary(rt->script, NULL), sum.instances, sum.turns, sum.failed, sum.failed_others);
}

/* In all isolates: the others stand still meanwhile. */
static void put_class(tr_buf *out, const troupe_t *rt, const tr_class *class_) {
  counts sum = { 0, 0, 0 };
  tr_script_about about;
  count(class_, &sum);
  for (unsigned i = 1; rt->crew && i < rt->crew->count; i++)
    count(tr_core_find_class(rt->crew->isolates[i]->core, tr_name_view(tr_class_type(class_))), &sum);
  tr_question_put(out, "{\"type\":", tr_class_type(class_)->text);
  tr_buf_printf(out, ",\"instances\":%zu,\"queued\":%zu,\"turns\":%zu", sum.instances, sum.mail, sum.turns);
  if (tr_script_class_about(class_, &about)) {
    tr_question_put(out, ",\"file\":", about.file);
    tr_buf_printf(out, ",\"version\":%lld,\"program\":%s,\"code\":%u", (long long)about.version, about.program ? "true" : "false",
                  about.number);
    put_older(out, rt, class_);
    put_canary(out, rt, class_);
  }
  tr_buf_text(out, "}");
}

static void put_stats(tr_buf *out, troupe_t *rt) {
  troupe_stats_t s = { .size = sizeof s };
  troupe_get_stats(rt, &s);
  tr_buf_printf(out, ",\"stats\":{\"turns\":%llu,\"events\":%llu,\"requests\":%llu,\"sends\":%llu,\"dead_letters\":%llu,",
                (unsigned long long)s.turns, (unsigned long long)s.events, (unsigned long long)s.requests, (unsigned long long)s.sends,
                (unsigned long long)s.dead_letters);
  tr_buf_printf(out, "\"overloaded\":%llu,\"failures\":%llu,\"queued\":%llu,\"open_calls\":%llu,\"memory\":%llu,",
                (unsigned long long)s.overloaded, (unsigned long long)s.failures, (unsigned long long)s.queued,
                (unsigned long long)s.open_calls, (unsigned long long)s.memory);
  tr_buf_printf(out, "\"kept_states\":%llu,\"kept_bytes\":%llu,\"unsaved_bytes\":%llu,\"unsaved_tries\":%llu,",
                (unsigned long long)s.kept_states, (unsigned long long)s.kept_bytes, (unsigned long long)s.unsaved_bytes,
                (unsigned long long)s.unsaved_tries);
  tr_buf_printf(out, "\"deflated\":%llu,\"deflated_from\":%llu,\"deflated_to\":%llu,\"inflated\":%llu,", (unsigned long long)s.deflated,
                (unsigned long long)s.deflated_from, (unsigned long long)s.deflated_to, (unsigned long long)s.inflated);
  tr_buf_printf(out, "\"inflated_from\":%llu,\"inflated_to\":%llu,\"inflate_refused\":%llu}", (unsigned long long)s.inflated_from,
                (unsigned long long)s.inflated_to, (unsigned long long)s.inflate_refused);
}

static void put_rights(tr_buf *out, const troupe_t *rt) {
  const char *comma = "";
  tr_buf_text(out, ",\"rights\":[");
  for (const char *right = NULL; (right = tr_runtime_next_grant(rt, right)); comma = ",") tr_question_put(out, comma, right);
  tr_buf_text(out, "]");
}

static void put_code(tr_buf *out, const troupe_t *rt) {
  char keys[TR_CANARY_TEXT];
  uint32_t canary = tr_script_canary(rt->script, keys);
  tr_buf_printf(out, ",\"code\":{\"serves\":%u,\"oldest\":%u", tr_script_number(rt->script), tr_script_oldest(rt->script));
  if (rt->pinned) tr_buf_text(out, ",\"pinned\":true");
  if (canary) tr_buf_printf(out, ",\"canary\":%u", canary);
  if (canary) tr_question_put(out, ",\"keys\":", keys);
  tr_buf_text(out, "}");
}

static void answer_ps(tr_question *q) {
  static const char *const stages[] = { "running", "draining", "draining", "closing", "leaving", "done" };
  troupe_t *rt = q->self->rt;
  tr_buf out;
  const char *comma = "";
  tr_buf_init(&out, &rt->mem);
  tr_buf_printf(&out, "{\"pid\":%ld", (long)getpid());
  tr_question_put(&out, ",\"version\":", TR_VERSION);
  tr_buf_printf(&out, ",\"uptime_s\":%.3f,\"stage\":\"%s\"", (double)(tr_runtime_now(rt) - rt->begun) / 1e6, stages[rt->stage]);
  put_code(&out, rt);
  put_doors(&out, rt);
  put_rights(&out, rt);
  tr_buf_text(&out, ",\"agents\":[");
  if (rt->crew) tr_crew_pause(rt->crew);
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(rt->core, class_));) {
    if (class_ == rt->subscriber) continue;
    tr_buf_text(&out, comma);
    put_class(&out, rt, class_);
    comma = ",";
  }
  if (rt->crew) tr_crew_resume(rt->crew);
  tr_buf_text(&out, "]");
  tr_question_shared(&out, rt);
  put_stats(&out, rt);
  tr_buf_text(&out, "}");
  tr_question_answer(q, &out);
}

/* ---- stop ---- */

static void answer_stop(tr_question *q) {
  troupe_t *rt = q->self->rt;
  tr_time drain = tr_question_seconds(tr_question_number(q, "drain", -1), rt->drain);
  tr_log_write(&rt->log, TR_LOG_INFO, "stop", "by=operator drain_s=%g", (double)drain / 1e6);
  tr_admin_send(q->call, TR_SLICE_LITERAL("{\"stopping\":true}"));
  tr_operator_stay(q->self, q->call);
  tr_question_free(q);
  if (rt->on_stop) rt->on_stop(rt->on_stop_ud);
  troupe_stop(rt, drain);
}

/* ---- state ---- */

static void show(tr_question *q, const tr_buf *bytes) {
  troupe_t *rt = q->self->rt;
  tr_snapshot *snapshot = NULL;
  tr_error error;
  tr_buf out;
  tr_error_init(&error);
  tr_buf_init(&out, &rt->mem);
  int rc = tr_snapshot_new(&rt->mem, tr_buf_view(bytes), 1, &snapshot, &error);
  if (!rc) rc = tr_state_show(&rt->mem, snapshot, NULL, &out, &error);
  tr_snapshot_free(snapshot);
  if (!rc && out.len > TR_ADMIN_REPLY_MAX)
    rc = tr_error_set(&error, TR_ETOO_LARGE, "the state is too large to be shown so (save it, and show the file; or name some by --only)");
  if (!rc) {
    tr_question_answer(q, &out);
    return;
  }
  tr_buf_fini(&out);
  tr_question_fail(q, rc, error.text);
}

static void on_saved(void *ud, int rc, tr_buf *bytes, const tr_error *error) {
  tr_question *q = ud;
  troupe_t *rt = q->self->rt;
  tr_error why;
  tr_buf out;
  size_t size = bytes->len;
  tr_error_init(&why);
  if (rc < 0) {
    tr_question_fail(q, rc, error->text);
  } else if (!q->path) {
    show(q, bytes);
  } else if (tr_store(rt, q->path, false, bytes, &why)) {
    tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s: %s\"", q->path, tr_error_name(why.code), why.text);
    tr_question_fail(q, why.code, why.text);
  } else {
    tr_log_write(&rt->log, TR_LOG_INFO, "saved", "file=%s failed=%d by=operator", q->path, rc);
    tr_buf_init(&out, &rt->mem);
    tr_question_put(&out, "{\"path\":", q->path);
    tr_buf_printf(&out, ",\"bytes\":%zu,\"failed\":%d}", size, rc);
    tr_question_answer(q, &out);
  }
}

static void begin_save(tr_question *q) {
  tr_error error;
  tr_error_init(&error);
  double timeout = tr_question_number(q, "timeout", -1);
  tr_time wait = timeout == 0 ? -1 : tr_question_seconds(timeout, 0);
  if (tr_save_begin(q->self->rt, q->only, wait, on_saved, q, &error)) tr_question_fail(q, error.code, error.text);
}

/* The file that is meant; NULL: there is none, and it was told. Who comes by a door names none: the process may write where he may not. */
static const char *file_of(tr_question *q) {
  const char *path = tr_question_text(q, "path");
  if (path && q->distant) {
    tr_question_fail(q, TR_EPERMISSION, "files are named at the process' own socket only; without a FILE its own one is meant (--state)");
    return NULL;
  }
  if (!path) path = q->self->rt->state_path;
  if (!path) tr_question_fail(q, TR_EINVALID, "no file is named, and the process has none (--state)");
  return path;
}

static void answer_save(tr_question *q) {
  troupe_t *rt = q->self->rt;
  const char *path = file_of(q);
  if (!path) return;
  q->path = tr_strndup(&rt->mem, path, strlen(path));
  if (q->path) begin_save(q);
  else tr_question_fail(q, TR_EMEMORY, NULL);
}

static void answer_restore(tr_question *q) {
  troupe_t *rt = q->self->rt;
  const char *path = file_of(q);
  if (!path) return;
  troupe_state_options_t options = { .size = sizeof options, .only = q->only };
  int rc = troupe_restore_with(rt, path, &options);
  if (rc < 0) {
    tr_question_fail(q, rc, rt->error.text);
    return;
  }
  tr_buf out;
  tr_buf_init(&out, &rt->mem);
  tr_question_put(&out, "{\"path\":", path);
  tr_buf_printf(&out, ",\"failed\":%d}", rc);
  tr_question_answer(q, &out);
}

/* ---- all of them ---- */

/* right: what an operator needs who comes by a host's door (operator_door.c). */
static const struct verb { const char *name; void (*answer)(tr_question *q); tr_right right; } verbs[] = {
  { "ps", answer_ps, TR_RIGHT_OBSERVE }, { "reload", tr_question_reload, TR_RIGHT_OPERATE }, { "stop", answer_stop, TR_RIGHT_OPERATE },
  { "deadletters", tr_question_letters, TR_RIGHT_OBSERVE }, { "doctor", tr_question_doctor, TR_RIGHT_OBSERVE },
  { "state.save", answer_save, TR_RIGHT_OPERATE }, { "state.restore", answer_restore, TR_RIGHT_OPERATE },
  { "state.show", begin_save, TR_RIGHT_OBSERVE }, { "agents", tr_answer_agents, TR_RIGHT_OBSERVE }, { "top", tr_answer_top, TR_RIGHT_OBSERVE },
  { "inspect", tr_answer_inspect, TR_RIGHT_OBSERVE }, { "trace", tr_answer_trace, TR_RIGHT_OBSERVE },
  { "break", tr_answer_break, TR_RIGHT_EVALUATE }, { "eval", tr_answer_eval, TR_RIGHT_EVALUATE },
  { "complete", tr_answer_complete, TR_RIGHT_EVALUATE },
};

static const struct verb *find_verb(tr_slice name) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (tr_slice_is(name, verbs[i].name)) return &verbs[i];
  return NULL;
}

bool tr_operator_right(tr_slice verb, tr_right *right) {
  const struct verb *found = find_verb(verb);
  if (found) *right = found->right;
  return found != NULL;
}

tr_value *tr_operator_parse(troupe_t *rt, tr_slice body, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, &rt->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  if (body.n == 0) body = TR_SLICE_LITERAL("{}");
  tr_value *value = tr_json_parse(&rt->mem, body, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  if (value && tr_value_get_kind(value) == TR_VALUE_MAP) return value;
  tr_value_free(value);
  if (!error->code) tr_error_set(error, TR_EINVALID, "it must be a JSON object");
  return NULL;
}

static void answer(tr_operator *self, tr_admin_call *call, tr_slice verb, tr_slice body, bool distant) {
  troupe_t *rt = self->rt;
  tr_error error;
  tr_error_init(&error);
  const struct verb *found = find_verb(verb);
  if (!found) {
    tr_error_set(&error, TR_ECANT_HANDLE, "this process (troupe " TR_VERSION ") does not know the verb %.*s",
                 (int)tr_utf8_cut(verb, 100), verb.p);
    tr_admin_fail(call, error.code, error.text);
    return;
  }
  tr_value *args = tr_operator_parse(rt, body, &error);
  tr_question *q = args ? TR_NEW(&rt->mem, tr_question) : NULL;
  if (!q) {
    tr_value_free(args);
    tr_admin_fail(call, error.code ? error.code : TR_EMEMORY, error.text);
    return;
  }
  *q = (tr_question){ .self = self, .call = call, .args = args, .distant = distant };
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  if (tr_question_read_only(q)) found->answer(q);
  else tr_question_fail(q, TR_EMEMORY, NULL);
}

void tr_operator_answer(void *ud, tr_admin_call *call, tr_slice verb, tr_slice body) { answer(ud, call, verb, body, false); }
void tr_operator_answer_distant(tr_operator *self, tr_admin_call *call, tr_slice verb, tr_slice body) { answer(self, call, verb, body, true); }
