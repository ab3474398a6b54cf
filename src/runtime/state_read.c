/* SPDX-License-Identifier: MIT
 * Reading a state file into a runtime (state_write.c says what is in it).
 *
 * Everything is checked before anything is touched: that the file is sound, and that no state in it is newer than the
 * code. Then record by record; what cannot be restored is told in the log and does not keep the others. States are only
 * put where their instances will find them: nothing is decoded before an instance's first message.
 *
 * The time since it was saved counts for timers and deadlines, where the runtime goes by the system's clock. Under a
 * clock of the embedder's own it stood still. */
#include <string.h>

#include "codec/value.h"
#include "core/id.h"
#include "runtime/state.h"

typedef struct reading {
  troupe_t *rt;
  const tr_only *only;
  tr_snapshot_reader reader;
  tr_time passed;
  bool lossy, gaps; /* a record could not be taken up; one tells that it was not saved */
} reading;

static bool is_wanted(const reading *self, const tr_record *record) {
  return tr_slice_is(record->kind, "saved") || !self->only || tr_only_has(self->only, record->key);
}

static int check_one(const reading *self, const tr_record *record, tr_error *error) {
  if (!is_wanted(self, record)) return 0;
  if (tr_slice_is(record->kind, "state") && record->part.n == 0)
    return tr_script_can_restore(self->rt->script, record->key, record->version, error);
  if (tr_slice_is(record->kind, "mail") && record->version > TR_MAIL_VERSION)
    return tr_error_set(error, TR_EINVALID, "it was written by a newer troupe");
  return 0;
}

static int check(const reading *self, const char *name, tr_error *error) {
  const tr_snapshot *snapshot = self->reader.snapshot;
  int rc = tr_snapshot_verify(snapshot, error);
  tr_error why;
  tr_error_init(&why);
  for (size_t i = 0; !rc && i < tr_snapshot_count(snapshot); i++) {
    tr_record record = tr_snapshot_at(snapshot, i);
    rc = check_one(self, &record, &why);
    if (rc) return tr_error_set(error, rc, "%s: %s", name, why.text);
  }
  return rc;
}

static void read_time(reading *self, tr_slice bytes) {
  int64_t then = 0;
  tr_value *value = tr_script_value(self->rt->script, bytes, &self->rt->error);
  tr_error_init(&self->rt->error);
  if (value && tr_value_as_integer(value, &then) && !self->rt->options.clock_us) {
    int64_t now = self->rt->restored_at ? self->rt->restored_at : self->rt->wall_us();
    self->passed = then > 0 && then < now ? now - then : 0; /* or the time of day was set back */
  }
  tr_value_free(value);
}

/* Subscriptions are known to every isolate, the rest only where the instance lives. */
static int restore_where_it_lives(reading *self, const tr_record *record, tr_slice body, tr_error *error) {
  unsigned count = tr_runtime_shares(self->rt);
  bool all = tr_slice_is(record->kind, "subscription");
  tr_agent_id id;
  int rc = all ? 0 : tr_agent_id_parse(record->key, TR_SLICE_LITERAL("default"), &id, error);
  tr_share share = rc || all ? tr_runtime_share(self->rt, 0) : tr_runtime_share_of(self->rt, id.type, id.key);
  for (unsigned i = 0; !rc && i < (all ? count : 1); i++) {
    if (i) share = tr_runtime_share(self->rt, i);
    rc = tr_script_restore(share.script, record->kind, record->key, record->part, record->version, body, self->passed, error);
  }
  return rc;
}

static int restore_record(reading *self, size_t i, tr_error *error) {
  troupe_t *rt = self->rt;
  tr_record record = tr_snapshot_at(self->reader.snapshot, i);
  tr_slice body;
  if (!is_wanted(self, &record)) return 0;
  int rc = tr_snapshot_read(&self->reader, i, &body, error);
  if (rc) return rc;
  if (tr_slice_is(record.kind, "saved")) read_time(self, body);
  else if (tr_slice_is(record.kind, "mail")) rc = tr_mail_restore(rt, record.key, body, self->passed, error);
  else if (tr_slice_is(record.kind, "failed")) rc = tr_error_set(error, TR_EINVALID, "it was not saved: %.*s", TR_SLICE_ARG(body));
  else if (tr_slice_is(record.kind, "state") || tr_slice_is(record.kind, "timer") || tr_slice_is(record.kind, "subscription"))
    rc = restore_where_it_lives(self, &record, body, error);
  return rc; /* a kind of a later version is left alone */
}

static int restore_all(reading *self) {
  const tr_snapshot *snapshot = self->reader.snapshot;
  int failed = 0;
  for (size_t i = 0; i < tr_snapshot_count(snapshot); i++) {
    tr_error error;
    tr_error_init(&error);
    if (restore_record(self, i, &error) == 0) continue;
    failed++;
    tr_record record = tr_snapshot_at(snapshot, i);
    *(tr_slice_is(record.kind, "failed") ? &self->gaps : &self->lossy) = true;
    tr_log_write(&self->rt->log, TR_LOG_ERROR, "restore.failed", "agent=%.*s record=%.*s error=\"%s: %s\"", TR_SLICE_ARG(record.key),
                 TR_SLICE_ARG(record.kind), tr_error_name(error.code), error.text);
  }
  return failed;
}

int tr_state_restore(troupe_t *rt, tr_snapshot *snapshot, const char *name, const tr_only *only, tr_error *error) {
  reading self = { .rt = rt, .only = only };
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_snapshot_reader_init(&self.reader, snapshot, &rt->mem);
  int rc = check(&self, name, error);
  tr_together_pause(rt, true);
  if (!rc) rc = restore_all(&self);
  tr_together_resume(rt);
  tr_snapshot_reader_fini(&self.reader);
  if (!rt->state_path) { /* it is read before the path is known */
    rt->state_lossy = self.lossy;
    rt->state_gaps = self.gaps;
  }
  return rc;
}

/* ---- the interface ---- */

static int restore(troupe_t *rt, const char *path, tr_slice bytes, const troupe_state_options_t *options) {
  tr_snapshot *snapshot = NULL;
  tr_only only;
  tr_error *error = tr_runtime_error(rt);
  uint64_t seed = tr_random_next(tr_core_random(rt->core));
  if (rt->in_poll) return tr_runtime_fail(rt, TR_EINVALID, "troupe_restore was called from inside a callback of the same runtime");
  int rc = tr_only_init(&only, &rt->mem, tr_state_options(options).only);
  if (rc) return tr_runtime_fail(rt, rc, "%s", rc == TR_EMEMORY ? "out of memory" : "`only` must name 1 to 1000 agents or types");
  rc = path ? tr_snapshot_new_file(&rt->mem, path, seed, &snapshot, error) : tr_snapshot_new(&rt->mem, bytes, seed, &snapshot, error);
  if (!rc) rc = tr_state_restore(rt, snapshot, path ? path : "the saved bytes", &only, error);
  tr_snapshot_free(snapshot);
  tr_only_fini(&only);
  return rc;
}

int troupe_restore(troupe_t *rt, const char *path) { return restore(rt, path, (tr_slice){ NULL, 0 }, NULL); }
int troupe_restore_with(troupe_t *rt, const char *path, const troupe_state_options_t *options) {
  return restore(rt, path, (tr_slice){ NULL, 0 }, options);
}
int troupe_restore_bytes(troupe_t *rt, const char *bytes, size_t length, const troupe_state_options_t *options) {
  return restore(rt, NULL, tr_slice_make(bytes, length), options);
}

/* That it can be written, and by nobody else, is known now and not only when all is to be saved. */
int tr_runtime_set_state(troupe_t *rt, const char *path) {
  const tr_file_options hold = { .hold = true };
  tr_error *error = tr_runtime_error(rt);
  if (rt->state_path) return tr_runtime_fail(rt, TR_EEXISTS, "the runtime has a state file already: %s", rt->state_path);
  int rc = tr_file_new(&rt->mem, path, &hold, &rt->state_hold, error);
  if (rc) return rc;
  rc = troupe_restore(rt, path);
  if (rc < 0 && rc != TR_ENOT_FOUND) goto out;
  tr_runtime_error(rt);
  rt->state_path = tr_strndup(&rt->mem, path, strlen(path));
  rc = rt->state_path ? 0 : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
out:
  if (rc) tr_file_free(rt->state_hold);
  if (rc) rt->state_hold = NULL;
  return rc;
}
