/* SPDX-License-Identifier: MIT
 * --record: what the agents of this process received, sent, and were answered, a line of JSON each.
 *
 *   { at = "begin", format, t, now?, seed?, troupe, files, args, snapshot? }   now: the clock of ctx:now; seed: of random numbers that files
 *                                                              draw when they are loaded; snapshot: restored states, a state file as base64
 *   { at = "sent" | "given" | "answered" | "failed" | "dead", t, kind, type, from?, to, topic?, id, reply?, error?,
 *     priority?, left?, metadata?, timer?, body | native | text }   as `trace` shows them (operator_trace.c), but bodies whole; native: base64
 *                                                              of what JSON cannot say; left: µs to the deadline; timer: the agent's own
 *   { at = "look", t, to, id?, timer?, turn, what = "time" | "now" | "cpu" | "seed", nth, value }  what a turn learned of the time (seconds
 *                                                              since 1970, µs, µs) or draws random numbers from (script/look.c); id: of
 *                                                              the message, timer: its type; only values that differ from the one before
 *   { at = "state", t, to, part?, body | native }             at the end: what a save would store
 *   { at = "end", t, why = "stopped" | "full" }
 *
 * Each line is written at once and by itself, so a crash leaves all before it. Isolates write under one lock. What cannot be written, or
 * does not fit, ends the record, and the log says so: the agents are not held up by it. How it is run again: replay.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/base64.h"
#include "runtime/operator.h"
#include "runtime/record.h"
#include "runtime/seen.h"

typedef struct tr_recorder {
  troupe_t *rt;
  FILE *file;
  uv_mutex_t mutex;
  uint64_t bytes, limit;
  uint64_t looking; /* turns that did */
  bool over;
} tr_recorder;

/* ---- writing ---- */

static bool put(tr_recorder *self, tr_slice line) {
  bool good = fwrite(line.p, 1, line.n, self->file) == line.n && fputc('\n', self->file) != EOF && fflush(self->file) == 0;
  self->bytes += line.n + 1;
  if (!good) self->over = true;
  return good;
}

static void put_end(tr_recorder *self, const char *why) {
  char text[100];
  int n = snprintf(text, sizeof text, "{\"at\":\"end\",\"t\":%.6f,\"why\":\"%s\"}", (double)self->rt->wall_us() / 1e6, why);
  put(self, tr_slice_make(text, (size_t)n));
  self->over = true;
}

/* Under the lock; what is to be logged, or NULL. */
static const char *write_line(tr_recorder *self, const tr_buf *line) {
  if (self->over) return NULL;
  if (line->failed || self->bytes + line->len + 1 > self->limit) {
    put_end(self, "full");
    return line->failed ? "out of memory" : "it has reached its limit (--record-limit)";
  }
  return put(self, tr_buf_view(line)) ? NULL : "it cannot be written";
}

static void write_out(tr_recorder *self, const tr_buf *line) {
  uv_mutex_lock(&self->mutex);
  const char *why = write_line(self, line);
  uv_mutex_unlock(&self->mutex);
  if (why) tr_log_write(&self->rt->log, TR_LOG_WARN, "record.ended", "why=\"%s\"", why);
}

void tr_record_seen(const tr_seer *by, const tr_seen *seen) {
  tr_recorder *self = by->rt->recorder;
  tr_buf line;
  tr_buf_init(&line, by->mem);
  tr_seen_record(&line, by, seen);
  write_out(self, &line);
  tr_buf_fini(&line);
}

static uint64_t number_of(tr_recorder *self, void **kept) {
  if (!*kept) {
    uv_mutex_lock(&self->mutex);
    *kept = (void *)(uintptr_t)++self->looking;
    uv_mutex_unlock(&self->mutex);
  }
  return (uintptr_t)*kept;
}

void tr_record_look(const tr_seer *by, const tr_look *look) {
  tr_recorder *self = by->rt->recorder;
  const tr_agent *agent = look->turn->agent;
  const tr_msg *msg = look->turn->msg;
  char text[2 * TR_ID_MAX + 2], id[TR_MSG_ID_MAX + 1], number[TR_MSG_ID_MAX];
  tr_buf line;
  tr_buf_init(&line, by->mem);
  tr_buf_printf(&line, "{\"at\":\"look\",\"t\":%.6f", (double)self->rt->wall_us() / 1e6);
  tr_seen_name(tr_class_type(agent->class_), agent->key, text);
  tr_question_put(&line, ",\"to\":", text);
  if (msg) snprintf(id, sizeof id, "%.*s", TR_SLICE_ARG(tr_msg_id(msg, number)));
  if (msg && msg->own) tr_question_put(&line, ",\"timer\":", msg->type->text);
  else tr_question_put(&line, ",\"id\":", msg ? id : look->turn->kind == TR_TURN_INIT ? "init" : "close");
  tr_buf_printf(&line, ",\"turn\":%llu,\"what\":\"%s\",\"nth\":%llu,\"value\":%lld}", (unsigned long long)number_of(self, look->kept),
                tr_look_names[look->kind], (unsigned long long)look->nth, (long long)look->value);
  write_out(self, &line);
  tr_buf_fini(&line);
}

/* ---- beginning ---- */

static void put_list(tr_buf *out, const char *before, const char *const *items, int count) {
  tr_buf_text(out, before);
  for (int i = 0; i < count; i++) tr_question_put(out, i ? "," : "", items[i]);
  tr_buf_text(out, "]");
}

/* Only where something was restored: no agent lives yet. */
static int put_snapshot(tr_buf *out, troupe_t *rt) {
  tr_error *error = tr_runtime_error(rt);
  tr_snapshot *snapshot = NULL;
  tr_buf bytes;
  tr_buf_init(&bytes, &rt->mem);
  int rc = tr_state_write(rt, NULL, &bytes, error);
  if (rc >= 0) rc = tr_snapshot_new(&rt->mem, tr_buf_view(&bytes), 1, &snapshot, error);
  if (rc == 0 && tr_snapshot_next(snapshot, TR_SLICE_LITERAL("state"), 0) != TR_SNAPSHOT_NONE) {
    tr_buf_text(out, ",\"snapshot\":\"");
    tr_base64_write(out, tr_buf_view(&bytes));
    tr_buf_text(out, "\"");
  }
  tr_snapshot_free(snapshot);
  tr_buf_fini(&bytes);
  return rc;
}

static int put_begin(tr_recorder *self, const tr_record_options *options) {
  tr_buf line;
  tr_buf_init(&line, &self->rt->mem);
  tr_buf_printf(&line, "{\"at\":\"begin\",\"format\":%d,\"t\":%.6f", TR_RECORD_FORMAT, (double)self->rt->wall_us() / 1e6);
  if (self->rt->look_seed)
    tr_buf_printf(&line, ",\"now\":%lld,\"seed\":%llu", (long long)tr_runtime_now(self->rt), (unsigned long long)self->rt->look_seed);
  tr_question_put(&line, ",\"troupe\":", troupe_version());
  put_list(&line, ",\"files\":[", options->files, options->file_count);
  put_list(&line, ",\"args\":[", options->args, options->arg_count);
  int rc = put_snapshot(&line, self->rt);
  tr_buf_text(&line, "}");
  const char *why = rc ? NULL : write_line(self, &line);
  if (why) rc = tr_runtime_fail(self->rt, line.failed ? TR_EMEMORY : TR_EIO, "%s: %s", options->path, why);
  tr_buf_fini(&line);
  return rc;
}

static void keep_old(const char *path) {
  char old[4096];
  struct stat info;
  int n = snprintf(old, sizeof old, "%s.old", path);
  if (n > 0 && (size_t)n < sizeof old && stat(path, &info) == 0 && S_ISREG(info.st_mode)) rename(path, old);
}

/* Bodies are nobody else's business: 0600. */
static FILE *open_file(troupe_t *rt, const char *path) {
  keep_old(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
  if (file) return file;
  tr_runtime_fail(rt, TR_EIO, "%s: it cannot be written: %s", path, strerror(errno));
  if (fd >= 0) close(fd);
  return NULL;
}

static void observe(troupe_t *rt) {
  tr_crew_pause(rt->crew);
  tr_seen_observe(rt);
  tr_crew_resume(rt->crew);
}

int tr_runtime_record(troupe_t *rt, const tr_record_options *options) {
  tr_runtime_error(rt);
  if (rt->recorder) return tr_runtime_fail(rt, TR_EEXISTS, "it is recorded already");
  tr_recorder *self = TR_NEW(&rt->mem, tr_recorder);
  if (!self) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  *self = (tr_recorder){ .rt = rt, .limit = options->limit ? options->limit : TR_RECORD_LIMIT };
  if (uv_mutex_init(&self->mutex)) {
    TR_DELETE(&rt->mem, self);
    return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  self->file = open_file(rt, options->path);
  rt->recorder = self;
  int rc = self->file ? put_begin(self, options) : rt->error.code;
  if (rc) tr_record_close(rt);
  else observe(rt);
  return rc;
}

/* ---- states, and the end ---- */

typedef struct states { troupe_t *rt; void (*fn)(void *ud, tr_slice line); void *ud; } states;

static int tell_state(const states *self, const tr_record *record, tr_slice bytes, tr_error *error) {
  tr_mem *mem = &self->rt->mem;
  tr_body body = { .kind = TR_BODY_BYTES, .format = TR_FORMAT_NATIVE, .bytes = tr_blob_copy(mem, bytes) };
  tr_buf line;
  if (!body.bytes) return tr_error_set(error, TR_EMEMORY, "out of memory");
  tr_buf_init(&line, mem);
  tr_buf_printf(&line, "{\"at\":\"state\",\"t\":%.6f", (double)self->rt->wall_us() / 1e6);
  tr_question_put_slice(&line, ",\"to\":", record->key);
  if (record->part.n) tr_question_put_slice(&line, ",\"part\":", record->part);
  tr_seen_whole_body(&line, self->rt->script, &body);
  tr_buf_text(&line, "}");
  int rc = line.failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : 0;
  if (!rc) self->fn(self->ud, tr_buf_view(&line));
  tr_buf_fini(&line);
  tr_blob_unref(body.bytes);
  return rc;
}

static int tell_states(const states *self, tr_slice bytes, tr_error *error) {
  tr_snapshot *snapshot = NULL;
  tr_snapshot_reader reader;
  tr_slice body;
  int rc = tr_snapshot_new(&self->rt->mem, bytes, 1, &snapshot, error);
  if (rc) return rc;
  tr_snapshot_reader_init(&reader, snapshot, &self->rt->mem);
  for (size_t i = 0; !rc && i < tr_snapshot_count(snapshot); i++) {
    tr_record record = tr_snapshot_at(snapshot, i);
    if (!tr_slice_is(record.kind, "state")) continue;
    rc = tr_snapshot_read(&reader, i, &body, error);
    if (!rc) rc = tell_state(self, &record, body, error);
  }
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(snapshot);
  return rc;
}

int tr_record_states(troupe_t *rt, const char *agent, void (*fn)(void *ud, tr_slice line), void *ud, tr_error *error) {
  const char *const names[] = { agent, NULL };
  const states self = { rt, fn, ud };
  tr_only only;
  tr_buf bytes;
  int rc = tr_only_init(&only, &rt->mem, agent ? names : NULL);
  if (rc) return tr_error_set(error, rc, "%s is not an agent's id or type", agent);
  tr_buf_init(&bytes, &rt->mem);
  rc = tr_state_write(rt, &only, &bytes, error);
  if (rc >= 0) rc = tell_states(&self, tr_buf_view(&bytes), error);
  tr_buf_fini(&bytes);
  tr_only_fini(&only);
  return rc;
}

static void on_state(void *ud, tr_slice line) {
  tr_recorder *self = ud;
  const char *why = NULL;
  if (self->over) return;
  if (self->bytes + line.n + 1 > self->limit) {
    put_end(self, "full");
    why = "it has reached its limit (--record-limit)";
  } else if (!put(self, line)) {
    why = "it cannot be written";
  }
  if (why) tr_log_write(&self->rt->log, TR_LOG_WARN, "record.ended", "why=\"%s\"", why);
}

void tr_record_end(troupe_t *rt) {
  tr_recorder *self = rt->recorder;
  tr_error error;
  tr_error_init(&error);
  if (!self->over && tr_record_states(rt, NULL, on_state, self, &error) < 0)
    tr_log_write(&rt->log, TR_LOG_WARN, "record.states", "error=\"%s\"", error.text);
  if (!self->over) put_end(self, "stopped");
  tr_record_close(rt);
  tr_seen_observe(rt);
}

void tr_record_close(troupe_t *rt) {
  tr_recorder *self = rt->recorder;
  if (!self) return;
  rt->recorder = NULL;
  if (self->file && fclose(self->file)) tr_log_write(&rt->log, TR_LOG_WARN, "record.ended", "why=\"it cannot be written\"");
  uv_mutex_destroy(&self->mutex);
  TR_DELETE(&rt->mem, self);
}
