/* SPDX-License-Identifier: MIT
 * Bodies that refer to results kept elsewhere (core/refs.c): written where a placeholder is passed on whose content never came here, and
 * filled where they arrive.
 *
 * Both count the nulls of a body as they pass through a sink: writing notes the numbers of those that stand for a placeholder, filling puts
 * the content in their places. So nothing but the order of values has to be the same on both sides. */
#include "codec/json.h"
#include "script/internal.h"

/* ---- filling ---- */

typedef struct filler {
  tr_script *script;
  tr_sink to;
  const tr_filling *items;
  size_t count, next;
  uint32_t nulls;
  tr_error *error;
} filler;

static int on_null(void *ud) {
  filler *f = ud;
  if (f->next == f->count || f->items[f->next].at != f->nulls++) return f->to.null(f->to.ud);
  return tr_script_walk(f->script, f->items[f->next++].body, &f->to, f->error);
}

static int on_boolean(void *ud, bool value) { return ((filler *)ud)->to.boolean(((filler *)ud)->to.ud, value); }
static int on_integer(void *ud, int64_t value) { return ((filler *)ud)->to.integer(((filler *)ud)->to.ud, value); }
static int on_number(void *ud, double value) { return ((filler *)ud)->to.number(((filler *)ud)->to.ud, value); }
static int on_string(void *ud, tr_slice text) { return ((filler *)ud)->to.string(((filler *)ud)->to.ud, text); }
static int on_bytes(void *ud, tr_slice bytes) { return ((filler *)ud)->to.bytes(((filler *)ud)->to.ud, bytes); }
static int on_begin_array(void *ud, size_t n) { return ((filler *)ud)->to.begin_array(((filler *)ud)->to.ud, n); }
static int on_end_array(void *ud) { return ((filler *)ud)->to.end_array(((filler *)ud)->to.ud); }
static int on_begin_map(void *ud, size_t n) { return ((filler *)ud)->to.begin_map(((filler *)ud)->to.ud, n); }
static int on_end_map(void *ud) { return ((filler *)ud)->to.end_map(((filler *)ud)->to.ud); }
static int on_key(void *ud, tr_slice key) { return ((filler *)ud)->to.key(((filler *)ud)->to.ud, key); }

static tr_sink sink_of(filler *f) {
  return (tr_sink){ .null = on_null, .boolean = on_boolean, .integer = on_integer, .number = on_number, .string = on_string,
                    .bytes = on_bytes, .begin_array = on_begin_array, .end_array = on_end_array, .begin_map = on_begin_map,
                    .end_map = on_end_map, .key = on_key, .ud = f };
}

int tr_fill_body(void *ud, const tr_body *body, const tr_filling *items, size_t count, tr_body *out, tr_error *error) {
  tr_script *script = ud;
  tr_json_writer writer;
  tr_buf buf;
  tr_buf_init(&buf, script->mem);
  tr_json_writer_init(&writer, &buf, error);
  filler f = { .script = script, .to = tr_json_sink(&writer), .items = items, .count = count, .error = error };
  tr_sink sink = sink_of(&f);
  int rc = tr_script_walk(script, body, &sink, error);
  if (!rc && f.next < count) rc = tr_error_set(error, TR_EINVALID, "the body has no such place for a result");
  tr_blob *bytes = !rc && !buf.failed ? tr_blob_copy(script->mem, tr_buf_view(&buf)) : NULL;
  tr_buf_fini(&buf);
  if (!rc && !bytes) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc) *out = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = bytes };
  return rc;
}

/* ---- writing ---- */

void tr_ref_writer_null(tr_ref_writer *refs, const tr_future *f) {
  tr_slice ref = tr_blob_view(f->kept);
  char number[16];
  int n = snprintf(number, sizeof number, "%s%u=", refs->text.len ? " " : "", (unsigned)refs->nulls);
  tr_buf_append(&refs->text, number, (size_t)n);
  tr_buf_slice(&refs->text, ref);
}

typedef struct counter { filler f; tr_ref_writer refs; } counter;

static int count_null(void *ud) {
  counter *c = ud;
  int rc = c->f.to.null(c->f.to.ud);
  c->refs.nulls++;
  return rc;
}

int tr_refs_encode(lua_State *L, int at, tr_blob **bytes, tr_blob **refs, tr_error *error) {
  tr_script *script = tr_script_of(L);
  tr_json_writer writer;
  tr_buf buf;
  counter c = { .f = { .script = script } };
  tr_buf_init(&buf, script->mem);
  tr_buf_init(&c.refs.text, script->mem);
  tr_json_writer_init(&writer, &buf, error);
  c.f.to = tr_json_sink(&writer);
  tr_sink sink = sink_of(&c.f);
  sink.null = count_null;
  script->ref_writer = &c.refs;
  int rc = tr_walk(L, at, &sink, error);
  script->ref_writer = NULL;
  if (!rc && (buf.failed || c.refs.text.failed)) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  *bytes = rc ? NULL : tr_blob_copy(script->mem, tr_buf_view(&buf));
  *refs = rc ? NULL : tr_blob_copy(script->mem, tr_buf_view(&c.refs.text));
  tr_buf_fini(&buf);
  tr_buf_fini(&c.refs.text);
  if (rc || (*bytes && *refs)) return rc;
  tr_blob_unref(*bytes);
  tr_blob_unref(*refs);
  return tr_error_set(error, TR_EMEMORY, "out of memory");
}
