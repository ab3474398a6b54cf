/* SPDX-License-Identifier: MIT
 * The verbs that ask a host from outside: call, publish, subscribe. Each joins like a worker does, does its one thing once it
 * has joined (and the awaited agent types are there), and leaves. They work against AutoGen's host too, whose host answers nothing
 * for an agent that is not there: so everything is bounded by --timeout. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define WAIT_MAX 32

typedef struct cli_ask {
  const cli_verb *verb;
  cli_args *args;
  troupe_t *rt;
  tr_uplink *uplink;
  tr_timer timer;          /* until it has joined */
  tr_time begin, deadline;
  bool joined, done, stays, one_way;
  char reason[300];        /* why it could not join, the last one; "": none */
  troupe_value_t *body;
  tr_slice wait[WAIT_MAX];
  size_t wait_count;
  long left;               /* subscribe: events still wanted; -1: any number */
  void (*go)(struct cli_ask *ask);
} cli_ask;

static void go_subscribe(cli_ask *ask); /* it alone registers something that may be refused */

static void finish(cli_ask *ask, int status) {
  if (ask->done) return;
  ask->done = true;
  tr_timer_stop(tr_core_timers(tr_runtime_core(ask->rt)), &ask->timer);
  tr_runtime_exit(ask->rt, status);
}

static void fail(cli_ask *ask, int code, const char *text) {
  if (!ask->done) cli_fail(CLI_FAILED, ask->verb->name, "%s: %s", troupe_error_name(code), text);
  tr_runtime_set_drain(ask->rt, 0); /* nothing is left to say: --timeout is kept */
  finish(ask, CLI_FAILED);
}

/* Not joined in time. What comes after joining has deadlines of its own, which say more. */
static void on_deadline(tr_timer *timer) {
  cli_ask *ask = TR_CONTAINER(timer, cli_ask, timer);
  char text[900];
  const char *address = tr_uplink_address(ask->uplink);
  if (ask->reason[0]) snprintf(text, sizeof text, "could not join %s in time: %s", address, ask->reason);
  else snprintf(text, sizeof text, "could not join %s in time (is a host there? troupe host --listen %s starts one)", address, address);
  fail(ask, TROUPE_ETIMEOUT, text);
}

/* A host that turns us away lets us join for a moment: then it was not the types that were missing. */
static void fail_wait(cli_ask *ask, int code, const char *said) {
  char text[900];
  bool away = ask->reason[0] && tr_worker_get_state(tr_uplink_worker(ask->uplink)) != TR_WORKER_JOINED;
  if (!*said) said = "the host does not answer";
  if (away) snprintf(text, sizeof text, "%s (%s: %s)", said, tr_uplink_address(ask->uplink), ask->reason);
  fail(ask, code, away ? text : said);
}

static void on_types(void *ud, int code, const char *text) {
  cli_ask *ask = ud;
  if (code) fail_wait(ask, code, text ? text : "");
  else if (!ask->done) ask->go(ask);
}

static void on_uplink(void *ud, tr_uplink *uplink, tr_worker_state state, const char *reason) {
  cli_ask *ask = ud;
  if (ask->done) return;
  if (reason) snprintf(ask->reason, sizeof ask->reason, "%.*s", (int)tr_utf8_cut(tr_slice_of(reason), sizeof ask->reason - 1), reason);
  if (state == TR_WORKER_JOINING && reason && ask->go == go_subscribe && (ask->joined || !ask->wait_count)) {
    int code = tr_worker_refused_as(tr_uplink_worker(uplink));
    fail(ask, code ? code : TROUPE_EUNAVAILABLE, reason);
    return;
  }
  if (state == TR_WORKER_DIALING && reason && !ask->joined && !ask->wait_count) {
    char text[700];
    const char *address = tr_uplink_address(uplink);
    bool there = strstr(reason, "certificate") || strstr(reason, "unauthenticated") || strstr(reason, "permission_denied");
    if (there) /* and the reason says what to do */
      snprintf(text, sizeof text, "%s: %s", address, reason);
    else
      snprintf(text, sizeof text, "%s: %s (is a host there? troupe host --listen %s starts one; --wait TYPE waits for it)", address, reason, address);
    fail(ask, TROUPE_EUNAVAILABLE, text);
  }
  if (state != TR_WORKER_JOINED || ask->joined) return;
  ask->joined = true;
  tr_timer_stop(tr_core_timers(tr_runtime_core(ask->rt)), &ask->timer);
  /* What is published has no answer: that the host answers at all is asked first, by a wait for no types. */
  if (!ask->wait_count && !ask->one_way) ask->go(ask);
  else if (tr_worker_wait_types(tr_uplink_worker(uplink), ask->wait, ask->wait_count, ask->deadline, on_types, ask))
    fail(ask, TROUPE_EMEMORY, "out of memory");
}

static void on_stop(void *ud) {
  cli_ask *ask = ud;
  if (!ask->done && !ask->stays) fail(ask, TROUPE_ECANCELLED, "stopped by a signal");
}

/* ---- what is asked ---- */

static bool wanted(const cli_ask *ask, const char *option) { return cli_get(ask->verb, ask->args, option) != NULL; }

static void print_json(cli_ask *ask, const troupe_value_t *value) {
  size_t length;
  char *text = troupe_value_to_json(ask->rt, value, &length);
  if (text) cli_put_json_shown(text, length);
  troupe_free_text(ask->rt, text, length);
}

static void print_json_text(cli_ask *ask, const char *text) {
  troupe_value_t *value = troupe_pack(ask->rt, "s", text);
  print_json(ask, value);
  troupe_value_free(value);
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  cli_ask *ask = ud;
  if (status) {
    if (!ask->done) fail(ask, status, text);
    return;
  }
  size_t length;
  const char *bare = wanted(ask, "raw") ? troupe_value_string(body, &length) : NULL;
  if (bare) {
    fwrite(bare, 1, length, stdout);
  } else if (wanted(ask, "json")) {
    fputs("{\"type\":", stdout);
    print_json_text(ask, type);
    fputs(",\"body\":", stdout);
    print_json(ask, body);
    fputs(",\"agent\":", stdout);
    print_json_text(ask, ask->args->words[0]);
    printf(",\"ms\":%.3f}", (double)(tr_runtime_now(ask->rt) - ask->begin) / 1000.0);
  } else {
    print_json(ask, body);
  }
  putchar('\n');
  fflush(stdout);
  finish(ask, CLI_OK);
}

static void go_call(cli_ask *ask) {
  tr_time now = tr_runtime_now(ask->rt);
  tr_time rest = ask->deadline == TR_NEVER ? -1 : ask->deadline > now ? ask->deadline - now : 1;
  ask->begin = now;
  troupe_value_t *body = ask->body;
  ask->body = NULL;
  int rc = troupe_call(ask->rt, ask->args->words[0], ask->args->words[1], body, rest, on_reply, ask);
  if (rc) fail(ask, rc, troupe_error(ask->rt));
}

static void go_publish(cli_ask *ask) {
  troupe_value_t *body = ask->body;
  ask->body = NULL;
  int rc = troupe_publish(ask->rt, ask->args->words[0], ask->args->words[1], body);
  if (rc) fail(ask, rc, troupe_error(ask->rt));
  else finish(ask, CLI_OK); /* leaving sends what is queued */
}

static void on_event(void *ud, const char *topic, const char *type, const troupe_value_t *body) {
  cli_ask *ask = ud;
  if (ask->done) return;
  if (wanted(ask, "json")) {
    fputs("{\"topic\":", stdout);
    print_json_text(ask, topic);
    fputs(",\"type\":", stdout);
    print_json_text(ask, type);
    fputs(",\"body\":", stdout);
    print_json(ask, body);
    putchar('}');
  } else {
    cli_put_shown(stdout, topic, strlen(topic));
    putchar(' ');
    cli_put_shown(stdout, type, strlen(type));
    putchar(' ');
    print_json(ask, body);
  }
  putchar('\n');
  fflush(stdout);
  if (ask->left > 0 && --ask->left == 0) finish(ask, CLI_OK);
}

static void go_subscribe(cli_ask *ask) {
  ask->stays = true;
  printf("joined %s: %s\n", tr_uplink_address(ask->uplink), ask->args->words[0]);
  fflush(stdout);
}

/* ---- input ---- */

static bool read_all(FILE *file, tr_buf *out) {
  char block[16384];
  size_t n;
  while ((n = fread(block, 1, sizeof block, file)) > 0)
    if (!tr_buf_append(out, block, n)) return false;
  return !ferror(file);
}

/* The body from the command line, or from standard input for "-"; none: {}. */
static int read_body(cli_ask *ask, const char *text) {
  if (!text) return CLI_OK;
  tr_mem mem;
  tr_buf buf;
  tr_mem_init(&mem);
  tr_buf_init(&buf, &mem);
  int rc = CLI_OK;
  if (strcmp(text, "-") ? !tr_buf_text(&buf, text) : !read_all(stdin, &buf)) {
    rc = cli_fail(CLI_FAILED, ask->verb->name, "standard input cannot be read");
  } else {
    ask->body = troupe_value_from_json(ask->rt, (const char *)buf.data, buf.len);
    if (!ask->body) rc = cli_fail(CLI_USAGE, ask->verb->name, "the body is not JSON: %s", troupe_error(ask->rt));
  }
  tr_buf_fini(&buf);
  return rc;
}

static int read_wait(cli_ask *ask) {
  const char *text = cli_get(ask->verb, ask->args, "wait");
  while (text && *text) {
    size_t n = strcspn(text, ",");
    if (n && ask->wait_count == WAIT_MAX)
      return cli_fail(CLI_USAGE, ask->verb->name, "--wait: more than %d types", WAIT_MAX);
    if (n) ask->wait[ask->wait_count++] = tr_slice_make(text, n);
    text += n + (text[n] == ',');
  }
  return CLI_OK;
}

/* Ids and topics are checked before anything is dialed: a typing error is a usage error. */
static int check_target(cli_ask *ask, bool agent) {
  tr_error error;
  tr_error_init(&error);
  tr_agent_id id;
  tr_topic_id topic;
  tr_slice text = tr_slice_of(ask->args->words[0]), fallback = TR_SLICE_LITERAL("default");
  int rc = agent ? tr_agent_id_parse(text, fallback, &id, &error) : tr_topic_id_parse(text, fallback, &topic, &error);
  return rc ? cli_fail(CLI_USAGE, ask->verb->name, "%s", error.text) : CLI_OK;
}

/* ---- the common way ---- */

/* A message type that is among those of --protobuf goes as protobuf. */
static int choose_encoding(cli_ask *ask) {
  int rc = cli_protobuf(ask->verb, ask->args, ask->rt);
  const char *type = ask->go == go_subscribe ? NULL : ask->args->words[1];
  if (rc || !type || !tr_runtime_has_type(ask->rt, type)) return rc;
  return troupe_encode_as(ask->rt, type, "protobuf") ? cli_fail(CLI_FAILED, ask->verb->name, "%s", troupe_error(ask->rt)) : CLI_OK;
}

static int prepare(cli_ask *ask) {
  int rc = read_wait(ask);
  if (rc == CLI_OK) rc = choose_encoding(ask);
  if (rc == CLI_OK && ask->go == go_subscribe) {
    const char *count = cli_get(ask->verb, ask->args, "count");
    char *end = NULL;
    ask->left = count ? strtol(count, &end, 10) : -1;
    if (count && (*end || ask->left <= 0)) return cli_fail(CLI_USAGE, ask->verb->name, "--count: \"%s\" is not a number above 0", count);
    if (troupe_subscribe(ask->rt, ask->args->words[0], on_event, ask) < 0)
      return cli_fail(CLI_USAGE, ask->verb->name, "%s", troupe_error(ask->rt));
    return CLI_OK;
  }
  if (rc == CLI_OK) rc = check_target(ask, ask->go == go_call);
  if (rc == CLI_OK) rc = read_body(ask, ask->args->count > 2 ? ask->args->words[2] : NULL);
  return rc;
}

static int run_ask(const cli_verb *verb, cli_args *args, void (*go)(cli_ask *ask)) {
  cli_ask ask = { .verb = verb, .args = args, .go = go, .one_way = go == go_publish, .deadline = TR_NEVER };
  tr_time timeout;
  if (!cli_seconds(verb, args, "timeout", TR_SECONDS(30), &timeout)) return CLI_USAGE;
  const char *log = cli_get(verb, args, "log"), *host = cli_get(verb, args, "host");
  ask.rt = cli_runtime(log ? log : "error", 1);
  if (!ask.rt) return CLI_USAGE;
  int rc = cli_secure(verb, args, ask.rt);
  if (rc == CLI_OK) rc = prepare(&ask);
  if (rc == CLI_OK && tr_runtime_signals(ask.rt)) rc = cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(ask.rt));
  if (rc == CLI_OK) {
    tr_core *core = tr_runtime_core(ask.rt);
    ask.begin = tr_runtime_now(ask.rt);
    tr_core_set_now(core, ask.begin);
    if (timeout > 0) {
      ask.deadline = ask.begin + timeout;
      tr_timer_start(tr_core_timers(core), &ask.timer, ask.deadline, on_deadline);
    }
    tr_runtime_on_stop(ask.rt, on_stop, NULL, &ask);
    if (tr_runtime_connect(ask.rt, host ? host : CLI_DEFAULT_ADDRESS, go == go_subscribe, 0, on_uplink, &ask, &ask.uplink))
      rc = cli_fail(CLI_USAGE, verb->name, "--host: %s", troupe_error(ask.rt));
    else rc = troupe_run(ask.rt);
    tr_timer_stop(tr_core_timers(core), &ask.timer);
  }
  ask.done = true; /* callbacks of the end have nothing to tell any more */
  troupe_value_free(ask.body);
  troupe_free(ask.rt);
  return rc;
}

static int run_call(const cli_verb *verb, cli_args *args) { return run_ask(verb, args, go_call); }
static int run_publish(const cli_verb *verb, cli_args *args) { return run_ask(verb, args, go_publish); }
static int run_subscribe(const cli_verb *verb, cli_args *args) { return run_ask(verb, args, go_subscribe); }

#define ASK_OPTIONS                                                                                        \
  { "host", 0, "ADDRESS", "the host (" CLI_DEFAULT_ADDRESS ")", "TROUPE_HOST" },                           \
  CLI_TLS_OPTIONS, CLI_SIGN_OPTIONS,                                                                                         \
  { "timeout", 't', "S", "give up after so many seconds; 0: never (30)", NULL },                           \
  CLI_PROTOBUF_OPTION,                                                                                     \
  { "wait", 0, "TYPE,…", "wait until the host and these agent types are there", NULL },                    \
  { "log", 0, "LEVEL", "error, warn, info or debug (error)", "TROUPE_LOG" }

static const cli_option call_options[] = {
  ASK_OPTIONS, { "raw", 0, NULL, "print a string bare, without quotes", NULL },
  { "json", 0, NULL, "print { type, body, agent, ms }", NULL }, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option publish_options[] = { ASK_OPTIONS, { NULL, 0, NULL, NULL, NULL } };
static const cli_option subscribe_options[] = {
  ASK_OPTIONS, { "json", 0, NULL, "print { topic, type, body } a line", NULL },
  { "count", 'n', "N", "end after N events", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_call = {
  "call", "AGENT TYPE [JSON]", "Ask an agent and print its reply's body as JSON (JSON - is standard input).",
  "  troupe call greeter/anna Greeting '{\"content\": \"hi\"}' --wait greeter", call_options, 2, 3, run_call,
};
const cli_verb cli_publish = {
  "publish", "TOPIC TYPE [JSON]", "Publish an event to all who subscribed to the topic.",
  "  troupe publish default Greeting '{\"content\": \"Hello!\"}' --wait worker1,worker2", publish_options, 2, 3, run_publish,
};
const cli_verb cli_subscribe = {
  "subscribe", "TOPIC|PREFIX*", "Print the events of a topic, or of all topics that begin so.",
  "  troupe subscribe default\n  troupe subscribe 'home.*' --json", subscribe_options, 1, 1, run_subscribe,
};
