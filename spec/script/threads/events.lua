-- Events over isolates: every form of a subscription, once an instance, never to its own publisher, in order.
-- luacheck: read globals troupe, no max line length
local function tell(_, m, ctx) ctx:send("events", "Got", { text = ctx.id .. ":" .. (m.n or "") }) end
local function prefix(topic) return topic:find("^custom") end
local function choose(topic) return "custom/" .. #topic end
return {
  { type = "plain", subscriptions = { "chat" }, on = { E = tell } },
  { type = "fixed", subscriptions = { { "chat", key = "main" }, { "other", key = "main" } }, on = { E = tell } },
  { type = "all", subscriptions = { { "noise", all = true } }, autostart = { "1", "2", "3", "4", "5" }, on = { E = tell, Up = function() return true end } },
  { type = "prefix", subscriptions = { { prefix = "home." } }, on = { E = tell } },
  { type = "twice", subscriptions = { "double", { prefix = "dou" }, { "double", key = "k" } }, on = { E = tell } },
  { type = "custom", subscriptions = { { match = prefix, agent = choose } }, on = { E = tell } },
  { type = "own", subscriptions = { "own", { "own", key = "peer" } }, on = { E = tell, Go = function(_, _, ctx) ctx:publish("own/" .. ctx.key, "E", { n = 1 }) end } },
  { type = "live", on = { E = tell,
    On = function(_, m, ctx) return ctx:subscribe(m.key and { m.topic, key = m.key } or m.topic) end,
    Off = function(_, m, ctx) ctx:unsubscribe(m.id) end,
    List = function(_, _, ctx) local s = ctx:subscriptions() return { count = #s, topic = s[1] and s[1][1], id = s[1] and s[1].id } end } },
  { type = "stream", subscriptions = { "stream" }, state = { last = 0 }, on = {
    N = function(self, m) assert(m.n == self.last + 1) self.last = m.n end, Last = function(self) return self.last end } },
  { type = "pump", on = { Go = function(_, m, ctx) for n = 1, m.n do ctx:publish("stream/" .. m.to, "N", { n = n }) end return true end } },
  { type = "die", mailbox = { limit = 1, overflow = "refuse" }, on = { Job = function(_, _, ctx) ctx:sleep(1) end } },
  { type = "clerk", subscriptions = { "jobs" }, messages = { Job = { n = "integer" } }, on = { Job = function() end } },
  function(ctx)
    local function expect(count, list)
      local got = {}
      for i = 1, count do
        local body = ctx:receive(5)
        got[i] = body and body.text or "nothing"
      end
      assert(ctx:receive(0.02) == nil, "one too many")
      table.sort(got)
      assert(table.concat(got, " ") == list, table.concat(got, " "))
    end
    for i = 1, 8 do
      ctx:publish("chat/" .. i, "E", { n = i })
      expect(2, ("fixed/main:%d plain/%d:%d"):format(i, i, i))
      ctx:publish("double/" .. i, "E")
      expect(2, ("twice/%d: twice/k:"):format(i))
      ctx:publish("home.x/" .. i, "E")
      expect(1, "prefix/" .. i .. ":")
      ctx:publish("custom" .. ("x"):rep(i) .. "/s", "E")
      expect(1, "custom/" .. 8 + i .. ":")
      ctx:send("own/" .. i, "Go")
      expect(1, "own/peer:1")
      assert(ctx:call("pump/" .. i, "Go", { to = "s" .. i, n = 500 }))
    end
    ctx:publish("noise/x", "E")
    expect(5, "all/1: all/2: all/3: all/4: all/5:")
    assert(ctx:call("all/6", "Up"))
    ctx:publish("noise/x", "E")
    expect(6, "all/1: all/2: all/3: all/4: all/5: all/6:")
    -- Made by one instance, they are the type's in every isolate; what it tells afterwards comes after.
    for i = 1, 8 do
      local id = ctx:call("live/" .. i, "On", { topic = "t" .. i })
      ctx:publish("t" .. i .. "/k" .. i, "E")
      expect(1, "live/k" .. i .. ":")
      local list = ctx:call("live/x" .. i, "List")
      assert(list.count == 1 and list.topic == "t" .. i and list.id == id)
      ctx:call("live/y" .. i, "Off", { id = id })
      ctx:publish("t" .. i .. "/k" .. i, "E")
      expect(0, "")
    end
    for i = 1, 8 do
      for _ = 1, 100 do
        if ctx:call("stream/s" .. i, "Last") == 500 then break end
        ctx:sleep(0.01)
      end
      assert(ctx:call("stream/s" .. i, "Last") == 500)
    end
    -- What dies in any isolate is told to whoever wants to hear it.
    ctx:subscribe("troupe.dead_letter")
    for i = 1, 4 do
      for _ = 1, 3 do ctx:send("die/" .. i, "Job") end
      local body, type = ctx:receive(5)
      assert(type == "DeadLetter" and body.reason == "overloaded" and body.agent == "die/" .. i and body.type == "Job", type)
      body = ctx:receive(0.1)
      assert(not body or body.agent == "die/" .. i)
      while ctx:receive(0.05) do end
    end
    -- A letter that is due at once when its isolate has nothing else to do.
    ctx:publish("jobs/q", "Job", { n = "x" })
    local body, type = ctx:receive(5)
    assert(type == "DeadLetter" and body.reason == "invalid" and body.topic == "jobs/q", type)
    return 0
  end,
}
