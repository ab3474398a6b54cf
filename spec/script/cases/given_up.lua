-- A caller that gives up an answer which its callee put off: the calls behind that, which nobody else needs, end too.
-- luacheck: read globals troupe
local log = {}
local function worker(name)
  return { type = name, reentrant = true, on = { Work = function(_, m, ctx)
    log[#log + 1] = name .. " begins"
    local closing <close> = setmetatable({}, { __close = function() log[#log + 1] = name .. " closes" end })
    ctx:sleep(m and m.seconds or 1)
    log[#log + 1] = name .. " is done" .. (closing and "" or "?")
    return { name = name }
  end } }
end
local middle = { type = "middle", on = {
  Later = function(_, _, ctx)
    return ctx:agent("last"):Work { ctx:agent("first"):Work {}, ctx:agent("beside"):Work { seconds = 2 } }
  end,
  Shared = function(_, _, ctx)
    local x = ctx:agent("first"):Work {}
    ctx:agent("last"):Work { x = x, seconds = 0.5 } -- somebody else needs it, too
    return { ctx:agent("beside"):Work { x = x } }
  end,
} }

local function said(expected)
  local text = table.concat(log, ", ")
  log = {}
  assert(text == expected, text)
end

return { worker "first", worker "beside", worker "last", middle, function(ctx)
  local f = ctx:async("middle", "Later")
  ctx:sleep(0.5)
  f:cancel()
  ctx:sleep(3)
  said "first begins, beside begins, beside closes, first closes"
  f = ctx:async("middle", "Later", {}, { timeout = 1.5 })
  assert(select(2, pcall(f.await, f)).code == "timeout")
  ctx:sleep(3)
  said "first begins, beside begins, first is done, first closes, beside closes"
  f = ctx:async("middle", "Shared")
  ctx:sleep(0.5)
  f:cancel()
  ctx:sleep(3)
  said "first begins, first is done, first closes, last begins, last is done, last closes"
  return 0
end }
