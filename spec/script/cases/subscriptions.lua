-- Every form of a subscription; an event once, never to its own publisher; receive in programs.
-- luacheck: read globals troupe, no max line length
local got = {}
local function note(_, m, ctx) got[#got + 1] = ctx.id .. ":" .. (m.n or "") end
local function take() local text = table.concat(got, " ") got = {} return text end

return {
  { type = "plain", subscriptions = { "chat" }, on = { E = note } },
  { type = "fixed", subscriptions = { { "chat", key = "main" }, { "other", key = "main" } }, on = { E = note } },
  { type = "all", subscriptions = { { "noise", all = true } }, autostart = { "1", "2" }, on = { E = note } },
  { type = "prefix", subscriptions = { { prefix = "home." } }, on = { E = note } },
  { type = "twice", subscriptions = { "double", { prefix = "dou" }, { "double", key = "k" } }, on = { E = note } },
  { type = "custom", subscriptions = { { match = function(topic) return topic:find("^custom") end, agent = function(topic) return "custom/" .. #topic end } },
    on = { E = note } },
  { type = "broken", subscriptions = { { match = function(topic) if topic:find("^broken") then error("match failed") end end } }, on = { E = note } },
  { type = "own", subscriptions = { "own", { "own", key = "peer" } }, on = { Go = function(_, _, ctx) ctx:publish("own", "E", { n = 1 }) end, E = note } },
  { type = "runtime", on = {
    On = function(_, m, ctx) return ctx:subscribe(m.key and { m.topic, key = m.key } or m.topic) end,
    Off = function(_, m, ctx) ctx:unsubscribe(m.id) end,
    E = note,
  } },
  function(ctx)
    local function publish(topic)
      ctx:publish(topic, "E", { n = 1 })
      ctx:sleep(0.01)
      return take()
    end
    assert(publish("chat/room") == "plain/room:1 fixed/main:1" or publish("chat/room") == "fixed/main:1 plain/room:1")
    assert(publish("other") == "fixed/main:1")
    assert(publish("noise/x") == "all/1:1 all/2:1")
    assert(publish("home.kitchen/k") == "prefix/k:1" and publish("homes") == "")
    assert(publish("double/k") == "twice/k:1", "once, however many match")
    assert(publish("custom/abc") == "custom/10:1")
    assert(publish("broken") == "")
    ctx:send("own/peer", "Go")
    ctx:sleep(0.01)
    assert(take() == "", "never its own")
    ctx:send("own/x", "Go")
    ctx:sleep(0.01)
    assert(take() == "own/peer:1")
    local id = ctx:call("runtime", "On", { topic = "late" })
    assert(publish("late/k") == "runtime/k:1")
    ctx:call("runtime", "Off", { id = id })
    assert(publish("late/k") == "")
    id = ctx:call("runtime", "On", { topic = "late", key = "main" })
    assert(publish("late/k") == "runtime/main:1")
    local ok, e = ctx:pcall("runtime", "On", { topic = "late", key = "main" })
    assert(not ok and e.code == "already_exists", tostring(e))
    ok, e = ctx:pcall("runtime", "Off", { id = id + 1000 })
    assert(not ok and e.code == "not_found")

    -- A program has one mailbox of its own.
    assert(ctx:receive(0.5) == nil)
    local sub = ctx:subscribe("news")
    ctx:send("subscriptions", "Direct", { d = 1 })
    ctx:sleep(0)
    local body, type, sender = ctx:receive()
    assert(body.d == 1 and type == "Direct" and sender == "subscriptions/default")
    ctx:after(1, "Later")
    local begin = ctx:now()
    body, type, sender = ctx:receive(5)
    assert(next(body) == nil and type == "Later" and sender == nil and math.abs(ctx:now() - begin - 1) < 0.01)
    ctx:unsubscribe(sub)
    ok, e = ctx:pcall("subscriptions", "Ask")
    assert(not ok and e, "a program cannot ask itself")
    for _, case in ipairs {
      { 5, "a subscription must be a topic or a table, not a number" }, { {}, "either a topic, `prefix` or `match` expected" },
      { { "a", prefix = "b" }, "either a topic" }, { { "a", alll = true }, "did you mean `all`?" },
      { { "a", key = 5 }, "`key` must be a string, not a number" }, { { "a", "b" }, "one topic expected" },
      { "a/b", "a subscription has a topic's type, without a source" }, { { "a", key = "k", all = true }, "" }, { "a b", "" },
      { { match = print, all = true }, "do not go with" }, { { "a", agent = print }, "`agent` goes with `match`" }, { { 5 }, "the topic must be a string" },
    } do
      ok, e = pcall(ctx.subscribe, ctx, case[1])
      assert(not ok and e.code == "invalid" and e.message:find(case[2], 1, true), tostring(e))
    end
    return 0
  end,
}
--? error subscription.failed topic=broken error="handler_error: spec/script/cases/subscriptions.lua
