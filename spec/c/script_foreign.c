/* SPDX-License-Identifier: MIT
 * Agents in a Lua state that is not ours (script/foreign.c), where memory runs out: the runtime's, at each allocation, and the
 * foreign state's own. What they can do is in spec/module. */
#include <lualib.h>
#include <stdlib.h>

#include "script/foreign.h"
#include "script_host.h"

/* A state with an allocator of its own, which refuses the n-th block, and the try after that, for which Lua has collected. */
typedef struct heap { size_t left; bool refused, again; } heap;

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  heap *self = ud;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  if ((!ptr || new_size > old_size) && (self->again || (self->left && --self->left == 0))) {
    self->again = !self->again;
    self->refused = true;
    return NULL;
  }
  return realloc(ptr, new_size);
}

static const char source[] =
  "return { { type = 'a', state = { n = 0 }, subscriptions = { 'news' }, messages = { Add = { n = 'integer?' } },\n"
  "  on = { Add = function(self, message, ctx) self.n = self.n + (message.n or 1) ctx:publish('out', 'X', { self.n, { 'text' } }) return { n = self.n } end,\n"
  "  Graph = function(self, message, ctx) local x = ctx:agent('a/x'):Add { n = 1 } local y = ctx:agent('a/y'):Echo { x, x }\n"
  "    kept[#kept + 1] = x kept[#kept + 1] = y kept[#kept + 1] = ctx kept[#kept + 1] = ctx:callback('Add') return y end,\n"
  "  Echo = function(self, message) return message end } },\n"
  "{ type = 'b', init = function(self, ctx) self.first = ctx:call('a', 'Add', {}).n end, on = { Ask = function(self) return { self.first } end } } }";

enum { READY = 1 }; /* where the table of an instance lies */

static lua_State *open_state(heap *memory) {
  lua_State *L = lua_newstate(allocate, memory);
  CHECK(L);
  luaL_openlibs(L);
  tr_foreign_open(L);
  lua_setglobal(L, "troupe");
  lua_newtable(L);
  lua_setglobal(L, "kept");
  lua_newtable(L);
  CHECK_INT(luaL_dostring(L, source), ==, 0);
  CHECK_INT(lua_gettop(L), ==, READY + 1);
  return L; /* with the list on its top, and a table below */
}

static int load(host *h, lua_State *L) {
  tr_error_init(&h->error);
  int rc = tr_foreign_new(L, h->script, &h->error);
  if (!rc) rc = tr_foreign_load(L, lua_gettop(L), h->script, &h->error);
  return rc ? rc : tr_script_start(h->script, &h->error);
}

static bool put(host *h, lua_State *L) {
  tr_error error;
  tr_error_init(&error);
  int rc = tr_foreign_put(L, READY, h->script, TR_SLICE_LITERAL("a/ready"), &error);
  return rc == 0 && tr_foreign_self(L, h->script, TR_SLICE_LITERAL("a/ready")) && (lua_pop(L, 1), true);
}

CHECK_CASE(foreign_agents_answer_and_outlive_nothing) {
  heap memory = { 0, false, false };
  host h = { 0 };
  host_open(&h);
  lua_State *L = open_state(&memory);
  CHECK_INT(load(&h, L), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", "{\"n\":2}"), "Add {\"n\":2}");
  CHECK_STR(host_call(&h, "b", "Ask", NULL), "Ask [3]");
  CHECK_STR(host_call(&h, "a", "Add", "{\"n\":\"x\"}"), "invalid: body.n: expected integer, got string");
  CHECK_STR(host_call(&h, "a", "Graph", NULL), "Echo [{\"n\":1},{\"n\":1}]");
  CHECK(put(&h, L));
  host_close(&h);
  /* The program still holds what the runtime gave it. */
  CHECK_INT(luaL_dostring(L, "for i = 1, 3 do tostring(kept[i]) end\n"
                             "assert(not pcall(function() return kept[1].n end))\n"
                             "local ok, err = pcall(kept[4], {}) assert(not ok and err.code == 'unavailable')\n"
                             "collectgarbage()"), ==, 0);
  lua_close(L);
}

CHECK_CASE(foreign_agents_when_the_runtime_has_no_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    heap memory = { 0, false, false };
    host h = { 0 };
    if (host_try_open(&h)) continue;
    lua_State *L = open_state(&memory);
    bool loaded = load(&h, L) == 0;
    if (!loaded) CHECK(check_mem_refused());
    if (loaded) {
      host_call(&h, "a", "Graph", NULL);
      host_call(&h, "b", "Ask", NULL);
      put(&h, L);
      host_publish(&h, "news/x", "Add", "{}");
      host_settle(&h);
    }
    host_close(&h);
    lua_close(L);
  }
}

CHECK_CASE(foreign_agents_when_the_program_has_no_memory) {
  for (size_t n = 1;; n++) {
    heap memory = { 0, false, false };
    host h = { 0 };
    host_open(&h);
    lua_State *L = open_state(&memory);
    memory.left = n;
    int rc = load(&h, L);
    if (rc) CHECK_INT(rc, ==, TR_EMEMORY);
    if (rc == 0) {
      host_call(&h, "a", "Graph", NULL);
      host_call(&h, "b", "Ask", NULL);
      put(&h, L);
    }
    bool refused = memory.refused;
    memory.left = 0;
    memory.again = false;
    if (rc == 0) CHECK(strstr(host_call(&h, "a/after", "Add", NULL), "Add {\"n\":1}"));
    host_close(&h);
    lua_close(L);
    if (!refused) break;
  }
}
