-- No stack for a body's copy, then memory: whose is it?
-- luacheck: no max line length
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

return { { type = "a" }, miser, function(ctx)
  local ok, e = ctx:pcall("miser", "Hoard")
  assert(not ok and e.code == "limit_exceeded" and e.message:find "limits.memory", tostring(e))
  return 0
end }
