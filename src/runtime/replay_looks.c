/* SPDX-License-Identifier: MIT
 * What scripts learn of the time and of random numbers when a record is run again: what the record says that the same turn learned then, to the
 * same question; where it says nothing, the clock of the replay, and numbers that are the same in each replay.
 *
 * A turn is known by its message; the agent's own timers by type and order, since what they send has other ids now; so have the turns of
 * init and close. The record has only values that differ from the one before (looks.c), so one is good until the next.
 * The replay's clock is behind the one of then, by what the machine was busy; where it is ahead by more than a little, this is other code,
 * which asks later. */
#include <stdio.h>
#include <string.h>

#include "runtime/replay.h"
#include "runtime/seen.h"

#define AHEAD TR_MILLISECONDS(10) /* what lies between its clock and that of then is not known better */
#define CPU_STEP 1000 /* µs a look, where the record has no more of them: nobody waits for ever */

typedef struct look_value { /* a value */
  struct look_value *next; /* of the same turn and kind */
  uint64_t nth;
  int64_t value;
} look_value;

typedef struct turn_looks {
  struct turn_looks *later; /* of the same key, as the record has them */
  char number[24];
  look_value *looks[TR_LOOK_KINDS], *last[TR_LOOK_KINDS];
} turn_looks;

typedef struct turns { /* of one key */
  char *key;
  turn_looks *first, *last, *unused;
} turns;

/* ---- from the record ---- */

static bool has_number(const tr_value *line, const char *name, int64_t *out) {
  const tr_value *value = tr_value_get(line, tr_slice_of(name));
  return value && tr_value_as_integer(value, out) && *out >= 0;
}

static void put_key(char *out, size_t size, tr_slice agent, const char *timer, tr_slice id) {
  snprintf(out, size, "%.*s %s %.*s", TR_SLICE_ARG(agent), timer ? timer : "", timer ? 0 : (int)id.n, id.p);
}

static int kind_of(const tr_value *line) {
  tr_slice what;
  const tr_value *value = tr_value_get(line, TR_SLICE_LITERAL("what"));
  for (int i = 0; value && tr_value_as_string(value, &what) && i < TR_LOOK_KINDS; i++)
    if (tr_slice_is(what, tr_look_names[i])) return i;
  return -1;
}

/* Those that have the line's key. */
static turns *turns_of(tr_rerun *self, const tr_rerun_line *line) {
  char key[TR_RERUN_KEY];
  tr_slice timer = { NULL, 0 };
  const tr_value *value = tr_value_get(line->value, TR_SLICE_LITERAL("timer"));
  if (value) tr_value_as_string(value, &timer);
  put_key(key, sizeof key, line->to, timer.p, line->id);
  turns *found = tr_map_get(&self->turns_by_key, tr_slice_of(key));
  if (found) return found;
  found = TR_NEW(self->mem, turns);
  if (found) found->key = tr_strndup(self->mem, key, strlen(key));
  if (found && found->key && tr_map_put(&self->turns_by_key, tr_slice_of(found->key), found, NULL) == 0) return found;
  if (found && found->key) tr_free(self->mem, found->key, strlen(found->key) + 1);
  if (found) TR_DELETE(self->mem, found);
  return NULL;
}

static turn_looks *turn_of(tr_rerun *self, tr_map *by_number, const tr_rerun_line *line, int64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)number);
  turn_looks *turn = tr_map_get(by_number, tr_slice_of(text));
  turns *all = turn ? NULL : turns_of(self, line);
  if (!all) return turn;
  turn = TR_NEW(self->mem, turn_looks);
  if (!turn) return NULL;
  memcpy(turn->number, text, sizeof text);
  if (all->last) all->last->later = turn;
  else all->first = all->unused = turn;
  all->last = turn;
  return tr_map_put(by_number, tr_slice_of(turn->number), turn, NULL) ? NULL : turn;
}

static int add(tr_rerun *self, tr_map *by_number, const tr_rerun_line *line) {
  int64_t number, nth, value;
  int kind = kind_of(line->value);
  if (kind < 0 || !has_number(line->value, "turn", &number) || !has_number(line->value, "nth", &nth) || !has_number(line->value, "value", &value)) return 0;
  turn_looks *turn = turn_of(self, by_number, line, number);
  look_value *look = turn ? TR_NEW(self->mem, look_value) : NULL;
  if (!look) return TR_EMEMORY;
  *look = (look_value){ .nth = (uint64_t)nth, .value = value };
  if (turn->last[kind]) turn->last[kind]->next = look;
  else turn->looks[kind] = look;
  turn->last[kind] = look;
  return 0;
}

/* `last` is from now on the one that was given last. */
static void rewind_all(tr_map *by_number) {
  tr_slice key;
  void *turn;
  for (size_t at = 0; tr_map_next(by_number, &at, &key, &turn);) memset(((turn_looks *)turn)->last, 0, sizeof ((turn_looks *)turn)->last);
}

int tr_rerun_find_looks(tr_rerun *self) {
  tr_map by_number;
  int rc = 0;
  tr_map_init(&by_number, self->mem, 1);
  for (size_t i = 0; !rc && i < self->lines.count; i++)
    if (tr_slice_is(self->lines.items[i].at, "look")) rc = add(self, &by_number, &self->lines.items[i]);
  rewind_all(&by_number);
  tr_map_fini(&by_number);
  return rc;
}

static void free_turn(tr_mem *mem, turn_looks *turn) {
  for (int kind = 0; kind < TR_LOOK_KINDS; kind++)
    for (look_value *look; (look = turn->looks[kind]);) {
      turn->looks[kind] = look->next;
      TR_DELETE(mem, look);
    }
  TR_DELETE(mem, turn);
}

void tr_rerun_free_looks(tr_rerun *self) {
  tr_slice key;
  void *value;
  for (size_t at = 0; tr_map_next(&self->turns_by_key, &at, &key, &value);) {
    turns *all = value;
    for (turn_looks *turn; (turn = all->first);) {
      all->first = turn->later;
      free_turn(self->mem, turn);
    }
    tr_free(self->mem, all->key, strlen(all->key) + 1);
    TR_DELETE(self->mem, all);
  }
  tr_map_fini(&self->turns_by_key);
}

/* ---- what is told ---- */

/* Of this turn in the record. NULL: it has none, or there it asked for nothing. */
static turn_looks *turn_then(tr_rerun *self, const tr_turn *turn) {
  char key[TR_RERUN_KEY], agent[2 * TR_ID_MAX + 2], number[TR_MSG_ID_MAX];
  const tr_msg *msg = turn->msg;
  tr_slice id = msg ? tr_msg_id(msg, number) : turn->kind == TR_TURN_INIT ? TR_SLICE_LITERAL("init") : TR_SLICE_LITERAL("close");
  tr_seen_name(tr_class_type(turn->agent->class_), turn->agent->key, agent);
  put_key(key, sizeof key, tr_slice_of(agent), msg && msg->own ? msg->type->text : NULL, id);
  turns *all = tr_map_get(&self->turns_by_key, tr_slice_of(key));
  turn_looks *then = all ? all->unused : NULL;
  if (then) all->unused = then->later;
  return then;
}

static const look_value *look_then(tr_rerun *self, const tr_look *look) {
  static turn_looks none;
  if (!look->turn) return NULL;
  if (!*look->kept) *look->kept = turn_then(self, look->turn);
  if (!*look->kept) *look->kept = &none;
  turn_looks *then = *look->kept;
  if (then == &none) return NULL;
  look_value *at = then->last[look->kind] ? then->last[look->kind] : then->looks[look->kind];
  if (!at || at->nth > look->nth) return NULL;
  while (at->next && at->next->nth <= look->nth) at = at->next;
  then->last[look->kind] = at;
  return at;
}

int64_t tr_rerun_look_at(void *ud, const tr_look *look) {
  tr_rerun *self = ud;
  const look_value *then = look_then(self, look);
  int64_t now = look->kind == TR_LOOK_NOW ? self->core_begin + (self->now - self->begin) : self->now / TR_SECONDS(1);
  switch (look->kind) {
  case TR_LOOK_TIME: return then && self->now < (then->value + 1) * TR_SECONDS(1) + AHEAD ? then->value : now;
  case TR_LOOK_NOW: return then && now < then->value + AHEAD ? then->value : now;
  case TR_LOOK_CPU:
    if (!then) return (int64_t)look->nth * CPU_STEP;
    return then->value + (look->nth - then->nth < TR_LOOKS_MOST ? 0 : (int64_t)(look->nth - then->nth) * CPU_STEP);
  default: return then ? then->value : (int64_t)(tr_random_next(&self->random) >> 11);
  }
}
