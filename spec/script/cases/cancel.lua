-- Tokens, cancellation that reaches the callee, retry.
-- luacheck: read globals troupe, no max line length
local closed, began, seen, tries = {}, {}, {}, {}
local worker = { type = "worker", on = {
  Work = function(_, m, ctx)
    began[#began + 1] = m.n
    local guard <close> = setmetatable({}, { __close = function() closed[#closed + 1] = m.n end })
    assert(guard)
    if m.deep then return ctx:call("worker/deep", "Work", { n = m.n .. " deep" }) end
    if m.spin then
      for i = 1, m.spin do seen[1] = i end
      seen.cancelled = ctx.cancelled
      ctx:sleep(0)
      seen.after = true
    end
    ctx:sleep(10)
    closed[#closed + 1] = "not"
  end,
  Ping = function() return "pong" end,
} }
local shaky = { type = "shaky", on = { Try = function(_, m, ctx)
  tries[#tries + 1] = ctx.message_id .. " " .. m.list[1]
  if #tries <= m.bad then error { code = m.code, message = "not now" } end
  return #tries
end } }

return { worker, shaky, function(ctx)
  -- One that is being handled, one that lies in the mailbox.
  local token = troupe.token()
  local a = ctx:async("worker", "Work", { n = 1 }, { cancel = token })
  local b = ctx:async("worker", "Work", { n = 2 }, { cancel = token })
  ctx:sleep(1)
  assert(#began == 1)
  token:cancel()
  for _, f in ipairs { a, b } do
    local ok, e = pcall(f.await, f)
    assert(not ok and e.code == "cancelled", tostring(e))
  end
  assert(ctx:call("worker", "Ping", {}, { timeout = 1 }) == "pong", "it is free again")
  assert(#began == 1 and #closed == 1 and closed[1] == 1)
  local ok, e = ctx:pcall("worker", "Ping", {}, { cancel = token })
  assert(not ok and e.code == "cancelled", "a token that is cancelled already")
  -- Down the chain.
  a = ctx:async("worker", "Work", { n = "a", deep = true })
  ctx:sleep(1)
  a:cancel()
  ctx:sleep(0.1)
  assert(#closed == 3 and #began == 3)
  table.sort(closed, function(x, y) return tostring(x) < tostring(y) end)
  assert(closed[2] == "a" and closed[3] == "a deep")
  -- A handler that computes hears of it, and is closed at its next wait.
  a = ctx:async("worker", "Work", { n = "s", spin = 300000 })
  ctx:sleep(0)
  ctx:sleep(0)
  a:cancel()
  assert(ctx:call("worker", "Ping") == "pong")
  ctx:sleep(0.01)
  assert(seen.after == nil and seen.cancelled and #closed == 4, tostring(seen.after) .. #closed .. tostring(seen.cancelled))
  -- A waiting call is ended by somebody else's token.
  token = troupe.token()
  local other = coroutine.wrap(function() return ctx:pcall("worker", "Work", { n = "t" }, { cancel = token, timeout = 3 }) end)
  local began_at = ctx:now()
  ok, e = other()
  assert(not ok and e.code == "timeout" and ctx:now() - began_at >= 3)
  for _, case in ipairs { { cancel = 5 }, { retry = -1 }, { retry = "x" } } do
    ok, e = ctx:pcall("worker", "Ping", {}, case)
    assert(not ok and e.code == "invalid", tostring(e))
  end
  ok, e = pcall(ctx.send, ctx, "worker", "Ping", {}, { retry = 1 })
  assert(not ok and e.message == "`retry` is an option of calls")
  -- Again, with the same id.
  local at = ctx:now()
  assert(ctx:call("shaky", "Try", { bad = 3, code = "unavailable", list = { "x" } }, { retry = 3 }) == 4)
  assert(#tries == 4 and tries[1] == tries[4], "the same message")
  assert(ctx:now() - at > 0.1 and ctx:now() - at < 1)
  tries = {}
  ok, e = ctx:pcall("shaky", "Try", { bad = 3, code = "overloaded", list = { "x" } }, { retry = 2, id = "mine", metadata = { k = "v" } })
  assert(not ok and e.code == "overloaded" and #tries == 3 and tries[3] == "mine x")
  tries = {}
  ok, e = ctx:pcall("shaky", "Try", { bad = 3, code = "invalid", list = { "x" } }, { retry = 2 })
  assert(not ok and e.code == "invalid" and #tries == 1)
  tries = {}
  ok, e = ctx:pcall("shaky", "Try", { bad = 100, code = "unavailable", list = { "x" } }, { retry = 50, timeout = 1 })
  assert(not ok and e.code == "unavailable" and #tries > 2 and #tries < 12, #tries)
  return 0
end }
