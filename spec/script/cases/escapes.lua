-- What a script can prepare for the runtime to do with hooks off, or on somebody else's account.
-- luacheck: no max line length
local meta, ran, tried = {}, false, nil
local kept = setmetatable({}, meta)
meta.__gc = function() ran = true end
meta.__index = function() return "kept" end

local a = { type = "a", state = { part = { kept } }, on = {
  Part = function(self) return self.part[1].any end,
  Drop = function(self) self.part = nil end,
} }

-- No stack for a body's copy, then memory: whose is it?
local big = {}
for i = 1, 999990 do big[i] = 0 end
local miser = { type = "miser", limits = { memory = "100M", turn_ms = 60000, instructions = 1e10 }, on = {
  Hoard = function(_, _, ctx)
    local e
    local function send(...) -- luacheck: ignore 212
      e = select(2, pcall(ctx.send, ctx, "a", "Nothing", { x = {} }))
    end
    local function deep(n) send(table.unpack(big, 1, n)) end
    local list = {}
    for i = 1, 4 do
      local n = 999980
      repeat n, e = n - 5, nil pcall(deep, n) until e == "not enough memory" or n < 999000
      if n < 999000 then return "the stack never ended" end
      list[i] = ("x"):rep(1e8 + i)
    end
    return #list
  end,
} }

-- A hook that is no turn has no limit of its own; it is bounded all the same.
local saver = { type = "saver", idle = 0.01, on = { Try = function() return 1 end, Tried = function() return tried end }, save = function()
  local s = ("x"):rep(1e6)
  local ok, e = pcall(function() for _ = 1, 10 do s = s .. s end end)
  tried = ok and "took a gigabyte" or e
  return {}
end }

return { a, miser, saver, function(ctx)
  assert(ctx:call("a", "Part") == "kept", "a state's metatables are kept")
  ctx:call("a", "Drop")
  for _ = 1, 1e6 do local _ = {} end
  assert(not ran and meta.__gc, "a script's __gc ran")
  local ok, e = ctx:pcall("miser", "Hoard")
  assert(not ok and e.code == "limit_exceeded" and e.message:find "limits.memory", tostring(e))
  ctx:call("saver", "Try")
  ctx:sleep(0.1)
  assert(ctx:call("saver", "Tried") == "not enough memory")
  return 0
end }
