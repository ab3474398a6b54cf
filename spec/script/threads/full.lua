-- Full mailboxes and full links: senders in other isolates wait, nothing is lost, nothing locks up.
-- luacheck: read globals troupe, no max line length
local small = { type = "small", mailbox = { limit = 3 }, state = { n = 0 }, on = {
  Work = function(self, m, ctx)
    assert(m.n == self.n + 1)
    self.n = m.n
    if m.n % 10 == 0 then ctx:sleep(0.001) end
  end,
  Count = function(self) return self.n end,
} }
local sender = { type = "sender", on = { Go = function(_, m, ctx)
  for round = 0, 4 do
    for n = 1, 40 do ctx:send(m.to, "Work", { n = round * 40 + n }) end
    ctx:sleep(0)
  end
  return true
end } }
local pair = { type = "pair", mailbox = { limit = 50 }, timeout = 2, state = { got = 0 }, on = {
  Go = function(_, m, ctx)
    for i = 1, m.n do
      ctx:send(m.to, "Ball")
      if i % 900 == 0 then ctx:sleep(0) end
    end
    return true
  end,
  Ball = function(self) self.got = self.got + 1 end,
  Got = function(self) return self.got end,
} }
local refuse = { type = "refuse", mailbox = { limit = 2, overflow = "refuse" }, on = { Nap = function(_, _, ctx) ctx:sleep(0.2) return true end } }
return { small, sender, pair, refuse, function(ctx)
  local t = {}
  for i = 1, 8 do t[i] = ctx:async("sender/" .. i, "Go", { to = "small/" .. i + 20 }) end
  troupe.all(t)
  for i = 1, 8 do
    local n
    for _ = 1, 500 do
      n = ctx:call("small/" .. i + 20, "Count")
      if n == 200 then break end
      ctx:sleep(0.01)
    end
    assert(n == 200, n)
  end
  -- More than the link holds, in both directions at once.
  t = {}
  for i = 1, 8 do t[i] = ctx:async("pair/" .. i, "Go", { to = "pair/" .. i + 8, n = 10000 }) end
  troupe.all(t)
  for i = 1, 8 do
    local n
    for _ = 1, 500 do
      n = ctx:call("pair/" .. i + 8, "Got")
      if n == 10000 then break end
      ctx:sleep(0.01)
    end
    assert(n == 10000, n)
  end
  for i = 1, 4 do
    local full = 0
    t = {}
    for k = 1, 6 do t[k] = ctx:async("refuse/" .. i, "Nap") end
    for k = 1, 6 do
      local ok, e = pcall(t[k].await, t[k])
      if not ok then assert(e.code == "overloaded", tostring(e)) full = full + 1 end
    end
    assert(full == 3 or full == 4, full) -- the first may or may not have been taken before the others came
  end
  return 0
end }
