-- Instances over isolates: made where they live and only there, closed, restarted, timers, programs that receive.
-- luacheck: read globals troupe, no max line length
return {
  { type = "auto", autostart = { "1", "2", "3", "4", "5", "6", "7", "8" }, init = function(_, ctx) ctx:send("life", "Made", { id = ctx.id }) end, on = { X = print } },
  { type = "tick", timers = { Tick = 0.5 }, state = { n = 0 }, on = {
    Tick = function(self, _, ctx) self.n = self.n + 1 if self.n == 3 then ctx:send("life", "Ticked", { id = ctx.id }) ctx:stop() end end,
    Begin = function() return true end } },
  { type = "later", on = { Go = function(_, m, ctx) ctx:after(m.s, "Ring", { n = m.n }) return true end, Ring = function(_, m, ctx) ctx:send("life", "Rang", m) end } },
  { type = "stops", state = { n = 0 }, close = function(self, ctx, why) ctx:send("life", "Closed", { id = ctx.id, why = why, n = self.n }) end,
    on = { Count = function(self) self.n = self.n + 1 return self.n end, Stop = function(_, _, ctx) ctx:stop() return "stopping" end } },
  { type = "pooled", pool = 3, on = { Work = function(_, _, ctx) ctx:sleep(1) return true end } },
  { type = "bad", init = function() error { code = "not_found", message = "no such world" } end, on = { X = print } },
  function(ctx)
    local made = {}
    for _ = 1, 8 do made[#made + 1] = ctx:receive(5).id end
    table.sort(made)
    assert(table.concat(made, " ") == "auto/1 auto/2 auto/3 auto/4 auto/5 auto/6 auto/7 auto/8", table.concat(made, " "))
    for i = 1, 6 do
      assert(ctx:call("tick/" .. i, "Begin") and ctx:call("later/" .. i, "Go", { s = 0.1 * i, n = i }))
      assert(ctx:call("stops/" .. i, "Count") == 1 and ctx:call("stops/" .. i, "Count") == 2)
      local ok, e = ctx:pcall("bad/" .. i, "X")
      assert(not ok and e.message:find("no such world"), tostring(e))
    end
    local ticked, rang = 0, 0
    while ticked < 6 or rang < 6 do
      local m, type = ctx:receive(5)
      if type == "Ticked" then ticked = ticked + 1 else rang = rang + 1 assert(type == "Rang" and m.n == rang, m and m.n) end
    end
    for i = 1, 6 do
      assert(ctx:call("stops/" .. i, "Stop") == "stopping")
      local m = ctx:receive(5)
      assert(m.id == "stops/" .. i and m.why == "stop" and m.n == 2)
      assert(ctx:call("stops/" .. i, "Count") == 1)
    end
    for i = 1, 4 do -- three at a time
      local t, at = {}, ctx:now()
      for k = 1, 3 do t[k] = ctx:async("pooled/" .. i, "Work") end
      troupe.all(t)
      assert(ctx:now() - at < 1.5, ctx:now() - at)
    end
    return 0
  end,
}
