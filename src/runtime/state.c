/* SPDX-License-Identifier: MIT
 * The state of the whole runtime in one file (store/snapshot.h), and back.
 *
 * Records: "state" KEY type/key, the version of the agent's code, its state as a native body. "mail" KEY type/key, one a
 * message that waits in that mailbox, in order: a native map of kind, type, body and who sent it. "failed" KEY type/key,
 * the text why its state is not there.
 *
 * It is consistent since it is taken between two turns, when no agent has an open one; so nothing that is half done is
 * in it. Requests are left out: whoever waits for the answer hears that the runtime ended, and asks again. */
#include <stdio.h>
#include <string.h>

#include "codec/native.h"
#include "codec/value.h"
#include "core/id.h"
#include "runtime/internal.h"
#include "store/file.h"
#include "store/snapshot.h"

#define WAIT TR_SECONDS(3)
#define MAIL_VERSION 1

/* ---- writing ---- */

typedef struct saving {
  troupe_t *rt;
  tr_snapshot_writer writer;
  const tr_agent *agent; /* whose mail is written */
  tr_error *error;
  int failed;
  size_t requests;
} saving;

static int add(saving *self, const char *kind, tr_slice key, int64_t version, tr_slice body) {
  tr_record record = { .kind = tr_slice_of(kind), .key = key, .version = (uint32_t)version };
  return tr_snapshot_writer_add(&self->writer, &record, body, self->error);
}

static int on_failed(void *ud, tr_slice id, const tr_error *why) {
  saving *self = ud;
  self->failed++;
  tr_log_write(&self->rt->log, TR_LOG_ERROR, "save.failed", "agent=%.*s error=\"%s: %s\"", TR_SLICE_ARG(id),
               tr_error_name(why->code), why->text);
  return add(self, "failed", id, 0, tr_slice_of(why->text));
}

static int on_state(void *ud, tr_slice id, int64_t version, tr_slice bytes) {
  tr_error error;
  if (version >= 0 && version <= UINT32_MAX) return add(ud, "state", id, version, bytes);
  tr_error_init(&error);
  tr_error_set(&error, TR_EINVALID, "version %lld is too large for a state file", (long long)version);
  return on_failed(ud, id, &error);
}

static int put_text(const tr_sink *sink, const char *key, const tr_name *text) {
  int rc = text ? sink->key(sink->ud, tr_slice_of(key)) : 0;
  return rc || !text ? rc : sink->string(sink->ud, tr_name_view(text));
}

static int put_integer(const tr_sink *sink, const char *key, int64_t value) {
  int rc = sink->key(sink->ud, tr_slice_of(key));
  return rc ? rc : sink->integer(sink->ud, value);
}

static int encode(troupe_t *rt, const tr_msg *msg, tr_buf *out, tr_error *error) {
  tr_native_writer writer;
  tr_native_writer_init(&writer, out, error);
  tr_sink sink = tr_native_sink(&writer);
  bool event = msg->kind == TR_MSG_EVENT;
  int rc = sink.begin_map(sink.ud, TR_SIZE_UNKNOWN);
  if (!rc) rc = put_integer(&sink, "kind", msg->kind);
  if (!rc) rc = put_integer(&sink, "priority", msg->priority);
  if (!rc) rc = put_text(&sink, "type", msg->type);
  if (!rc && event) rc = put_text(&sink, "topic", msg->target_type);
  if (!rc && event) rc = put_text(&sink, "source", msg->target_key);
  if (!rc) rc = put_text(&sink, "sender_type", msg->sender_type);
  if (!rc) rc = put_text(&sink, "sender_key", msg->sender_key);
  if (!rc && msg->body.kind != TR_BODY_NONE) {
    rc = sink.key(sink.ud, TR_SLICE_LITERAL("body"));
    if (!rc) rc = tr_script_walk(rt->script, &msg->body, &sink, error);
  }
  if (!rc) rc = sink.end_map(sink.ud);
  return !rc && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

static int on_mail(void *ud, const tr_msg *msg) {
  saving *self = ud;
  char id[2 * TR_ID_MAX + 2];
  tr_error error;
  tr_buf body;
  if (msg->kind == TR_MSG_REQUEST) {
    self->requests++;
    return 0;
  }
  snprintf(id, sizeof id, "%s/%s", tr_class_type(self->agent->class_)->text, self->agent->key->text);
  tr_error_init(&error);
  tr_buf_init(&body, &self->rt->mem);
  int rc = encode(self->rt, msg, &body, &error) ? on_failed(self, tr_slice_of(id), &error)
                                                : add(self, "mail", tr_slice_of(id), MAIL_VERSION, tr_buf_view(&body));
  tr_buf_fini(&body);
  return rc;
}

static int write_all(saving *self, tr_file *file) {
  tr_core *core = self->rt->core;
  tr_state_out out = { on_state, on_failed, self };
  int rc = tr_snapshot_writer_begin(&self->writer, tr_file_write, file, self->error);
  if (!rc) rc = tr_script_save(self->rt->script, &out);
  for (tr_class *class_ = NULL; !rc && (class_ = tr_core_next_class(core, class_));) {
    if (tr_class_is_program(class_) || class_ == self->rt->subscriber) continue;
    for (tr_agent *agent = NULL; !rc && (agent = tr_class_next_mailbox(class_, agent));) {
      self->agent = agent;
      rc = tr_agent_each_mail(agent, on_mail, self);
    }
  }
  if (!rc) rc = tr_snapshot_writer_end(&self->writer, self->error);
  return rc ? rc : tr_file_commit(file, self->error);
}

static int save(troupe_t *rt, const char *path) {
  tr_file *file = NULL;
  saving *self = TR_NEW(&rt->mem, saving);
  if (!self) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  self->rt = rt;
  self->error = &rt->error;
  int rc = tr_file_new(&rt->mem, path, NULL, &file, self->error);
  if (!rc) rc = write_all(self, file);
  tr_file_free(file);
  if (self->requests)
    tr_log_write(&rt->log, TR_LOG_INFO, "save.requests", "left_out=%zu (their callers wait for an answer)", self->requests);
  if (!rc) rc = self->failed;
  TR_DELETE(&rt->mem, self);
  return rc;
}

/* ---- the moment without open turns ---- */

/* Their names into `out`; how many there are. */
static size_t open_turns(const troupe_t *rt, char *out, size_t size) {
  size_t count = 0, at = 0;
  tr_core_stats stats;
  tr_core_get_stats(rt->core, &stats);
  if (stats.open_turns == 0) return 0;
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(rt->core, class_));) {
    if (tr_class_is_program(class_)) continue;
    for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_, agent));) {
      if (!agent->turn) continue;
      count++;
      if (at + 1 < size && count <= 5)
        at += (size_t)snprintf(out + at, size - at, "%s%.80s/%.80s", count > 1 ? ", " : "", tr_class_type(class_)->text, agent->key->text);
    }
  }
  return count;
}

int troupe_save(troupe_t *rt, const char *path) {
  char names[300];
  size_t count;
  tr_runtime_error(rt);
  if (rt->crew) return tr_runtime_fail(rt, TR_EINVALID, "states cannot be saved with several threads yet");
  if (rt->in_poll) return tr_runtime_fail(rt, TR_EINVALID, "troupe_save was called from inside a callback of the same runtime");
  int rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  tr_time end = tr_runtime_now(rt) + WAIT;
  while ((count = open_turns(rt, names, sizeof names)) > 0) {
    tr_time now = tr_runtime_now(rt);
    if (now >= end)
      return tr_runtime_fail(rt, TR_ETIMEOUT, "not saved: %zu %s still at work: %s%s", count, count == 1 ? "agent is" : "agents are", names,
                             count > 5 ? ", …" : "");
    tr_runtime_wait(rt, end);
  }
  return save(rt, path);
}

void tr_runtime_save_at_end(troupe_t *rt) {
  tr_runtime_error(rt);
  int rc = save(rt, rt->state_path);
  if (rc < 0)
    tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s: %s\" (the old file is kept)", rt->state_path,
                 tr_error_name(rc), rt->error.text);
  else tr_log_write(&rt->log, TR_LOG_INFO, "saved", "file=%s failed=%d", rt->state_path, rc);
  if (rc && rt->exit_status == 0) rt->exit_status = 1;
}

/* ---- reading ---- */

static tr_value *decode(troupe_t *rt, tr_slice bytes, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, &rt->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_native_parse(bytes, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

static tr_name *name_of(troupe_t *rt, const tr_value *map, const char *key) {
  tr_slice text;
  const tr_value *value = tr_value_get(map, tr_slice_of(key));
  return value && tr_value_as_string(value, &text) ? tr_name_new(tr_core_names(rt->core), text) : NULL;
}

static int64_t number_of(const tr_value *map, const char *key) {
  int64_t number = -1;
  const tr_value *value = tr_value_get(map, tr_slice_of(key));
  if (value) tr_value_as_integer(value, &number);
  return number;
}

static int set_body(troupe_t *rt, const tr_value *map, tr_msg *msg, tr_error *error) {
  const tr_value *body = tr_value_get(map, TR_SLICE_LITERAL("body"));
  if (!body) return 0;
  tr_script_builder *builder = tr_script_build_begin(rt->script, error);
  if (!builder) return TR_EMEMORY;
  tr_sink sink = tr_script_build_sink(builder);
  int rc = tr_value_walk(body, &sink, error);
  msg->body.slot = tr_script_build_end(builder);
  if (msg->body.slot) msg->body.kind = TR_BODY_SLOT;
  else if (!rc) rc = TR_EMEMORY;
  return rc;
}

static int restore_mail(troupe_t *rt, tr_slice id, tr_slice bytes, tr_error *error) {
  tr_agent_id parsed;
  int rc = tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, error);
  tr_class *class_ = rc ? NULL : tr_core_find_class(rt->core, parsed.type);
  if (rc) return rc;
  if (!class_) return tr_error_set(error, TR_ENOT_FOUND, "no agent type \"%.*s\" here", TR_SLICE_ARG(parsed.type));
  tr_value *map = decode(rt, bytes, error);
  if (!map) return error->code ? error->code : TR_EMEMORY;
  bool event = number_of(map, "kind") == TR_MSG_EVENT;
  tr_msg *msg = tr_msg_new(rt->core, event ? TR_MSG_EVENT : TR_MSG_SEND);
  rc = msg ? set_body(rt, map, msg, error) : TR_EMEMORY;
  if (msg) {
    int64_t priority = number_of(map, "priority");
    msg->priority = priority == TR_PRIORITY_HIGH || priority == TR_PRIORITY_LOW ? (uint8_t)priority : TR_PRIORITY_NORMAL;
    msg->troupe_peer = true;
    msg->type = name_of(rt, map, "type");
    msg->sender_type = name_of(rt, map, "sender_type");
    msg->sender_key = name_of(rt, map, "sender_key");
    msg->target_type = event ? name_of(rt, map, "topic") : tr_name_new(tr_core_names(rt->core), parsed.type);
    msg->target_key = event ? name_of(rt, map, "source") : tr_name_new(tr_core_names(rt->core), parsed.key);
    if (!rc && (!msg->type || !msg->target_type || !msg->target_key)) rc = TR_EINVALID;
    if (!rc) rc = tr_core_give(rt->core, class_, parsed.key, msg);
    else tr_msg_unref(msg);
  }
  tr_value_free(map);
  return tr_error_set(error, rc, "%s", tr_error_default_text(rc));
}

/* Before anything is touched: is the file sound, is it ours to read? */
static int check(troupe_t *rt, const tr_snapshot *snapshot, const char *path, tr_error *error) {
  int rc = tr_snapshot_verify(snapshot, error);
  tr_error why;
  tr_error_init(&why);
  for (size_t i = 0; !rc && i < tr_snapshot_count(snapshot); i++) {
    tr_record record = tr_snapshot_at(snapshot, i);
    if (tr_slice_is(record.kind, "state")) rc = tr_script_can_restore(rt->script, record.key, record.version, &why);
    if (tr_slice_is(record.kind, "mail") && record.version > MAIL_VERSION)
      rc = tr_error_set(&why, TR_EINVALID, "it was written by a newer troupe");
    if (rc) return tr_error_set(error, rc, "%s: %s", path, why.text);
  }
  return rc;
}

static int restore_record(troupe_t *rt, tr_snapshot_reader *reader, size_t i, tr_error *error) {
  tr_record record = tr_snapshot_at(reader->snapshot, i);
  tr_slice body;
  int rc = tr_snapshot_read(reader, i, &body, error);
  if (rc) return rc;
  if (tr_slice_is(record.kind, "state")) return tr_script_restore(rt->script, record.key, record.version, body, error);
  if (tr_slice_is(record.kind, "mail")) return restore_mail(rt, record.key, body, error);
  if (tr_slice_is(record.kind, "failed")) return tr_error_set(error, TR_EINVALID, "it was not saved: %.*s", TR_SLICE_ARG(body));
  return 0;
}

static int restore_all(troupe_t *rt, const tr_snapshot *snapshot) {
  tr_snapshot_reader reader;
  int failed = 0;
  tr_snapshot_reader_init(&reader, snapshot, &rt->mem);
  for (size_t i = 0; i < tr_snapshot_count(snapshot); i++) {
    tr_error error;
    tr_error_init(&error);
    if (restore_record(rt, &reader, i, &error) == 0) continue;
    failed++;
    tr_record record = tr_snapshot_at(snapshot, i);
    tr_log_write(&rt->log, TR_LOG_ERROR, "restore.failed", "agent=%.*s record=%.*s error=\"%s: %s\"", TR_SLICE_ARG(record.key),
                 TR_SLICE_ARG(record.kind), tr_error_name(error.code), error.text);
  }
  tr_snapshot_reader_fini(&reader);
  return failed;
}

int troupe_restore(troupe_t *rt, const char *path) {
  tr_snapshot *snapshot = NULL;
  tr_error *error = tr_runtime_error(rt);
  if (rt->crew) return tr_runtime_fail(rt, TR_EINVALID, "states cannot be restored with several threads yet");
  if (rt->in_poll) return tr_runtime_fail(rt, TR_EINVALID, "troupe_restore was called from inside a callback of the same runtime");
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  int rc = tr_snapshot_new_file(&rt->mem, path, tr_random_next(tr_core_random(rt->core)), &snapshot, error);
  if (!rc) rc = check(rt, snapshot, path, error);
  if (!rc) rc = restore_all(rt, snapshot);
  tr_snapshot_free(snapshot);
  return rc;
}

int tr_runtime_set_state(troupe_t *rt, const char *path) {
  int rc = troupe_restore(rt, path);
  if (rc < 0 && rc != TR_ENOT_FOUND) return rc;
  tr_runtime_error(rt);
  rt->state_path = tr_strndup(&rt->mem, path, strlen(path));
  return rt->state_path ? 0 : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
}
