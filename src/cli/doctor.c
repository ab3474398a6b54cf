/* SPDX-License-Identifier: MIT
 * troupe doctor: what is wrong with the running processes of this user, and what to do about it; or with the way to a host. The looking is
 * done in the processes themselves (runtime/doctor.c); here it is printed. Status 0: nothing was found. */
#include <string.h>

#include "cli/operate.h"

static bool found;

static void say_findings(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *findings = troupe_value_get(answer, "findings"), *checks = troupe_value_get(answer, "checks");
  size_t count = findings ? troupe_value_length(findings) : 0;
  found = found || count > 0;
  if (cli_has(op, "json")) return;
  if (count == 0)
    printf("%lld  nothing wrong was found (%zu checks)\n", (long long)cli_number(answer, "pid"), checks ? troupe_value_length(checks) : 0);
  for (size_t i = 0; i < count; i++) {
    const troupe_value_t *finding = troupe_value_at(findings, i);
    printf("%lld  %s: %s\n      do: %s\n", (long long)cli_number(answer, "pid"), cli_text(finding, "check"), cli_text(finding, "says"),
           cli_text(finding, "do"));
  }
}

static void say_checks(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *checks = troupe_value_get(answer, "checks");
  if (cli_has(op, "json")) return;
  for (size_t i = 0; checks && i < troupe_value_length(checks); i++) {
    const troupe_value_t *check = troupe_value_at(checks, i);
    printf("%s\n  %s\n  do: %s\n", cli_text(check, "name"), cli_text(check, "sign"), cli_text(check, "do"));
  }
}

/* ---- a host, from outside ---- */

/* operators: it is no host, but a process's operator's socket */
typedef struct visit { troupe_t *rt; const cli_verb *verb; tr_timer timer; tr_uplink *uplink; tr_time deadline; bool asked, answered, operators, troupe; } visit;

static void say_away(const char *address, const char *reason) {
  const char *remedy = tr_doctor_turned_away(reason);
  printf("host_away: host %s is away: ", address);
  cli_put_shown(stdout, reason, strlen(reason));
  if (remedy) printf("\n      do: %s\n", remedy);
  else printf("\n      do: start it (troupe host --listen %s), or correct --host or TROUPE_HOST\n", address);
  found = true;
}

static void end_visit(visit *v, int code, const char *reason) {
  const char *address = tr_uplink_address(v->uplink), *version = tr_worker_host_version(tr_uplink_worker(v->uplink));
  if (v->answered) return;
  v->answered = true;
  tr_timer_stop(tr_core_timers(tr_runtime_core(v->rt)), &v->timer);
  v->operators = code && reason && strstr(reason, "/troupe.Admin/Ask"); /* so it says itself (ops/admin.c) */
  if (code && !v->operators) say_away(address, reason && *reason ? reason : "it does not answer");
  else if (!code) printf("host %s answers\n", address);
  v->troupe = !code && version[0];
  if (!code && version[0] && strcmp(version, TR_VERSION))
    printf("version: it is troupe %s, this is troupe " TR_VERSION "\n      do: install the same version on both sides\n", version);
  fflush(stdout);
  tr_runtime_set_drain(v->rt, 0);
  tr_runtime_exit(v->rt, 0);
}

static void on_types(void *ud, int code, const char *text) { end_visit(ud, code, text); }

static void on_uplink(void *ud, tr_uplink *uplink, tr_worker_state state, const char *reason) {
  visit *v = ud;
  v->uplink = uplink;
  if (v->answered) return;
  if (state == TR_WORKER_DIALING && reason) end_visit(v, TROUPE_EUNAVAILABLE, reason);
  /* A stream that is open says little: a port that speaks TLS lets one begin. So it is asked something, a wait for no types. */
  if (state == TR_WORKER_JOINED && !v->asked) {
    v->asked = true;
    if (tr_worker_wait_types(tr_uplink_worker(uplink), NULL, 0, v->deadline + TR_SECONDS(1), on_types, v)) end_visit(v, TROUPE_EMEMORY, "out of memory");
  }
}

static void on_time(tr_timer *timer) {
  visit *v = TR_CONTAINER(timer, visit, timer);
  v->answered = found = true;
  printf("host_away: it takes connections, but does not answer\n      do: see whether a troupe or AutoGen host listens there, and whether it is frozen\n");
  tr_runtime_set_drain(v->rt, 0);
  tr_runtime_exit(v->rt, 0);
}

typedef enum { HOST_FOREIGN, HOST_TROUPE, HOST_OPERATORS } host_kind;

static int visit_host(const cli_verb *verb, const cli_args *args, const char *address, host_kind *kind) {
  visit v = { .verb = verb };
  tr_time timeout;
  if (!cli_seconds(verb, args, "timeout", TR_SECONDS(5), &timeout)) return CLI_USAGE;
  v.rt = cli_runtime("error", 1);
  if (!v.rt) return CLI_FAILED;
  tr_core *core = tr_runtime_core(v.rt);
  tr_core_set_now(core, tr_runtime_now(v.rt));
  v.deadline = tr_core_now(core) + timeout;
  tr_timer_start(tr_core_timers(core), &v.timer, v.deadline, on_time);
  int rc = cli_secure(verb, args, v.rt);
  if (rc == CLI_OK && tr_runtime_connect(v.rt, address, false, 0, on_uplink, &v, NULL)) rc = cli_fail(CLI_USAGE, verb->name, "--host: %s", troupe_error(v.rt));
  if (rc == CLI_OK) rc = troupe_run(v.rt);
  tr_timer_stop(tr_core_timers(core), &v.timer);
  v.answered = true;
  *kind = v.operators ? HOST_OPERATORS : v.troupe ? HOST_TROUPE : HOST_FOREIGN;
  troupe_free(v.rt);
  return rc;
}

static bool on_inside(void *ud, tr_slice json) {
  cli_say(ud, json);
  return true;
}

/* What is wrong in the host itself, where it says so to who asks. */
static int look_inside(const cli_verb *verb, const cli_args *args) {
  cli_operate op;
  tr_error error;
  tr_error_init(&error);
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  op.say = say_findings;
  rc = cli_ask_choose(&op);
  if (rc == CLI_OK) {
    int code = tr_operator_ask(op.rt, op.address, "doctor", op.body, op.timeout, on_inside, &op, &error);
    if (code == TR_EPERMISSION) printf("what goes on in it was not looked at: %s\n", error.text);
    else if (code) rc = cli_fail(CLI_FAILED, verb->name, "%s: %s", tr_error_name(code), error.text);
  }
  troupe_free(op.rt);
  return rc;
}

/* Those of this program, which needs nobody. */
static int list_checks(const cli_verb *verb, const cli_args *args) {
  cli_operate op;
  tr_mem mem;
  tr_buf out;
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  op.say = say_checks;
  tr_mem_init(&mem);
  tr_buf_init(&out, &mem);
  tr_buf_text(&out, "{");
  tr_doctor_checks(&out);
  tr_buf_text(&out, "}");
  cli_say(&op, tr_buf_view(&out));
  tr_buf_fini(&out);
  troupe_free(op.rt);
  return CLI_OK;
}

static int run_doctor(const cli_verb *verb, cli_args *args) {
  const char *host = cli_get(verb, args, "host");
  bool process = cli_get(verb, args, "checks") || cli_get(verb, args, "json");
  host_kind kind = HOST_FOREIGN;
  int asked = 0, rc;
  found = false;
  if (cli_get(verb, args, "checks") && !host && !cli_get(verb, args, "pid")) return list_checks(verb, args);
  if (host && !process) {
    rc = visit_host(verb, args, host, &kind);
    if (!rc && kind == HOST_TROUPE) rc = look_inside(verb, args);
    if (rc || kind != HOST_OPERATORS) return rc ? rc : found ? CLI_FAILED : CLI_OK;
  }
  rc = cli_operate_all(verb, args, "doctor", cli_get(verb, args, "checks") ? say_checks : say_findings, &asked);
  if (rc == CLI_OK && asked == 0)
    return cli_fail(CLI_FAILED, verb->name, CLI_NOBODY "; --host ADDRESS looks at a host elsewhere");
  return rc ? rc : found ? CLI_FAILED : CLI_OK;
}

static const cli_option options[] = {
  { "pid", 'p', "PID", "the process, where several run (all of them)", NULL },
  { "host", 0, "ADDRESS", "this host: whether it can be reached and, where its rights grant it, what is wrong in it; unix:PATH: an operator's socket, too", NULL },
  CLI_TLS_OPTIONS,
  { "checks", 0, NULL, "list what is looked for in a process", NULL },
  { "json", 0, NULL, "print what the process answers as it is", NULL },
  { "timeout", 't', "S", "give up after so many seconds (a process 30, else 5)", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_doctor = {
  "doctor", "[--pid PID | --host ADDRESS]", "Look for what goes wrong most in running processes, and say what to do. Status 1: something was found.",
  "  troupe doctor\n  troupe doctor --host 127.0.0.1:50051", options, 0, 0, run_doctor,
};
