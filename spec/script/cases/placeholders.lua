-- Proxies and placeholders.
-- luacheck: read globals troupe, no max line length
local log = {}
local function node(type)
  return { type = type, reentrant = true, on = {
    Run = function(_, m, ctx)
      log[#log + 1] = type
      ctx:sleep(1)
      return { path = type, from = m, list = { 1, 2, 3 } }, "Ran"
    end,
    Fail = function() error { code = "not_found", message = "nothing there" } end,
    Null = function() end,
    Number = function(_, m) return m.n end,
    reply = function(_, m, ctx)
      ctx:sleep(0.1)
      local n = (m.n or 0) + 1
      return { n = n, content = n >= 10 and "exit" or "on" }
    end,
  } }
end
local ab = { type = "join", on = {
  Later = function(_, _, ctx)
    local x = ctx:agent("a"):Run {}
    local y = ctx:agent("b"):Run(x)
    return ctx:agent("c"):Run { left = x, right = y }
  end,
  Part = function(_, _, ctx)
    local a = ctx:agent("a")
    return { one = a:Run {}, two = a:Run { deep = { a:Number { n = 4 } } }, three = 3 }, "Parts"
  end,
  Bad = function(_, _, ctx) return { x = ctx:agent("a"):Run(ctx:agent("b"):Fail {}) } end,
  Unread = function(_, _, ctx) ctx:agent("a"):Run(ctx:agent("b"):Fail {}) end,
  Keep = function(self, _, ctx)
    self.proxy, self.x = ctx:agent("a"), ctx:agent("a"):Run {}
  end,
  Late = function(self) return { select(2, pcall(function() return self.x.path end)).message } end,
  Ping = function() return "pong" end,
} }

return { node "a", node "b", node "c", node "d", node "e", node "f", ab, function(ctx)
  local a, b, c, d, e, f = ctx:agent("a"), ctx:agent("b"), ctx:agent("c"), ctx:agent("d"), ctx:agent("e"), ctx:agent("f")
  assert(tostring(a) == "a" and pcall(ctx.agent, ctx, "a/1") and not pcall(ctx.agent, ctx, "a b/c"))
  -- Edges A→B, A→C, B→D, C→D, E→F, D→F.
  local at = ctx:now()
  local xa, xe = a:Run {}, e:Run {}
  local xb, xc = b:Run(xa), c:Run(xa)
  local xd = d:Run { left = xb, right = xc }
  local xf = f:Run { xe, xd }
  assert(ctx:now() == at and tostring(xf):find("placeholder (f/default, Run: waits)", 1, true))
  assert(xf.from[2].from.left.from.path == "a" and xf.from[1].path == "e")
  local took = ctx:now() - at
  assert(took >= 4 and took <= 4.6, took)
  assert(table.concat(log):find("^ae[bc][bc]df$"), table.concat(log))
  -- What reads, waits.
  local x = a:Run {}
  assert(#x.list == 3 and x.list[2] == 2)
  x = a:Run {}
  local n = 0
  for k, v in pairs(x) do n = n + 1 assert(k and v) end
  assert(n == 3)
  local sum = 0
  x = a:Run {}
  for _, v in ipairs(x.list) do sum = sum + v end
  assert(sum == 6)
  for _, v in ipairs(a:Number { n = { 4, 5 } }) do sum = sum + v end
  assert(sum == 15)
  assert(a:Number { n = "x" } .. "y" == "xy" and "z" .. a:Number { n = 5 } == "z5")
  assert(a:Number { n = 2 } + a:Number { n = 3 } == 5 and -a:Number { n = 2 } == -2 and a:Number { n = 2 } < a:Number { n = 3 })
  assert(#a:Number { n = "four" } == 4)
  assert(troupe.await(a:Number { n = 7 }) == 7 and select(2, troupe.await(a:Run {})) == "Ran")
  assert(troupe.await(a:Null {}) == nil)
  x = a:Run {}
  x.extra = 5
  assert(b:Run(x).from.extra == 5)
  assert(#troupe.all { a:Run {}, ctx:async("b", "Run") } == 2)
  -- In other calls and in what is sent.
  assert(ctx:call("b", "Number", { n = a:Number { n = 3 } }) == 3)
  assert(ctx:call("b", "Number", a:Number { n = { n = 4 } }) == 4)
  assert(ctx:async("b", "Number", { n = a:Number { n = 5 } }):await() == 5)
  ctx:send("b", "Number", { a = a:Number { n = 1 }, b = b:Number { n = 2 } })
  ctx:publish("chat", "T", a:Run {})
  local ok, err = pcall(ctx.after, ctx, 1, "T", a:Run {})
  assert(not ok and err.message:find("use troupe.await", 1, true), tostring(err))
  -- The loop that runs as it stands.
  x = { content = "begin" }
  while true do
    x = a:reply(x)
    x = b:reply(x)
    if x.content == "exit" then break end
  end
  assert(x.n == 10)
  -- Errors.
  x = a:Fail {}
  ok, err = pcall(function() return x.y end)
  assert(not ok and err.code == "not_found" and err.message == "nothing there (from a/default, Fail)" and err.agent == "a", tostring(err))
  x = c:Run(b:Run { a:Fail {} })
  ok, err = pcall(function() return x.y end)
  assert(not ok and err.code == "not_found" and err.message == "nothing there (from a/default, Fail)" and err.type == "Fail", tostring(err))
  x = a:Fail {}
  ctx:sleep(0.1)
  ok, err = pcall(b.Run, b, { deep = { x } })
  assert(not ok and err.message == "body.deep[1]: nothing there (from a/default, Fail)", tostring(err))
  ok, err = pcall(string.gsub, "a", "a", function() return a:Run {}.path end)
  assert(not ok and tostring(err):find("cannot wait here", 1, true), tostring(err))
  ok, err = pcall(a.Run, {})
  assert(not ok and err.message == "call an agent's messages with a colon: proxy:Run(body)")
  -- Answers that come later.
  at = ctx:now()
  local later = ctx:async("join", "Later")
  assert(ctx:call("join", "Ping") == "pong" and ctx:now() == at, "its turn is over")
  local body, type = later:await()
  assert(type == "Ran" and body.path == "c" and body.from.right.from.path == "a")
  assert(ctx:now() - at >= 3 and ctx:now() - at < 3.1)
  body, type = ctx:call("join", "Part")
  assert(type == "Parts" and body.one.path == "a" and body.two.from.deep[1] == 4 and body.three == 3)
  ok, err = ctx:pcall("join", "Bad")
  assert(not ok and err.code == "not_found" and err.message:find("from b/default, Fail", 1, true), tostring(err))
  ctx:call("join", "Unread")
  ctx:call("join", "Keep")
  ctx:sleep(2)
  assert(ctx:call("join", "Late")[1]:find("after its turn had ended"))
  -- A chain as long as anybody likes.
  x = { n = 0 }
  local first = a:Fail {}
  x = first
  for _ = 1, 20000 do x = b:Number { n = x } end
  ok, err = pcall(function() return x.y end)
  assert(not ok and err.code == "not_found")
  return 0
end }
--? warn future.failed agent=join/default called=a/default type=Run error="not_found: nothing there" (nobody read it)
