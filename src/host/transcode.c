/* SPDX-License-Identifier: MIT
 * Bodies between peers that want them in different formats. The rule (docs/wire.md §14):
 *
 *   who             is given
 *   troupe          what came, in the native format too, where it said so (header troupe-accepts: native, protobuf); protobuf
 *                   only if it said so: else JSON
 *   .NET            protobuf
 *   others          what came, but for the native format; one that has published events only what it published in; an owner of an agent type
 *                   that the operator named (--json-only, --protobuf-only; in both: what came) only that
 *
 * The native format becomes JSON, whatever the types are. Between JSON and protobuf a body is changed where its type is in the
 * descriptor sets that the host was given; else it stays as it is (and a .NET worker will not get it: quirks.c). Messages of troupe's own
 * workers to each other, and all messages where there are no descriptors, are only asked by a mask: sends & ~takes.
 *
 * Names of types: protobuf's are full ("demo.Order"). JSON's in AutoGen are bare class names, so for a worker that is not troupe's the
 * package is left off, and a bare name finds the one type that ends so. */
#include "host/internal.h"

#include "codec/json.h"
#include "codec/native.h"
#include "wire/reader.h"

#define JSON (1u << TR_FORMAT_JSON)
#define PROTOBUF (1u << TR_FORMAT_PROTOBUF)
#define NATIVE (1u << TR_FORMAT_NATIVE)

/* ---- who takes what ---- */

void tr_transcode_know(tr_client *client, tr_slice accepts) {
  bool native = client->troupe && tr_text_lists(accepts, TR_SLICE_LITERAL("native"));
  bool protobuf = !client->troupe || tr_text_lists(accepts, TR_SLICE_LITERAL("protobuf"));
  client->speaks_native = native;
  if (client->format_told) return;
  if (client->dotnet) client->takes = PROTOBUF;
  else if (!client->troupe && client->published) client->takes = client->published;
  else client->takes = (uint8_t)(JSON | (native ? NATIVE : 0) | (protobuf ? PROTOBUF : 0));
}

void tr_transcode_registered(tr_client *client, tr_slice agent_type) {
  const tr_host_options *o = &client->host->o;
  bool json = o->json_only && tr_text_lists(tr_slice_of(o->json_only), agent_type);
  bool protobuf = o->protobuf_only && tr_text_lists(tr_slice_of(o->protobuf_only), agent_type);
  if (!json && !protobuf) return;
  client->format_told = true;
  client->takes = (uint8_t)((json ? JSON : 0) | (protobuf ? PROTOBUF : 0));
}

void tr_host_set_formats(tr_host *host, const char *json_only, const char *protobuf_only) {
  host->o.json_only = json_only;
  host->o.protobuf_only = protobuf_only;
}

static int format_of(const tr_wire_body *body) {
  if (body->proto_data) return TR_FORMAT_PROTOBUF;
  if (!body->content_type.n || tr_slice_is(body->content_type, "application/json")) return TR_FORMAT_JSON;
  if (tr_slice_is(body->content_type, "application/x-protobuf")) return TR_FORMAT_PROTOBUF;
  return tr_slice_is(body->content_type, TR_WIRE_NATIVE) ? TR_FORMAT_NATIVE : -1;
}

void tr_transcode_learn(tr_client *from, const tr_wire_span *span) {
  tr_wire_body body;
  if (from->troupe || from->dotnet || from->format_told) return;
  tr_wire_read_body(span, &body);
  int format = format_of(&body);
  if (format != TR_FORMAT_JSON && format != TR_FORMAT_PROTOBUF) return;
  from->published |= (uint8_t)(1u << format);
  from->takes = from->published;
}

/* ---- changing a body ---- */

typedef struct change {
  tr_host *host;
  const tr_client *to;
  tr_wire_body body;
  int from, into;
  const tr_proto_type *type;
  tr_buf *out;
  tr_error *error;
} change;

static int read_into(const change *c, const tr_sink *sink) {
  tr_slice data = c->body.data, name, message;
  switch (c->from) {
  case TR_FORMAT_NATIVE: return tr_native_parse(data, sink, c->error);
  case TR_FORMAT_JSON: return tr_json_parse(c->host->mem, data.n ? data : TR_SLICE_LITERAL("{}"), sink, c->error);
  default:
    if (tr_proto_unwrap(data, &name, &message, c->error)) return TR_EINVALID;
    return tr_proto_parse(c->host->mem, c->type, message, sink, c->error);
  }
}

static int write_protobuf(const change *c) {
  tr_proto_writer writer;
  tr_proto_writer_init(&writer, c->out, c->type, TR_PROTO_ANY | (c->from == TR_FORMAT_JSON ? TR_PROTO_BASE64 : 0), c->error);
  tr_sink sink = tr_proto_sink(&writer);
  int rc = read_into(c, &sink);
  tr_proto_writer_fini(&writer);
  return rc;
}

static int write_json(const change *c) {
  tr_json_writer writer;
  tr_json_writer_init(&writer, c->out, c->error);
  tr_sink sink = tr_json_sink(&writer);
  return read_into(c, &sink);
}

/* The type that it is about; NULL: nothing can be done. */
static const tr_proto_type *find_type(const change *c) {
  tr_slice name, message;
  tr_error ignored;
  tr_error_init(&ignored);
  if (c->from != TR_FORMAT_PROTOBUF) return tr_codecs_type_like(c->host->o.codecs, c->body.type);
  return tr_proto_unwrap(c->body.data, &name, &message, &ignored) ? NULL : tr_codecs_type(c->host->o.codecs, name);
}

/* What it is to become; -1: it can go as it is, or must. */
static int choose(change *c) {
  unsigned takes = c->to->takes;
  c->from = format_of(&c->body);
  if (c->from < 0 || takes >> c->from & 1) return -1;
  c->into = takes & JSON ? TR_FORMAT_JSON : TR_FORMAT_PROTOBUF;
  if (c->from == TR_FORMAT_NATIVE && c->into == TR_FORMAT_JSON) return c->into;
  c->type = find_type(c);
  if (c->type) return c->into;
  return c->from == TR_FORMAT_NATIVE ? c->into = TR_FORMAT_JSON : -1; /* nobody but troupe is to see that */
}

static tr_slice bare(tr_slice full) {
  size_t from = full.n;
  while (from > 0 && full.p[from - 1] != '.') from--;
  return tr_slice_make(full.p + from, full.n - from);
}

static void name_it(change *c) {
  bool protobuf = c->into == TR_FORMAT_PROTOBUF;
  c->body.content_type = protobuf ? TR_SLICE_LITERAL("application/x-protobuf") : TR_SLICE_LITERAL("application/json");
  c->body.proto_data = protobuf;
  if (!c->type) return;
  tr_slice full = tr_proto_type_name(c->type);
  c->body.type = protobuf || c->to->troupe ? full : bare(full);
}

static bool fails(tr_wire_kind kind, const tr_wire_span *span) { return kind == TR_WIRE_RESPONSE && (span->error.n || !span->has_payload); }

int tr_transcode(const tr_client *to, const tr_wire_span *span, tr_blob **frame, tr_error *error) {
  change c = { .host = to->host, .to = to, .error = error };
  *frame = NULL;
  if (fails(span->kind, span)) return 0;
  tr_wire_read_body(span, &c.body);
  if (choose(&c) < 0) return 0;
  tr_buf out;
  tr_buf_init(&out, to->host->mem);
  c.out = &out;
  int rc = c.into == TR_FORMAT_PROTOBUF ? write_protobuf(&c) : write_json(&c);
  name_it(&c);
  c.body.data = tr_buf_view(&out);
  if (!rc) *frame = out.failed ? NULL : tr_wire_recast(to->host->mem, span, &c.body);
  tr_buf_fini(&out);
  if (!rc && !*frame) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc && (*frame)->len - TR_WIRE_PREFIX > to->host->o.max_message) {
    tr_blob_unref(*frame);
    *frame = NULL;
    rc = tr_error_set(error, TR_ETOO_LARGE, "in the format that its receiver takes it is larger than the host's limit");
  }
  to->host->stats.transcoded += !rc;
  return rc;
}

int tr_transcode_walk(const tr_client *to, tr_wire_span *span, tr_blob **frame, tr_error *error) {
  int rc = tr_transcode(to, span, frame, error);
  if (rc || !*frame) return rc;
  return tr_wire_walk(tr_wire_framed(*frame), span, error);
}

int tr_transcode_frame(const tr_client *to, tr_blob **frame, tr_error *error) {
  tr_wire_span span = { 0 };
  tr_blob *other = NULL;
  int rc = tr_wire_walk(tr_wire_framed(*frame), &span, error);
  if (!rc) rc = tr_transcode(to, &span, &other, error);
  if (rc || !other) return rc;
  tr_blob_unref(*frame);
  *frame = other;
  return 0;
}

tr_format tr_transcode_plain(const tr_client *to) { return to->takes & NATIVE ? TR_FORMAT_NATIVE : TR_FORMAT_JSON; }
