-- What cannot be delivered comes as a DeadLetter to whoever subscribes; none about a dead letter; reserved names.
-- luacheck: read globals troupe, no max line length
local got = {}
local deaf = { type = "deaf", subscriptions = { { "crowd", key = "k" } }, mailbox = { limit = 1, overflow = "refuse" },
  on = { Work = function(_, _, ctx) ctx:sleep(1) end } }
local watcher = { type = "watcher", nulls = "keep", subscriptions = { "troupe.dead_letter" }, mailbox = { limit = 3, overflow = "refuse" }, on = {
  DeadLetter = function(_, m, ctx)
    m.to, m.sender = ctx.id .. " " .. ctx.topic, ctx.sender
    got[#got + 1] = m
  end,
} }
return { deaf, watcher, function(ctx)
  ctx:send("nobody/x", "Lost", { n = 1, deep = { "a", troupe.null }, raw = troupe.bytes "\xff" })
  ctx:sleep(0.01)
  assert(#got == 1)
  local letter = got[1]
  assert(letter.reason == "not_found" and letter.agent == "nobody/x" and letter.topic == nil and letter.type == "Lost")
  assert(letter.body.n == 1 and letter.body.deep[1] == "a" and letter.body.deep[2] == troupe.null and tostring(letter.body.raw) == "\xff")
  assert(letter.error:find('no agent type "nobody"', 1, true), letter.error)
  assert(letter.to == "watcher/default troupe.dead_letter/default" and letter.sender == nil)
  got = {}
  -- An event that a full mailbox refuses, once a receiver.
  for i = 1, 3 do ctx:publish("crowd/s", "Work", { i = i }) end
  ctx:sleep(0.01)
  assert(#got == 1 or #got == 2, #got)
  letter = got[#got]
  assert(letter.reason == "overloaded" and letter.topic == "crowd/s" and letter.agent == nil and letter.body.i == 3)
  assert(letter.error:find("the mailbox of deaf/k is full", 1, true), letter.error)
  -- An empty body is one; null is troupe.null.
  got = {}
  ctx:send("nobody", "Lost")
  ctx:send("nobody", "Lost", troupe.null)
  ctx:send("nobody", "Lost", "text")
  ctx:sleep(0.01)
  assert(next(got[1].body) == nil and got[2].body == troupe.null and got[3].body == "text")
  -- More letters than the watcher's mailbox takes: what it loses are no letters again.
  got = {}
  for _ = 1, 50 do ctx:send("nobody", "Lost") end
  ctx:sleep(0.5)
  assert(#got >= 1 and #got <= 6, #got)
  -- A program may listen too; a call that fails is no letter.
  local id = ctx:subscribe("troupe.dead_letter")
  assert(not ctx:pcall("nobody", "Ask"))
  assert(ctx:receive(0.1) == nil)
  ctx:send("nobody", "Lost", { last = true })
  local body, type, sender = ctx:receive(1)
  assert(body.body.last and type == "DeadLetter" and sender == nil)
  ctx:unsubscribe(id)
  for _, case in ipairs {
    { "publish", "troupe.dead_letter" }, { "publish", "troupe.x/y" }, { "publish", "chat/troupe.x" }, { "send", "watcher/troupe.x" }, { "call", "watcher/troupe.x" },
    { "subscribe", { "chat", key = "troupe.x" } },
  } do
    local ok, e = pcall(ctx[case[1]], ctx, case[2], "DeadLetter")
    assert(not ok and e.code == "invalid" and e.message:find("reserved", 1, true), tostring(e))
  end
  return 0
end }
