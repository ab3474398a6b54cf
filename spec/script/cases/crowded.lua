-- A mailbox that fills: told at its bound or at 1024, then at each doubling, with who sent most, what, and where it is handled.
-- luacheck: no max line length
--? warn mailbox.crowded agent=small/default messages=20 limit=20 top_sender=noisy/a sent=15 type=Many handler=spec/script/cases/crowded.lua:7
--? warn mailbox.crowded agent=large/default messages=1024 limit=10000 top_sender=crowded/default sent=1024 type=Much handler=spec/script/cases/crowded.lua:10
--? warn mailbox.crowded agent=large/default messages=2048 limit=10000 top_sender=crowded/default sent=2048 type=Much
local small = { type = "small", mailbox = { limit = 20 }, on = {
  Many = function() end,
  Few = function() end,
} }
local large = { type = "large", state = { n = 0 }, on = { Much = function(self) self.n = self.n + 1 return self.n end } }
local noisy = { type = "noisy", on = { Go = function(_, m, ctx) for _ = 1, m.n do ctx:send("small", m.type) end end } }

return { small, large, noisy, function(ctx)
  ctx:async("noisy/b", "Go", { n = 5, type = "Few" })
  ctx:async("noisy/a", "Go", { n = 15, type = "Many" })
  for _ = 1, 3000 do ctx:send("large", "Much") end
  ctx:sleep(1)
  assert(ctx:call("large", "Much") == 3001)
  return 0
end }
