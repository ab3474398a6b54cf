-- Agents that wait for each other in a circle over isolates: one call fails with `deadlock`, at once, and the others get their answers.
-- luacheck: read globals troupe, no max line length
local node = { type = "node", on = {
  -- It waits a moment, so that both (all three) have begun when each calls the next.
  Go = function(_, m, ctx)
    ctx:sleep(0.1)
    local ok, e = ctx:pcall(m.to, "Ping", {}, { timeout = 20 })
    return ok and "ok" or e.code
  end,
  Ping = function() return true end,
} }
return { node, function(ctx)
  for i = 1, 6 do
    local at, n, t, codes = ctx:now(), 2 + i % 2, {}, {}
    for k = 1, n do t[k] = ctx:async("node/" .. i .. "." .. k, "Go", { to = "node/" .. i .. "." .. k % n + 1 }) end
    for k = 1, n do codes[k] = t[k]:await() end
    table.sort(codes)
    for k = 1, n do assert(codes[k] == "deadlock" or codes[k] == "ok", codes[k]) end
    assert(codes[1] == "deadlock" and codes[2] == "ok", table.concat(codes, " "))
    assert(ctx:now() - at < 2, "at once")
  end
  return 0
end }
