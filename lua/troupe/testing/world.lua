-- What the nodes of a test have in common: a clock that stands still until it is moved, and the turns of who works when. Part of
-- troupe.testing; a test has one of its own, the nodes of a network share one: { us, nodes, fabric }.
local fail = ...

local World = {}
World.__index = World

local ROUNDS_MAX = 5000 -- of a run: nodes that answer each other without time passing end a test, not hang it

function World.new() return setmetatable({ us = 0, nodes = {} }, World) end

-- Tells of what happens, to whoever traces this world.
function World:note(name, text, ...)
  if self.trace then self.trace(("%10.4f %-8s "):format(self.us / 1e6, name or "") .. text:format(...)) end
end

-- All that can be done now. Every node is let work until none has anything to do; then what lies in the network arrives.
function World:run()
  local rounds = 0
  repeat
    local moved = false
    rounds = rounds + 1
    if rounds > ROUNDS_MAX then fail("limit_exceeded", "the nodes do not come to rest: %d rounds without time passing", ROUNDS_MAX) end
    for _, node in ipairs(self.nodes) do
      if not node.core:closed() then node:work() end
    end
    if self.fabric then moved = self.fabric:step(self.us) end
  until not moved
end

-- When something is due next, or nil.
function World:next()
  local next = self.fabric and self.fabric:next()
  for _, node in ipairs(self.nodes) do
    local wait = not node.core:closed() and node.core:next()
    local at = wait and self.us + math.max(1, math.ceil(wait * 1e6 - 1e-3))
    if at and (not next or at < next) then next = at end
  end
  return next
end

-- Moves time to what is due next, but not past `limit`. False: nothing is due until then.
function World:step(limit)
  local at = self:next()
  if not at or at > limit then return false end
  self.us = math.max(at, self.us)
  self:run()
  return true
end

function World:advance(seconds)
  local limit = self.us + math.floor(seconds * 1e6 + 0.5)
  self:run()
  while self:step(limit) do end
  self.us = limit
  self:run()
end

return World
