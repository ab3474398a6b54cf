/* SPDX-License-Identifier: MIT
 * The single keys of an agent's table: each reader finds its value, of the right type already, at stack index `at`. */
#include <math.h>

#include "core/id.h"
#include "script/internal.h"

static const char *const mailbox_names[] = { "limit", "bytes", "overflow", NULL };
static const char *const limit_names[] = { "instructions", "turn_ms", "memory", "timers", "messages", "subscriptions", "instances", NULL };
static const char *const failure_names[] = { "limit", "within", "action", NULL };
static const char *const action_names[] = { "continue", "restart", "stop", NULL };
static const char *const overflow_names[] = { "wait", "refuse", "drop_oldest", NULL };
static const char *const priorities[] = { "normal", "high", "low", NULL }; /* as tr_priority */

/* A positive whole number, also as 1e8. 0 where it is none. */
static lua_Integer whole(lua_State *L, int at) {
  int is_whole;
  lua_Integer n = lua_tointegerx(L, at, &is_whole);
  return is_whole && lua_type(L, at) == LUA_TNUMBER && n > 0 ? n : 0;
}

#define OWN_MEMORY_MIN (256u << 10) /* of a state of its own: an empty one has a part of that */

static int read_state(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  def->flat_state = true;
  def->state_is_function = lua_isfunction(L, at);
  if (!def->state_is_function) {
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
      def->state_fields++;
      if (lua_istable(L, -1)) def->flat_state = false;
    }
    if (lua_getmetatable(L, at)) {
      def->flat_state = false;
      lua_pop(L, 1);
    }
  }
  lua_pushvalue(L, at);
  def->state_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_methods(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (!name)
      return tr_definition_error(place, NULL, "methods", "`methods` has %s as a key; expected names",
                                 tr_type_name(L, -2));
    if (!lua_isfunction(L, -1))
      return tr_definition_error(place, "methods", name, "methods.%s must be a function, not %s", name,
                                 tr_type_name(L, -1));
    if (def->state_ref == LUA_NOREF || def->state_is_function) continue;
    tr_push_ref(L, def->state_ref);
    bool there = tr_raw_field(L, -1, name) != LUA_TNIL;
    lua_pop(L, 2);
    if (there) return tr_definition_error(place, "methods", name, "`%s` is both a field of `state` and a method", name);
  }
  lua_pushvalue(L, at);
  def->methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, at);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  def->meta_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static size_t count_pairs(lua_State *L, int at) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) n++;
  return n;
}

static void *array(lua_State *L, tr_definition *def, size_t count, size_t size) {
  void *block = count ? tr_calloc(def->script->mem, count, size) : NULL;
  if (count && !block) tr_raise_memory(L);
  return block;
}

static tr_name *type_name(lua_State *L, tr_definition *def, int at) {
  tr_slice text;
  text.p = lua_tolstring(L, at, &text.n);
  tr_name *name = tr_name_new(tr_core_names(def->script->core), text);
  if (!name) tr_raise_memory(L);
  return name;
}

/* The key on the stack below the top must be a message type. */
static int check_type_key(lua_State *L, const tr_place *place, const char *section) {
  tr_slice name;
  tr_error error;
  tr_error_init(&error);
  if (lua_type(L, -2) != LUA_TSTRING)
    return tr_definition_error(place, NULL, section, "`%s` has %s as a key; expected message types", section,
                               tr_type_name(L, -2));
  name.p = lua_tolstring(L, -2, &name.n);
  if (!tr_message_type_check(name, &error)) return 0;
  return tr_definition_error(place, NULL, section, "`%s`: %s", section, error.text);
}

static int read_timers(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  size_t count = count_pairs(L, at), i = 0;
  def->ticks = array(L, def, count, sizeof *def->ticks);
  def->tick_count = count;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    int rc = check_type_key(L, place, "timers");
    if (rc) return rc;
    const char *name = lua_tostring(L, -2);
    double seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(seconds >= 0.001 && seconds <= 1e9))
      return tr_definition_error(place, "timers", name, "timers.%s must be a number of seconds from 0.001, not %s",
                                 name,
                                 lua_type(L, -1) == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL) : tr_type_name(L, -1));
    def->ticks[i].type = type_name(L, def, -2);
    def->ticks[i++].period = (tr_time)llround(seconds * 1e6);
  }
  return 0;
}

static int read_replies(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  size_t count = count_pairs(L, at), i = 0;
  def->replies = array(L, def, count, sizeof *def->replies);
  def->reply_count = count;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    int rc = check_type_key(L, place, "replies");
    if (rc) return rc;
    const char *name = lua_tostring(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING || lua_rawlen(L, -1) == 0)
      return tr_definition_error(place, "replies", name, "replies.%s must be a message type (a string), not %s", name,
                                 tr_type_name(L, -1));
    def->replies[i].request = type_name(L, def, -2);
    def->replies[i++].reply = type_name(L, def, -1);
  }
  return 0;
}

static int read_autostart(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  if (lua_isboolean(L, at)) {
    def->autostart_default = lua_toboolean(L, at);
    return 0;
  }
  if (lua_isstring(L, at)) { /* one key: as a list of it */
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, at);
    lua_rawseti(L, -2, 1);
    at = lua_gettop(L);
  }
  size_t count = (size_t)lua_rawlen(L, at);
  def->autostart = array(L, def, count, sizeof *def->autostart);
  def->autostart_count = count;
  for (size_t i = 0; i < count; i++) {
    tr_slice key;
    tr_error error;
    tr_error_init(&error);
    lua_rawgeti(L, at, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      return tr_definition_error(place, NULL, "autostart", "autostart[%zu] must be a key (a string), not %s", i + 1,
                                 tr_type_name(L, -1));
    key.p = lua_tolstring(L, -1, &key.n);
    if (tr_key_check(key, &error))
      return tr_definition_error(place, NULL, "autostart", "autostart[%zu]: %s", i + 1, error.text);
    if (tr_name_reserved(key))
      return tr_definition_error(place, NULL, "autostart",
                                 "autostart[%zu]: keys that begin with \"" TR_RESERVED "\" are reserved", i + 1);
    def->autostart[i].text = tr_strndup(def->script->mem, key.p, key.n);
    if (!def->autostart[i].text) tr_raise_memory(L);
    def->autostart[i].size = key.n + 1;
    lua_pop(L, 1);
  }
  return 0;
}

static int read_timeout(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  if (lua_isboolean(L, at)) {
    def->timeout = TR_NEVER;
    if (!lua_toboolean(L, at)) return 0;
    return tr_definition_error(place, NULL, "timeout", "`timeout` must be a number of seconds, or false");
  }
  double seconds = lua_tonumber(L, at);
  if (!(seconds > 0 && seconds <= 1e9))
    return tr_definition_error(place, NULL, "timeout", "`timeout` must be a positive number of seconds, or false");
  def->timeout = (tr_time)llround(seconds * 1e6);
  return 0;
}

static int one_of(lua_State *L, const char *const *list) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  for (int i = 0; list[i]; i++)
    if (strcmp(list[i], text) == 0) return i;
  return -1;
}

/* A number of bytes, or text such as "64M". 0: neither. */
static uint64_t bytes_at(lua_State *L, int at) {
  static const char units[] = "KMG";
  if (lua_type(L, at) == LUA_TNUMBER) return (uint64_t)whole(L, at);
  const char *text = lua_type(L, at) == LUA_TSTRING ? lua_tostring(L, at) : "";
  uint64_t n = 0;
  for (; *text >= '0' && *text <= '9' && n < 1000000; text++) n = n * 10 + (uint64_t)(*text - '0');
  const char *unit = *text && !text[1] ? strchr(units, *text) : NULL;
  return unit ? n << (10 * (unit - units + 1)) : 0;
}

static int read_mailbox(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  int rc = tr_fields_known(L, at, place, "mailbox", "mailbox", mailbox_names);
  if (rc) return rc;
  if (tr_raw_field(L, at, "limit") != LUA_TNIL) {
    lua_Integer limit = whole(L, -1);
    if (limit == 0 || limit > UINT32_MAX)
      return tr_definition_error(place, "mailbox", "limit", "mailbox.limit must be a whole number from 1");
    def->mailbox_limit = (uint32_t)limit;
  }
  if (tr_raw_field(L, at, "bytes") != LUA_TNIL) {
    def->mailbox_bytes = bytes_at(L, -1);
    if (def->mailbox_bytes < 1024 || def->mailbox_bytes > TR_MAILBOX_BYTES_MOST)
      return tr_definition_error(place, "mailbox", "bytes", "mailbox.bytes must be bytes, as a number or as \"64M\", from 1K to 32G");
  }
  if (tr_raw_field(L, at, "overflow") != LUA_TNIL) {
    int policy = one_of(L, overflow_names);
    if (policy < 0)
      return tr_definition_error(place, "mailbox", "overflow",
                                 "mailbox.overflow must be \"wait\", \"refuse\" or \"drop_oldest\"");
    def->overflow = (tr_overflow)policy;
  }
  return 0;
}

/* The whole number limits.NAME into *out, where it is given. */
static int read_limit(lua_State *L, int at, const tr_place *place, const char *name, uint64_t most, uint64_t *out) {
  if (tr_raw_field(L, at, name) == LUA_TNIL) return 0;
  lua_Integer limit = whole(L, -1);
  if (limit > 0 && (uint64_t)limit <= most) {
    *out = (uint64_t)limit;
    return 0;
  }
  return tr_definition_error(place, "limits", name, "limits.%s must be a whole number from 1", name);
}

static int read_limits(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  uint64_t ms = (uint64_t)def->turn_time / 1000, timers = def->timer_limit, subs = def->sub_limit, instances = def->instance_limit;
  int rc = tr_fields_known(L, at, place, "limits", "limits", limit_names);
  if (!rc) rc = read_limit(L, at, place, "instructions", UINT64_MAX, &def->instructions);
  if (!rc) rc = read_limit(L, at, place, "turn_ms", INT64_MAX / 1000, &ms);
  if (!rc) rc = read_limit(L, at, place, "timers", 1000000, &timers);
  if (!rc) rc = read_limit(L, at, place, "messages", UINT64_MAX, &def->messages);
  if (!rc) rc = read_limit(L, at, place, "subscriptions", 10000000, &subs);
  if (!rc) rc = read_limit(L, at, place, "instances", UINT32_MAX, &instances);
  if (rc) return rc;
  def->turn_time = (tr_time)ms * 1000;
  def->timer_limit = (uint32_t)timers;
  def->sub_limit = (uint32_t)subs;
  def->instance_limit = (uint32_t)instances;
  if (tr_raw_field(L, at, "memory") == LUA_TNIL) return 0;
  def->memory = (size_t)bytes_at(L, -1);
  if (def->memory >= 16384 && def->memory < SIZE_MAX / 4) return 0;
  return tr_definition_error(place, "limits", "memory", "limits.memory must be bytes, as a number or as \"64M\", and at least 16K");
}

static int read_version(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->version = whole(L, at);
  return def->version ? 0 : tr_definition_error(place, NULL, "version", "`version` must be a whole number from 1");
}

static int read_reentrant(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  def->reentrant = lua_toboolean(L, at);
  return 0;
}

static int read_requeue(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->requeue = lua_toboolean(L, at);
  if (!def->requeue || !def->reentrant) return 0;
  return tr_definition_error(place, NULL, "requeue", "`requeue` does not go with `reentrant`: turns that interleave cannot be begun again");
}

static int read_nulls(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->nulls_keep = strcmp(lua_tostring(L, at), "keep") == 0;
  return def->nulls_keep ? 0 : tr_definition_error(place, NULL, "nulls", "`nulls` must be \"keep\"");
}

/* limits were read before. */
static int read_vm(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->own = strcmp(lua_tostring(L, at), "own") == 0;
  if (!def->own) return tr_definition_error(place, NULL, "vm", "`vm` must be \"own\"");
  if (tr_script_is_foreign(def->script))
    return tr_definition_error(place, NULL, "vm", "`vm`: an agent given as a table lives in the program's own state; load it from a file");
  if (def->memory >= OWN_MEMORY_MIN) return 0;
  return tr_definition_error(place, "limits", "memory", "limits.memory must be at least %uK with vm = \"own\": the state itself is in it",
                             OWN_MEMORY_MIN >> 10);
}

static int read_failures(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  int rc = tr_fields_known(L, at, place, "failures", "failures", failure_names);
  if (rc) return rc;
  def->fail_limit = 5;
  def->fail_within = TR_SECONDS(60);
  if (tr_raw_field(L, at, "limit") != LUA_TNIL) {
    lua_Integer limit = whole(L, -1);
    if (limit == 0 || limit > 10000)
      return tr_definition_error(place, "failures", "limit", "failures.limit must be a whole number from 1 to 10000");
    def->fail_limit = (uint32_t)limit;
  }
  if (tr_raw_field(L, at, "within") != LUA_TNIL) {
    double seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(seconds > 0 && seconds <= 1e9))
      return tr_definition_error(place, "failures", "within", "failures.within must be a positive number of seconds");
    def->fail_within = (tr_time)llround(seconds * 1e6);
  }
  if (tr_raw_field(L, at, "action") != LUA_TNIL) {
    int action = one_of(L, action_names);
    if (action < 0)
      return tr_definition_error(place, "failures", "action",
                                 "failures.action must be \"continue\", \"restart\" or \"stop\"");
    def->fail_action = (tr_fail_action)action;
  }
  return 0;
}

static int read_idle(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  double seconds = lua_tonumber(L, at);
  if (!(seconds >= 0.001 && seconds <= 1e9))
    return tr_definition_error(place, NULL, "idle", "`idle` must be a number of seconds from 0.001");
  def->idle = (tr_time)llround(seconds * 1e6);
  return 0;
}

static int read_pool(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  lua_Integer n = whole(L, at);
  if (n == 0 || n > 10000) return tr_definition_error(place, NULL, "pool", "`pool` must be a whole number from 1 to 10000");
  def->pool = (uint32_t)n;
  return 0;
}

static int read_priority(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  size_t count = count_pairs(L, at), i = 0;
  def->priorities = array(L, def, count, sizeof *def->priorities);
  def->priority_count = count;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    int rc = check_type_key(L, place, "priority");
    if (rc) return rc;
    int priority = one_of(L, priorities);
    if (priority < 0)
      return tr_definition_error(place, "priority", lua_tostring(L, -2),
                                 "priority.%s must be \"high\", \"normal\" or \"low\"", lua_tostring(L, -2));
    def->priorities[i].type = type_name(L, def, -2);
    def->priorities[i++].priority = (tr_priority)priority;
  }
  return 0;
}

static int read_init(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->init_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_close(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->close_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_save(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->save_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_restore(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->restore_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int read_migrate(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  (void)place;
  lua_pushvalue(L, at);
  def->migrate_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* Which worker has an instance is the host's to say, by its key: nothing may make one here without asking. */
static int read_shared(lua_State *L, int at, tr_definition *def, const tr_place *place) {
  def->shared = lua_toboolean(L, at);
  if (!def->shared) return 0;
  if (def->autostart_default || def->autostart_count)
    return tr_definition_error(place, NULL, "shared", "`shared` does not go with `autostart`: the host decides which worker has an instance");
  for (tr_link *link = def->subs.next; link != &def->subs; link = link->next)
    if (!tr_sub_by_source(TR_CONTAINER(link, tr_sub_spec, link)))
      return tr_definition_error(place, NULL, "shared", "`shared`: " TR_SHARED_SUB);
  return 0;
}

/* --- all of them --- */

enum { STRING = 1 << LUA_TSTRING, TABLE = 1 << LUA_TTABLE, FUNCTION = 1 << LUA_TFUNCTION, NUMBER = 1 << LUA_TNUMBER,
       BOOLEAN = 1 << LUA_TBOOLEAN };
typedef int (*read_fn)(lua_State *L, int at, tr_definition *def, const tr_place *place);
/* In the order of reading. Without a reader: definition.c, describe.c and handlers.c look at them. */
static const struct key { const char *name; int types; const char *expected; read_fn read; } keys[] = {
  { "type", STRING, "a string", NULL },
  [TR_KEY_ON] = { "on", TABLE, "a table of handlers by message type", NULL },
  [TR_KEY_ON_EVENT] = { "on_event", TABLE, "a table of handlers by message type", NULL },
  [TR_KEY_ON_REQUEST] = { "on_request", TABLE, "a table of handlers by message type", NULL },
  { "description", STRING, "a string", NULL },
  { "subscriptions", TABLE, "a list", tr_subs_read },
  { "autostart", BOOLEAN | STRING | TABLE, "true, a key or a list of keys", read_autostart },
  { "state", TABLE | FUNCTION, "a table or a function", read_state },
  { "methods", TABLE, "a table of functions", read_methods }, /* it looks at state */
  { "messages", TABLE, "a table of schemas", tr_schemas_read },
  { "replies", TABLE, "a table of message types", read_replies },
  { "timers", TABLE, "a table of seconds by message type", read_timers },
  { "version", NUMBER, "an integer", read_version },
  { "init", FUNCTION, "a function", read_init },
  { "migrate", FUNCTION, "a function", read_migrate },
  { "close", FUNCTION, "a function", read_close },
  { "save", FUNCTION, "a function", read_save },
  { "restore", FUNCTION, "a function", read_restore },
  { "idle", NUMBER, "a number of seconds", read_idle },
  { "pool", NUMBER, "an integer", read_pool },
  { "timeout", NUMBER | BOOLEAN, "a number of seconds, or false", read_timeout },
  { "reentrant", BOOLEAN, "true or false", read_reentrant },
  { "requeue", BOOLEAN, "true or false", read_requeue }, /* it looks at reentrant */
  { "priority", TABLE, "a table of \"high\", \"normal\" or \"low\" by message type", read_priority },
  { "mailbox", TABLE, "a table such as { limit = 10000, bytes = \"64M\", overflow = \"wait\" }", read_mailbox },
  { "limits", TABLE, "a table such as { instructions = 1e8 }", read_limits },
  { "failures", TABLE, "a table such as { limit = 5, within = 60, action = \"restart\" }", read_failures },
  { "vm", STRING, "\"own\"", read_vm },
  { "nulls", STRING, "\"keep\"", read_nulls },
  { "shared", BOOLEAN, "true or false", read_shared }, /* it looks at subscriptions and autostart */
  { "shards", TABLE, "a list", tr_shards_read },       /* it looks at methods, pool and requeue */
};
enum { KEYS = sizeof keys / sizeof *keys };

static int refuse_unknown(lua_State *L, int table, const tr_place *place) {
  const char *names[KEYS + 1] = { NULL };
  for (int i = 0; i < KEYS; i++) names[i] = keys[i].name;
  return tr_fields_known(L, table, place, NULL, "an agent", names);
}

static int find_key(lua_State *L, int at) {
  const char *name = lua_type(L, at) == LUA_TSTRING ? lua_tostring(L, at) : "";
  for (int i = 0; i < KEYS; i++)
    if (keys[i].name[0] == name[0] && strcmp(keys[i].name, name) == 0) return i;
  return -1;
}

/* One walk over what is there, not a look for each key that may be: a file may hold ten thousand agents. */
int tr_keys_check(lua_State *L, int table, const tr_place *place, uint64_t *present) {
  *present = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    int i = find_key(L, -2);
    if (i < 0) return refuse_unknown(L, table, place);
    if (!(keys[i].types & 1 << lua_type(L, -1)))
      return tr_definition_error(place, NULL, keys[i].name, "`%s` must be %s, not %s", keys[i].name, keys[i].expected,
                                 tr_type_name(L, -1));
    *present |= UINT64_C(1) << i;
  }
  return 0;
}

int tr_keys_read(lua_State *L, int table, uint64_t present, tr_definition *def, const tr_place *place) {
  int rc = 0, top = lua_gettop(L);
  for (int i = 0; !rc && present; i++, present >>= 1) {
    if (!(present & 1) || !keys[i].read) continue;
    tr_raw_field(L, table, keys[i].name);
    rc = keys[i].read(L, top + 1, def, place);
    lua_settop(L, top);
  }
  return rc;
}
