-- The life of instances: close, ctx:stop, failures, idle, pool.
-- luacheck: read globals troupe, no max line length
local seen, made, closed = {}, {}, {}
local function note(...) seen[#seen + 1] = table.concat({ ... }, " ") end

return {
  { type = "stops", state = { n = 0 }, close = function(self, ctx, why)
    assert(ctx.type == nil and not ctx.is_request and ctx.id == "stops/a")
    note("closing", why, tostring(self.n))
    ctx:sleep(0.1)
    note("said", (ctx:call("other", "Bye")))
    ctx:send("other", "Gone", { id = ctx.id })
  end, on = {
    Count = function(self) self.n = self.n + 1 return self.n end,
    Stop = function(self, _, ctx) self.n = self.n + 1 ctx:stop() ctx:stop() self.n = self.n + 1 return "stopping" end,
  } },
  { type = "other", on = { Bye = function() return "bye" end, Gone = function(_, m) note("gone", m.id) end } },
  { type = "bad", close = function() error("cannot close") end, on = { Stop = function(_, _, ctx) ctx:stop() return 1 end } },
  { type = "early", init = function(_, ctx) ctx:stop() end, on = { X = print } },
  { type = "anew", state = { n = 0 }, init = function(self, _, restored) self.first = true made[#made + 1] = tostring(restored) end,
    failures = { limit = 3, within = 10, action = "restart" }, on = {
      Fail = function(self) self.n = self.n + 1 error("broken " .. self.n) end, N = function(self) return self.n end } },
  { type = "ends", failures = { limit = 2, within = 10, action = "stop" }, state = { n = 0 }, on = {
    Fail = function() error("very broken") end, N = function(self) return self.n end } },
  { type = "goes", failures = { limit = 2 }, state = { n = 0 }, on = {
    Fail = function(self) self.n = self.n + 1 error("broken") end, N = function(self) return self.n end } },
  { type = "lazy", idle = 5, state = { n = 0, list = {} }, init = function(self, _, restored)
    self._handle = print
    note("init", tostring(restored), tostring(self.n))
  end, close = function(self, ctx, why) closed[#closed + 1] = why ctx:sleep(1) self.n = 1000 end, methods = { twice = function(self) return 2 * self.n end },
    on = { Add = function(self, m) self.n = self.n + m.n self.list[#self.list + 1] = { m.n } return { n = self.n, twice = self:twice(), items = #self.list } end } },
  { type = "hooks", idle = 1, version = 1, state = { n = 0 }, save = function(self) return { packed = "n" .. self.n } end,
    restore = function(self, value) self.n = tonumber(value.packed:sub(2)) + 100 end,
    on = { Add = function(self) self.n = self.n + 1 return self.n end } },
  { type = "unsaved", idle = 1, state = { n = 0 }, init = function(self) self.f = print end, on = { Add = function(self) self.n = self.n + 1 return self.n end } },
  { type = "worker", pool = 3, init = function(self, ctx) self.n = #made made[#made + 1] = ctx.id end,
    on = { Work = function(_, m, ctx) ctx:sleep(1) note("done", ctx.id, tostring(m.i)) end, Who = function(self) return self.n end } },
  function(ctx)
    -- close
    assert(ctx:call("stops/a", "Count") == 1 and ctx:call("stops/a", "Count") == 2)
    assert(ctx:call("stops/a", "Stop") == "stopping")
    local ok, e = ctx:pcall("stops/a", "Count")
    assert(not ok and e.code == "unavailable" and e.message == "stops/a is stopping", tostring(e))
    ctx:sleep(1)
    assert(seen[1] == "closing stop 4" and seen[2] == "said bye" and seen[3] == "gone stops/a" and #seen == 3, table.concat(seen, "; "))
    assert(ctx:call("stops/a", "Count") == 1)
    assert(ctx:call("bad", "Stop") == 1)
    ctx:sleep(0.1)
    assert(ctx:call("bad", "Stop") == 1)
    ok, e = ctx:pcall("early", "X")
    assert(not ok and e.code == "unavailable", tostring(e))
    -- failures
    for i = 1, 3 do
      ok, e = ctx:pcall("anew", "Fail")
      assert(not ok and e.message:find("broken " .. i), tostring(e))
    end
    assert(ctx:call("anew", "N") == 0 and #made == 2 and made[2] == "false")
    for _ = 1, 2 do ctx:pcall("ends", "Fail") end
    for _ = 1, 2 do
      ok, e = ctx:pcall("ends", "N")
      assert(not ok and e.code == "unavailable" and e.message:find("^ends/default was stopped after 2 failures within 10 s; the last: .*very broken"), tostring(e))
    end
    assert(ctx:call("ends/x", "N") == 0)
    ctx:pcall("ends/x", "Fail")
    ctx:sleep(20)
    ctx:pcall("ends/x", "Fail")
    assert(ctx:call("ends/x", "N") == 0, "counted within 10 s only")
    for _ = 1, 2 do ctx:pcall("goes", "Fail") end
    assert(ctx:call("goes", "N") == 2)
    -- idle
    seen = {}
    local r = ctx:call("lazy/1", "Add", { n = 3 })
    assert(r.n == 3 and r.twice == 6)
    ctx:sleep(4)
    assert(#closed == 0)
    ctx:call("lazy/1", "Add", { n = 1 })
    ctx:sleep(4)
    assert(#closed == 0)
    ctx:sleep(1.5) -- it is closing now
    assert(#closed == 1 and closed[1] == "idle")
    r = ctx:call("lazy/1", "Add", { n = 5 })
    assert(r.n == 9 and r.items == 3 and r.twice == 18, r.n)
    ctx:sleep(30)
    r = ctx:call("lazy/1", "Add", { n = 1 })
    assert(r.n == 10 and r.items == 4)
    assert(table.concat(seen, "; ") == "init false 0; init true 4; init true 9", table.concat(seen, "; "))
    assert(ctx:call("hooks", "Add") == 1)
    ctx:sleep(3)
    assert(ctx:call("hooks", "Add") == 102)
    assert(ctx:call("unsaved", "Add") == 1)
    ctx:sleep(3)
    assert(ctx:call("unsaved", "Add") == 2)
    -- pool
    seen, made = {}, {}
    local begun = ctx:now()
    for i = 1, 6 do ctx:send("worker/w", "Work", { i = i }) end
    assert(ctx:call("worker/w", "Who", nil, { timeout = 60 }))
    assert(#made == 3 and made[3] == "worker/w", #made)
    ctx:sleep(begun + 2.5 - ctx:now())
    assert(#seen == 6, #seen)
    return 0
  end,
}
--? error failures.restart agent=anew/default failures=3 within=10 error="handler_error: spec/script/cases/life.lua
--? error failures.stop agent=ends/default failures=2 within=10 error="handler_error: spec/script/cases/life.lua
--? error failures.many agent=goes/default failures=2 within=60
--? error close.failed agent=bad/default type=close error="handler_error: spec/script/cases/life.lua
--? error save.failed agent=unsaved/default error="invalid: state.f:
