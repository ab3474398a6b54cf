-- vm = "own": each instance has a Lua state of its own; all else is as for any agent.
-- luacheck: read globals troupe, no max line length
-- luacheck: ignore 511 542 211 241
--? handler.failed agent=own/Table type=Table error="limit_exceeded: own/Table, Table: spec/script/cases/own.lua:
--? agent.memory agent=own/hold type=Hold at=spec/script/cases/own.lua:
local shared = 0 -- of the state, not of the type
local function text(n) return ("x"):rep(n) end

local own = { type = "own", vm = "own", subscriptions = { "news", { match = function(t) return t == "odd/1" end, agent = function() return "own/matched" end } },
  state = { n = 0, list = { 1, { 2 } } }, methods = { add = function(self, n) self.n = self.n + n return self.n end },
  limits = { memory = "1M" }, replies = { Typed = "Answer" }, messages = { Checked = { n = "integer" } }, on = {
    Add = function(self, m) return { n = self:add(m.n), list = m.list } end,
    Shared = function() shared = shared + 1 return shared end,
    Echo = function(_, m) return m end,
    Typed = function() return { ok = true } end,
    Fail = function() error({ code = "not_found", message = "none of that" }) end,
    Checked = function(_, m) return m.n end,
    News = function(self, m, ctx) self.heard = (self.heard or 0) + m.n ctx:send("sink", "Heard", { by = ctx.id, n = self.heard }) end,
    Call = function(_, m, ctx)
      local a = ctx:call("plain", "Echo", m)
      local b, type = ctx:call("own/other", "Typed")
      local ok, e = ctx:pcall("plain", "Fail")
      local f, g = ctx:async("plain", "Slow", { x = 1 }), ctx:async("own/third", "Echo", { 3 })
      return { a, b.ok, type, ok, e.code, f:await().x, g:await()[1] }
    end,
    Graph = function(_, _, ctx)
      local p, o = ctx:agent("plain"), ctx:agent("own/deep")
      local x, y = p:Slow { x = 2 }, o:Echo { x = 3 }
      return p:Echo { left = x, right = y, list = { x, { y } } }
    end,
    Stream = function(_, _, ctx)
      local sum, parts = 0, ctx:stream("own/giver", "Give", { n = 40 })
      for part in parts do sum = sum + part.i end
      return { sum, parts:result() }
    end,
    Give = function(_, m, ctx) for i = 1, m.n do ctx:yield { i = i } end return "given" end,
    Timer = function(self, _, ctx) self.id = ctx:after(60, "Tick", { at = ctx:now() }) return true end,
    Tick = function(_, m, ctx) ctx:send("sink", "Heard", { by = ctx.id, n = m.at }) end,
    Subscribe = function(_, _, ctx) return ctx:subscribe { "late", key = "late" }, nil end,
    Subscribed = function(_, _, ctx) local s = ctx:subscriptions() return { #s, s[1][1], type(s[2].match), s[3] and s[3].key } end,
    Match = function(_, _, ctx) ctx:subscribe { match = print } end,
    Late = function(_, _, ctx) ctx:send("sink", "Heard", { by = ctx.id, n = -1 }) end,
    Odd = function(_, _, ctx) ctx:send("sink", "Heard", { by = ctx.id, n = -2 }) end,
    Stop = function(_, _, ctx) ctx:stop() end,
    Callback = function(_, _, ctx) local f = ctx:callback("Called") f { n = 7 } end,
    Called = function(_, m, ctx) ctx:send("sink", "Heard", { by = ctx.id, n = m.n }) end,
    Kill = function(_, _, ctx) ctx:call("plain", "Cancel", { id = ctx.id }) end,
    Table = function() local t = {} for i = 1, 1e9 do t[i] = { i } end end,
    String = function() local s = "x" while true do s = s .. s end end,
    Pcall = function() while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end) end end,
    Once = function() pcall(function() local s = "x" while true do s = s .. s end end) return "survived" end,
    Large = function() while true do pcall(text, 3000000) end end,
    Xpcall = function() while true do xpcall(text, function() return text(3000000) end, 3000000) end end,
    Coroutine = function() while true do coroutine.wrap(function() pcall(text, 3000000) end)() end end,
    Close = function()
      local guard <close> = setmetatable({}, { __close = function() while true do pcall(text, 3000000) end end })
      text(3000000)
    end,
    Hold = function(self, m) self.held = m return true end,
    Loop = function() while true do end end,
    Fine = function() return "fine" end,
  } }
local heard = {}
local plain = { type = "plain", on = {
  Echo = function(_, m) return m end,
  Fail = function() error "plain" end,
  Slow = function(_, m, ctx) ctx:sleep(1) return m end,
} }
local sink = { type = "sink", on = { Heard = function(_, m) heard[m.by] = m.n end } }
local small = { type = "small", vm = "own", limits = { memory = "256K" }, state = function() return { t = ("x"):rep(300000) } end, on = { X = print } }
local looping = { type = "looping", vm = "own", limits = { instructions = 100000 }, on = { Loop = own.on.Loop, Fine = own.on.Fine } }

return { own, plain, sink, small, looping, function(ctx)
  -- State, methods, bodies: each instance has its own, and nothing is shared by upvalues.
  local r = ctx:call("own/a", "Add", { n = 2, list = { 1, troupe.null, { x = troupe.bytes("\0\xff") } } })
  assert(r.n == 2 and #r.list == 3 and tostring(r.list[3].x) == "\0\xff", "a body")
  assert(ctx:call("own/a", "Add", { n = 2 }).n == 4 and ctx:call("own/b", "Add", { n = 1 }).n == 1)
  assert(ctx:call("own/a", "Shared") == 1 and ctx:call("own/a", "Shared") == 2 and ctx:call("own/b", "Shared") == 1 and shared == 0)
  local _, type = ctx:call("own/a", "Typed")
  assert(type == "Answer")
  local ok, e = ctx:pcall("own/a", "Fail")
  assert(not ok and e.code == "not_found" and e.message == "none of that", tostring(e))
  ok, e = ctx:pcall("own/a", "Checked", { n = "x" })
  assert(not ok and e.code == "invalid" and e.message:find("body.n: expected integer", 1, true), tostring(e))
  ok, e = ctx:pcall("own/a", "Nothing")
  assert(not ok and e.code == "cant_handle", tostring(e))
  -- Calls out, futures, placeholders, parts of answers.
  r = ctx:call("own/a", "Call", { 1, 2 })
  assert(r[1][2] == 2 and r[2] == true and r[3] == "Answer" and r[4] == false and r[5] == "handler_error" and r[6] == 1 and r[7] == 3)
  r = ctx:call("own/a", "Graph")
  assert(r.left.x == 2 and r.right.x == 3 and r.list[1].x == 2 and r.list[2][1].x == 3)
  r = ctx:call("own/a", "Stream")
  assert(r[1] == 820 and r[2] == "given")
  -- Events, timers, subscriptions, callbacks.
  ctx:publish("news/here", "News", { n = 5 })
  ctx:publish("odd/1", "Odd", {})
  ctx:send("own/cb", "Callback")
  assert(ctx:call("own/t", "Timer"))
  ctx:sleep(61)
  assert(heard["own/here"] == 5 and heard["own/matched"] == -2 and heard["own/cb"] == 7 and heard["own/t"])
  assert(math.type(ctx:call("own/s", "Subscribe")) == "integer")
  ctx:publish("late/any", "Late", {})
  ctx:send("own/s", "Stop")
  ctx:sleep(1)
  assert(heard["own/late"] == -1)
  r = ctx:call("own/s", "Subscribed") -- it was made anew; the subscription is the type's
  assert(r[1] == 3 and r[2] == "news" and r[3] == "function" and r[4] == "late", r[1])
  ok, e = ctx:pcall("own/s", "Match")
  assert(not ok and e.message:find("`match` cannot be subscribed to with vm", 1, true), tostring(e))
  -- Giving up reaches it.
  local f = ctx:async("own/loop", "Loop")
  ctx:sleep(0)
  f:cancel()
  assert(ctx:call("own/loop", "Fine") == "fine")
  -- Limits.
  ok, e = ctx:pcall("looping", "Loop")
  assert(not ok and e.code == "limit_exceeded" and e.message:find("looping/default, Loop: spec/script/cases/own.lua:%d+: more than 100000 instructions"), tostring(e))
  assert(ctx:call("looping", "Fine") == "fine")
  for _, name in ipairs { "Table", "String", "Pcall", "Once", "Large", "Xpcall", "Coroutine", "Close" } do
    ok, e = ctx:pcall("own/" .. name, name)
    assert(not ok and e.code == "limit_exceeded", name .. ": " .. tostring(e))
    assert(e.message:find("^own/" .. name .. ", " .. name .. ": spec/script/cases/own.lua:%d+: more than 1024 KB of memory %(limits.memory; (%d+) KB in use"), e.message)
    assert(tonumber(e.message:match("(%d+) KB in use")) <= 1024 + 64, e.message)
    assert(ctx:call("own/" .. name, "Fine") == "fine", "the agent goes on")
  end
  -- What it is sent is its own, from the moment it takes it.
  local large = { text(700000) }
  assert(ctx:call("own/hold", "Hold", large) == true)
  ok, e = ctx:pcall("own/hold", "Hold", { text(700000) })
  assert(not ok and e.code == "limit_exceeded", tostring(e))
  assert(not e.message:find(" 0 KB more", 1, true), e.message)
  assert(ctx:call("own/hold", "Hold", {}) == true and ctx:call("own/hold", "Hold", large) == true)
  ok, e = ctx:pcall("small", "X")
  assert(not ok and e.code == "construction_failed" and e.message:find("more than 256 KB of memory", 1, true), tostring(e))
  return 0
end }
