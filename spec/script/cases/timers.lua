-- Time: sleep, after, every, cancel, declared timers.
-- luacheck: read globals troupe, no max line length
local ticks, late = 0, {}
local clock = { type = "clock", timers = { Tick = 5 }, autostart = { "wall" }, on = {
  Tick = function(_, m, ctx)
    assert(next(m) == nil and ctx.sender == nil and not ctx.is_request)
    ticks = ticks + 1
  end,
} }
local slow = { type = "slow", timers = { Tick = 1 }, autostart = true, on = { Tick = function(_, _, ctx) late[#late + 1] = ctx:now() ctx:sleep(2.5) end } }
local a = { type = "a", state = { got = {} }, on = {
  Start = function(_, _, ctx)
    local id = ctx:after(1, "Once", { n = 1 })
    local other = ctx:after(2, "Never")
    local each = ctx:every(0.5, "Each", { n = { 2 } })
    assert(ctx:cancel(other) and not ctx:cancel(other) and not ctx:cancel(999999))
    return { id = id, each = each }
  end,
  Once = function(self, m, ctx) table.insert(self.got, "once " .. m.n) assert(ctx.is_request == false) end,
  Each = function(self, m)
    table.insert(self.got, "each " .. m.n[1])
    m.n[1] = 99
  end,
  Stop = function(self, m, ctx) assert(ctx:cancel(m.id)) return self.got end,
  Got = function(self) return #self.got end,
} }

return { clock, slow, a, function(ctx)
  local begin = ctx:now()
  ctx:sleep(0)
  assert(ctx:now() - begin < 0.01)
  ctx:sleep(1.25)
  assert(math.abs(ctx:now() - begin - 1.25) < 0.005, ctx:now() - begin)
  local ids = ctx:call("a", "Start")
  ctx:sleep(1.75)
  local got = ctx:call("a", "Stop", { id = ids.each })
  assert(table.concat(got, ", ") == "each 2, each 2, once 1, each 2" or table.concat(got, ", ") == "each 2, once 1, each 2, each 2", table.concat(got, ", "))
  ctx:sleep(10)
  assert(ctx:call("a", "Got") == 4)
  ctx:sleep(begin + 52 - ctx:now())
  assert(ticks == 10, ticks)
  assert(#late >= 17 and #late <= 26, #late) -- merged while it sleeps
  for _, case in ipairs { { -1 }, { "1" }, { 0 / 0 }, {} } do assert(not pcall(ctx.sleep, ctx, table.unpack(case))) end
  assert(not pcall(ctx.every, ctx, 0, "T"))
  local ok, e = pcall(ctx.after, ctx, 1, "T", print)
  assert(not ok and e.message == "body: a body cannot hold a function")
  for i = 1, 10001 do
    ok, e = pcall(ctx.after, ctx, 1e6, "T")
    if i <= 10000 then assert(ok) else assert(not ok and e.code == "limit_exceeded") end
  end
  ctx:exit(0)
end }
