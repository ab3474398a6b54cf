-- Calls between agents: chains, order, one message at a time, circles.
-- luacheck: read globals troupe, no max line length
local order = {}
local a = { type = "a", on = {
  Ask = function(_, m, ctx) return ctx:call("b", "Ask", m) end,
  Inner = function(_, m) return { n = m.n + 1 } end,
  Slow = function(self, m, ctx)
    assert(not self.busy, "two messages at once")
    self.busy = true
    ctx:sleep(0.01)
    self.busy = false
    order[#order + 1] = m.n
  end,
  Fib = function(_, m, ctx)
    if m.n < 2 then return m.n end
    return ctx:call("a", "Fib", { n = m.n - 1 }) + ctx:call("a", "Fib", { n = m.n - 2 })
  end,
} }
local b = { type = "b", on = { Ask = function(_, m, ctx) return ctx:call("a", "Inner", m) end } }
local back = { type = "back", on = { For = function(_, m, ctx) return ctx:call("forth", "Ever", { n = m.n + 1 }) end } }
local forth = { type = "forth", on = { Ever = function(_, m, ctx) return ctx:call("back", "For", { n = m.n + 1 }) end } }
local left = { type = "left", on = { Go = function(_, _, ctx) return ctx:call("right", "Go2") end, Stuck = function() return "no" end } }
local right = { type = "right", on = { Go2 = function(_, _, ctx) ctx:sleep(0.01) return "done" end } }
local open, most = 0, 0
local many = { type = "many", reentrant = true, on = { Wait = function(_, _, ctx)
  open = open + 1
  most = math.max(most, open)
  ctx:sleep(0.01)
  open = open - 1
end } }

return { a, b, back, forth, left, right, many, function(ctx)
  assert(ctx:call("a", "Ask", { n = 1 }).n == 2, "A calls B calls A")
  assert(ctx:call("a", "Fib", { n = 8 }) == 21)
  assert(ctx:call("left", "Go") == "done")
  for i = 1, 20 do ctx:send("a", "Slow", { n = i }) end
  ctx:sleep(1)
  assert(#order == 20)
  for i = 1, 20 do assert(order[i] == i) end
  for _ = 1, 5 do ctx:send("many", "Wait") end
  ctx:sleep(1)
  assert(most == 5 and open == 0)
  local ok, e = ctx:pcall("back", "For", { n = 1 })
  assert(not ok and e.code == "limit_exceeded" and e.message:find("200 turns of back/default wait", 1, true), tostring(e))
  ok, e = ctx:pcall("nobody/at home", "T")
  assert(not ok and e.code == "not_found" and e.agent == "nobody/at home")
  -- More addresses than are remembered.
  for i = 1, 9000 do ctx:send("b/" .. i, "Unknown" .. i) if i % 1000 == 0 then ctx:sleep(0) end end
  assert(ctx:call("a", "Ask", { n = 2 }).n == 3)
  local body, type, third = ctx:call("a", "Inner", { n = 1 }, { metadata = { k = "v" }, priority = "high", id = "my id" })
  assert(body.n == 2 and type == "Inner" and third == nil)
  return 0
end }
