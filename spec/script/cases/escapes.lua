-- What a script can prepare for the runtime to do with hooks off.
-- luacheck: no max line length
local meta, ran, tried = {}, false, nil
local kept = setmetatable({}, meta)
meta.__gc = function() ran = true end
meta.__index = function() return "kept" end

local a = { type = "a", state = { part = { kept } }, on = {
  Part = function(self) return self.part[1].any end,
  Drop = function(self) self.part = nil end,
} }

-- A hook that is no turn has no limit of its own; it is bounded all the same.
local saver = { type = "saver", idle = 0.01, on = { Try = function() return 1 end, Tried = function() return tried end }, save = function()
  local s = ("x"):rep(1e6)
  local ok, e = pcall(function() for _ = 1, 10 do s = s .. s end end)
  tried = ok and "took a gigabyte" or e
  return {}
end }

return { a, saver, function(ctx)
  assert(ctx:call("a", "Part") == "kept", "a state's metatables are kept")
  ctx:call("a", "Drop")
  for _ = 1, 1e6 do local _ = {} end
  assert(not ran and meta.__gc, "a script's __gc ran")
  ctx:call("saver", "Try")
  ctx:sleep(0.1)
  assert(ctx:call("saver", "Tried") == "not enough memory")
  return 0
end }
