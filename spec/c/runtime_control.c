/* SPDX-License-Identifier: MIT
 * SaveState and LoadState by the control channel: asked by a client of a host, of the host's own agents and of another worker's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime_kit.h"
#include "wire/wire.h"
#include "worker/internal.h"
#include "runtime/internal.h"

static char answer[2000];
static size_t answers;

/* The text in the response's first field that is there. */
static void on_control(void *ud, tr_worker *worker, tr_slice bytes) {
  tr_wire_control m = { 0 };
  tr_error error;
  (void)ud;
  (void)worker;
  tr_error_init(&error);
  if (tr_wire_walk_control(bytes, &m, &error)) CHECK_FAIL("%s", error.text);
  const char *dot = strrchr(m.type_url.p, '.');
  size_t skip = m.value.n > 2 ? (m.value.p[1] & 0x80 ? 3 : 2) : m.value.n;
  CHECK(!m.has_respond_to);
  snprintf(answer, sizeof answer, "%.*s %.*s %.*s", TR_SLICE_ARG(m.rpc_id), (int)(m.type_url.n - (size_t)(dot + 1 - m.type_url.p)), dot + 1,
           (int)(m.value.n - skip), m.value.p + skip);
  answers++;
}

typedef struct net { troupe_t *host, *worker, *asker; tr_uplink *up; } net;

static void turn(net *n) {
  troupe_poll(n->host, 0);
  if (n->worker) troupe_poll(n->worker, 0);
  troupe_poll(n->asker, 0);
}

static bool joined(const troupe_t *rt) {
  return tr_worker_get_state(TR_CONTAINER(rt->uplinks.next, tr_uplink, all)->worker) == TR_WORKER_JOINED;
}

#define AGENT(type) "return { type = '" type "', version = 2, state = { n = 0 }, migrate = function() end, on = { Add = function(self) self.n = self.n + 1 end," \
  " Get = function(self) print('n=' .. self.n) end, Slow = function(_, _, ctx) ctx:sleep(100) end } }"

static void open_net(net *n) {
  char address[200];
  snprintf(address, sizeof address, "unix:%s.sock", kit_path());
  kit_clock = 0;
  n->host = kit_open(AGENT("here"));
  n->worker = kit_open(AGENT("there"));
  n->asker = kit_open("return { type = 'asker', on = {} }");
  CHECK_INT(troupe_listen(n->host, address, NULL), ==, 0);
  CHECK_INT(troupe_connect(n->worker, address), ==, 0);
  CHECK_INT(tr_runtime_connect(n->asker, address, true, 0, NULL, NULL, &n->up), ==, 0);
  tr_uplink_worker(n->up)->o.control = on_control;
  for (int i = 0; i < 100000 && !(joined(n->worker) && joined(n->asker)); i++) turn(n);
  CHECK(joined(n->worker) && joined(n->asker));
}

static void put(uint8_t **p, uint8_t number, const char *text) {
  size_t length = strlen(text);
  *(*p)++ = (uint8_t)(number << 3 | 2);
  *(*p)++ = (uint8_t)length;
  memcpy(*p, text, length);
  *p += length;
}

static const char *ask(net *n, const char *type, const char *key, const char *state) {
  uint8_t id[200], value[400], *p = id, *q = value;
  char destination[200], respond_to[100];
  put(&p, 1, type);
  put(&p, 2, key);
  *p = 0;
  put(&q, 1, (const char *)id);
  if (state) put(&q, 2, state);
  snprintf(destination, sizeof destination, "agentid=%s/%s", type, key);
  snprintf(respond_to, sizeof respond_to, "clientid=%s", tr_worker_client_id(tr_uplink_worker(n->up)).p);
  tr_wire_control m = { .rpc_id = tr_slice_of("r1"), .destination = tr_slice_of(destination), .respond_to = tr_slice_of(respond_to),
                        .has_respond_to = true, .value = tr_slice_make(value, (size_t)(q - value)),
                        .type_url = tr_slice_of(state ? "type.googleapis.com/agents.LoadStateRequest" : "type.googleapis.com/agents.SaveStateRequest") };
  tr_blob *frame = tr_wire_encode_control(tr_runtime_core(n->asker) ? check_mem() : NULL, &m);
  size_t before = answers;
  tr_worker_control(tr_uplink_worker(n->up), frame);
  tr_blob_unref(frame);
  snprintf(answer, sizeof answer, "none");
  for (int i = 0; i < 100000 && answers == before; i++) turn(n);
  return answer;
}

static void close_net(net *n) {
  troupe_free(n->asker);
  troupe_free(n->worker);
  troupe_free(n->host);
}

CHECK_CASE(control_saves_and_loads_states_of_workers_and_hosts) {
  net n;
  open_net(&n);
  troupe_t *owners[] = { n.host, n.worker };
  const char *types[] = { "here", "there" };
  for (int i = 0; i < 2; i++) {
    char id[40];
    snprintf(id, sizeof id, "%s/1", types[i]);
    troupe_send(owners[i], id, "Add", NULL);
    turn(&n);
    CHECK_STR(ask(&n, types[i], "1", NULL), "r1 SaveStateResponse {\"troupe-version\":2,\"state\":{\"n\":1}}");
    CHECK_STR(ask(&n, types[i], "1", "{\"n\":40}"), "r1 LoadStateResponse ");
    troupe_send(owners[i], id, "Get", NULL);
    turn(&n);
    CHECK_STR(kit_printed(), "n=40");
    CHECK_STR(ask(&n, types[i], "2", "{\"troupe-version\":1,\"state\":{\"n\":7}}"), "r1 LoadStateResponse ");
    CHECK_STR(ask(&n, types[i], "2", NULL), "r1 SaveStateResponse {\"troupe-version\":1,\"state\":{\"n\":7}}"); /* not used yet */
    CHECK(strstr(ask(&n, types[i], "2", "{\"troupe-version\":9,\"state\":{\"n\":7}}"), "is of version 9, newer than the code's 2"));
    CHECK(strstr(ask(&n, types[i], "2", "{"), "LoadStateResponse"));
    CHECK(strlen(answer) > strlen("r1 LoadStateResponse "));
    CHECK(strstr(ask(&n, types[i], "none", NULL), "is not in memory and has no saved state"));
  }
  close_net(&n);
}

CHECK_CASE(control_states_have_their_shards) {
  net n;
  open_net(&n);
  CHECK_INT(troupe_load(n.host, "h.lua", "return { type = 'h', shards = { 'log', 'bag' }, state = { n = 1, log = { 5 }, bag = {} }, on = {"
                                         " Get = function(self) print(self.log[1], self.bag.x) end } }", 0), ==, 0);
  troupe_send(n.host, "h/1", "Get", NULL);
  turn(&n);
  CHECK_STR(kit_printed(), "5\tnil");
  CHECK_STR(ask(&n, "h", "1", NULL), "r1 SaveStateResponse {\"troupe-version\":0,\"state\":{\"n\":1},\"shards\":{\"log\":[5],\"bag\":{}}}");
  CHECK_STR(ask(&n, "h", "1", "{\"troupe-version\":0,\"state\":{\"n\":1},\"shards\":{\"log\":[6],\"bag\":{\"x\":7}}}"), "r1 LoadStateResponse ");
  troupe_send(n.host, "h/1", "Get", NULL);
  turn(&n);
  CHECK_STR(kit_printed(), "6\t7");
  close_net(&n);
}

CHECK_CASE(control_requests_that_nobody_can_answer_are_dropped) {
  net n;
  open_net(&n);
  size_t before = answers;
  snprintf(answer, sizeof answer, "none");
  tr_wire_control m = { .rpc_id = tr_slice_of("r2"), .destination = tr_slice_of("agentid=nobody/1"), .type_url = tr_slice_of("x/agents.SaveStateRequest") };
  tr_wire_control odd = { .rpc_id = tr_slice_of("r2"), .destination = tr_slice_of("agentid=here/1"), .type_url = tr_slice_of("x/agents.Unknown") };
  tr_wire_control deaf = { .rpc_id = tr_slice_of("r2"), .destination = tr_slice_of("agentid=here/1"), .type_url = tr_slice_of("x/agents.SaveStateRequest") };
  const tr_wire_control *all[] = { &m, &odd, &deaf };
  for (int i = 0; i < 3; i++) {
    tr_blob *frame = tr_wire_encode_control(check_mem(), all[i]);
    tr_worker_control(tr_uplink_worker(n.up), frame);
    tr_blob_unref(frame);
  }
  for (int i = 0; i < 2000; i++) turn(&n);
  CHECK_INT(answers, ==, before);
  CHECK(strstr(kit_log, "control.dropped"));
  CHECK_STR(ask(&n, "here", "0", "{}"), "r1 LoadStateResponse "); /* and the channel lives on */
  close_net(&n);
}
