/* SPDX-License-Identifier: MIT
 * Dead letters as messages: topic troupe.dead_letter, type DeadLetter { reason, agent, topic, type, body, error }.
 *
 * The core tells of a letter wherever it dies, also in the middle of giving out an event, where another one must not
 * begin; so it only waits here, with a reference to the message, and a timer that is due at once publishes it. If
 * nobody subscribes, nothing is kept and no body is read. A letter about a letter does not come here (core). */
#include "base/text.h"
#include "script/internal.h"

#define LETTERS_MAX 1000 /* that wait; more are only counted and logged */

typedef struct letter {
  tr_link link;
  tr_msg *msg;
  int code;
  char text[TR_ERROR_TEXT];
} letter;

static void free_letter(tr_script *script, letter *it) {
  tr_link_remove(&it->link);
  tr_msg_unref(it->msg);
  TR_DELETE(script->mem, it);
  script->letter_count--;
}

void tr_letters_close(tr_script *script) {
  tr_timer_stop(tr_core_timers(script->core), &script->letter_timer);
  while (!tr_list_empty(&script->letters)) free_letter(script, TR_CONTAINER(script->letters.next, letter, link));
  tr_name_unref(script->letter_topic);
  script->letter_topic = NULL;
}

/* --- the body --- */

static void set_text(lua_State *L, const char *name, tr_slice text) {
  if (!tr_utf8_valid(text)) return;
  lua_pushlstring(L, text.p, text.n);
  lua_setfield(L, -2, name);
}

static int build_body(lua_State *L, void *ud) {
  const letter *it = ud;
  const tr_msg *msg = it->msg;
  tr_error error;
  tr_error_init(&error);
  lua_createtable(L, 0, 6);
  set_text(L, "reason", tr_slice_of(tr_error_name(it->code)));
  set_text(L, "error", tr_slice_of(it->text));
  set_text(L, "type", tr_name_view(msg->type));
  if (msg->target_type) {
    const char *key = msg->target_key ? msg->target_key->text : "";
    const char *id = lua_pushfstring(L, "%s/%s", msg->target_type->text, key);
    lua_setfield(L, -2, msg->kind == TR_MSG_EVENT ? "topic" : "agent");
    (void)id;
  }
  /* A body that cannot be read is left out: it may be why the letter died. */
  if (tr_body_push(L, &msg->body, true, &error) == 0) lua_setfield(L, -2, "body");
  return 0;
}

/* --- giving it out --- */

static void publish(tr_script *script, letter *it) {
  tr_core *core = script->core;
  tr_names *names = tr_core_names(core);
  tr_msg *msg = tr_msg_new(core, TR_MSG_EVENT);
  if (!msg) return;
  msg->troupe_peer = true;
  msg->target_type = tr_name_ref(script->letter_topic);
  msg->target_key = tr_name_new(names, TR_SLICE_LITERAL("default"));
  msg->type = tr_name_new(names, TR_SLICE_LITERAL("DeadLetter"));
  uint32_t slot;
  bool whole = msg->target_key && msg->type && tr_slot_make(script, build_body, it, &slot, NULL) == 0;
  if (whole) {
    script->slots.next[slot] |= TR_SLOT_NULLS; /* it may have some */
    msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = slot };
  }
  if (whole) tr_core_post(core, msg);
  else tr_msg_unref(msg);
}

static void on_timer(tr_timer *timer) {
  tr_script *script = TR_CONTAINER(timer, tr_script, letter_timer);
  for (unsigned n = script->letter_count; n > 0 && !tr_list_empty(&script->letters); n--) {
    letter *it = TR_CONTAINER(script->letters.next, letter, link);
    if (tr_core_wanted(script->core, script->letter_topic)) publish(script, it);
    free_letter(script, it);
  }
}

void tr_script_dead_letter(tr_script *script, tr_msg *msg, int code, const char *text) {
  tr_core *core = script->core;
  if (msg->kind == TR_MSG_REQUEST || script->closing) return;
  if (!script->letter_topic)
    script->letter_topic = tr_name_new(tr_core_names(core), TR_SLICE_LITERAL("troupe.dead_letter"));
  if (!script->letter_topic || !tr_core_wanted(core, script->letter_topic)) return;
  letter *it = script->letter_count < LETTERS_MAX ? TR_NEW(script->mem, letter) : NULL;
  if (!it) return;
  it->msg = tr_msg_ref(msg);
  it->code = code;
  tr_slice view = tr_slice_of(text && *text ? text : tr_error_default_text(code));
  snprintf(it->text, sizeof it->text, "%.*s", (int)tr_utf8_cut(view, sizeof it->text - 1), view.p);
  tr_list_push(&script->letters, &it->link);
  if (script->letter_count++ == 0)
    tr_timer_start(tr_core_timers(core), &script->letter_timer, tr_core_now(core), on_timer);
}
