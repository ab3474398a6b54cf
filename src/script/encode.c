/* SPDX-License-Identifier: MIT
 * Bodies in other forms than a Lua value: which a message is to go in, and making it that.
 *
 * A body that asks for protobuf, or for a plugged-in serializer, is encoded when it is sent, not when it leaves by a door: the
 * sender is told of what does not fit, and a receiver gets the same whether it is in this process or elsewhere. Other bodies stay
 * Lua values until a door needs bytes (slots.c).
 *
 * A reply goes in what its request came in, where its type is known there: else as JSON. */
#include "codec/json.h"
#include "codec/native.h"
#include "script/internal.h"

#define JSON_TYPE "application/json"

/* ---- which ---- */

const char tr_encoding_unknown[] = "encoding must be \"json\", \"protobuf\", \"text\", \"bytes\" or the content type of a serializer";

static const char *const names[] = { "json", "protobuf", "text", "bytes", NULL }; /* as tr_format */
static const char *const content_types[] = { JSON_TYPE, "application/x-protobuf", "text/plain", "application/octet-stream", NULL };

static int find_name(const char *const *list, tr_slice text) {
  for (int i = 0; list[i]; i++)
    if (tr_slice_is(text, list[i])) return i;
  return -1;
}

int tr_script_find_encoding(tr_script *script, tr_slice type, tr_slice encoding, tr_body *body, tr_error *error) {
  int at = find_name(names, encoding);
  if (at < 0) {
    uint32_t number = tr_codecs_find(script->codecs, type, encoding);
    body->serializer = (uint16_t)number;
    at = number ? TR_FORMAT_OTHER : find_name(content_types, encoding);
  }
  if (at >= 0) {
    body->format = (uint8_t)at;
    return 0;
  }
  if (!encoding.n || !memchr(encoding.p, '/', encoding.n))
    return tr_error_set(error, TR_EINVALID, "%s", tr_encoding_unknown);
  return tr_error_set(error, TR_EINVALID, "encoding: there is no serializer of %.*s for %.*s", TR_SLICE_ARG(type),
                      (int)(encoding.n < 100 ? encoding.n : 100), encoding.p);
}

/* A serializer may stand in for JSON, too. */
static void plug_in(tr_script *script, tr_slice type, tr_slice content_type, tr_body *body) {
  uint32_t number = tr_codecs_find(script->codecs, type, content_type);
  if (!number) return;
  body->format = TR_FORMAT_OTHER;
  body->serializer = (uint16_t)number;
}

void tr_encoding_default(tr_script *script, const tr_name *type, tr_body *body) {
  if (body->format == TR_FORMAT_JSON)
    plug_in(script, tr_name_view(type), TR_SLICE_LITERAL(JSON_TYPE), body);
}

/* ---- encoding ---- */

static int walk_body(tr_script *script, const tr_body *body, const tr_sink *sink, tr_error *error) {
  if (body->kind != TR_BODY_NULL) return tr_script_walk(script, body, sink, error);
  return tr_error_set(error, TR_EINVALID, "body: null is no protobuf message");
}

/* What was read of a message whose type nobody here knew: { type_url, value }. */
static bool read_opaque(tr_script *script, const tr_body *body, tr_slice *url, tr_slice *value) {
  script = tr_script_home(script);
  lua_State *L = script->L;
  bool found = false;
  if (body->kind != TR_BODY_SLOT || !lua_checkstack(L, 8)) return false;
  int top = lua_gettop(L);
  tr_push_ref(L, script->slots_ref);
  if (lua_rawgeti(L, -1, body->slot) == LUA_TTABLE) {
    size_t members = 0;
    for (lua_pushnil(L); lua_next(L, top + 2); lua_pop(L, 1)) {
      members++;
      const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
      if (strcmp(key, "type_url") == 0 && lua_type(L, -1) == LUA_TSTRING) url->p = lua_tolstring(L, -1, &url->n);
      else if (strcmp(key, "value") == 0) found = tr_bytes_get(L, -1, value);
    }
    found = found && members == 2 && url->p;
  }
  lua_settop(L, top);
  return found;
}

static bool names_type(tr_slice url, tr_slice type) {
  return url.n > type.n && url.p[url.n - type.n - 1] == '/' && memcmp(url.p + url.n - type.n, type.p, type.n) == 0;
}

static int no_type(tr_script *script, tr_slice type, tr_error *error) {
  const tr_proto_type *like = tr_codecs_type_like(script->codecs, type);
  if (like)
    return tr_error_set(error, TR_EINVALID, "body: protobuf has no message type \"%.*s\" (did you mean \"%.*s\"?)", TR_SLICE_ARG(type),
                        TR_SLICE_ARG(tr_proto_type_name(like)));
  return tr_error_set(error, TR_EINVALID, "body: no descriptor of the message type \"%.*s\" is loaded (see troupe.protobuf)",
                      TR_SLICE_ARG(type));
}

static int write_protobuf(tr_script *script, tr_slice type, const tr_body *body, tr_buf *out, tr_error *error) {
  const tr_proto_type *known = tr_codecs_type(script->codecs, type);
  tr_slice url = { NULL, 0 }, value = { NULL, 0 };
  if (!known && read_opaque(script, body, &url, &value) && names_type(url, type)) return tr_proto_wrap(out, type, value);
  if (!known) return no_type(script, type, error);
  tr_proto_writer writer;
  tr_proto_writer_init(&writer, out, known, TR_PROTO_ANY, error);
  tr_sink sink = tr_proto_sink(&writer);
  int rc = walk_body(script, body, &sink, error);
  tr_proto_writer_fini(&writer);
  return rc;
}

static int write_other(tr_script *script, tr_slice type, const tr_body *body, tr_buf *out, tr_error *error) {
  const tr_serializer *serializer = tr_codecs_at(script->codecs, body->serializer);
  tr_value_builder builder;
  tr_value_builder_init(&builder, script->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_script_walk(script, body, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  if (!value) return error->code ? error->code : tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = serializer->ops.encode(serializer->ops.ud, type, value, out, error);
  tr_value_free(value);
  return rc;
}

int tr_body_encode(tr_script *script, tr_slice type, tr_body *body, tr_error *error) {
  bool other = body->format == TR_FORMAT_OTHER;
  if (body->kind == TR_BODY_BYTES || (!other && body->format != TR_FORMAT_PROTOBUF)) return 0;
  tr_error why;
  tr_error_init(&why);
  tr_buf out;
  tr_buf_init(&out, script->mem);
  int rc = other ? write_other(script, type, body, &out, &why) : write_protobuf(script, type, body, &out, &why);
  tr_blob *bytes = rc || out.failed ? NULL : tr_blob_copy(script->mem, tr_buf_view(&out));
  tr_buf_fini(&out);
  if (!rc && !bytes) rc = tr_error_set(&why, TR_EMEMORY, "out of memory");
  if (rc) return tr_error_set(error, rc, "%s", why.text[0] ? why.text : tr_error_default_text(rc));
  uint8_t format = body->format;
  uint16_t serializer = body->serializer;
  tr_body_release(script->core, body);
  *body = (tr_body){ .kind = TR_BODY_BYTES, .format = format, .serializer = serializer, .bytes = bytes };
  return 0;
}

/* ---- replies ---- */

static void choose_protobuf(tr_script *script, tr_slice type, tr_body *body) {
  tr_slice url = { NULL, 0 }, value;
  bool known = tr_codecs_type(script->codecs, type) != NULL;
  if (known || (read_opaque(script, body, &url, &value) && names_type(url, type))) body->format = TR_FORMAT_PROTOBUF;
}

int tr_reply_encode(tr_script *script, const tr_msg *request, const tr_name *type, tr_body *body, tr_error *error) {
  uint8_t asked = request->body.format;
  if (!type || body->kind == TR_BODY_BYTES || body->format != TR_FORMAT_JSON) return 0;
  if (asked == TR_FORMAT_PROTOBUF && body->kind != TR_BODY_NULL) {
    choose_protobuf(script, tr_name_view(type), body);
  } else if (script->plugged) {
    const tr_serializer *by = asked == TR_FORMAT_OTHER ? tr_codecs_at(script->codecs, request->body.serializer) : NULL;
    plug_in(script, tr_name_view(type), by ? by->content_type : TR_SLICE_LITERAL(JSON_TYPE), body);
  }
  /* Of the request's own type, to a troupe caller, it is only because nobody named another (reply.c): what does not fit is JSON. */
  bool unnamed = type == request->type && request->troupe_peer && body->format == TR_FORMAT_PROTOBUF;
  int rc = tr_body_encode(script, tr_name_view(type), body, unnamed ? NULL : error);
  if (unnamed && rc && rc != TR_EINVALID) return tr_error_set(error, rc, "%s", tr_error_default_text(rc));
  if (!rc || !unnamed) return rc;
  body->format = TR_FORMAT_JSON;
  return 0;
}

/* ---- reading ---- */

tr_value *tr_other_read(tr_script *script, const tr_body *body, tr_error *error) {
  const tr_serializer *serializer = tr_codecs_at(script->codecs, body->serializer);
  tr_error why;
  tr_error_init(&why);
  tr_value *value = serializer->ops.decode(serializer->ops.ud, script->mem, serializer->type, tr_blob_view(body->bytes), &why);
  /* cppcheck-suppress returnDanglingLifetime */
  if (value) return value;
  tr_error_set(error, why.code ? why.code : TR_EINVALID, "body: %s", why.text[0] ? why.text : "its serializer cannot read it");
  return NULL;
}

/* ---- what the core asks for ---- */

int tr_body_recode(void *ud, const tr_body *body, tr_format format, tr_buf *out, tr_error *error) {
  tr_json_writer writer;
  (void)format; /* JSON: nothing else is asked for */
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  return tr_script_walk(ud, body, &sink, error);
}

uint16_t tr_serializer_find(void *ud, tr_slice type, tr_slice content_type) {
  tr_script *script = ud;
  return (uint16_t)tr_codecs_find(script->codecs, type, content_type);
}

tr_slice tr_serializer_content_type(void *ud, uint16_t number) {
  tr_script *script = ud;
  const tr_serializer *serializer = tr_codecs_at(script->codecs, number);
  return serializer ? serializer->content_type : TR_SLICE_LITERAL("application/octet-stream");
}

void tr_script_plug(tr_script *script) {
  script->plugged = true;
  if (script->foreign) script->foreign->plugged = true;
  tr_owns_plug(script);
  tr_body_ops ops = tr_slots_ops(script);
  tr_core_set_body_ops(script->core, &ops);
}

int tr_script_encode(tr_script *script, const tr_name *type, tr_slice encoding, tr_body *body, tr_error *error) {
  int rc = encoding.n ? tr_script_find_encoding(script, tr_name_view(type), encoding, body, error) : 0;
  if (!encoding.n && script->plugged) tr_encoding_default(script, type, body);
  return rc ? rc : tr_body_encode(script, tr_name_view(type), body, error);
}
