/* SPDX-License-Identifier: MIT
 * One question of an operator while it is answered: what it was given, and its end. */
#include <math.h>

#include "codec/json.h"
#include "runtime/operator.h"

/* ---- arguments ---- */

double tr_question_number(const tr_question *q, const char *name, double fallback) {
  const tr_value *value = tr_value_get(q->args, tr_slice_of(name));
  if (value) tr_value_as_number(value, &fallback);
  return fallback;
}

const char *tr_question_text(const tr_question *q, const char *name) {
  tr_slice text;
  const tr_value *value = tr_value_get(q->args, tr_slice_of(name));
  return value && tr_value_get_kind(value) == TR_VALUE_STRING && tr_value_as_string(value, &text) ? text.p : NULL;
}

bool tr_question_flag(const tr_question *q, const char *name) {
  bool flag = false;
  const tr_value *value = tr_value_get(q->args, tr_slice_of(name));
  return value && tr_value_as_boolean(value, &flag) && flag;
}

bool tr_question_read_only(tr_question *q) {
  const tr_value *list = tr_value_get(q->args, TR_SLICE_LITERAL("only"));
  size_t count = list && tr_value_get_kind(list) == TR_VALUE_ARRAY ? tr_value_length(list) : 0;
  if (!list) return true;
  q->only = tr_calloc(&q->self->rt->mem, count + 1, sizeof *q->only);
  if (!q->only) return false;
  q->only_count = count;
  for (size_t i = 0; i < count; i++) {
    tr_slice text = { "", 0 };
    tr_value_as_string(tr_value_at(list, i), &text);
    q->only[i] = text.p;
  }
  return true;
}

tr_time tr_question_seconds(double value, tr_time fallback) {
  if (!(value >= 0)) return fallback;
  return value > 1e9 ? TR_SECONDS(1e9) : (tr_time)llround(value * 1e6);
}

/* ---- answers ---- */

void tr_question_free(tr_question *q) {
  tr_mem *mem = &q->self->rt->mem;
  if (q->path) tr_free(mem, q->path, strlen(q->path) + 1);
  tr_free(mem, q->only, q->only ? (q->only_count + 1) * sizeof *q->only : 0);
  tr_value_free(q->args);
  TR_DELETE(mem, q);
}

void tr_question_fail(tr_question *q, int code, const char *text) {
  tr_admin_fail(q->call, code, text && *text ? text : tr_error_default_text(code));
  tr_question_free(q);
}

void tr_question_done(tr_question *q) {
  tr_admin_done(q->call);
  tr_question_free(q);
}

void tr_question_answer(tr_question *q, tr_buf *out) {
  bool failed = out->failed;
  if (!failed) tr_admin_send(q->call, tr_buf_view(out));
  tr_buf_fini(out);
  if (failed) tr_question_fail(q, TR_EMEMORY, NULL);
  else tr_question_done(q);
}

/* A name that was cut in the midst of a character, for one, is better than none. */
static void put_valid(tr_buf *out, tr_slice text) {
  for (size_t at = 0; at < text.n;) {
    size_t begun = at;
    if (tr_utf8_next(text, &at) < 0) at++; /* it stays there */
    if (at - begun > 1 || (uint8_t)text.p[begun] < 0x80) tr_buf_append(out, text.p + begun, at - begun);
    else tr_buf_byte(out, '?');
  }
}

void tr_question_put_slice(tr_buf *out, const char *before, tr_slice text) {
  tr_error error;
  tr_json_writer writer;
  tr_buf valid;
  tr_error_init(&error);
  tr_buf_init(&valid, out->mem);
  tr_buf_text(out, before);
  tr_json_writer_init(&writer, out, &error);
  tr_sink sink = tr_json_sink(&writer);
  if (!tr_utf8_valid(text)) {
    put_valid(&valid, text);
    text = tr_buf_view(&valid);
  }
  if (sink.string(sink.ud, text)) tr_buf_text(out, "\"\"");
  out->failed |= valid.failed;
  tr_buf_fini(&valid);
}

void tr_question_put(tr_buf *out, const char *before, const char *text) { tr_question_put_slice(out, before, tr_slice_of(text)); }
