-- What a script finds, what it does not find, and what is bounded.
-- luacheck: read globals troupe, no max line length
local function raises(text, f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok and tostring(e):find(text, 1, true), tostring(e))
end

return function()
  for _, name in ipairs { "io", "debug", "package", "dofile", "loadfile", "luv", "unpack", "loadstring" } do assert(_G[name] == nil, name) end
  for name in pairs(os) do assert(({ clock = 1, date = 1, difftime = 1, time = 1 })[name], "os." .. name) end
  assert(string.dump == nil and ("").dump == nil)
  assert(_G._G == _G and math.type(os.time()) == "integer" and os.clock() >= 0)

  -- Text chunks only, whatever is asked for.
  local binary = "\27Lua\x54\0\x19\x93\r\n\x1a\n"
  local f, e = load(binary, "x", "b")
  assert(not f and e:find("binary"))
  f, e = load(binary)
  assert(not f and e:find("binary"))
  assert(load("return 1 + 1", "x", "b")() == 2)
  assert(load("x = 5; return x")() == 5 and _G.x == 5)
  assert(load("return y", "c", "t", { y = 7 })() == 7)
  local parts = { "return ", "3", nil }
  local i = 0
  assert(load(function() i = i + 1 return parts[i] end)() == 3)
  f, e = load("return +")
  assert(not f and e:find("unexpected symbol"))
  assert(load("return _ENV", "c", "t", nil)() == nil)

  -- The metatable of strings cannot be reached, and is a copy of its own.
  assert(getmetatable("") == false)
  rawset(string, "upper", function() return "mine" end)
  assert(("x"):upper() == "X" and string.upper("x") == "mine")
  assert(getmetatable(troupe.null) == false)

  raises("__gc is not allowed", setmetatable, {}, { __gc = print })
  raises("protected metatable", setmetatable, setmetatable({}, { __metatable = 1 }), nil)
  raises("nil or table expected", setmetatable, {}, 5)
  local t = setmetatable({}, { __index = { a = 1 } })
  assert(t.a == 1)
  assert(collectgarbage("count") > 0)
  raises("only \"count\"", collectgarbage)
  raises("only \"count\"", collectgarbage, "stop")

  -- Loops in C.
  assert((""):rep(1 << 50) == "" and ("x"):rep(0) == "" and ("x"):rep(-5) == "" and ("ab"):rep(3, "-") == "ab-ab-ab")
  raises("the result would be larger", string.rep, "x", 1 << 50)
  raises("the result would be larger", string.rep, "", 1 << 50, "x")
  raises("__len is not taken", table.sort, setmetatable({}, { __len = function() return 1 << 31 end }), rawequal)
  raises("__len is not taken", table.insert, setmetatable({}, { __len = function() return 1 << 60 end }), 1, "x")
  raises("__len is not taken", table.remove, setmetatable({}, { __len = function() return 1 << 60 end }), 1)
  raises("__len is not taken", table.concat, setmetatable({}, { __len = function() return 1 << 60 end }))
  raises("invalid value", table.concat, {}, "", 1, 1 << 60)
  raises("too many results", table.unpack, {}, 1, 1e8)
  t = { 3, 1, 2 }
  table.sort(t)
  table.insert(t, 4)
  table.insert(t, 1, 0)
  assert(table.concat(t, ",") == "0,1,2,3,4" and table.remove(t) == 4 and table.remove(t, 1) == 0)
  assert(table.concat(table.move({ 1, 2, 3 }, 2, 3, 1), ",") == "2,3,3")
  assert(table.concat({ 1, 2, 3 }, ",", 2, 3) == "2,3" and select("#", table.unpack({ 1, nil, 3 }, 1, 3)) == 3)

  -- xpcall with its handler.
  local ok, r = xpcall(function(a, b) return a + b end, print, 1, 2)
  assert(ok and r == 3)
  ok, r = xpcall(function() error("x", 0) end, function(m) return m .. "y" end)
  assert(not ok and r == "xy")
  ok, r = xpcall(function() error(nil) end, function(m) return tostring(m) end)
  assert(not ok and r == "nil")
  raises("function expected", xpcall, print, 5)

  raises("is not a module's name", require, "../secret")
  raises("is not a module's name", require, "/etc/passwd")
  raises("is not a module's name", require, "a..b")
  raises("is not a module's name", require, "")
  raises("no such module", require, "no.such.module")
  raises("string expected", require, 5)
  print("a", 1, nil, true, { 1 } ~= nil)
  warn("careful ", "now")
  return 0
end
--? warn script.warn text="careful now"
