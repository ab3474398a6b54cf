/* SPDX-License-Identifier: MIT
 * Requests of the control channel (docs/wire.md §12): SaveState and LoadState of one of our agents, asked for by a host that we
 * joined, AutoGen's or troupe's, or through the host that we are.
 *
 * A state goes as JSON text: { "troupe-version": the version of the agent's code, "state": …, "shards": { … } where it has
 * any }; one without the first two is taken for a state of the code's own version. Saving waits for the agent's open turn, as every save does. */
#include <string.h>

#include "codec/json.h"
#include "codec/native.h"
#include "codec/value.h"
#include "core/id.h"
#include "runtime/state.h"
#include "wire/wire.h"

#define STATE_MAX (4u << 20) /* peers take no larger message */

typedef struct control { /* a request that is being answered */
  troupe_t *rt;
  tr_uplink *uplink; /* it came by; NULL: by our own host */
  size_t size;
  tr_slice rpc_id, respond_to;
  tr_share share; /* where its agent lives */
  char id[2 * TR_ID_MAX + 2];
  char texts[];
} control;

/* ---- answers ---- */

static bool is_there(const troupe_t *rt, const tr_uplink *uplink) {
  for (const tr_link *link = rt->uplinks.next; link != &rt->uplinks; link = link->next)
    if (TR_CONTAINER(link, tr_uplink, all) == uplink) return true;
  return false;
}

static void send_answer(const control *self, const char *type, const tr_buf *value) {
  tr_wire_control message = { .rpc_id = self->rpc_id, .destination = self->respond_to, .type_url = tr_slice_of(type), .value = tr_buf_view(value) };
  if (value->failed || self->respond_to.n == 0) return;
  if (!self->uplink) {
    if (self->rt->host) tr_host_control(self->rt->host, &message);
    return;
  }
  tr_blob *frame = tr_wire_encode_control(&self->rt->mem, &message);
  if (frame && is_there(self->rt, self->uplink)) tr_worker_control(self->uplink->worker, frame);
  tr_blob_unref(frame);
}

static void answer_save(const control *self, tr_slice state, const char *error) {
  tr_buf value;
  tr_buf_init(&value, &self->rt->mem);
  if (tr_wire_encode_save_response(&value, state, error ? tr_slice_of(error) : (tr_slice){ NULL, 0 })) value.failed = true;
  send_answer(self, "type.googleapis.com/agents.SaveStateResponse", &value);
  tr_buf_fini(&value);
}

static void answer_load(const control *self, const char *error) {
  tr_buf value;
  tr_buf_init(&value, &self->rt->mem);
  if (tr_wire_encode_load_response(&value, error ? tr_slice_of(error) : (tr_slice){ NULL, 0 })) value.failed = true;
  send_answer(self, "type.googleapis.com/agents.LoadStateResponse", &value);
  tr_buf_fini(&value);
}

static control *control_new(troupe_t *rt, tr_uplink *uplink, const tr_wire_control *message) {
  size_t size = sizeof(control) + message->rpc_id.n + message->respond_to.n + 2;
  control *self = tr_calloc(&rt->mem, 1, size);
  if (!self) return NULL;
  self->rt = rt;
  self->uplink = uplink;
  self->size = size;
  if (message->rpc_id.n) memcpy(self->texts, message->rpc_id.p, message->rpc_id.n);
  if (message->respond_to.n) memcpy(self->texts + message->rpc_id.n, message->respond_to.p, message->respond_to.n);
  self->rpc_id = tr_slice_make(self->texts, message->rpc_id.n);
  self->respond_to = tr_slice_make(self->texts + message->rpc_id.n, message->respond_to.n);
  return self;
}

static int set_id(control *self, tr_slice type, tr_slice key, tr_error *error) {
  int rc = tr_agent_type_check(type, error);
  if (!rc) rc = tr_key_check(key, error);
  if (!rc && !tr_core_find_class(self->rt->core, type))
    rc = tr_error_set(error, TR_ENOT_FOUND, "no agent type \"%.*s\" here", TR_SLICE_ARG(type));
  if (!rc) snprintf(self->id, sizeof self->id, "%.*s/%.*s", TR_SLICE_ARG(type), TR_SLICE_ARG(key));
  return rc;
}

/* ---- SaveState ---- */

static int put_native(tr_snapshot_reader *reader, size_t at, tr_buf *out, tr_error *error) {
  tr_slice body;
  tr_json_writer writer;
  int rc = tr_snapshot_read(reader, at, &body, error);
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  return rc ? rc : tr_native_parse(body, &sink, error);
}

static int put_shards(tr_snapshot_reader *reader, size_t main, tr_buf *out, tr_error *error) {
  const tr_snapshot *snapshot = reader->snapshot;
  const char *before = ",\"shards\":{";
  int rc = 0;
  for (size_t at = main; !rc && (at = tr_snapshot_next_key(snapshot, at)) != TR_SNAPSHOT_NONE; before = ",") {
    tr_json_writer writer;
    tr_json_writer_init(&writer, out, error);
    tr_sink sink = tr_json_sink(&writer);
    tr_buf_text(out, before);
    rc = sink.string(sink.ud, tr_snapshot_at(snapshot, at).part);
    tr_buf_text(out, ":");
    if (!rc) rc = put_native(reader, at, out, error);
  }
  if (before[1] == 0) tr_buf_text(out, "}");
  return rc;
}

static int read_json(const control *self, tr_snapshot_reader *reader, tr_buf *out, tr_error *error) {
  const tr_snapshot *snapshot = reader->snapshot;
  tr_slice id = tr_slice_of(self->id), body;
  size_t at = tr_snapshot_find(snapshot, TR_SLICE_LITERAL("state"), id, TR_SLICE_LITERAL(""));
  size_t failed = tr_snapshot_find_key(snapshot, TR_SLICE_LITERAL("failed"), id);
  if (failed != TR_SNAPSHOT_NONE && tr_snapshot_read(reader, failed, &body, error) == 0)
    return tr_error_set(error, TR_EINVALID, "%.*s", TR_SLICE_ARG(body));
  if (at == TR_SNAPSHOT_NONE) return tr_error_set(error, TR_ENOT_FOUND, "%s is not in memory and has no saved state", self->id);
  tr_buf_printf(out, "{\"troupe-version\":%u,\"state\":", (unsigned)tr_snapshot_at(snapshot, at).version);
  int rc = put_native(reader, at, out, error);
  if (!rc) rc = put_shards(reader, at, out, error);
  tr_buf_text(out, "}");
  return !rc && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

static int state_json(const control *self, const tr_buf *bytes, tr_buf *out, tr_error *error) {
  tr_snapshot *snapshot = NULL;
  tr_snapshot_reader reader;
  int rc = tr_snapshot_new(&self->rt->mem, tr_buf_view(bytes), 1, &snapshot, error);
  if (rc) return rc;
  tr_snapshot_reader_init(&reader, snapshot, &self->rt->mem);
  rc = read_json(self, &reader, out, error);
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(snapshot);
  return rc;
}

static void on_saved(void *ud, int rc, tr_buf *bytes, const tr_error *error) {
  control *self = ud;
  tr_error why;
  tr_buf json;
  tr_error_init(&why);
  tr_buf_init(&json, &self->rt->mem);
  if (rc < 0) tr_error_set(&why, rc, "%s", error->text);
  else rc = state_json(self, bytes, &json, &why);
  if (rc >= 0 && json.len > STATE_MAX - 1024) rc = tr_error_set(&why, TR_ETOO_LARGE, "the state is larger than a message may be");
  if (rc < 0) answer_save(self, (tr_slice){ NULL, 0 }, why.text);
  else answer_save(self, tr_buf_view(&json), NULL);
  tr_buf_fini(&json);
  tr_free(&self->rt->mem, self, self->size);
}

/* ---- LoadState ---- */

static const tr_value *read_state(troupe_t *rt, tr_slice json, tr_value **owned, int64_t *version, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, &rt->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  *owned = tr_json_parse(&rt->mem, json, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  const tr_value *given = *owned ? tr_value_get(*owned, TR_SLICE_LITERAL("troupe-version")) : NULL;
  const tr_value *state = given ? tr_value_get(*owned, TR_SLICE_LITERAL("state")) : NULL;
  if (state && tr_value_as_integer(given, version)) return state;
  return *owned;
}

static int load_part(const control *self, tr_slice part, int64_t version, const tr_value *state, tr_error *error) {
  tr_buf bytes;
  tr_native_writer writer;
  tr_buf_init(&bytes, &self->rt->mem);
  tr_native_writer_init(&writer, &bytes, error);
  tr_sink sink = tr_native_sink(&writer);
  int rc = tr_value_walk(state, &sink, error);
  if (!rc && bytes.failed) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc)
    rc = tr_script_restore(self->share.script, TR_SLICE_LITERAL("state"), tr_slice_of(self->id), part, version, tr_buf_view(&bytes), 0, error);
  tr_buf_fini(&bytes);
  return rc;
}

static int load(const control *self, tr_slice type, tr_slice json, tr_error *error) {
  tr_script_about about;
  tr_value *owned;
  if (!tr_script_class_about(tr_core_find_class(self->rt->core, type), &about) || about.program)
    return tr_error_set(error, TR_EINVALID, "%s is no agent that has a state", self->id);
  int64_t version = about.version;
  const tr_value *state = read_state(self->rt, json, &owned, &version, error);
  const tr_value *shards = state && state != owned ? tr_value_get(owned, TR_SLICE_LITERAL("shards")) : NULL;
  int rc = state ? load_part(self, (tr_slice){ NULL, 0 }, version, state, error) : error->code ? error->code : TR_EINVALID;
  for (size_t i = 0; !rc && shards && tr_value_get_kind(shards) == TR_VALUE_MAP && i < tr_value_length(shards); i++)
    rc = load_part(self, tr_value_key_at(shards, i), version, tr_value_at(shards, i), error);
  tr_value_free(owned);
  return rc;
}

/* ---- requests ---- */

static bool is_a(tr_slice url, const char *name) {
  const char *slash = url.n ? memchr(url.p, '/', url.n) : NULL; /* "type.googleapis.com/agents.…" */
  return slash && tr_slice_is(tr_slice_make(slash + 1, url.n - (size_t)(slash + 1 - url.p)), name);
}

static void begin_save(control *self, tr_slice value) {
  tr_slice type, key;
  tr_error error;
  tr_error_init(&error);
  int rc = tr_wire_decode_save_request(value, &type, &key, &error);
  if (!rc) rc = set_id(self, type, key, &error);
  const char *only[] = { self->id, NULL };
  if (!rc && strchr(self->id, '*')) rc = tr_error_set(&error, TR_EINVALID, "a key with * cannot be saved so");
  if (!rc) rc = tr_save_begin(self->rt, only, 0, on_saved, self, &error);
  if (!rc) return;
  answer_save(self, (tr_slice){ NULL, 0 }, error.text);
  tr_free(&self->rt->mem, self, self->size);
}

static void do_load(control *self, tr_slice value) {
  tr_slice type, key, state;
  tr_error error;
  tr_error_init(&error);
  int rc = tr_wire_decode_load_request(value, &type, &key, &state, &error);
  if (!rc) rc = set_id(self, type, key, &error);
  tr_together_pause(self->rt, true);
  self->share = tr_runtime_share_of(self->rt, type, key);
  if (!rc) rc = load(self, type, state, &error);
  tr_together_resume(self->rt);
  answer_load(self, rc ? error.text : NULL);
  tr_free(&self->rt->mem, self, self->size);
}

void tr_runtime_control(troupe_t *rt, tr_uplink *uplink, const tr_wire_control *message) {
  bool save = is_a(message->type_url, "agents.SaveStateRequest"), restore = is_a(message->type_url, "agents.LoadStateRequest");
  if (!save && !restore) {
    tr_log_write(&rt->log, TR_LOG_DEBUG, "control.ignored", "type=\"%.*s\"", TR_SLICE_ARG(message->type_url));
    return;
  }
  control *self = control_new(rt, uplink, message);
  if (!self) return;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  if (save) begin_save(self, message->value);
  else do_load(self, message->value);
}
