/* SPDX-License-Identifier: MIT
 * Turns that run code which serves their agent no more: counted, and cut off.
 *
 * A turn keeps the code that it began with to its end, and so does what that code holds. Whoever does not want to wait for that ends it
 * after a time (runtime/drain.c); and code of one type is kept for so many versions at most (TR_VERSIONS_KEPT): a reload that brings one
 * more cuts off what still runs the oldest. Who waits for such a turn gets `cancelled`, with what happened. Programs are left alone, and
 * so are agents whose own migration failed: they have no other code. */
#include "script/reloading.h"

#define WHO_MOST 1800 /* bytes of a list of turns */

static const tr_lua_turn *old_turn(const tr_script_class *class_, const tr_turn *turn) {
  const tr_lua_turn *lt = turn->user;
  if (!lt || lt->def->program || lt->instance->pinned || turn->kind == TR_TURN_CLOSE || tr_turn_is_visit(turn)) return NULL;
  return lt->def->number == tr_class_code(class_, turn->agent)->number ? NULL : lt;
}

/* ---- ending one ---- */

static void note(tr_buf *who, const tr_turn *turn) {
  char name[200];
  if (!who || who->len > WHO_MOST) return;
  tr_agent_name(turn->agent, name, sizeof name);
  tr_buf_printf(who, "%s%s %s", who->len ? ", " : "", name, tr_turn_what(turn));
  if (who->len > WHO_MOST) tr_buf_text(who, ", …");
}

static bool cut(tr_turn *turn, const char *why) {
  char name[160], text[TR_ERROR_TEXT];
  if (strcmp(tr_turn_doing(turn), "computing") == 0) {
    tr_meter_break(turn->user, why);
    return true;
  }
  tr_agent_name(turn->agent, name, sizeof name);
  snprintf(text, sizeof text, "%s, %.100s: %s", name, tr_turn_what(turn), why);
  return tr_turn_break(turn, TR_ECANCELLED, text);
}

/* Those of one type whose code is older than `before`: how many, and with `why` how many were ended. */
static size_t of_class(const tr_script_class *class_, uint32_t before, const char *why, tr_buf *who) {
  size_t count = 0;
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_->core_class, agent));)
    for (tr_turn *turn = agent->turn, *below; turn; turn = below) {
      const tr_lua_turn *lt = old_turn(class_, turn);
      below = turn->below;
      if (!lt || lt->def->number >= before) continue;
      if (why) note(who, turn);
      count += !why || cut(turn, why);
    }
  return count;
}

size_t tr_script_old_turns(tr_script *script, const char *why, tr_buf *who) {
  size_t count = 0;
  for (tr_link *link = script->classes.next; link != &script->classes; link = link->next)
    count += of_class(TR_CONTAINER(link, tr_script_class, all), UINT32_MAX, why, who);
  return count;
}

/* ---- so many versions of a type ---- */

typedef struct newest { uint32_t numbers[TR_VERSIONS_KEPT - 1]; size_t count; bool more; } newest; /* besides the one that serves; the newest first */

static void add(newest *all, uint32_t number) {
  size_t at = 0, most = sizeof all->numbers / sizeof *all->numbers;
  while (at < all->count && all->numbers[at] > number) at++;
  if (at < all->count && all->numbers[at] == number) return;
  if (all->count == most) all->more = true;
  if (at == most) return;
  if (all->count < most) all->count++;
  memmove(all->numbers + at + 1, all->numbers + at, (all->count - at - 1) * sizeof *all->numbers);
  all->numbers[at] = number;
}

void tr_class_trim(const tr_script_class *class_) {
  newest all = { { 0 }, 0, false };
  tr_buf who;
  if (class_->core_class == NULL) return;
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_->core_class, agent));)
    for (const tr_turn *turn = agent->turn; turn; turn = turn->below) {
      const tr_lua_turn *lt = old_turn(class_, turn);
      if (lt) add(&all, lt->def->number);
    }
  if (!all.more) return;
  tr_buf_init(&who, class_->script->mem);
  size_t count = of_class(class_, all.numbers[all.count - 1], "its code is that of a version which is not kept any more: there were too many reloads since it began", &who);
  tr_buf_byte(&who, 0);
  if (count)
    tr_log_write(tr_core_log(class_->script->core), TR_LOG_WARN, "reload.cut", "turns=%zu agents=\"%s\" (the oldest of more than %d versions of %s)", count,
                 who.failed ? "" : (const char *)who.data, TR_VERSIONS_KEPT, class_->def->type);
  tr_buf_fini(&who);
}
