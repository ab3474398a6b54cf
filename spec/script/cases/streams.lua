-- ctx:stream and ctx:yield.
-- luacheck: read globals troupe, no max line length
local closed, given, noted = {}, 0, {}
local counter = { type = "counter", reentrant = true, on = {
  Count = function(_, m, ctx)
    local guard <close> = setmetatable({}, { __close = function() closed[#closed + 1] = m.name or "?" end })
    assert(guard)
    for i = 1, m.n do
      if m.note then ctx:send("note", "Note", { i = i }) end
      local heard = ctx:yield(m.null and troupe.null or { i = i })
      if m.heard ~= nil then assert(heard == m.heard) end
      given = i
      if m.pause then ctx:sleep(m.pause) end
    end
    if m.fail then error { code = m.fail, message = "as told" } end
    return { sum = m.n }, "Sum"
  end,
  Inside = function(_, m, ctx) -- given by a coroutine of the script
    for _ in coroutine.wrap(function() for i = 1, m.n do ctx:yield(i) coroutine.yield(i) end end) do end
    return "all"
  end,
  Bad = function(_, m, ctx) return select(2, pcall(ctx.yield, ctx, m.f and print or nil)).message end,
} }
local note = { type = "note", on = { Note = function(_, m) noted[#noted + 1] = m.i end } }
local alone = { type = "alone", on = {
  Count = function(_, m, ctx) for i = 1, m.n do ctx:yield(i) if i == m.rest then ctx:sleep(1) end end return m.n end,
  Ping = function() return "pong" end,
} }
local late

return { counter, note, alone, { type = "user", on = {
  Leave = function(_, _, ctx) late = ctx:stream("counter", "Count", { n = 1000, name = "left" }); late() end,
  Late = function() return select(2, pcall(late)).message end,
  Circle = function(_, m, ctx) -- closed by us, or with `rest` by it, later
    local s = ctx:stream("alone", "Count", { n = 100, rest = m.rest })
    s()
    local ok, e = ctx:pcall("alone", "Ping") -- which waits for us to read
    assert(not ok and e.code == "deadlock", tostring(e))
    return s:result()
  end,
} }, function(ctx)
  local function count(m, opts) return ctx:stream("counter", "Count", m, opts) end
  local seen = {}
  for part in count { n = 100, heard = true } do seen[#seen + 1] = part.i end
  assert(#seen == 100 and seen[1] == 1 and seen[100] == 100)
  -- the result, with and without the parts
  local s = count { n = 3 }
  assert(s().i == 1 and not s:done() and tostring(s):find("counter/default, Count", 1, true))
  local body, type = s:result()
  assert(body.sum == 3 and type == "Sum" and s:result() == body and s:done() and s() == nil)
  assert(count({ n = 100 }):result().sum == 100)
  s = count { n = 0 }
  assert(s() == nil and s() == nil and s:result().sum == 0)
  assert(rawequal(count({ n = 1, null = true })(), troupe.null))
  -- nobody reads: a plain call, an event
  assert(ctx:call("counter", "Count", { n = 100, heard = false }).sum == 100)
  ctx:send("counter", "Count", { n = 100, heard = false })
  -- the callee is never far ahead
  s, given = count { n = 1000 }, 0
  s()
  ctx:sleep(1)
  assert(given >= 8 and given <= 16, given)
  for _ = 1, 8 do s() end
  ctx:sleep(1)
  assert(given >= 16 and given <= 25, given)
  closed = {}
  s:close()
  ctx:sleep(0.01)
  assert(#closed == 1)
  local ok, e = pcall(s)
  while ok do ok, e = pcall(s) end
  assert(e.code == "cancelled", "after the parts that were there")
  -- leaving the loop, by whatever way, gives up
  closed, given = {}, 0
  for part in count { n = 1000, name = "break" } do if part.i == 3 then break end end
  ok = pcall(function() for _ in count { n = 1000, name = "error" } do error "enough" end end)
  assert(not ok)
  do local _ <close> = count { n = 1000, name = "close" } ctx:sleep(0.01) end
  ctx:call("user", "Leave")
  ctx:sleep(0.01)
  assert(table.concat(closed, " ") == "break error close left", table.concat(closed, " "))
  assert(ctx:call("user", "Late") == "a stream was used after its turn had ended")
  -- an error comes after the parts before it
  seen = {}
  ok, e = pcall(function() for part in count { n = 20, fail = "not_found" } do seen[#seen + 1] = part.i end end)
  assert(not ok and e.code == "not_found" and e.message == "as told" and e.agent == "counter" and #seen == 20, tostring(e))
  -- the deadline covers the whole
  seen, closed = {}, {}
  ok, e = pcall(function() for part in count({ n = 100, pause = 0.3, name = "slow" }, { timeout = 1 }) do seen[#seen + 1] = part end end)
  ctx:sleep(0.01)
  assert(not ok and e.code == "timeout" and #seen == 4 and closed[1] == "slow", tostring(e) .. #seen)
  local token = troupe.token()
  ok, e = pcall(function() for part in count({ n = 100 }, { cancel = token }) do if part.i == 50 then token:cancel() end end end)
  assert(not ok and e.code == "cancelled")
  -- what the turn sends goes out before the part that follows it
  for part in count { n = 40, note = true } do
    ctx:sleep(0)
    assert(noted[part.i] == part.i)
  end
  -- in coroutines, on both sides; several at once
  local sum = 0
  for i in coroutine.wrap(function() for i in ctx:stream("counter", "Inside", { n = 50 }) do coroutine.yield(i) end end) do sum = sum + i end
  assert(sum == 1275)
  local a, b = count { n = 30 }, count { n = 30 }
  for i = 1, 30 do assert(a().i == i and b().i == i) end
  assert(a() == nil and b() == nil)
  assert(ctx:call("user", "Circle") == 100)
  assert(ctx:call("user", "Circle", { rest = 5 }) == 100)
  -- what is wrong
  assert(ctx:call("counter", "Bad") == "a part must not be nil (use troupe.null)")
  assert(ctx:stream("counter", "Bad", { f = true }):result():find("^part: .*function"))
  for _, case in ipairs { { "", "T" }, { "counter", "" }, { "counter", "Count", {}, { retry = 1 } }, { "counter", "Count", print } } do
    ok, e = pcall(ctx.stream, ctx, table.unpack(case))
    assert(not ok and e.code == "invalid", tostring(e))
  end
  ok, e = pcall(ctx:stream("nobody", "T"))
  assert(not ok and e.code == "not_found")
  ok, e = pcall(s.result, 5)
  assert(not ok and e.message:find("a stream expected, not a number", 1, true), tostring(e))
  assert(not pcall(ctx.yield, ctx) and ctx:yield(1) == false)
  return 0
end }
--? error handler.failed agent=counter/default type=Count error="not_found: as told"
