-- A mailbox that fills: told at its bound or at 1024, then at each doubling, with who sent most, what, and where it is handled.
-- luacheck: no max line length
--? warn mailbox.crowded agent=small/default messages=20 limit=20 top_sender=noisy/a sent=15 type=Many handler=spec/script/cases/crowded.lua:7
--? warn mailbox.crowded agent=large/default messages=1024 limit=10000 top_sender=flood/1 sent=900 type=Much handler=spec/script/cases/crowded.lua:11
--? warn mailbox.crowded agent=large/default messages=2048 limit=10000 top_sender=flood/
local small = { type = "small", mailbox = { limit = 20 }, on = {
  Many = function() end,
  Few = function() end,
  Hold = function(_, _, ctx) ctx:sleep(1) end,
} }
local large = { type = "large", mailbox = { limit = 10000 }, state = { n = 0 }, on = { Much = function(self) self.n = self.n + 1 return self.n end } }
local flood = { type = "flood", on = { Go = function(_, m, ctx) for _ = 1, m.n do ctx:send("large", "Much") end end } }
local noisy = { type = "noisy", on = { Go = function(_, m, ctx) for _ = 1, m.n do ctx:send("small", m.type) end end } }

return { small, large, flood, noisy, function(ctx)
  ctx:send("small", "Hold")
  ctx:sleep(0)
  ctx:async("noisy/b", "Go", { n = 5, type = "Few" })
  ctx:async("noisy/a", "Go", { n = 15, type = "Many" })
  for i = 1, 3 do ctx:send("flood/" .. i, "Go", { n = 900 }) end
  ctx:sleep(2)
  assert(ctx:call("large", "Much") == 2701)
  return 0
end }
