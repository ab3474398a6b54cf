/* SPDX-License-Identifier: MIT
 * The bounded pattern functions against the distribution's: the same results and the same errors, on a corpus and on
 * random patterns; and that a bad pattern ends. */
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "script/internal.h"

static lua_State *open_both(tr_script *none) {
  none->mem = check_mem();
  tr_accounts_init(none);
  lua_State *L = lua_newstate(tr_script_allocate, none); /* a script without a turn: nothing is charged */
  luaL_openlibs(L);
  lua_newtable(L);
  luaL_setfuncs(L, tr_pattern_functions, 0);
  lua_setglobal(L, "ours");
  return L;
}

static void run(lua_State *L, const char *source) {
  if (luaL_dostring(L, source)) CHECK_FAIL("%s", lua_tostring(L, -1));
  lua_settop(L, 0);
}

/* same(name, …): both libraries give the same, or raise the same. */
static const char harness[] =
  "compared = 0\n"
  "package.loaded.ours = ours\n" /* errors name functions by it */
  "local function text(t)\n"
  "  for i = 1, t.n do t[i] = math.type(t[i]) == 'integer' and ('%d'):format(t[i]) or ('%s %q'):format(type(t[i]), t[i]) end\n"
  "  return table.concat(t, '; ')\n"
  "end\n"
  "local function gmatch(lib, ...)\n"
  "  local found = { n = 0 }\n"
  "  for a, b in lib.gmatch(...) do found.n = found.n + 2 found[found.n - 1] = a found[found.n] = b or false\n"
  "    if found.n > 200 then break end end\n"
  "  return table.unpack(found, 1, found.n)\n"
  "end\n"
  "function same(name, ...)\n"
  "  local f, g = string[name], ours[name]\n"
  "  if name == 'gmatch' then f, g = function(...) return gmatch(string, ...) end, function(...) return gmatch(ours, ...) end end\n"
  "  local a, b = text(table.pack(pcall(f, ...))), text(table.pack(pcall(g, ...))):gsub(\"'ours%.\", \"'string.\")\n"
  "  compared = compared + 1\n"
  "  if a ~= b and not b:find('the pattern takes too long', 1, true) then\n"
  "    error(('%s(%s)\\n  theirs %s\\n  ours   %s'):format(name, text(table.pack(...)), a, b), 0) end\n"
  "end\n"
  "function all(s, p, ...)\n"
  "  for _, init in ipairs { 1, 0, -1, 2, -3, 100, -100 } do\n"
  "    same('find', s, p, init) same('match', s, p, init) same('gmatch', s, p, init)\n"
  "  end\n"
  "  same('find', s, p, 1, true) same('find', s, p) same('match', s, p) same('gmatch', s, p)\n"
  "  for _, r in ipairs { '', 'x', '<%0>', '%1', '%2', '%%', '%', '%a', 7, 1.5 } do same('gsub', s, p, r) same('gsub', s, p, r, 1) end\n"
  "  same('gsub', s, p, { a = 'A', b = false, [1] = 'one' }) same('gsub', s, p, function(a, b) return b or a end)\n"
  "  same('gsub', s, p, function() end) same('gsub', s, p, function() return {} end) same('gsub', s, p, '%0', -1)\n"
  "end\n";

CHECK_CASE(patterns_are_those_of_the_distribution_on_a_corpus) {
  tr_script *none = calloc(1, sizeof *none);
  lua_State *L = open_both(none);
  run(L, harness);
  run(L,
      "local subjects = { '', 'a', 'abc', 'hello world from Lua', '  key = value  ', 'x=1, y=22,z=333', 'THE (quick) fox', 'a.b.c',\n"
      "  '[[x]]', 'f(a(b)c)d)', '\\0a\\0b', '2024-11-21', ('ab'):rep(40), 'aaa', '%d', '^$', 'a]b-c', '\\xff\\x80é' }\n"
      "local patterns = { '', '.', 'a', 'b*', 'a+', 'a-', 'a?', '^a', 'a$', '^$', '^', '$', '(a)', '()', '()a()', '(a)(b)', '((a)b)',\n"
      "  '%a+', '%A', '%s*', '%S+', '%d%d', '%w+', '%u', '%l+', '%p', '%c', '%x+', '%g+', '%G', '[abc]', '[^abc]', '[a-c]+', '[%w_]*',\n"
      "  '[]]', '[^]]', '[a-]', '[-a]', '[%]]', '[%a-z]', '[a%-c]', '[^%s]+', '(%w+)%s*=%s*(%w+)', '%b()', '%bxx', '%b', '%b(', '%f[%w]%w+', '%f[%W]',\n"
      "  '%fa', '%f', '(.)%1', '(a)%2', '%1', '(%1)', '(a', 'a)', '()%1', '%', 'a%', '[', '[a', '[^', '[%', '[a-', '[]', '[^]', '%z', '\\0', '[\\0-\\x1f]',\n"
      "  '.-b', '.-$', '^.-a', '^%s*(.-)%s*$', '(.*)%.(.*)', '%(.-%)', 'a.-b.-a', 'a**', 'a+?', '*a', '?', '-', '+', '%%', '%.', '%[', ('(a?)'):rep(33),\n"
      "  ('a?'):rep(40) .. ('a'):rep(40), ('('):rep(40), '(()())', '[[]', '[]-a]', '[a-%z]', '[%', '\\xe9', '[\\x80-\\xff]+' }\n"
      "for _, s in ipairs(subjects) do for _, p in ipairs(patterns) do all(s, p) end end\n"
      "same('gsub', 'abc', '%w', '%1%0') same('gsub', 'abc', 'b', true) same('gsub', 'abc', 'b') same('gsub', {}, 'b', '')\n"
      "same('find', 'abc') same('find', nil, 'a') same('match', 12321, 2) same('gsub', 12321, 2, 3) same('find', 'a', 'a', 'x')\n"
      "same('gmatch', 'a', {}) same('gmatch') same('gsub', 'abc', '', '-') same('gsub', 'abc', 'b*', '-') same('gsub', 'a', 'a', '%9')\n"
      "same('gsub', 'abc', '()', '%1') same('find', ('a'):rep(100), ('.-'):rep(3) .. 'b') same('match', ('x'):rep(210), ('x?'):rep(210))\n"
      "same('find', 'a\\0b', 'a\\0b') same('find', 'xa\\0b', '\\0') same('find', 'aXb', '%u', 1, true)");
  lua_getglobal(L, "compared");
  CHECK_INT(lua_tointeger(L, -1), >, 50000);
  lua_close(L);
  tr_script_free_chunks(none);
  free(none);
}

CHECK_CASE(patterns_are_those_of_the_distribution_at_random) {
  tr_script *none = calloc(1, sizeof *none);
  lua_State *L = open_both(none);
  run(L, harness);
  run(L,
      "math.randomseed(20261121)\n"
      "local parts = { 'a', 'b', 'c', '.', '%a', '%d', '%s', '%w', '%W', '[ab]', '[^a]', '[%d_]', '[a-', ']', '[', '(', ')', '()', '*', '+', '-', '?',\n"
      "  '%1', '%2', '%b()', '%f[a]', '^', '$', '%', '%%', '%b', '%f', ' ', '1', '_', '\\0' }\n"
      "local letters = { 'a', 'b', 'c', 'a', 'b', '1', '_', ' ', '(', ')', ']', '\\0', 'X' }\n"
      "local function some(from, most)\n"
      "  local t = {}\n"
      "  for i = 1, math.random(0, most) do t[i] = from[math.random(#from)] end\n"
      "  return table.concat(t)\n"
      "end\n"
      "for _ = 1, 30000 do\n"
      "  local s, p = some(letters, 12), some(parts, 6)\n"
      "  same('find', s, p) same('match', s, p, math.random(-3, 5)) same('gmatch', s, p) same('gsub', s, p, '<%0>') same('gsub', s, p, '%1')\n"
      "end");
  lua_close(L);
  tr_script_free_chunks(none);
  free(none);
}

CHECK_CASE(patterns_that_would_take_for_ever_end_with_an_error) {
  tr_script *none = calloc(1, sizeof *none);
  lua_State *L = open_both(none);
  run(L,
      "local function slow(name, ...)\n"
      "  local ok, e = pcall(ours[name], ...)\n"
      "  if name == 'gmatch' then ok, e = pcall(e) end\n"
      "  assert(not ok and e:find('the pattern takes too long', 1, true), name .. ': ' .. tostring(e))\n"
      "end\n"
      "local s, p = ('a'):rep(200), ('.-'):rep(12) .. 'b'\n"
      "slow('find', s, p) slow('match', s, p) slow('gmatch', s, p) slow('gsub', s, p, 'x')\n"
      "slow('find', ('a'):rep(300), ('(.*)'):rep(8) .. 'b') slow('match', ('('):rep(100000), '%b()')\n"
      "slow('find', ('a'):rep(1000000), ('a'):rep(500000) .. 'b', 1, true)");
  lua_close(L);
  tr_script_free_chunks(none);
  free(none);
}
