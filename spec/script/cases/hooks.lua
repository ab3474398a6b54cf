-- Functions that run between turns, where nothing else goes on meanwhile: one that meets a limit is not run again and again.
-- luacheck: no max line length
--? error save.failed agent=saver/default error="limit_exceeded: spec/script/cases/hooks.lua:
--? error subscription.failed topic=any error="limit_exceeded: spec/script/cases/hooks.lua:11: more than 1000000 instructions while matching a subscription" (it is asked no more)
local saved, asked, heard = 0, 0, 0
local saver = { type = "saver", idle = 0.01, limits = { instructions = 10000 }, on = { Try = function() return 1 end }, save = function()
  saved = saved + 1
  while true do end
end }
local matcher = { type = "matcher", on = { E = function() heard = heard + 1 end }, subscriptions = {
  { match = function() asked = asked + 1 while true do end end, agent = function() return "matcher/x" end }, "any" } }

return { saver, matcher, function(ctx)
  ctx:call("saver", "Try")
  ctx:sleep(0.2)
  assert(saved == 1, "tried " .. saved .. " times")
  ctx:call("saver", "Try")
  ctx:sleep(0.2)
  assert(saved == 2, "it has done something: once more")
  for _ = 1, 5 do ctx:publish("any", "E", {}) end
  ctx:sleep(0.1)
  assert(asked == 1 and heard == 5, asked .. " and " .. heard)
  return 0
end }
