/* SPDX-License-Identifier: MIT
 * What bodies look like outside this process, as C sets it: descriptor sets, serializers, and which encoding C's own messages go in
 * (include/troupe.h). The work is codec/codecs.c's and script/encode.c's. */
#include "codec/value.h"
#include "core/id.h"
#include "runtime/internal.h"

/* ---- descriptor sets ---- */

int troupe_protobuf(troupe_t *rt, const char *name, const void *set, size_t length) {
  tr_error *error = tr_runtime_error(rt);
  return tr_together_protobuf(rt, tr_slice_of(name), tr_slice_make(set, length), error);
}

int tr_runtime_protobuf_file(troupe_t *rt, const char *path) {
  tr_error *error = tr_runtime_error(rt);
  tr_buf bytes;
  tr_buf_init(&bytes, &rt->mem);
  int rc = tr_runtime_read(rt, path, &bytes, error);
  if (!rc) rc = tr_together_protobuf(rt, tr_slice_of(path), tr_buf_view(&bytes), error);
  tr_buf_fini(&bytes);
  return rc;
}

bool tr_runtime_has_type(const troupe_t *rt, const char *type) { return tr_codecs_type(rt->codecs, tr_slice_of(type)) != NULL; }

/* ---- serializers ---- */

typedef struct plugged { troupe_t *rt; troupe_encode_fn encode; troupe_decode_fn decode; void *ud; } plugged;

struct troupe_output { tr_buf *bytes; tr_error *error; };

int troupe_output_bytes(troupe_output_t *out, const void *bytes, size_t length) {
  if (!out->bytes) return TROUPE_EINVALID; /* decode has none to give */
  return tr_buf_append(out->bytes, bytes, length) ? 0 : TROUPE_EMEMORY;
}

int troupe_output_fail(troupe_output_t *out, const char *text) { return tr_error_set(out->error, TR_EINVALID, "%s", text); }

/* One call of the embedder's function, in the runtime's own thread. */
typedef struct job {
  plugged *by;
  tr_mem *mem; /* for what comes out: of the isolate that asks */
  tr_slice type, given;
  const tr_value *body;
  tr_value *value;
  tr_buf *bytes;
  tr_error *error;
  int rc;
} job;

static void call_encode(void *ud) {
  job *self = ud;
  plugged *by = self->by;
  troupe_output_t out = { self->bytes, self->error };
  char *name = tr_strndup(&by->rt->mem, self->type.p, self->type.n);
  self->rc = name ? by->encode(by->ud, name, self->body, &out) : TR_EMEMORY;
  if (name) tr_free(&by->rt->mem, name, self->type.n + 1);
}

static int on_encode(void *ud, tr_slice type, const tr_value *body, tr_buf *bytes, tr_error *error) {
  plugged *by = ud;
  job self = { .by = by, .type = type, .body = body, .bytes = bytes, .error = error };
  int rc = tr_runtime_errand(by->rt, call_encode, &self);
  if (rc) return tr_error_set(error, rc, "the runtime is closing");
  if (bytes->failed || self.rc == TR_EMEMORY) return tr_error_set(error, TR_EMEMORY, "out of memory");
  return self.rc ? tr_error_set(error, self.rc < 0 ? self.rc : TR_EINVALID, "body: its serializer cannot write it") : 0;
}

/* own: takes the value. The same in the memory of who asked; each isolate counts its own. */
static tr_value *move_to(tr_mem *mem, tr_value *value, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *copy = tr_value_walk(value, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  tr_value_free(value);
  return copy;
}

static void call_decode(void *ud) {
  job *self = ud;
  plugged *by = self->by;
  troupe_output_t out = { NULL, self->error };
  char *name = tr_strndup(&by->rt->mem, self->type.p, self->type.n);
  if (!name) {
    tr_error_set(self->error, TR_EMEMORY, "out of memory");
    return;
  }
  tr_value *value = by->decode(by->ud, name, self->given.p, self->given.n, &out);
  tr_free(&by->rt->mem, name, self->type.n + 1);
  self->value = value && self->mem != &by->rt->mem ? move_to(self->mem, value, self->error) : value;
}

static tr_value *on_decode(void *ud, tr_mem *mem, tr_slice type, tr_slice given, tr_error *error) {
  plugged *by = ud;
  job self = { .by = by, .mem = mem, .type = type, .given = given, .error = error };
  int rc = tr_runtime_errand(by->rt, call_decode, &self);
  if (rc) tr_error_set(error, rc, "the runtime is closing");
  /* cppcheck-suppress returnDanglingLifetime */
  return self.value;
}

static void on_release(void *ud) {
  plugged *self = ud;
  TR_DELETE(&self->rt->mem, self);
}

int troupe_serializer(troupe_t *rt, const char *type, const char *content_type, troupe_encode_fn encode, troupe_decode_fn decode,
                      void *ud) {
  tr_error *error = tr_runtime_error(rt);
  if (!encode || !decode) return tr_runtime_fail(rt, TR_EINVALID, "a serializer needs encode and decode");
  plugged *self = TR_NEW(&rt->mem, plugged);
  if (!self) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  *self = (plugged){ rt, encode, decode, ud };
  tr_serializer_ops ops = { on_encode, on_decode, on_release, self };
  tr_together_pause(rt, false);
  int rc = tr_codecs_add(rt->codecs, tr_slice_of(type), tr_slice_of(content_type), &ops, error);
  for (unsigned i = 0; !rc && i < tr_runtime_shares(rt); i++) tr_script_plug(tr_runtime_share(rt, i).script);
  tr_together_resume(rt);
  if (rc) TR_DELETE(&rt->mem, self);
  return rc;
}

/* ---- what C's own messages go in ---- */

typedef struct chosen { size_t length; tr_slice encoding; char text[]; } chosen; /* type NUL encoding NUL */

static void free_chosen(troupe_t *rt, chosen *self) {
  if (self) tr_free(&rt->mem, self, sizeof *self + self->length + self->encoding.n + 2);
}

int troupe_encode_as(troupe_t *rt, const char *type, const char *encoding) {
  tr_slice name = tr_slice_of(type), text = tr_slice_of(encoding);
  void *old = NULL;
  tr_body probe = { .kind = TR_BODY_NONE };
  if (tr_script_find_encoding(rt->script, name, text, &probe, tr_runtime_error(rt))) return rt->error.code;
  if (rt->encodings.count >= TR_ENCODINGS_MAX && !tr_map_get(&rt->encodings, name))
    return tr_runtime_fail(rt, TR_ELIMIT, "more than %d message types with an encoding", TR_ENCODINGS_MAX);
  chosen *self = tr_calloc(&rt->mem, 1, sizeof *self + name.n + text.n + 2);
  if (!self) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  self->length = name.n;
  memcpy(self->text, name.p, name.n);
  memcpy(self->text + name.n + 1, text.p, text.n);
  self->encoding = tr_slice_make(self->text + name.n + 1, text.n);
  if (tr_map_put(&rt->encodings, tr_slice_make(self->text, name.n), self, &old)) {
    free_chosen(rt, self);
    return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  free_chosen(rt, old);
  return 0;
}

int tr_runtime_encode(troupe_t *rt, const tr_name *type, tr_body *body) {
  const chosen *by = rt->encodings.count ? tr_map_get(&rt->encodings, tr_name_view(type)) : NULL;
  if (!by && !tr_codecs_count(rt->codecs)) return 0;
  return tr_script_encode(rt->script, type, by ? by->encoding : (tr_slice){ NULL, 0 }, body, &rt->error);
}

int troupe_give(troupe_t *rt, const char *agent_type, const char *encoding) {
  tr_error *error = tr_runtime_error(rt);
  bool protobuf = strcmp(encoding, "protobuf") == 0;
  if (!protobuf && strcmp(encoding, "json") != 0) return tr_runtime_fail(rt, TR_EINVALID, "workers can be given \"json\" or \"protobuf\"");
  if (tr_agent_type_check(tr_slice_of(agent_type), error)) return error->code;
  tr_buf *list = &rt->given[protobuf];
  if (!list->mem) tr_buf_init(list, &rt->mem);
  if (list->len > 1u << 20) return tr_runtime_fail(rt, TR_ELIMIT, "more than 1 MiB of agent types");
  if (!tr_buf_reserve(list, strlen(agent_type) + 2)) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  if (list->len) list->len--; /* its NUL */
  tr_buf_printf(list, "%s,", agent_type);
  tr_buf_byte(list, 0);
  const char *json = (const char *)rt->given[0].data, *other = (const char *)rt->given[1].data;
  if (rt->host) tr_host_set_formats(rt->host, json, other);
  if (json) rt->host_options.json_only = json;
  if (other) rt->host_options.protobuf_only = other;
  return 0;
}

void tr_runtime_free_bodies(troupe_t *rt) {
  for (int i = 0; i < 2; i++)
    if (rt->given[i].mem) tr_buf_fini(&rt->given[i]);

  size_t at = 0;
  void *self;
  while (tr_map_next(&rt->encodings, &at, NULL, &self)) free_chosen(rt, self);
  tr_map_fini(&rt->encodings);
  tr_codecs_free(rt->codecs);
}
