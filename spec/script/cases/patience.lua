-- A call that was put off until its arguments were there, and then finds a full mailbox, waits for room as any call does.
-- luacheck: read globals troupe
local handled = {}
local busy = { type = "busy", mailbox = { limit = 1 }, on = { Use = function(_, m, ctx)
  ctx:sleep(1)
  handled[#handled + 1] = m.n
  return { n = m.n }
end } }
local strict = { type = "strict", mailbox = { limit = 1, overflow = "refuse" }, on = { Use = busy.on.Use } }
local quick = { type = "quick", reentrant = true, on = { Give = function(_, m, ctx)
  ctx:sleep(0.1)
  return m.n
end } }

return { busy, strict, quick, function(ctx)
  local b, s, q = ctx:agent("busy"), ctx:agent("strict"), ctx:agent("quick")
  local at, all = ctx:now(), {}
  for i = 1, 6 do all[i] = b:Use { n = q:Give { n = i } } end
  ctx:sleep(0.2)
  assert(ctx:now() - at < 0.3, "nobody is held up")
  for i, v in ipairs(troupe.all(all)) do assert(v.n == i) end
  assert(table.concat(handled) == "123456" and ctx:now() - at > 6 and ctx:now() - at < 6.2, table.concat(handled))
  -- No longer than it may take.
  for i = 1, 4 do all[i] = ctx:async("busy", "Use", { n = q:Give { n = i } }, { timeout = 1.5 }) end
  local ok, e = pcall(all[4].await, all[4])
  assert(not ok and e.code == "overloaded" and e.message:find("the mailbox of busy/default is full", 1, true), tostring(e))
  assert(all[1]:await().n == 1 and not pcall(all[3].await, all[3]))
  ctx:sleep(3)
  -- Where the mailbox says so, not at all.
  at = ctx:now()
  for i = 1, 3 do all[i] = s:Use { n = q:Give { n = i } } end
  ok, e = pcall(function() return all[3].n end)
  assert(not ok and e.code == "overloaded" and ctx:now() - at < 0.2, tostring(e))
  assert(all[1].n == 1)
  return 0
end }
