/* SPDX-License-Identifier: MIT
 * The host behind the checks of the script room (script_host.h). What the host itself keeps does not come from the
 * case's allocator. */
#include "script_host.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "core/id.h"

static void append(char **text, size_t *size, const char *line, size_t n) {
  *text = realloc(*text, *size + n + 2);
  memcpy(*text + *size, line, n);
  memcpy(*text + *size + n, "\n", 2);
  *size += n + 1;
}

static void on_log(void *ud, tr_log_level level, const char *event, const char *text) {
  host *h = ud;
  char line[8192];
  int n = snprintf(line, sizeof line, "%s %s %s", tr_log_level_name(level), event, text);
  append(&h->logged, &h->logged_size, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void on_print(void *ud, tr_slice line) {
  host *h = ud;
  append(&h->printed, &h->printed_size, line.p, line.n);
}

static void on_exit_status(void *ud, int status) {
  host *h = ud;
  h->exited = true;
  h->status = status;
}

static void on_changed(void *ud) { ((host *)ud)->changes++; }

static int read_disk(const char *path, tr_buf *text, tr_error *error) {
  char block[4096];
  size_t n;
  FILE *file = fopen(path, "rb");
  if (!file) return tr_error_set(error, TR_ENOT_FOUND, "%s: no such file", path);
  bool ok = true;
  while (ok && (n = fread(block, 1, sizeof block, file)) > 0) ok = tr_buf_append(text, block, n);
  fclose(file);
  return ok ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

static int on_load(void *ud, const char *path, tr_buf *text, tr_error *error) {
  host *h = ud;
  for (int i = 0; i < HOST_FILES; i++)
    if (h->files[i].path && strcmp(h->files[i].path, path) == 0)
      return tr_buf_text(text, h->files[i].text) ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
  if (h->from_disk) return read_disk(path, text, error);
  return tr_error_set(error, TR_ENOT_FOUND, "%s: no such file", path);
}

static void on_dead_letter(void *ud, tr_msg *msg, int code, const char *reason) {
  host *h = ud;
  if (h->script) tr_script_dead_letter(h->script, msg, code, reason);
}

static tr_time on_clock(void *ud) {
  host *h = ud;
  return h->clock += h->clock_step;
}

int host_try_open(host *h) {
  h->log = (tr_log){ .level = TR_LOG_INFO, .sink = on_log, .ud = h };
  h->now = TR_SECONDS(1000);
  tr_core_options core = { .mem = check_mem(), .log = &h->log, .seed = 42, .now = h->now,
                           .hooks = { .dead_letter = on_dead_letter, .ud = h } };
  h->core = tr_core_new(&core);
  if (!h->core) return TR_EMEMORY;
  tr_script_options script = { .core = h->core, .load = on_load, .print = on_print, .exit = on_exit_status,
                               .classes_changed = on_changed,
                               .ud = h, .codecs = h->codecs, .memory_limit = h->memory_limit,
                               .clock = h->clock_step ? on_clock : NULL };
  tr_error_init(&h->error);
  h->script = tr_script_new(&script, &h->error);
  if (h->script) return 0;
  tr_core_free(h->core);
  return TR_EMEMORY;
}

void host_open(host *h) {
  size_t limit = h->memory_limit;
  tr_codecs *codecs = h->codecs;
  tr_time clock_step = h->clock_step;
  memset(h, 0, sizeof *h);
  h->memory_limit = limit;
  h->clock_step = clock_step;
  h->codecs = codecs;
  if (host_try_open(h)) check_fail(__FILE__, __LINE__, "no host: %s", h->error.text);
}

void host_close(host *h) {
  tr_script_free(h->script);
  h->script = NULL;
  tr_core_free(h->core);
  free(h->logged);
  free(h->printed);
  memset(h, 0, sizeof *h);
}

void host_file(host *h, const char *path, const char *text) {
  for (int i = 0; i < HOST_FILES; i++) {
    if (h->files[i].path && strcmp(h->files[i].path, path) != 0) continue;
    h->files[i].path = text ? path : "";
    h->files[i].text = text;
    return;
  }
  check_fail(__FILE__, __LINE__, "too many files");
}

static int load(host *h, const char *name, tr_slice source) {
  tr_core_set_now(h->core, h->now);
  tr_error_init(&h->error);
  int rc = tr_script_load(h->script, name, source, NULL, 0, &h->error);
  return rc ? rc : tr_script_start(h->script, &h->error);
}

int host_load(host *h, const char *path) { return load(h, path, (tr_slice){ NULL, 0 }); }
int host_source(host *h, const char *name, const char *text) { return load(h, name, tr_slice_of(text)); }

int host_reload(host *h, size_t *changed) {
  tr_core_set_now(h->core, h->now);
  tr_error_init(&h->error);
  return tr_script_reload(h->script, NULL, 0, changed, &h->error);
}

void host_settle(host *h) {
  for (int i = 0; i < 1000000 && tr_script_step(h->script, h->now, 256); i++) { }
}

void host_run(host *h, double seconds) {
  tr_time end = h->now + TR_SECONDS(seconds);
  for (;;) {
    host_settle(h);
    tr_time next = tr_core_next_deadline(h->core);
    if (next == TR_NEVER || next > end || h->exited) break;
    h->now = next > h->now ? next : h->now + 1000;
  }
  if (!h->exited && h->now < end) h->now = end;
}

/* --- messages --- */

static tr_msg *message(host *h, tr_msg_kind kind, const char *target, const char *type, const char *json) {
  tr_agent_id id;
  tr_topic_id topic;
  tr_names *names = tr_core_names(h->core);
  tr_msg *msg = tr_msg_new(h->core, kind);
  if (!msg) return NULL;
  if (kind == TR_MSG_EVENT) {
    CHECK_INT(tr_topic_id_parse(tr_slice_of(target), TR_SLICE_LITERAL("default"), &topic, &h->error), ==, 0);
    msg->target_type = tr_name_new(names, topic.type);
    msg->target_key = tr_name_new(names, topic.source);
  } else {
    CHECK_INT(tr_agent_id_parse(tr_slice_of(target), TR_SLICE_LITERAL("default"), &id, &h->error), ==, 0);
    msg->target_type = tr_name_new(names, id.type);
    msg->target_key = tr_name_new(names, id.key);
  }
  msg->type = tr_name_new(names, tr_slice_of(type));
  msg->troupe_peer = true;
  if (json) {
    msg->body.bytes = tr_blob_copy(check_mem(), tr_slice_of(json));
    if (msg->body.bytes) msg->body.kind = TR_BODY_BYTES;
  }
  if (msg->type && msg->target_type && msg->target_key && (!json || msg->body.bytes)) return msg;
  tr_msg_unref(msg);
  return NULL;
}

void host_publish(host *h, const char *topic, const char *type, const char *json) {
  tr_msg *msg = message(h, TR_MSG_EVENT, topic, type, json);
  if (msg) tr_core_post(h->core, msg);
}

void host_send(host *h, const char *agent, const char *type, const char *json) {
  tr_msg *msg = message(h, TR_MSG_SEND, agent, type, json);
  if (msg) tr_core_post(h->core, msg);
}

static struct answer { host *h; bool done; char text[65536]; } answer;

static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  host *h = answer.h;
  answer.done = true;
  if (reply->code) {
    snprintf(answer.text, sizeof answer.text, "%s: %.*s", tr_error_name(reply->code), TR_SLICE_ARG(reply->error));
    return;
  }
  tr_buf json;
  tr_json_writer writer;
  tr_buf_init(&json, check_mem());
  tr_error_init(&h->error);
  tr_json_writer_init(&writer, &json, &h->error);
  tr_sink sink = tr_json_sink(&writer);
  if (tr_script_walk(h->script, &reply->body, &sink, &h->error) || json.failed)
    snprintf(answer.text, sizeof answer.text, "walk: %s", h->error.text);
  else
    snprintf(answer.text, sizeof answer.text, "%s %.*s", reply->type ? reply->type->text : "null", (int)json.len,
             (const char *)json.data);
  tr_buf_fini(&json);
}

static const char *ask(host *h, const char *agent, const char *type, const char *json, bool troupe) {
  tr_msg *msg = message(h, TR_MSG_REQUEST, agent, type, json);
  answer.h = h;
  answer.done = false;
  snprintf(answer.text, sizeof answer.text, "no answer");
  if (!msg) return "out of memory";
  msg->troupe_peer = troupe;
  msg->deadline = h->now + TR_SECONDS(60);
  if (!tr_core_call(h->core, msg, on_reply, NULL)) return "out of memory";
  tr_time end = h->now + TR_SECONDS(100);
  while (!answer.done && h->now < end) {
    host_settle(h);
    if (answer.done) break;
    tr_time next = tr_core_next_deadline(h->core);
    if (next == TR_NEVER) break;
    h->now = next > h->now ? next : h->now + 1000;
  }
  return answer.text;
}

const char *host_call(host *h, const char *agent, const char *type, const char *json) { return ask(h, agent, type, json,
                                                                                                   true); }
const char *host_foreign_call(host *h, const char *agent, const char *type, const char *json) { return ask(h, agent,
    type, json, false); }

size_t host_log_count(const host *h, const char *text) {
  size_t n = 0;
  for (const char *at = h->logged; at && (at = strstr(at, text)); at++) n++;
  return n;
}

bool host_logged(const host *h, const char *text) { return host_log_count(h, text) > 0; }

void host_ask(host *h, const char *agent, const char *type, tr_reply_fn fn, void *ud) {
  tr_msg *msg = message(h, TR_MSG_REQUEST, agent, type, NULL);
  if (!msg || !tr_core_call(h->core, msg, fn, ud)) check_fail(__FILE__, __LINE__, "no call");
}
