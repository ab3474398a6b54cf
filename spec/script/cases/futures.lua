-- ctx:async, troupe.all, any, race.
-- luacheck: read globals troupe, no max line length
local slow = { type = "slow", reentrant = true, on = {
  Wait = function(_, m, ctx)
    ctx:sleep(m.s)
    if m.fail then error { code = m.fail, message = "as told" } end
    return { n = m.n }, "Done"
  end,
  Null = function() end,
} }
local kept
local user = { type = "user", on = {
  Keep = function(_, _, ctx) kept = ctx:async("slow", "Wait", { s = 0.01, n = 1 }) end,
  Late = function() return select(2, pcall(kept.await, kept)).message end,
  Unread = function(_, _, ctx)
    ctx:async("slow", "Wait", { s = 1, fail = "not_found" })
    ctx:async("nobody", "T")
  end,
  Inside = function(_, _, ctx)
    local sum = 0
    for n in coroutine.wrap(function()
      local a, b = ctx:async("slow", "Wait", { s = 1, n = 1 }), ctx:async("slow", "Wait", { s = 1, n = 2 })
      coroutine.yield(a:await().n)
      coroutine.yield(b:await().n)
    end) do sum = sum + n end
    return sum
  end,
  Circle = function(_, _, ctx)
    local f = ctx:async("other", "Back")
    return ctx:call("slow", "Wait", { s = 0, n = f:await() })
  end,
  Ping = function() return "pong" end,
  Busy = function(self, m, ctx)
    assert(not self.busy, "two messages at once")
    self.busy = true
    ctx:sleep(0.1)
    assert(ctx:call("other", "Back") == "pong", "a call back is taken")
    self.busy = false
    return m.n
  end,
} }
local other = { type = "other", on = { Back = function(_, _, ctx) return ctx:async(ctx.sender, "Ping"):await() end } }

return { slow, user, other, function(ctx)
  local function wait(s, n, fail) return ctx:async("slow", "Wait", { s = s, n = n, fail = fail }) end
  local function took(f, ...)
    local at = ctx:now()
    local r = table.pack(f(...))
    return ctx:now() - at, table.unpack(r, 1, r.n)
  end
  local f = wait(1, 7)
  assert(not f:done())
  local s, body, type = took(f.await, f)
  assert(s >= 1 and s < 1.1 and body.n == 7 and type == "Done" and f:done())
  local again, type2 = f:await()
  assert(again == body and type2 == "Done", "the same again")
  assert(select(2, ctx:async("slow", "Null"):await()) == "null")
  assert(troupe.await(wait(0, 3)).n == 3 and troupe.await(5) == 5)
  f = wait(0, 1, "not_found")
  for _ = 1, 2 do
    local ok, e = pcall(f.await, f)
    assert(not ok and e.code == "not_found" and e.message == "as told" and e.agent == "slow" and e.type == "Wait")
  end
  f = wait(1)
  f:cancel()
  local ok, e = pcall(f.await, f)
  assert(not ok and e.code == "cancelled", tostring(e))
  f = ctx:async("slow", "Wait", { s = 5 }, { timeout = 1 })
  ok, e = pcall(f.await, f)
  assert(not ok and e.code == "timeout", tostring(e))

  local list
  s, list = took(troupe.all, { wait(1, 1), wait(2, 2), wait(1.5, 3) })
  assert(s >= 2 and s < 2.1 and #list == 3 and list[2].n == 2)
  assert(#troupe.all {} == 0)
  assert(rawequal(troupe.all { ctx:async("slow", "Null") }[1], troupe.null))
  local late = wait(5, 1)
  s, ok, e = took(pcall, troupe.all, { late, wait(1, 1, "invalid"), wait(0.5, 2) })
  assert(s < 1.1 and not ok and e.code == "invalid" and late:done())
  s, body = took(troupe.any, { wait(2, 1), wait(0.5, 2, "invalid"), wait(1, 3) })
  assert(s < 1.1 and body.n == 3)
  ok, e = pcall(troupe.any, { wait(0.1, 1, "invalid"), wait(0.3, 2, "not_found"), wait(0.2, 1, "invalid") })
  assert(not ok and e.code == "not_found" and e.message == "all 3 failed, the last with: as told", tostring(e))
  s, ok, e = took(pcall, troupe.race, { wait(2, 1), wait(0.5, 2, "invalid"), wait(1, 3) })
  assert(s < 0.6 and not ok and e.code == "invalid")
  assert(troupe.race { wait(2, 1), wait(0.5, 2) }.n == 2)
  for _, case in ipairs { { troupe.all }, { troupe.any, {} }, { troupe.race, {} }, { troupe.all, { 5 } } } do
    ok, e = pcall(table.unpack(case))
    assert(not ok and e.code == "invalid")
  end

  ctx:call("user", "Keep")
  ctx:sleep(1)
  assert(ctx:call("user", "Late") == "a future or placeholder was used after its turn had ended")
  ctx:call("user", "Unread")
  s, body = took(ctx.call, ctx, "user", "Inside")
  assert(body == 3 and s < 1.1)
  assert(ctx:call("user", "Circle").n == "pong")
  -- Calls beside each other come one at a time, though they are of one chain.
  local busy, x = {}, 0
  for i = 1, 5 do busy[i] = ctx:async("user/busy", "Busy", { n = i }) ctx:sleep(0.01) end
  for i, n in ipairs(troupe.all(busy)) do assert(i == n) end
  for _ = 1, 3 do
    x = ctx:agent("user/busy"):Busy { n = x }
    ctx:agent("user/busy"):Busy { n = x }
  end
  assert(troupe.await(x) == 0)
  local many = {}
  for i = 1, 900 do many[i] = wait(0.1, i) end
  list = troupe.all(many)
  assert(#list == 900 and list[899].n == 899)
  assert(tostring(many[1]) == "future (slow/default, Wait: done)")
  ctx:sleep(2)
  return 0
end }
--? warn future.failed agent=user/default called=nobody/default type=T error="not_found: no agent type \"nobody\" here
--? warn future.failed agent=user/default called=slow/default type=Wait error="not_found: as told" (nobody read it)
