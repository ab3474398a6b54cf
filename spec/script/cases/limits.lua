-- Instructions a turn may take: the error, what cannot buy it back, and that others go on meanwhile.
-- luacheck: read globals troupe, no max line length
-- luacheck: ignore 511 542
local function forever() while true do end end
local tbc = function() return setmetatable({}, { __close = forever }) end
local stored
local a = { type = "a", limits = { instructions = 200000 }, on = {
  Loop = function() while true do end end,
  Pcall = function() while true do pcall(forever) end end,
  Once = function() pcall(forever) return "survived" end,
  Xpcall = function() while true do xpcall(forever, forever) end end,
  Handler = function() while true do xpcall(error, forever) end end,
  Close = function()
    local guard <close> = tbc()
    while guard do end
  end,
  CloseAfterError = function()
    local guard <close> = tbc()
    error("first " .. tostring(guard == nil))
  end,
  Coroutine = function() while true do coroutine.wrap(forever)() end end,
  Many = function() while true do coroutine.wrap(function() for _ = 1, 900 do end end)() end end,
  CoPcall = function() while true do pcall(coroutine.wrap(function() while true do pcall(forever) end end)) end end,
  CoClose = function()
    stored = coroutine.create(function()
      local guard <close> = tbc()
      while guard do end
    end)
    coroutine.resume(stored)
  end,
  CoCloseLater = function() return (coroutine.close(stored)) end,
  Sort = function()
    local t = {}
    for i = 1, 100 do t[i] = i end
    table.sort(t, function() while true do end end)
  end,
  Gsub = function() string.gsub(("x"):rep(10), ".", forever) end,
  Pattern = function() while true do pcall(string.find, ("a"):rep(200), (".-"):rep(12) .. "b") end end,
  Malformed = function() while true do pcall(string.find, ("a"):rep(2000), ".-[") end end,
  Callback = function() while true do pcall(string.gsub, ("a"):rep(2000), ".*()", error) end end,
  Tostring = function() tostring(setmetatable({}, { __tostring = forever })) end,
  Index = function() return setmetatable({}, { __index = forever }).x end,
  Rep = function() return #("x"):rep(3000000) end,
  Move = function() table.move({}, 1, 1 << 50, 2, {}) end,
  Concat = function() table.concat(setmetatable({}, { __index = type }), "", 1, 1 << 50) end,
  Load = function() load(function() return "x = 1 " end) end,
  Fine = function() for _ = 1, 10000 do end return "fine" end,
  Wait = function(_, _, ctx) while true do ctx:sleep(0) end end,
} }
local busy = { type = "busy", limits = { instructions = 5000000 }, on = { Loop = function() while true do end end } }
local small = { type = "small", limits = { instructions = 1000 }, on = { Little = function() return "ok" end, Much = function() for _ = 1, 2000 do end end } }
local quick = { type = "quick", limits = { memory = "512M" }, on = {
  Ping = function(self) self.n = (self.n or 0) + 1 return self.n end,
  Deep = function() local function f() return 1 + f() end f() end,
} }
local init = { type = "init", limits = { instructions = 1000 }, init = forever, on = { X = print } }

return { a, busy, small, quick, init, function(ctx)
  for _, type in ipairs { "Loop", "Pcall", "Once", "Xpcall", "Handler", "Close", "CloseAfterError", "Coroutine", "Many", "CoPcall", "CoClose", "Sort", "Gsub", "Pattern", "Malformed", "Callback",
    "Tostring", "Index", "Rep", "Move", "Concat", "Load", "Wait" } do
    local ok, e = ctx:pcall("a/" .. type, type)
    assert(not ok, type)
    if type == "CloseAfterError" then
      assert(e.code == "handler_error" and e.message:find("first"), tostring(e))
    else
      assert(e.code == "limit_exceeded", type .. ": " .. tostring(e))
      assert(e.message:find("a/" .. type .. ", " .. type .. ": spec/script/cases/limits.lua:%d+: more than 200000 instructions in one turn"), e.message)
    end
    assert(ctx:call("a/" .. type, "Fine") == "fine", "the agent goes on")
  end
  local ok, e = ctx:pcall("a/CoClose", "CoCloseLater")
  assert(ok and e == false, tostring(e))
  ok, e = ctx:pcall("quick", "Deep")
  assert(not ok and e.code == "limit_exceeded" and e.message:find("quick/default, Deep: spec/script/cases/limits.lua:%d+: stack overflow"), tostring(e))
  -- Others are served while one computes.
  ctx:send("busy", "Loop")
  ctx:sleep(0)
  for i = 1, 50 do assert(ctx:call("quick", "Ping") == i) end
  assert(ctx:call("small", "Little") == "ok")
  ok, e = ctx:pcall("small", "Much")
  assert(not ok and e.code == "limit_exceeded" and e.message:find("more than 1000"), tostring(e))
  ok, e = ctx:pcall("init", "X")
  assert(not ok and e.code == "construction_failed" and e.message:find("more than 1000 instructions"), tostring(e))
  return 0
end }
