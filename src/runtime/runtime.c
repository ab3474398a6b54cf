/* SPDX-License-Identifier: MIT
 * troupe_t: joins the rooms into one runtime, and takes them apart again in the right order.
 *
 * One isolate, unless more are asked for (isolate.c): a core, a Lua state, and a libuv loop that exists only once a door, a watch or a blocking run needs it, so
 * that a game that only calls troupe_poll opens no descriptor. Doors are in doors.c, the loop in loop.c, the C side of messages in messages.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/staged.h"
#include "runtime/isolate.h"
#include "runtime/record.h"
#include "runtime/secure.h"
#include "runtime/state.h"

/* The public codes are the internal ones. */
#define CHECK_CODE(NAME, name, number, grpc, text) \
  _Static_assert((int)TROUPE_E##NAME == (int)TR_E##NAME, "include/troupe.h and base/error.h disagree on " #name);
TR_ERROR_MAP(CHECK_CODE)
#undef CHECK_CODE

const char *troupe_error_name(int code) { return tr_error_name(code); }
const char *troupe_error(const troupe_t *rt) { return rt ? rt->error.text : "out of memory"; }

tr_error *tr_runtime_error(troupe_t *rt) {
  rt->bad_value = false;
  tr_error_init(&rt->error);
  return &rt->error;
}

int tr_runtime_fail(troupe_t *rt, int code, const char *format, ...) {
  va_list args;
  tr_error_init(&rt->error);
  va_start(args, format);
  tr_error_setv(&rt->error, code, format, args);
  va_end(args);
  return code;
}

tr_core *tr_runtime_core(troupe_t *rt) { return rt->core; }
tr_script *tr_runtime_script(troupe_t *rt) { return rt->script; }
tr_log *tr_runtime_log(troupe_t *rt) { return &rt->log; }

tr_time tr_runtime_now(troupe_t *rt) {
  if (rt->options.clock_us) return rt->options.clock_us(rt->options.userdata);
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (tr_time)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static uint64_t system_seed(void) {
  uint64_t seed = 0;
  FILE *file = fopen("/dev/urandom", "rb");
  if (file) {
    if (fread(&seed, sizeof seed, 1, file) != 1) seed = 0;
    fclose(file);
  }
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return seed ^ ((uint64_t)ts.tv_nsec << 32) ^ (uint64_t)ts.tv_sec;
}

int64_t tr_wall_us(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* From any isolate: the embedder hears one line at a time. */
static void tell(troupe_t *rt, troupe_log_level level, const char *event, const char *text) {
  if (rt->crew) uv_mutex_lock(&rt->crew->log_mutex);
  rt->options.log(rt->options.userdata, level, event, text);
  if (rt->crew) uv_mutex_unlock(&rt->crew->log_mutex);
}

static void log_sink(void *ud, tr_log_level level, const char *event, const char *text) { tell(ud, (troupe_log_level)level, event, text); }

/* The callback takes a C string: a NUL within the line is shown as \0 rather than ending it. */
void tr_runtime_print(troupe_t *rt, tr_mem *mem, tr_slice line) {
  tr_buf text;
  if (!rt->options.log) return;
  tr_buf_init(&text, mem);
  for (size_t at = 0; at <= line.n;) {
    const char *nul = memchr(line.p + at, 0, line.n - at);
    size_t end = nul ? (size_t)(nul - line.p) : line.n;
    tr_buf_append(&text, line.p + at, end - at);
    if (nul) tr_buf_text(&text, "\\0");
    at = end + 1;
  }
  tr_buf_byte(&text, 0);
  if (!text.failed) tell(rt, TROUPE_LOG_PRINT, "print", (const char *)text.data);
  tr_buf_fini(&text);
}

static void on_print(void *ud, tr_slice line) { tr_runtime_print(ud, &((troupe_t *)ud)->mem, line); }

static void on_subscribed(void *ud, const tr_shared_sub *sub, bool added) {
  tr_isolate_subscribed(((troupe_t *)ud)->crew->isolates[0], sub, added);
}

static void on_wake(void *ud) {
  troupe_t *rt = ud;
  if (rt->options.wake && !rt->in_poll) rt->options.wake(rt->options.userdata);
}

static void on_dead_letter(void *ud, tr_msg *msg, int code, const char *reason) {
  troupe_t *rt = ud;
  tr_runtime_dead_letter(&rt->letters, &rt->log, rt->script, msg, code, reason);
  if (!rt->host || !tr_host_is_telling(rt->host)) tr_runtime_keep_letter(&rt->undelivered, msg, code, reason);
}

static void on_unheard(void *ud, tr_msg *event) { tr_runtime_unheard(&((troupe_t *)ud)->undelivered, event); }

static tr_time clock_of(void *ud) { return tr_runtime_now(ud); }

static void on_failed(void *ud, uint32_t number) { tr_probation_failed(ud, number); }

static int make_core(troupe_t *rt) {
  tr_core_options core = {
    .mem = &rt->mem,
    .log = &rt->log,
    .seed = rt->options.seed ? rt->options.seed : system_seed(),
    .now = tr_runtime_now(rt),
    .hooks = { .wake = on_wake, .dead_letter = on_dead_letter, .unheard = on_unheard, .ud = rt },
  };
  rt->core = tr_core_new(&core);
  if (!rt->core) return TR_EMEMORY;
  rt->codecs = tr_codecs_new(&rt->mem, tr_random_next(tr_core_random(rt->core)));
  if (!rt->codecs) return TR_EMEMORY;
  tr_script_options script = {
    .core = rt->core,
    .load = tr_runtime_read,
    .print = on_print,
    .exit = tr_runtime_on_exit,
    .classes_changed = tr_runtime_sync_uplinks,
    .subscribed = rt->options.threads > 1 ? on_subscribed : NULL,
    .uplink = tr_runtime_uplink,
    .launch = tr_runtime_launch,
    .stop_launched = tr_runtime_stop_launched,
    .stopped = tr_runtime_on_stopped,
    .failed = on_failed,
    .codecs = rt->codecs,
    .deterministic = rt->options.deterministic,
    .outside = &rt->outside,
    .clock = clock_of,
    .ud = rt,
  };
  rt->script = tr_script_new(&script, &rt->error);
  return rt->script ? 0 : (rt->error.code ? rt->error.code : TR_EMEMORY);
}

#define EPOCH 946684800 /* 2000-01-01 00:00:00 UTC */

int troupe_new(troupe_t **out, const troupe_options_t *options) {
  troupe_options_t copy = { 0 };
  *out = NULL;
  if (options) {
    if (options->size == 0 || options->size > sizeof copy) return TROUPE_EINVALID; /* built against a later version */
    memcpy(&copy, options, options->size);
  }
  tr_mem mem;
  tr_mem_init(&mem);
  if (copy.allocate) {
    mem.realloc_fn = copy.allocate;
    mem.ud = copy.userdata;
  }
  troupe_t *rt = tr_calloc(&mem, 1, sizeof *rt);
  if (!rt) return TROUPE_EMEMORY;
  rt->mem = mem; /* counts the structure itself too */
  rt->options = copy;
  rt->drain = TR_SECONDS(3);
  rt->timer_at = TR_NEVER;
  if (copy.log) rt->log = (tr_log){ .level = (tr_log_level)copy.log_level, .sink = log_sink, .ud = rt };
  tr_list_init(&rt->uplinks);
  tr_list_init(&rt->pools);
  tr_list_init(&rt->tunnels);
  tr_list_init(&rt->servers);
  tr_list_init(&rt->calls);
  tr_tally_init(&rt->letters, &rt->mem, copy.seed ? copy.seed : (uint64_t)(uintptr_t)rt);
  tr_undelivered_init(&rt->undelivered, &rt->mem);
  tr_list_init(&rt->saves);
  tr_list_init(&rt->unstored);
  rt->wall_us = tr_wall_us;
  tr_list_init(&rt->grants);
  tr_runtime_outside(rt);
  tr_list_init(&rt->launched);
  tr_list_init(&rt->moves);
  tr_list_init(&rt->going);
  tr_list_init(&rt->steps);
  tr_map_init(&rt->encodings, &rt->mem, options && options->seed ? options->seed : (uint64_t)(uintptr_t)rt);
  rt->begun = tr_runtime_now(rt);
  int rc = copy.threads > TR_ISOLATES_MOST || (copy.deterministic && copy.threads > 1) ? TR_EINVALID : copy.grants ? tr_runtime_allow_all(rt, copy.grants) : 0;
  if (rc == 0) rc = make_core(rt);
  if (rc == 0 && copy.deterministic) rc = tr_runtime_set_epoch(rt, EPOCH);
  if (rc == 0 && copy.threads > 1) rc = tr_crew_new(rt, copy.threads);
  if (rc) {
    troupe_free(rt);
    return rc;
  }
  *out = rt;
  return 0;
}

void troupe_free(troupe_t *rt) {
  if (!rt) return;
  rt->stage = TR_STAGE_DONE; /* a callback that calls again is refused */
  if (rt->crew) tr_crew_stop(rt->crew);
  tr_record_close(rt);
  if (rt->core) tr_runtime_cancel_calls(rt);
  if (rt->core) tr_runtime_saves_cancel(rt);
  if (rt->core) tr_runtime_store_last(rt);
  tr_state_end_drop(rt->ending);
  if (rt->core) tr_shared_end(rt);
  if (rt->core) tr_staged_end(rt);
  if (rt->core) tr_runtime_leave_moves(rt);
  if (rt->core) tr_runtime_drop_processes(rt);
  tr_runtime_close_doors(rt);
  if (rt->core) tr_runtime_drop_moves(rt);
  if (rt->crew) tr_crew_close(rt->crew);
  tr_runtime_loop_close(rt);
  tr_runtime_free_operator(rt);
  tr_runtime_free_tunnels(rt);
  tr_host_free(rt->host);
  rt->host = NULL; /* what agents leave behind is a dead letter, of which it is asked */
  /* The script first: its agents leave the core, and it gives back the core's names. */
  tr_script_free(rt->script);
  rt->script = NULL;
  tr_runtime_free_servers(rt);
  if (rt->crew && rt->core && rt->crew->count > 0) tr_isolate_leave(rt->crew->isolates[0]);
  tr_name_unref(rt->leaf_key);
  tr_runtime_free_subscriptions(rt);
  tr_core_free(rt->core);
  tr_tally_fini(&rt->letters);
  tr_undelivered_fini(&rt->undelivered);
  tr_crew_free(rt->crew);
  tr_runtime_free_grants(rt);
  tr_runtime_free_bodies(rt);
  tr_runtime_free_security(rt);
  tr_file_free(rt->state_hold);
  if (rt->state_path) tr_free(&rt->mem, rt->state_path, strlen(rt->state_path) + 1);
  tr_mem mem = rt->mem;
  tr_free(&mem, rt, sizeof *rt);
}

static int after_load(troupe_t *rt, int rc) {
  if (rc) return rc;
  rt->started = false;
  tr_runtime_sync_uplinks(rt);
  tr_runtime_watch_files(rt);
  if (rt->options.wake) rt->options.wake(rt->options.userdata);
  return 0;
}

/* Timers that a script declares begin now, not when the core last looked at the clock. */
static tr_error *begin_load(troupe_t *rt) {
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  return tr_runtime_error(rt);
}

int troupe_load(troupe_t *rt, const char *name, const char *source, size_t length) {
  tr_error *error = begin_load(rt);
  tr_slice text = length ? tr_slice_make(source, length) : tr_slice_of(source);
  return after_load(rt, tr_together_load(rt, name, text, NULL, 0, error));
}

void tr_runtime_tick(troupe_t *rt) { begin_load(rt); }
void tr_runtime_loaded(troupe_t *rt) { after_load(rt, 0); }

int troupe_load_file(troupe_t *rt, const char *path) { return tr_runtime_load(rt, path, NULL, 0); }

int tr_runtime_load(troupe_t *rt, const char *path, const tr_slice *args, size_t argc) {
  tr_error *error = begin_load(rt);
  return after_load(rt, tr_together_load(rt, path, (tr_slice){ NULL, 0 }, args, argc, error));
}
