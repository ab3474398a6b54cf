-- A full mailbox under each policy, and two agents with full mailboxes that send to each other: an error or a dead letter
-- each, and nothing waits for good.
-- luacheck: no max line length
--? warn mailbox.crowded agent=by_bytes/default messages=3 limit=10000 top_sender=overflow/default sent=3 type=Work
local lost = {}
local letters = { type = "letters", mailbox = { limit = 100 }, subscriptions = { "troupe.dead_letter" }, on = {
  DeadLetter = function(_, m) lost[#lost + 1] = m end } }

local function work(self, m, ctx)
  ctx:sleep(1)
  self.seen[#self.seen + 1] = m.n
  return m.n
end
local function receiver(overflow)
  return { type = overflow, state = { seen = {} }, mailbox = { limit = 2, overflow = overflow },
    on = { Work = work, Seen = function(self) return self.seen end } }
end

local function flooder(other)
  return { mailbox = { limit = 2 }, timeout = 2, state = { got = 0, sent = 0 }, on = {
    Go = function(self, _, ctx)
      for i = 1, 20 do
        ctx:send(other, "Item", { n = i })
        self.sent = self.sent + 1
        ctx:sleep(0) -- what was sent goes out here, and waits for room
      end
    end,
    Item = function(self, _, ctx) self.got = self.got + 1 ctx:sleep(0) end,
    Count = function(self) return { got = self.got, sent = self.sent } end,
  } }
end
local left, right = flooder("right"), flooder("left")
left.type, right.type = "left", "right"

local by_bytes = { mailbox = { limit = 10000, bytes = "100K", overflow = "refuse" }, type = "by_bytes", state = { seen = {} }, on = {
  Work = work, Seen = function(self) return self.seen end } }

return { letters, by_bytes, receiver "wait", receiver "refuse", receiver "drop_oldest", left, right, function(ctx)
  local function flood(agent)
    local futures, refused = {}, 0
    lost = {}
    for n = 1, 6 do
      futures[n] = ctx:async(agent, "Work", { n = n }, { timeout = 30 })
      ctx:sleep(0)
    end
    for n = 1, 6 do
      local ok, e = pcall(futures[n].await, futures[n])
      if not ok then
        refused = refused + 1
        assert(e.code == "overloaded" and e.message:find("the mailbox of " .. agent .. "/default is full", 1, true), tostring(e))
      end
    end
    return refused, table.concat(ctx:call(agent, "Seen"), " ")
  end

  -- wait: the sender's turn waits for room, so all six are handled.
  local refused, seen = flood "wait"
  assert(refused == 0 and seen == "1 2 3 4 5 6", refused .. ": " .. seen)

  -- refuse: one is being handled and two lie in the box; the rest comes back.
  refused, seen = flood "refuse"
  assert(refused == 3 and seen == "1 2 3", refused .. ": " .. seen)

  -- drop_oldest: the newest stay; the callers of those dropped hear of it.
  refused, seen = flood "drop_oldest"
  assert(refused == 3 and seen == "1 5 6", refused .. ": " .. seen)

  -- As much by bytes: a handful of messages is no more than it holds, their text is.
  local text, futures, full = ("x"):rep(40000), {}, nil
  for n = 1, 6 do
    futures[n] = ctx:async("by_bytes", "Work", { n = n, text = { text } }, { timeout = 30 })
    ctx:sleep(0)
  end
  for n = 1, 6 do
    local ok, e = pcall(futures[n].await, futures[n])
    if not ok then full = e end
    assert(ok == (n < 5), n)
  end
  assert(full.code == "overloaded" and full.message:find("is full (120528 bytes in 3 messages; mailbox.bytes is 102400)", 1, true), tostring(full))

  -- A send that is refused is a dead letter.
  for n = 1, 5 do ctx:send("refuse", "Work", { n = n }) end
  ctx:sleep(10)
  assert(#lost >= 2 and lost[1].reason == "overloaded" and lost[1].agent == "refuse/default", #lost)

  -- Two that flood each other: the circle is broken, both come to an end, and each message arrived or is a dead letter.
  lost = {}
  ctx:send("left", "Go")
  ctx:send("right", "Go")
  ctx:sleep(60)
  local a, b = ctx:call("left", "Count"), ctx:call("right", "Count")
  assert(a.sent == 20 and b.sent == 20, a.sent .. " " .. b.sent)
  assert(a.got + b.got + #lost == 40, a.got .. " + " .. b.got .. " + " .. #lost)
  return 0
end }
