/* SPDX-License-Identifier: MIT
 * gRPC reflection: what services there are, and which files declare what. */
#include "host_peer.h"

#define V1 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

enum { BY_NAME = 3, BY_SYMBOL = 4, EXTENSION = 5, EXTENSIONS_OF = 6, LIST = 7 };
enum { ORIGINAL = 2, FILES = 4, NUMBERS = 5, SERVICES = 6, ERROR = 7 };

static stage *s;
static peer *p;

static pcall *open_at(const char *path) {
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
  return call_open(p, path, NULL, NULL, 0);
}

/* One question, its answer, and that it repeats the question. */
static tr_slice ask(pcall *c, unsigned field, const char *what) {
  tr_slice question = pb_string(field, what);
  say(c, question);
  tr_slice answer = hear(c);
  CHECK(tr_slice_equal(pb_get(answer, ORIGINAL), question));
  return answer;
}

static bool contains(tr_slice text, const char *part) {
  for (size_t i = 0; i + strlen(part) <= text.n; i++)
    if (memcmp(text.p + i, part, strlen(part)) == 0) return true;
  return false;
}

/* So many files, the one named among them. */
static void check_files(tr_slice answer, unsigned count, const char *name) {
  tr_slice files = pb_get(answer, FILES);
  CHECK_INT(pb_count(files, 1), ==, count);
  CHECK(contains(files, name));
  CHECK(!pb_get(answer, ERROR).p);
}

static void check_error(tr_slice answer, char code, const char *text) {
  tr_slice error = pb_get(answer, ERROR);
  CHECK_INT(error.p[1], ==, code);
  CHECK_TEXT(pb_get(tr_slice_make(error.p + 2, error.n - 2), 2), text); /* after the code, a varint */
  CHECK(!pb_get(answer, FILES).p);
}

CHECK_CASE(reflection_lists_the_services_in_both_versions) {
  static const char *const paths[] = { V1, ALPHA };
  for (int i = 0; i < 2; i++) {
    pcall *c = open_at(paths[i]);
    tr_slice list = pb_get(ask(c, LIST, ""), SERVICES);
    CHECK_INT(pb_count(list, 1), ==, 4);
    CHECK(contains(list, "agents.AgentRpc") && contains(list, "grpc.health.v1.Health"));
    CHECK(contains(list, "grpc.reflection.v1.ServerReflection") && contains(list, "grpc.reflection.v1alpha.ServerReflection"));
    tr_rpc_half_close(c->call);
    hear_end(c, 0, NULL);
    CHECK_INT(stage_stats(s).clients, ==, 0);
    stage_free(s);
  }
}

CHECK_CASE(reflection_gives_files_by_name_and_symbol_with_their_imports) {
  pcall *c = open_at(V1);
  static const char *const symbols[] = {
    "agents.AgentRpc", "agents.AgentRpc.OpenChannel", "agents.Message", "agents.RpcRequest.MetadataEntry", "agents.AgentId.key",
  };
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    check_files(ask(c, BY_SYMBOL, symbols[i]), 4, "agent_worker.proto");
  check_files(ask(c, BY_SYMBOL, "io.cloudevents.v1.CloudEvent.CloudEventAttributeValue.ce_string"), 3, "cloudevent.proto");
  check_files(ask(c, BY_SYMBOL, "google.protobuf.Any"), 1, "google/protobuf/any.proto");
  check_files(ask(c, BY_SYMBOL, "grpc.health.v1.HealthCheckResponse.ServingStatus"), 1, "NOT_SERVING");
  check_files(ask(c, BY_NAME, "cloudevent.proto"), 3, "cloudevent.proto");
  check_files(ask(c, BY_NAME, "google/protobuf/timestamp.proto"), 1, "Timestamp");
  stage_free(s);
}

CHECK_CASE(reflection_says_what_there_is_not) {
  pcall *c = open_at(V1);
  static const char *const symbols[] = { "agents", "agents.", "agents.None", "agents.AgentRpc.None", "agents.Message.request.x", "", "AgentRpc" };
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) check_error(ask(c, BY_SYMBOL, symbols[i]), 5, "no such symbol");
  check_error(ask(c, BY_NAME, "none.proto"), 5, "no such file");
  check_error(ask(c, EXTENSION, ""), 5, "there are no extensions");
  check_error(ask(c, EXTENSIONS_OF, "agents.None"), 5, "no such type");
  CHECK_TEXT(pb_get(pb_get(ask(c, EXTENSIONS_OF, "agents.Message"), NUMBERS), 1), "agents.Message");
  check_error(ask(c, 1, "a host"), 3, "an empty question");
  stage_free(s);
}

CHECK_CASE(reflection_refuses_questions_that_are_none) {
  pcall *c = open_at(V1);
  say(c, tr_slice_make("\x3a\x05" "ab", 4));
  hear_end(c, 3, "malformed ServerReflectionRequest");
  c = call_open(p, ALPHA, NULL, NULL, 0);
  say(c, pb_string(BY_SYMBOL, big(2000)));
  hear_end(c, 3, NULL);
  stage_free(s);
}

CHECK_CASE(reflection_ends_for_who_asks_and_does_not_read) {
  pcall *c = open_at(V1);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *worker = channel(q, "worker"), *caller = channel(q, "caller");
  reg(q, "worker", "t");
  p->stalled = true;
  for (int i = 0; i < 2000; i++) say(c, pb_string(BY_SYMBOL, "agents.AgentRpc"));
  stage_run(s);
  say(caller, request("1", "t", "k", "1"));
  serve(worker, "2");
  expect_answer(caller, "1", "2");
  CHECK_INT(tr_core_mem(s->core)->used, <, 2 << 20);
  p->stalled = false;
  while (!c->closed && !silent(c)) hear(c);
  hear_end(c, 8, "the answers are not read");
  stage_free(s);
}
