-- Requests between agents wherever they live: answers, errors, order, chains, deadlines.
-- luacheck: read globals troupe, no max line length
local N = 16
local a = { type = "a", mailbox = { limit = 5000 }, state = { seen = 0, last = 0 }, on = {
  Add = function(_, m) return { sum = m.x + m.y, list = { 1, troupe.null, "x" }, raw = troupe.bytes("\0\255"), big = 1 << 62, f = 0.5 } end,
  Null = function() return nil end,
  Typed = function() return { v = 1 }, "Special" end,
  Text = function() return "just text" end,
  Fail = function() error { code = "permission_denied", message = "not you" } end,
  Boom = function() error("boom") end,
  Ring = function(_, m, ctx)
    if m.n == 0 then return ctx.id end
    return ctx:call("a/" .. (m.n * 5) % N, "Ring", { n = m.n - 1 })
  end,
  Back = function(_, m, ctx) return ctx:call("b/" .. m.to, "There", { from = ctx.id }) end, -- which calls Add of this one
  Who = function(_, _, ctx) return { sender = ctx.sender, id = ctx.id, k = ctx.metadata.k, trace = ctx.trace, mid = ctx.message_id, rest = ctx.deadline and ctx.deadline - ctx:now() } end,
  Nap = function(_, m, ctx) ctx:sleep(m.s) return "awake" end,
  Step = function(self, m)
    if m.n ~= self.last + 1 then error("out of order: " .. m.n .. " after " .. self.last) end
    self.last = m.n
    self.seen = self.seen + 1
  end,
  Seen = function(self) return self.seen end,
} }
local b = { type = "b", on = {
  There = function(_, m, ctx) return ctx:call(m.from, "Add", { x = 2, y = 3 }).sum end,
  Flood = function(_, m, ctx)
    for n = 1, m.n do ctx:send(m.to, "Step", { n = n }) end
    return ctx:call(m.to, "Seen")
  end,
} }
return { a, b, function(ctx)
  for i = 1, N do
    local r, t = ctx:call("a/" .. i, "Add", { x = i, y = 1 })
    assert(r.sum == i + 1 and r.list[3] == "x" and r.list[2] == troupe.null and r.raw == troupe.bytes("\0\255") and r.big == 1 << 62 and r.f == 0.5 and t == "Add")
    assert(ctx:call("a/" .. i, "Null") == nil and ctx:call("a/" .. i, "Text") == "just text")
    r, t = ctx:call("a/" .. i, "Typed")
    assert(r.v == 1 and t == "Special")
    local ok, e = ctx:pcall("a/" .. i, "Fail")
    assert(not ok and e.code == "permission_denied" and e.message == "not you")
    ok, e = ctx:pcall("a/" .. i, "Boom")
    assert(not ok and e.code == "handler_error" and e.message:find("boom"))
    ok, e = ctx:pcall("a/" .. i, "None")
    assert(not ok and e.code == "cant_handle", tostring(e))
    assert(ctx:call("a/" .. i, "Back", { to = i + 3 }) == 5, "A calls B calls A")
    r = ctx:call("a/" .. i, "Who", {}, { metadata = { k = "v", traceparent = "00-abc" }, id = "mine" .. i, timeout = 5 })
    assert(r.sender == "calls/default" and r.id == "a/" .. i and r.k == "v" and r.trace == "00-abc" and r.mid == "mine" .. i and r.rest > 4 and r.rest <= 5)
    ok, e = ctx:pcall("a/" .. i, "Nap", { s = 10 }, { timeout = 0.05 })
    assert(not ok and e.code == "timeout", tostring(e))
  end
  assert(ctx:call("a/0", "Ring", { n = 60 }))
  local ok, e = ctx:pcall("nobody/1", "X")
  assert(not ok and e.code == "not_found" and e.message:find('no agent type "nobody"', 1, true))
  for i = 1, 8 do assert(ctx:call("b/f" .. i, "Flood", { to = "a/t" .. i, n = 900 }) == 900, "in order") end
  local all = {}
  for i = 1, 100 do all[i] = ctx:async("a/" .. i, "Add", { x = i, y = i }) end
  for i, r in ipairs(troupe.all(all)) do assert(r.sum == 2 * i) end
  return 0
end }
