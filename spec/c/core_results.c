/* SPDX-License-Identifier: MIT
 * Results that are kept for another process, and requests whose bodies refer to such. */
#include <stdio.h>

#include "core_kit.h"

static char body[256];
static tr_body got; /* of the last answer that was taken */

static tr_body text_body(const char *text) {
  return (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = tr_blob_copy(check_mem(), tr_slice_of(text)) };
}

/* Answers with `ud` (a text), or with what it got. */
static int run_gives(void *ud, tr_turn *turn) {
  tr_slice mine = tr_blob_view(turn->msg->body.kind == TR_BODY_BYTES ? turn->msg->body.bytes : NULL);
  snprintf(body, sizeof body, "%.*s", (int)(mine.n < 250 ? mine.n : 250), mine.n ? mine.p : "");
  kit_run_says(NULL, turn);
  if (!ud) return TR_RUN_DONE;
  tr_body reply = text_body(ud);
  tr_name *type = tr_name_new(tr_core_names(K.core), tr_slice_of("Done"));
  if (reply.bytes && type) tr_turn_reply(turn, type, &reply);
  else if (reply.bytes) tr_body_release(K.core, &reply);
  tr_name_unref(type);
  return TR_RUN_DONE;
}

static void gives(const char *type, const char *what) {
  tr_class *class_ = kit_class(type, run_gives, NULL);
  if (class_) tr_class_set_ud(class_, (void *)(uintptr_t)what);
}

static void answered(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)ud;
  (void)token;
  (void)request;
  tr_body_release(K.core, &got);
  got = reply->body;
  reply->body.kind = TR_BODY_NONE;
  tr_slice text = tr_blob_view(got.kind >= TR_BODY_BYTES ? got.bytes : NULL);
  if (reply->code) kit_say("%s%s: %.*s", reply->unresolved ? "unresolved " : "", tr_error_name(reply->code), TR_SLICE_ARG(reply->error));
  else if (got.kind == TR_BODY_REF) kit_say("kept %.*s/", (int)(text.n - 33), text.p);
  else kit_say("%.*s", TR_SLICE_ARG(text));
}

/* As a door posts it. keep_ms and refs (may be NULL) as they came. */
static int ask(const char *target, uint32_t keep_ms, const char *refs, const char *json) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, target, "Ask");
  if (!msg) return TR_EMEMORY;
  msg->from_wire = true;
  msg->reply_to = (tr_reply_to){ .answer = answered };
  tr_msg_more *more = keep_ms || refs ? tr_msg_get_more(msg) : NULL;
  if (more) more->keep_ms = keep_ms;
  if (more && refs) more->refs = tr_blob_copy(check_mem(), tr_slice_of(refs));
  msg->body = strcmp(json, "null") == 0 ? (tr_body){ .kind = TR_BODY_NULL } : text_body(json);
  if ((refs && !(more && more->refs)) || (msg->body.kind == TR_BODY_BYTES && !msg->body.bytes)) {
    if (msg->body.bytes) tr_body_release(K.core, &msg->body);
    msg->body.kind = TR_BODY_NONE;
    msg->reply_to.answer = NULL;
    tr_msg_unref(msg);
    return TR_EMEMORY;
  }
  int rc = tr_core_post(K.core, msg);
  kit_step();
  return rc;
}

static const char *ref(void) { /* of the last answer */
  static char text[128];
  snprintf(text, sizeof text, "%.*s", got.kind == TR_BODY_REF ? (int)got.bytes->len : 0, got.kind == TR_BODY_REF ? (char *)got.bytes->data : "");
  return text;
}

static void done(void) { tr_body_release(K.core, &got); }

static void content(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  if (reply->code) kit_say("%s: %.*s", tr_error_name(reply->code), TR_SLICE_ARG(reply->error));
  else kit_say("content %.*s of %s", (int)reply->body.bytes->len, (char *)reply->body.bytes->data, reply->type->text);
}

CHECK_CASE(a_result_is_kept_until_it_is_let_go_or_its_time_is_over) {
  kit_open();
  gives("a", "{\"x\":1}");
  ask("a/1", 1000, NULL, "{}");
  CHECK_STR(kit_heard(), "+a/1:Ask; kept a/; ");
  CHECK(tr_ref_check(tr_slice_of(ref())));
  CHECK_INT(kit_stats().results, ==, 1);
  for (int i = 0; i < 2; i++) {
    tr_core_fetch(K.core, tr_slice_of(ref()), 0, TR_NEVER, content, NULL);
    kit_step();
  }
  CHECK_STR(kit_heard(), "content {\"x\":1} of Done; content {\"x\":1} of Done; ");
  tr_core_release(K.core, tr_slice_of(ref()), 0);
  CHECK_INT(kit_stats().results, ==, 0);
  CHECK_INT(kit_stats().result_bytes, ==, 0);
  tr_core_release(K.core, tr_slice_of(ref()), 0);
  tr_core_fetch(K.core, tr_slice_of(ref()), 0, TR_NEVER, content, NULL);
  kit_step();
  CHECK_STR(kit_heard(), "unavailable: the result is not kept any more; ");
  ask("a/1", 1000, NULL, "{}");
  CHECK_INT(kit_stats().results, ==, 1);
  kit_advance(TR_MILLISECONDS(999));
  CHECK_INT(kit_stats().results, ==, 1);
  kit_advance(TR_MILLISECONDS(2));
  CHECK_INT(kit_stats().results, ==, 0);
  CHECK_INT(K.dead_letters, ==, 0);
  done();
  kit_close();
}

CHECK_CASE(a_result_that_is_still_wanted_stays) {
  kit_open();
  gives("a", "{\"x\":1}");
  ask("a/1", 1000, NULL, "{}");
  for (int i = 0; i < 5; i++) {
    kit_advance(TR_MILLISECONDS(900));
    CHECK_INT(kit_stats().results, ==, 1);
    tr_core_renew(K.core, tr_slice_of(ref()), 0);
  }
  kit_advance(TR_MILLISECONDS(1100));
  CHECK_INT(kit_stats().results, ==, 0);
  tr_core_renew(K.core, tr_slice_of(ref()), 0);
  CHECK_INT(K.dead_letters, ==, 0);
  done();
  kit_close();
}

CHECK_CASE(nobody_who_did_not_ask_gets_a_reference) {
  kit_open();
  gives("a", "{\"x\":1}");
  ask("a/1", 0, NULL, "{}");
  CHECK_STR(kit_heard(), "+a/1:Ask; {\"x\":1}; ");
  CHECK_INT(kit_stats().results, ==, 0);
  CHECK_INT(kit_send("a/troupe.result.00000000000000000000000000000000", "Ask"), ==, 0);
  CHECK_INT(kit_send("a/troupe.other", "Ask"), ==, TR_EINVALID);
  kit_call("a/troupe.result.00000000000000000000000000000000", "Ask", "other");
  kit_step();
  CHECK_STR(kit_heard(), "dead Ask invalid; other=cant_handle: the agent has no handler for this message type; ");
  done();
  kit_close();
}

CHECK_CASE(what_there_is_no_room_for_comes_with_its_content) {
  kit_open();
  gives("a", "{\"x\":1}");
  int kept = 0;
  while (kept < 10001) {
    ask("a/1", 60000, NULL, "{}");
    kit_heard();
    if (got.kind == TR_BODY_BYTES) break;
    kept++;
  }
  CHECK(kept == 10000 || kept == 64);
  CHECK_INT(kit_stats().results, ==, kept);
  kit_advance(TR_SECONDS(61));
  CHECK_INT(kit_stats().results, ==, 0);
  ask("a/1", 60000, NULL, "{}");
  CHECK_INT(got.kind, ==, TR_BODY_REF);
  done();
  kit_close();
}

/* ---- referring ---- */

CHECK_CASE(a_request_gets_what_it_refers_to_before_it_is_handled) {
  char refs[256];
  kit_open();
  gives("a", "{\"x\":1}");
  gives("b", "\"done\"");
  ask("a/1", 60000, NULL, "{}");
  snprintf(refs, sizeof refs, "0=%s", ref());
  ask("b/1", 0, refs, "null");
  CHECK_STR(kit_heard(), "+a/1:Ask; kept a/; +b/1:Ask; \"done\"; ");
  CHECK_STR(body, "{\"x\":1}");
  done();
  kit_close();
}

static int look(void *ud, tr_msg *msg, tr_error *error) {
  (void)ud;
  (void)error;
  kit_say("sees %.*s", msg->body.bytes ? (int)msg->body.bytes->len : 0, msg->body.bytes ? (char *)msg->body.bytes->data : "");
  return 0;
}

CHECK_CASE(an_interceptor_sees_such_a_request_once_and_whole) {
  char refs[256];
  kit_open();
  gives("a", "{\"x\":1}");
  gives("b", "\"done\"");
  ask("a/1", 60000, NULL, "{}");
  snprintf(refs, sizeof refs, "0=%s", ref());
  kit_heard();
  tr_core_intercept(K.core, look, NULL);
  ask("b/1", 0, refs, "null");
  CHECK_STR(kit_heard(), "sees {\"x\":1}; +b/1:Ask; \"done\"; ");
  done();
  kit_close();
}

CHECK_CASE(bad_references_are_refused) {
  static const char id[] = "a/0123456789abcdef0123456789abcdef";
  const char *bad[] = { "", "0", "0=", "=a/x", "0=a/", "x=a/0123456789abcdef0123456789abcdef", "0=/0123456789abcdef0123456789abcdef",
                        "0=a b/0123456789abcdef0123456789abcdef", "0=a/0123456789abcdef0123456789abcdeF", "9999999999=a/0123456789abcdef0123456789abcdef",
                        "1=a/0123456789abcdef0123456789abcdef 1=a/0123456789abcdef0123456789abcdef", "0=a/0123456789abcdef0123456789abcdef ",
                        " 0=a/0123456789abcdef0123456789abcdef", "0=a/0123456789abcdef0123456789abcdef  1=a/0123456789abcdef0123456789abcdef" };
  kit_open();
  gives("b", "\"done\"");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ask("b/1", 0, bad[i], "null");
    CHECK_STR(kit_heard(), "invalid: malformed references to results; ");
  }
  static char many[TR_REFS_MOST * 64 + 200];
  size_t n = 0;
  for (int i = 0; i <= TR_REFS_MOST; i++) n += (size_t)snprintf(many + n, sizeof many - n, "%s%d=%s", i ? " " : "", i, id);
  ask("b/1", 0, many, "null");
  CHECK_STR(kit_heard(), "invalid: the request refers to too many results; ");
  char good[64];
  snprintf(good, sizeof good, "0=%s", id);
  for (size_t cut = 1; cut < strlen(good); cut++) {
    char part[64];
    snprintf(part, sizeof part, "%.*s", (int)cut, good);
    ask("b/1", 0, part, "null");
    CHECK_STR(kit_heard(), "invalid: malformed references to results; ");
  }
  ask("b/1", 0, good, "null");
  CHECK(strstr(kit_heard(), "unresolved not_found: a result that the request refers to cannot be had: no agent type \"a\" here"));
  gives("a", "{\"x\":1}");
  ask("b/1", 0, good, "null");
  CHECK_STR(kit_heard(), "unresolved unavailable: a result that the request refers to cannot be had: the result is not kept any more; ");
  ask("a/1", 60000, NULL, "{}");
  snprintf(many, sizeof many, "0=%s", ref());
  kit_heard();
  ask("b/1", 0, many, "{}"); /* no null in it, and nobody who could put it in */
  CHECK_STR(kit_heard(), "invalid: the body has no such place for a result; ");
  done();
  kit_close();
}

CHECK_CASE(references_survive_a_lack_of_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    if (kit_open()) {
      char refs[256];
      gives("a", "{\"x\":1}");
      gives("b", "\"done\"");
      ask("a/1", 60000, NULL, "{}");
      snprintf(refs, sizeof refs, "0=%s 4=b/0123456789abcdef0123456789abcdef", ref());
      ask("b/1", 0, refs, "{}");
      snprintf(refs, sizeof refs, "0=%s", ref());
      ask("b/1", 0, refs, "null");
      if (got.kind == TR_BODY_REF) tr_core_release(K.core, tr_slice_of(ref()), 0);
      kit_advance(TR_SECONDS(70));
      CHECK_INT(kit_stats().results, ==, 0);
      done();
      kit_close();
    }
    CHECK_INT(check_mem()->used, ==, 0);
  }
}
