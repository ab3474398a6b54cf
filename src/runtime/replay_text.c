/* SPDX-License-Identifier: MIT
 * What an agent did, as text that can be compared line by line: once as the record has it, once as it was run again.
 *
 *   handled:                     each message it got, in order, with the answer or the failure
 *     #1 Greeting {"name":"Anna"} -> Greeting {"text":"hello"}
 *   sent:                        events, calls and sends, in order
 *     event chat/default Said {"text":"hello"}
 *   state:                       at the end; a member a line, by name
 *     {
 *       "count": 1
 *     }
 * Members of maps are in the order of their names, since Lua has none; so bodies that JSON cannot say (bytes, infinities) are read, too. */
#include <stdlib.h>
#include <string.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "codec/native.h"
#include "runtime/replay.h"

/* ---- values ---- */

typedef struct member { tr_slice key; const tr_value *value; } member;

static int by_name(const void *a, const void *b) {
  tr_slice x = ((const member *)a)->key, y = ((const member *)b)->key;
  int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
  return order ? order : x.n < y.n ? -1 : x.n > y.n;
}

static void put_plain(tr_buf *out, const tr_value *value) {
  tr_error error;
  tr_json_writer writer;
  double number;
  size_t begin = out->len;
  tr_error_init(&error);
  if (tr_value_get_kind(value) == TR_VALUE_BYTES) tr_buf_text(out, "bytes:");
  tr_json_writer_init(&writer, out, &error);
  tr_sink sink = tr_json_sink(&writer);
  if (tr_value_walk(value, &sink, &error) == 0 || out->failed) return;
  out->len = begin;
  tr_buf_printf(out, "%g", tr_value_as_number(value, &number) ? number : 0.0); /* what JSON has no word for: inf, nan */
}

static void put_break(tr_buf *out, int indent) {
  if (indent >= 0) tr_buf_printf(out, "\n%*s", indent, "");
}

static void put_value(tr_buf *out, const tr_value *value, int indent);

static void put_members(tr_buf *out, const tr_value *map, int indent) {
  size_t n = tr_value_length(map);
  member *members = tr_calloc(out->mem, n, sizeof *members);
  if (!members) {
    out->failed = true;
    return;
  }
  for (size_t i = 0; i < n; i++) members[i] = (member){ tr_value_key_at(map, i), tr_value_at(map, i) };
  qsort(members, n, sizeof *members, by_name);
  for (size_t i = 0; i < n; i++) {
    if (i) tr_buf_text(out, ",");
    put_break(out, indent);
    tr_value *key = tr_value_string(out->mem, members[i].key);
    if (key) put_plain(out, key);
    else out->failed = true;
    tr_value_free(key);
    tr_buf_text(out, indent < 0 ? ":" : ": ");
    put_value(out, members[i].value, indent);
  }
  tr_free(out->mem, members, n * sizeof *members);
}

/* indent -1: all in one line. As deep as TR_DEPTH_MAX. */
static void put_value(tr_buf *out, const tr_value *value, int indent) {
  bool map = tr_value_get_kind(value) == TR_VALUE_MAP, array = tr_value_get_kind(value) == TR_VALUE_ARRAY;
  int inner = indent < 0 ? -1 : indent + 2;
  if ((!map && !array) || tr_value_length(value) == 0) {
    put_plain(out, value);
    return;
  }
  tr_buf_text(out, map ? "{" : "[");
  if (map) put_members(out, value, inner);
  for (size_t i = 0; array && i < tr_value_length(value); i++) {
    if (i) tr_buf_text(out, ",");
    put_break(out, inner);
    put_value(out, tr_value_at(value, i), inner);
  }
  put_break(out, indent);
  tr_buf_text(out, map ? "}" : "]");
}

static void put_text(tr_buf *out, const tr_value *line, const char *name) {
  tr_slice text;
  const tr_value *value = tr_value_get(line, tr_slice_of(name));
  if (value && tr_value_as_string(value, &text)) tr_buf_slice(out, text);
}

static tr_value *read_native(tr_buf *out, tr_slice text) {
  tr_mem *mem = out->mem;
  tr_buf bytes;
  tr_error error;
  tr_value_builder builder;
  tr_error_init(&error);
  tr_buf_init(&bytes, mem);
  tr_value_builder_init(&builder, mem, &error);
  tr_sink sink = tr_value_sink(&builder);
  bool good = tr_base64_read(&bytes, text) == 0 && tr_native_parse(tr_buf_view(&bytes), &sink, &error) == 0;
  tr_value *value = good ? tr_value_builder_take(&builder) : NULL;
  if (!good && (bytes.failed || error.code == TR_EMEMORY)) out->failed = true;
  tr_value_builder_fini(&builder);
  tr_buf_fini(&bytes);
  return value;
}

static void put_native(tr_buf *out, const tr_value *native, int indent) {
  tr_slice text;
  tr_value *value = tr_value_as_string(native, &text) ? read_native(out, text) : NULL;
  if (value) put_value(out, value, indent);
  else tr_buf_text(out, "(cannot be read)");
  tr_value_free(value);
}

static void put_body(tr_buf *out, const tr_value *line, int indent) {
  const tr_value *native = tr_value_get(line, TR_SLICE_LITERAL("native"));
  const tr_value *body = tr_value_get(line, TR_SLICE_LITERAL("body"));
  if (body) {
    put_value(out, body, indent);
  } else if (native) {
    put_native(out, native, indent);
  } else {
    tr_buf_text(out, "(not recorded)");
  }
}

/* ---- sections ---- */

static bool concerns(const tr_rerun_line *line, tr_slice agent) {
  return tr_slice_equal(tr_slice_is(line->at, "answered") ? line->from : line->to, agent);
}

/* The outcome of each message that this agent got, by its id. */
static int find_outcomes(const tr_rerun_lines *side, tr_slice agent, tr_map *out) {
  for (size_t i = 0; i < side->count; i++) {
    tr_rerun_line *line = &side->items[i];
    bool outcome = tr_slice_is(line->at, "answered") || tr_slice_is(line->at, "failed");
    if (outcome && concerns(line, agent) && !tr_map_get(out, line->id) && tr_map_put(out, line->id, line, NULL)) return TR_EMEMORY;
  }
  return 0;
}

static void put_outcome(tr_buf *out, const tr_rerun_line *input, const tr_rerun_line *outcome) {
  const tr_value *error = outcome ? tr_value_get(outcome->value, TR_SLICE_LITERAL("error")) : NULL;
  if (!outcome && !tr_slice_is(input->kind, "request")) return;
  tr_buf_text(out, " -> ");
  if (error) {
    tr_buf_text(out, "failed: ");
    put_text(out, outcome->value, "error");
  } else if (outcome) {
    put_text(out, outcome->value, "reply");
    tr_buf_text(out, " ");
    put_body(out, outcome->value, -1);
  } else {
    tr_buf_text(out, "(no answer)");
  }
}

static size_t put_handled(const tr_rerun *self, const tr_rerun_lines *side, tr_slice agent, tr_buf *out) {
  tr_map outcomes;
  size_t n = 0;
  tr_map_init(&outcomes, self->mem, 1);
  if (find_outcomes(side, agent, &outcomes)) out->failed = true;
  tr_buf_text(out, "handled:\n");
  for (size_t i = 0; i < self->lines.count; i++) {
    const tr_rerun_line *input = &self->lines.items[i];
    if (!tr_rerun_is_input(self, input) || !tr_slice_equal(input->to, agent)) continue;
    tr_buf_printf(out, "  #%zu %.*s ", ++n, TR_SLICE_ARG(input->type));
    put_body(out, input->value, -1);
    put_outcome(out, input, tr_map_get(&outcomes, input->id));
    tr_buf_text(out, "\n");
  }
  tr_map_fini(&outcomes);
  return n;
}

static void put_sent(const tr_rerun *self, const tr_rerun_lines *side, tr_slice agent, tr_buf *out) {
  tr_buf_text(out, "sent:\n");
  for (size_t i = 0; i < side->count; i++) {
    const tr_rerun_line *line = &side->items[i];
    if (!tr_rerun_is_output(self, line) || !tr_slice_equal(line->from, agent)) continue;
    const char *what = tr_slice_is(line->kind, "event") ? "event" : tr_slice_is(line->kind, "request") ? "call" : "send";
    tr_buf_printf(out, "  %s %.*s %.*s ", what, TR_SLICE_ARG(line->to), TR_SLICE_ARG(line->type));
    put_body(out, line->value, -1);
    tr_buf_text(out, "\n");
  }
}

static void put_states(const tr_rerun_lines *side, tr_slice agent, tr_buf *out) {
  tr_buf_text(out, "state:\n");
  for (size_t i = 0; i < side->count; i++) {
    const tr_rerun_line *line = &side->items[i];
    if (!tr_slice_is(line->at, "state") || !tr_slice_equal(line->to, agent)) continue;
    tr_buf_text(out, "  ");
    put_text(out, line->value, "part");
    put_body(out, line->value, 2);
    tr_buf_text(out, "\n");
  }
}

static size_t put_side(const tr_rerun *self, const tr_rerun_lines *side, tr_slice agent, tr_buf *out) {
  size_t n = put_handled(self, side, agent, out);
  put_sent(self, side, agent, out);
  if (self->has_states) put_states(side, agent, out);
  return n;
}

/* ---- all agents ---- */

static tr_slice agent_of(const tr_rerun *self, const tr_rerun_line *line) {
  if (tr_rerun_is_input(self, line) || tr_slice_is(line->at, "state")) return line->to;
  return tr_rerun_is_output(self, line) ? line->from : (tr_slice){ "", 0 };
}

/* own: the names are the lines'. */
static int find_agents(const tr_rerun *self, const tr_rerun_lines *side, tr_map *out) {
  for (size_t i = 0; i < side->count; i++) {
    tr_slice agent = agent_of(self, &side->items[i]);
    if (agent.n && tr_rerun_is_ours(self, agent) && !tr_map_get(out, agent) && tr_map_put(out, agent, &side->items[i], NULL)) return TR_EMEMORY;
  }
  return 0;
}

static int by_agent(const void *a, const void *b) { return strcmp(((const tr_reran *)a)->agent, ((const tr_reran *)b)->agent); }

static int make_result(tr_rerun *self, tr_slice agent, size_t i) {
  tr_buf *texts = &self->texts[2 * i];
  tr_buf_init(&texts[0], self->mem);
  tr_buf_init(&texts[1], self->mem);
  size_t n = put_side(self, &self->lines, agent, &texts[0]);
  put_side(self, &self->done, agent, &texts[1]);
  self->results[i] = (tr_reran){ agent.p, n, tr_buf_view(&texts[0]), tr_buf_view(&texts[1]) };
  self->result_count = i + 1;
  return texts[0].failed || texts[1].failed ? TR_EMEMORY : 0;
}

int tr_rerun_make_results(tr_rerun *self, tr_error *error) {
  tr_map agents;
  tr_map_init(&agents, self->mem, 1);
  int rc = find_agents(self, &self->lines, &agents);
  if (!rc) rc = find_agents(self, &self->done, &agents);
  self->results = rc ? NULL : tr_calloc(self->mem, agents.count + 1, sizeof *self->results);
  self->texts = rc ? NULL : tr_calloc(self->mem, 2 * agents.count + 1, sizeof *self->texts);
  if (!self->results || !self->texts) rc = TR_EMEMORY;
  tr_slice agent;
  void *line;
  for (size_t at = 0, i = 0; !rc && tr_map_next(&agents, &at, &agent, &line); i++) rc = make_result(self, agent, i);
  if (!rc) qsort(self->results, self->result_count, sizeof *self->results, by_agent);
  size_t count = agents.count;
  tr_map_fini(&agents);
  if (!rc) return 0;
  for (size_t i = 0; i < 2 * self->result_count; i++) tr_buf_fini(&self->texts[i]);
  tr_free(self->mem, self->results, self->results ? (count + 1) * sizeof *self->results : 0);
  tr_free(self->mem, self->texts, self->texts ? (2 * count + 1) * sizeof *self->texts : 0);
  self->results = NULL;
  self->texts = NULL;
  self->result_count = 0;
  return tr_error_set(error, TR_EMEMORY, "out of memory");
}

const tr_reran *tr_rerun_result(const tr_rerun *self, size_t i) { return i < self->result_count ? &self->results[i] : NULL; }
