-- ctx:callback: a function that anybody may call at any time, and whose calls come as messages.
-- luacheck: read globals troupe, no max line length
local got, done = {}, nil
local maker = { type = "maker", mailbox = { limit = 10 }, on = {
  Start = function(_, _, ctx) done = ctx:callback("Done") end,
  Done = function(_, m, ctx)
    assert(ctx.sender == nil and not ctx.is_request)
    got[#got + 1] = m
  end,
  Stop = function(_, _, ctx) ctx:stop() end,
} }
local other = { type = "other", on = { Use = function(_, m) done(m.n, nil, { x = 1 }) end } }

return { maker, other, function(ctx)
  ctx:call("maker/k", "Start")
  done("text")      -- outside a turn of its agent
  done()
  done { 1, 2 }
  ctx:call("other", "Use", { n = 5 })
  ctx:sleep(0)
  assert(#got == 4, #got)
  assert(got[1] == "text" and next(got[2]) == nil and got[3][2] == 2)
  assert(got[4][1] == 5 and got[4][2] == troupe.null and got[4][3].x == 1)
  -- It outlives the instance: the message makes it anew.
  ctx:call("maker/k", "Stop")
  ctx:sleep(0.01) -- until it is gone
  done(7)
  ctx:sleep(0.01)
  assert(got[5] == 7)
  for _, case in ipairs { { function() done(print) end, "body" }, { function() done(0 / 0) end, "NaN" } } do
    local ok, e = pcall(case[1])
    assert(not ok and e.code == "invalid" and e.message:find(case[2], 1, true), tostring(e))
  end
  local ok, e = pcall(ctx.callback, ctx, "")
  assert(not ok and e.code == "invalid", tostring(e))
  return 0
end }
