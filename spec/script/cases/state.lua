-- Instances: default state, methods, init, failures of making.
-- luacheck: read globals troupe, no max line length
local default = { n = 1, nested = { list = { 1, 2 } } }
default.nested.back = default.nested
local made = {}
local fail = 2

return {
  { type = "table", state = default, methods = { add = function(self, n) self.n = self.n + n return self.n end }, on = {
    Add = function(self, m) table.insert(self.nested.list, m.n) return { n = self:add(m.n), items = #self.nested.list, cycle = self.nested.back == self.nested } end,
    Lock = function(self) return getmetatable(self) == false and not pcall(setmetatable, self, {}) end,
  } },
  { type = "func", state = function(id) made[#made + 1] = id return { id = id } end, on = { Id = function(self) return self.id end } },
  { type = "init", state = { a = 1 }, init = function(self, ctx, restored)
    assert(restored == false and ctx.type == nil and ctx.is_request == false)
    ctx:sleep(0.01)
    self.b = self.a + 1
    ctx:publish("born", "Born", { id = ctx.id })
  end, on = { Sum = function(self) return self.a + self.b end } },
  { type = "failing", init = function(self)
    fail = fail - 1
    if fail >= 0 then error("not yet") end
    self.ok = true
  end, on = { Ok = function(self) return self.ok end } },
  { type = "clash", state = function() return { add = 1 } end, methods = { add = print }, on = { X = print } },
  { type = "notable", state = function() return 5 end, on = { X = print } },
  { type = "bare", on = { Set = function(self, m) self.v = m.v return self.v end } },
  { type = "watch", subscriptions = { "born" }, state = {}, on = { Born = function(_, m) made[#made + 1] = m.id end } },
  function(ctx)
    local r = ctx:call("table/1", "Add", { n = 5 })
    assert(r.n == 6 and r.items == 3 and r.cycle)
    r = ctx:call("table/2", "Add", { n = 1 })
    assert(r.n == 2 and r.items == 3 and #default.nested.list == 2 and default.n == 1)
    assert(ctx:call("table/1", "Lock"))
    assert(ctx:call("func/x", "Id") == "func/x" and ctx:call("func/x", "Id") == "func/x" and #made == 1)
    assert(ctx:call("init/k", "Sum") == 3)
    ctx:sleep(0.1)
    assert(made[2] == "init/k", made[2])
    for _ = 1, 2 do
      local ok, e = ctx:pcall("failing", "Ok")
      assert(not ok and e.code == "construction_failed" and e.message:find("not yet"), tostring(e))
    end
    assert(ctx:call("failing", "Ok") == true)
    local ok, e = ctx:pcall("clash", "X")
    assert(not ok and e.code == "construction_failed" and e.message == "`add` is both a field of the state and a method", tostring(e))
    ok, e = ctx:pcall("notable", "X")
    assert(not ok and e.message == "`state` must return a table, not a number", tostring(e))
    assert(ctx:call("bare/1", "Set", { v = 1 }) == 1 and ctx:call("bare/2", "Set", {}) == nil)
    return 0
  end,
}
--? error init.failed agent=failing/default type=init error="handler_error: spec/script/cases/state.lua
