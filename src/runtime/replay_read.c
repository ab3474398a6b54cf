/* SPDX-License-Identifier: MIT
 * A record from its file (record.c says what is in one): only what is about the agent in question stays in memory.
 *
 * A last line without its end is what a crash leaves: it is told, and what lies before it is used. Any other line that cannot be read is an
 * error that names it, as nothing behind it can be trusted to fit. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "runtime/replay.h"

#define LINE_MOST (64u << 20)

void tr_rerun_tell(tr_rerun *self, const char *format, ...) {
  char text[1000];
  va_list args;
  if (self->note_count == TR_NOTES_MOST) return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  char *copy = tr_strndup(self->mem, text, strlen(text));
  if (copy) self->notes[self->note_count++] = copy;
}

tr_value *tr_rerun_parse(tr_mem *mem, tr_slice text, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_json_parse(mem, text, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

/* ---- whose it is ---- */

bool tr_rerun_is_ours(const tr_rerun *self, tr_slice id) {
  size_t n = strlen(self->agent);
  if (id.n < n || memcmp(id.p, self->agent, n)) return false;
  return id.n == n || (id.p[n] == '/' && !strchr(self->agent, '/'));
}

bool tr_rerun_is_input(const tr_rerun *self, const tr_rerun_line *line) {
  if (line->timer || !tr_rerun_is_ours(self, line->to)) return false;
  return tr_slice_is(line->at, "given") || (tr_slice_is(line->at, "sent") && !tr_slice_is(line->kind, "event"));
}

bool tr_rerun_is_output(const tr_rerun *self, const tr_rerun_line *line) {
  return !line->timer && tr_slice_is(line->at, "sent") && tr_rerun_is_ours(self, line->from);
}

static bool is_wanted(const tr_rerun *self, const tr_rerun_line *line) {
  return tr_rerun_is_ours(self, line->to) || tr_rerun_is_ours(self, line->from);
}

/* ---- lines ---- */

static bool text_of(const tr_value *map, const char *name, tr_slice *out) {
  const tr_value *value = tr_value_get(map, tr_slice_of(name));
  *out = (tr_slice){ "", 0 };
  return value && tr_value_get_kind(value) == TR_VALUE_STRING && tr_value_as_string(value, out);
}

static bool read_line(const tr_value *value, tr_rerun_line *line) {
  double t;
  const tr_value *time;
  if (tr_value_get_kind(value) != TR_VALUE_MAP || !text_of(value, "at", &line->at)) return false;
  time = tr_value_get(value, TR_SLICE_LITERAL("t"));
  if (!time || !tr_value_as_number(time, &t) || !(t >= 0 && t < 1e11)) return false;
  line->t = llround(t * 1e6);
  if (tr_slice_is(line->at, "begin") || tr_slice_is(line->at, "end")) return true;
  const tr_value *timer = tr_value_get(value, TR_SLICE_LITERAL("timer"));
  if (timer) tr_value_as_boolean(timer, &line->timer);
  text_of(value, "from", &line->from);
  bool all = text_of(value, "to", &line->to) | tr_slice_is(line->at, "answered"); /* of one that no agent asked */
  if (tr_slice_is(line->at, "look")) text_of(value, "id", &line->id);
  if (tr_slice_is(line->at, "state") || tr_slice_is(line->at, "look")) return all;
  return all && text_of(value, "kind", &line->kind) && text_of(value, "type", &line->type) && line->type.n && text_of(value, "id", &line->id);
}

static bool make_room(tr_mem *mem, tr_rerun_lines *lines) {
  if (lines->count < lines->cap) return true;
  size_t cap = lines->cap ? lines->cap * 2 : 64;
  void *grown = tr_realloc(mem, lines->items, lines->cap * sizeof *lines->items, cap * sizeof *lines->items);
  if (!grown) return false;
  lines->items = grown;
  lines->cap = cap;
  return true;
}

int tr_rerun_add(tr_rerun *self, tr_rerun_lines *to, tr_value *value, tr_error *error) {
  tr_rerun_line line = { .value = value };
  int rc = 0;
  if (!read_line(value, &line)) rc = tr_error_set(error, TR_EINVALID, "it is not a line of a record");
  if (!rc && line.t > self->end) self->end = line.t;
  if (!rc && tr_slice_is(line.at, "begin") && !self->head) {
    self->head = value;
    self->begin = line.t;
    return 0;
  }
  if (!rc && tr_slice_is(line.at, "end")) {
    tr_slice why;
    self->has_states = text_of(value, "why", &why) && tr_slice_is(why, "stopped");
    if (tr_slice_is(why, "full")) tr_rerun_tell(self, "%s: the record ends at its limit (--record-limit)", self->path);
  }
  if (!rc && is_wanted(self, &line) && !make_room(self->mem, to)) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc && is_wanted(self, &line)) to->items[to->count++] = line;
  else tr_value_free(value);
  return rc;
}

/* ---- the file ---- */

static int check_head(const tr_rerun *self, tr_error *error) {
  int64_t format = 0;
  const tr_value *value = self->head ? tr_value_get(self->head, TR_SLICE_LITERAL("format")) : NULL;
  if (!value || !tr_value_as_integer(value, &format)) return tr_error_set(error, TR_EINVALID, "%s:1: this is no record (troupe run --record makes one)", self->path);
  if (format > TR_RECORD_FORMAT) return tr_error_set(error, TR_EINVALID, "%s:1: the record is of a later version of troupe", self->path);
  return 0;
}

static int take_line(tr_rerun *self, tr_slice text, size_t number, tr_error *error) {
  tr_error why;
  tr_error_init(&why);
  tr_value *value = tr_rerun_parse(self->mem, text, &why);
  int rc = value ? tr_rerun_add(self, &self->lines, value, &why) : why.code ? why.code : TR_EMEMORY;
  if (number == 1 && rc != TR_EMEMORY && (rc || !self->head)) return check_head(self, error);
  if (rc) return tr_error_set(error, rc, "%s:%zu: the record is damaged: %s", self->path, number, why.text);
  return number == 1 ? check_head(self, error) : 0;
}

static int read_file(tr_rerun *self, FILE *file, tr_buf *line, tr_error *error) {
  char block[65536];
  size_t n, number = 0;
  int rc = 0;
  while (!rc && (n = fread(block, 1, sizeof block, file)) > 0) {
    for (size_t at = 0; !rc && at < n;) {
      const char *end = memchr(block + at, '\n', n - at);
      size_t length = end ? (size_t)(end - block) - at : n - at;
      if (!tr_buf_append(line, block + at, length)) return tr_error_set(error, TR_EMEMORY, "out of memory");
      if (line->len > LINE_MOST) return tr_error_set(error, TR_EINVALID, "%s:%zu: a line of more than %u MB", self->path, number + 1, LINE_MOST >> 20);
      at += length + (end != NULL);
      if (!end) continue;
      rc = take_line(self, tr_buf_view(line), ++number, error);
      tr_buf_clear(line);
    }
  }
  if (!rc && ferror(file)) return tr_error_set(error, TR_EIO, "%s: it cannot be read", self->path);
  if (!rc && !self->head) return check_head(self, error);
  if (!rc && line->len) tr_rerun_tell(self, "%s:%zu: the record is cut off here; what is before it is replayed", self->path, number + 1);
  return rc;
}

static int check_agent(const tr_rerun *self, tr_error *error) {
  for (size_t i = 0; i < self->lines.count; i++)
    if (tr_rerun_is_ours(self, self->lines.items[i].to)) return 0;
  return tr_error_set(error, TR_ENOT_FOUND, "%s: nothing in it is for an agent %s", self->path, self->agent);
}

int tr_rerun_open(tr_mem *mem, const char *path, const char *agent, tr_rerun **out, tr_error *error) {
  tr_buf line;
  tr_rerun *self = TR_NEW(mem, tr_rerun);
  *out = NULL;
  if (!self) return tr_error_set(error, TR_EMEMORY, "out of memory");
  self->mem = mem;
  tr_list_init(&self->due);
  tr_map_init(&self->turns_by_key, mem, 1);
  self->path = tr_strndup(mem, path, strlen(path));
  self->agent = tr_strndup(mem, agent, strlen(agent));
  FILE *file = self->path && self->agent ? fopen(path, "rb") : NULL;
  tr_buf_init(&line, mem);
  int rc = file ? read_file(self, file, &line, error) : !self->path || !self->agent ? tr_error_set(error, TR_EMEMORY, "out of memory") :
                                                        tr_error_set(error, TR_EIO, "%s: %s", path, strerror(errno));
  tr_buf_fini(&line);
  if (file) fclose(file);
  if (!rc) rc = check_agent(self, error);
  if (!rc && !self->has_states) tr_rerun_tell(self, "%s: the record has no end, so states are not compared", path);
  if (rc) tr_rerun_free(self);
  else *out = self;
  return rc;
}

static const char *item_of(const tr_rerun *self, const char *name, size_t i) {
  tr_slice text;
  const tr_value *list = tr_value_get(self->head, tr_slice_of(name));
  const tr_value *item = list && tr_value_get_kind(list) == TR_VALUE_ARRAY ? tr_value_at(list, i) : NULL;
  return item && tr_value_as_string(item, &text) ? text.p : NULL;
}

const char *tr_rerun_file(const tr_rerun *self, size_t i) { return item_of(self, "files", i); }
const char *tr_rerun_argument(const tr_rerun *self, size_t i) { return item_of(self, "args", i); }
const char *tr_rerun_note(const tr_rerun *self, size_t i) { return i < self->note_count ? self->notes[i] : NULL; }
