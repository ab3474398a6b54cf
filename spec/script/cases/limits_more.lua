-- Limits on timers and on the messages of a turn.
-- luacheck: read globals troupe, no max line length
local a = { type = "a", limits = { timers = 3, messages = 5 }, timers = { Tick = 1000 }, on = {
  Timers = function(_, _, ctx)
    for _ = 1, 2 do ctx:after(1000, "Tick") end
    local ok, e = pcall(ctx.after, ctx, 1000, "Tick")
    assert(not ok and e.code == "limit_exceeded", tostring(e))
    return e.message
  end,
  Send = function(_, m, ctx)
    for _ = 1, m.n do ctx:send("sink", "Count") end
    return "sent"
  end,
  Pcall = function(_, _, ctx)
    for _ = 1, 100 do pcall(ctx.send, ctx, "sink/2", "Count") ctx:sleep(0) end
  end,
  Call = function(_, _, ctx) for _ = 1, 6 do ctx:call("sink", "Count") end end,
  Publish = function(_, _, ctx) for _ = 1, 6 do ctx:publish("news", "Count") end end,
  Async = function(_, _, ctx) for _ = 1, 6 do ctx:async("sink", "Count") end end,
} }
local sink = { type = "sink", state = { n = 0 }, on = { Count = function(self) self.n = self.n + 1 return self.n end } }

return { a, sink, function(ctx)
  local text = ctx:call("a/t", "Timers")
  assert(text:find("^a/t, Timers: spec/script/cases/limits_more.lua:%d+: more than 3 timers at a time %(limits.timers%)"), text)
  assert(ctx:call("a", "Send", { n = 5 }) == "sent")
  assert(ctx:call("a", "Send", { n = 5 }) == "sent", "each turn has its own")
  assert(ctx:call("sink", "Count") == 11)
  for _, type in ipairs { "Send", "Call", "Publish", "Async" } do
    local ok, e = ctx:pcall("a", type, { n = 6 })
    assert(not ok and e.code == "limit_exceeded", type .. tostring(e))
    assert(e.message:find("^a/default, " .. type .. ": spec/script/cases/limits_more.lua:%d+: more than 5 messages in one turn %(limits.messages%)"), e.message)
  end
  ctx:call("a", "Pcall")
  assert(ctx:call("sink/2", "Count") == 6, "five of a hundred")
  return 0
end }
