/* SPDX-License-Identifier: MIT
 * A state file as JSON, for people: what `troupe state show` prints. Nothing is loaded and nothing is run for it. */
#include <stdio.h>
#include <time.h>

#include "codec/json.h"
#include "codec/native.h"
#include "codec/value.h"
#include "runtime/state.h"

typedef struct showing {
  tr_buf *out;
  tr_error *error;
  bool comma;
} showing;

static int put_text(tr_buf *out, tr_slice text, tr_error *error) {
  tr_json_writer writer;
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  return sink.string(sink.ud, text);
}

/* A native body as JSON, or as {"error": why}: what JSON has no word for (an infinity) does not spoil the rest. */
static int put_value(tr_buf *out, tr_slice bytes, tr_error *error) {
  size_t at = out->len;
  tr_error why;
  tr_error_init(&why);
  tr_json_writer writer;
  tr_json_writer_init(&writer, out, &why);
  tr_sink sink = tr_json_sink(&writer);
  if (tr_native_parse(bytes, &sink, &why) == 0) return 0;
  out->len = at;
  tr_buf_text(out, "{\"error\":");
  int rc = put_text(out, tr_slice_of(why.text), error);
  tr_buf_text(out, "}");
  return rc;
}

static int put_record(showing *self, const tr_record *record, tr_slice body) {
  tr_buf *out = self->out;
  tr_buf_text(out, self->comma ? ",\n{\"kind\":" : "\n{\"kind\":");
  self->comma = true;
  int rc = put_text(out, record->kind, self->error);
  tr_buf_text(out, tr_slice_is(record->kind, "subscription") ? ",\"type\":" : ",\"agent\":");
  if (!rc) rc = put_text(out, record->key, self->error);
  if (!rc && record->part.n) {
    tr_buf_text(out, ",\"part\":");
    rc = put_text(out, record->part, self->error);
  }
  tr_buf_printf(out, ",\"version\":%u,\"bytes\":%llu,\"value\":", (unsigned)record->version, (unsigned long long)record->size);
  if (!rc) rc = tr_slice_is(record->kind, "failed") ? put_text(out, body, self->error) : put_value(out, body, self->error);
  tr_buf_text(out, "}");
  return rc;
}

static void put_time(tr_buf *out, tr_slice body) {
  char text[40] = "";
  tr_error error;
  tr_error_init(&error);
  int64_t saved = 0;
  tr_value_builder builder;
  tr_value_builder_init(&builder, out->mem, &error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_native_parse(body, &sink, &error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  if (value && tr_value_as_integer(value, &saved)) {
    time_t seconds = (time_t)(saved / 1000000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  }
  tr_value_free(value);
  tr_buf_printf(out, "\"saved\":\"%s\",", text);
}

static int show(showing *self, tr_snapshot_reader *reader, const tr_only *only) {
  const tr_snapshot *snapshot = reader->snapshot;
  int rc = 0;
  tr_slice body;
  tr_buf_text(self->out, "{");
  size_t time = tr_snapshot_next(snapshot, TR_SLICE_LITERAL("saved"), 0);
  if (time != TR_SNAPSHOT_NONE && tr_snapshot_read(reader, time, &body, self->error) == 0) put_time(self->out, body);
  tr_buf_printf(self->out, "\"bytes\":%llu,\"records\":[", (unsigned long long)tr_snapshot_size(snapshot));
  for (size_t i = 0; !rc && i < tr_snapshot_count(snapshot); i++) {
    tr_record record = tr_snapshot_at(snapshot, i);
    if (tr_slice_is(record.kind, "saved") || (only && !tr_only_has(only, record.key))) continue;
    rc = tr_snapshot_read(reader, i, &body, self->error);
    if (!rc) rc = put_record(self, &record, body);
  }
  tr_buf_text(self->out, "\n]}");
  return !rc && self->out->failed ? tr_error_set(self->error, TR_EMEMORY, "out of memory") : rc;
}

int tr_state_show(tr_mem *mem, const tr_snapshot *snapshot, const tr_only *only, tr_buf *out, tr_error *error) {
  tr_snapshot_reader reader;
  showing self = { out, error, false };
  tr_snapshot_reader_init(&reader, snapshot, mem);
  int rc = show(&self, &reader, only);
  tr_snapshot_reader_fini(&reader);
  return rc;
}

int tr_runtime_show_state(troupe_t *rt, const char *path, const char *const *names, tr_buf *out) {
  tr_snapshot *snapshot = NULL;
  tr_only only;
  tr_error *error = tr_runtime_error(rt);
  int rc = tr_only_init(&only, &rt->mem, names);
  if (rc) return tr_error_set(error, rc, "`only` must name 1 to 1000 agents or types");
  rc = tr_snapshot_new_file(&rt->mem, path, 1, &snapshot, error);
  if (!rc) rc = tr_state_show(&rt->mem, snapshot, &only, out, error);
  tr_snapshot_free(snapshot);
  tr_only_fini(&only);
  return rc;
}
