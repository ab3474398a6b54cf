-- Futures, placeholders, tokens and races whose calls are answered in other isolates.
-- luacheck: read globals troupe, no max line length
local work = { type = "work", on = {
  Run = function(_, m, ctx) ctx:sleep(m.s or 1) return { path = (m.path or "") .. ctx.key, from = m.from } end,
  Join = function(_, m) return { both = m.left.path .. m.right.path } end,
  Free = function() return true end,
} }
local guard = { type = "guard", on = { Hold = function(_, m, ctx)
  local over <close> = setmetatable({}, { __close = function() end })
  assert(over)
  return ctx:call(m.to, "Run", { s = 100 }, { timeout = 200 })
end, Free = function() return true end } }
return { work, guard, function(ctx)
  local a, b, c, d = ctx:agent("work/a"), ctx:agent("work/b"), ctx:agent("work/c"), ctx:agent("work/d")
  local at = ctx:now()
  local x = a:Run {}
  local y, z = b:Run { path = "", from = x }, c:Run { from = x }
  local j = d:Join { left = y, right = z }
  assert(troupe.await(j).both == "bc")
  assert(ctx:now() - at < 2.5, "b and c beside each other: " .. ctx:now() - at)
  assert(y.from.path == "a")
  local first = troupe.race { ctx:async("work/1", "Run", { s = 5 }), ctx:async("work/2", "Run", { s = 1 }) }
  assert(first.path == "2", first.path)
  for k = 1, 6 do
    local token = troupe.token()
    local f = ctx:async("guard/" .. k, "Hold", { to = "work/h" .. k }, { cancel = token, timeout = 300 })
    ctx:sleep(0.1)
    token:cancel()
    local ok, e = pcall(f.await, f)
    assert(not ok and e.code == "cancelled")
    at = ctx:now()
    assert(ctx:call("guard/" .. k, "Free") and ctx:call("work/h" .. k, "Free"), "the whole chain is free")
    assert(ctx:now() - at < 1, ctx:now() - at)
  end
  return 0
end }
