-- Memory of each agent: whose it is, what comes past the limit, what cannot buy it back, and that it is never the sender who pays.
-- luacheck: read globals troupe, no max line length
-- luacheck: ignore 511 542 211 241
--? handler.failed agent=a/Table type=Table error="limit_exceeded: a/Table, Table: spec/script/cases/limits_memory.lua:
--? agent.memory agent=a/failing type=Failing at=spec/script/cases/limits_memory.lua:38 kb=
--? agent.memory agent=keeper/default type=Keep at=spec/script/cases/limits_memory.lua:42 kb=
local function text(n) return ("x"):rep(n) end
local a = { type = "a", limits = { memory = "1M" }, on = {
  Table = function() local t = {} for i = 1, 1e9 do t[i] = { i } end end,
  String = function() local s = "x" while true do s = s .. s end end,
  Pcall = function() while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end) end end,
  Timers = function(_, _, ctx)
    local body = {}
    for i = 1, 200 do body[i] = { i } end
    for _ = 1, 200 do ctx:after(1000, "Fine", body) end
  end,
  Once = function() pcall(function() local s = "x" while true do s = s .. s end end) return "survived" end,
  Large = function() while true do pcall(text, 3000000) end end,
  Xpcall = function() while true do xpcall(text, function() return text(3000000) end, 3000000) end end,
  Coroutine = function() while true do coroutine.wrap(function() pcall(text, 3000000) end)() end end,
  Close = function()
    local guard <close> = setmetatable({}, { __close = function() while true do pcall(text, 3000000) end end })
    text(3000000)
  end,
  Body = function(_, _, ctx)
    local t = {}
    for i = 1, 5000 do t[i] = i end
    local u = {}
    for i = 1, 100 do u[i] = t end
    while true do pcall(ctx.send, ctx, "keeper/other", "Drop", u) end
  end,
  Churn = function() for i = 1, 200 do local s = text(100000) .. i assert(s) end return "fine" end,
  Async = function(_, m, ctx)
    local held = {}
    for i = 1, m.n do held[i] = ctx:async("keeper/asked", "Drop") end
    return #held
  end,
  Failing = function(self) self.held = text(700000) error "and yet it has it" end,
  Fine = function() return "fine" end,
} }
local keeper = { type = "keeper", limits = { memory = 400000 }, state = { list = {} }, on = {
  Keep = function(self, m) self.list[#self.list + 1] = m return #self.list end,
  Clear = function(self) self.list = {} return 0 end,
  Drop = function() end,
} }
local giver = { type = "giver", limits = { memory = "300K" }, on = {
  Give = function(_, m, ctx)
    for i = 1, m.n do
      ctx:send(m.to, "Keep", { i, { "a", "b", i }, { x = i } })
      if i % 50 == 0 then ctx:sleep(0) end
    end
    return "given"
  end,
  Burst = function(_, m, ctx)
    local good, last = 0, nil
    for i = 1, m.n do
      local ok, e = pcall(ctx.send, ctx, "rich", "Keep", { i, { "a", "b", i }, { x = i } })
      good, last = good + (ok and 1 or 0), e or last
      if m.wait and i % 50 == 0 then ctx:sleep(0) end
    end
    return { good, tostring(last) }
  end,
} }
local rich = { type = "rich", state = { list = {} }, on = { Keep = keeper.on.Keep } }

return { a, keeper, giver, rich, function(ctx)
  for _, type in ipairs { "Table", "String", "Pcall", "Once", "Large", "Xpcall", "Coroutine", "Close", "Body" } do
    local ok, e = ctx:pcall("a/" .. type, type)
    assert(not ok and e.code == "limit_exceeded", type .. ": " .. tostring(e))
    assert(e.message:find("^a/" .. type .. ", " .. type .. ": spec/script/cases/limits_memory.lua:%d+: more than 1024 KB of memory %(limits.memory; %d+ KB in use"), e.message)
    assert(ctx:call("a/" .. type, "Fine") == "fine", "the agent goes on")
    assert(ctx:call("a/other", "Fine") == "fine")
  end
  assert(not ctx:pcall("a/failing", "Failing") and ctx:call("a/failing", "Fine") == "fine", "the log names the one that failed")
  for _ = 1, 3 do assert(ctx:call("a/Async", "Async", { n = 400 }) == 400, "what is done with is given back") end
  local many, much = ctx:pcall("a/Async", "Async", { n = 4000 })
  assert(not many and much.message:find "more than 1024 KB of memory", "open calls are the agent's, too")
  local held, why = ctx:pcall("a/Timers", "Timers")
  assert(not held and why.message:find "more than 1024 KB of memory", "what waits in its timers is the agent's")
  assert(ctx:call("a/churn", "Churn") == "fine", "garbage is no memory")
  -- What a receiver keeps is the receiver's.
  assert(ctx:call("giver", "Give", { n = 20000, to = "rich" }) == "given")
  assert(ctx:call("giver", "Give", { n = 10, to = "rich" }) == "given")
  -- But what one turn sends is held until that waits or ends.
  local sent = ctx:call("giver", "Burst", { n = 5000 })
  assert(sent[1] > 100 and sent[1] < 4000, sent[1])
  assert(sent[2] == "limit_exceeded: what the turn has sent since its last wait has more than 300 KB (limits.memory; ctx:sleep(0) lets it go)", sent[2])
  assert(ctx:call("giver", "Burst", { n = 5000, wait = true })[1] == 5000)
  local ok, e
  for i = 1, 10000 do
    ok, e = ctx:pcall("keeper", "Keep", { i, { "a", "b", i }, { x = i } })
    if not ok then break end
  end
  assert(not ok and e.code == "limit_exceeded", tostring(e))
  assert(e.message:find("keeper/default, Keep: spec/script/cases/limits_memory.lua:%d+: .-more than 390 KB of memory"), e.message)
  -- It may clear what it has; once that is collected all is well.
  for _ = 1, 20 do ok, e = ctx:pcall("keeper", "Clear") end
  assert(ok, tostring(e))
  assert(ctx:call("keeper", "Keep", {}) == 1)
  return 0
end }
