-- Limits on timers, on the messages of a turn, on what a type subscribes to and on its instances.
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

local listener = { type = "listener", limits = { subscriptions = 3 }, subscriptions = { "s1", "s2" }, on = {
  Fill = function(_, m, ctx)
    local ids = {}
    for i = 1, m.n do ids[i] = ctx:subscribe("topic." .. i) end
    return ids
  end,
  Drop = function(_, m, ctx) ctx:unsubscribe(m.id) end,
} }
local room = { type = "room", limits = { instances = 2 }, subscriptions = { "rooms" }, on = {
  Enter = function(_, _, ctx) return ctx.id end, Leave = function(_, _, ctx) ctx:stop() end } }
local lost = {}
local letters = { type = "letters", subscriptions = { "troupe.dead_letter" }, on = { DeadLetter = function(_, m) lost[#lost + 1] = m end } }

return { a, sink, listener, room, letters, function(ctx)
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

  -- Subscriptions are the type's, whichever instance makes them; those of the definition do not count.
  local ids = ctx:call("listener/1", "Fill", { n = 3 })
  local ok, e = ctx:pcall("listener/2", "Fill", { n = 1 })
  assert(not ok and e.code == "limit_exceeded", tostring(e))
  assert(e.message:find("^listener/2, Fill: spec/script/cases/limits_more.lua:%d+: more than 3 subscriptions of its type at a time %(limits.subscriptions%)"), e.message)
  ctx:call("listener/2", "Drop", { id = ids[2] })
  ok, e = ctx:pcall("listener/2", "Fill", { n = 2 }) -- topic.1 is there already
  assert(not ok and e.code == "already_exists", tostring(e))

  -- A message to one key too many: an error for a call, a dead letter for the others; those that are there go on, and one that leaves makes room.
  assert(ctx:call("room/a", "Enter") == "room/a" and ctx:call("room/b", "Enter") == "room/b")
  ok, e = ctx:pcall("room/c", "Enter")
  assert(not ok and e.code == "overloaded" and e.message:find('there are 2 instances of "room", as many as limits.instances allows', 1, true), tostring(e))
  ctx:send("room/d", "Enter")
  ctx:publish("rooms/e", "Enter")
  ctx:sleep(1)
  assert(#lost == 2 and lost[1].reason == "overloaded" and lost[1].agent == "room/d" and lost[2].topic == "rooms/e", #lost)
  assert(ctx:call("room/a", "Enter") == "room/a")
  ctx:call("room/b", "Leave")
  ctx:sleep(1)
  assert(ctx:call("room/c", "Enter") == "room/c")
  return 0
end }
