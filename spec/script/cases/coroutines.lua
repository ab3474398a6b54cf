-- Waiting inside coroutines that the script makes suspends the whole turn; the script notices nothing.
-- luacheck: read globals troupe, no max line length
local held
local echo = { type = "echo", on = { Echo = function(_, m, ctx) ctx:sleep(0.01) return m.n end } }
local a = { type = "a", on = {
  Generator = function(_, _, ctx)
    local results = {}
    for n in coroutine.wrap(function()
      for i = 1, 3 do
        coroutine.yield(ctx:call("echo", "Echo", { n = i }))
        ctx:sleep(0.01)
      end
    end) do results[#results + 1] = n end
    return results
  end,
  Nested = function(_, _, ctx)
    local co = coroutine.create(function(x)
      local inner = coroutine.wrap(function(y)
        local got = ctx:call("echo", "Echo", { n = y })
        local back = coroutine.yield(got)
        return back + ctx:call("echo", "Echo", { n = 1 })
      end)
      local first = inner(x)
      return first + inner(100)
    end)
    local ok, sum = coroutine.resume(co, 10)
    assert(ok and coroutine.status(co) == "dead")
    return sum
  end,
  Error = function(_, _, ctx)
    local ok, e = coroutine.resume(coroutine.create(function() ctx:sleep(0.01) error("inside") end))
    assert(not ok and e:find("inside"))
    ok, e = pcall(coroutine.wrap(function() ctx:sleep(0.01) error("wrapped") end))
    assert(not ok and e:find("wrapped"))
    ok, e = pcall(coroutine.wrap(function() error { code = "not_found" } end))
    assert(not ok and e.code == "not_found")
    return true
  end,
  Library = function()
    local me, main = coroutine.running()
    assert(main == true and coroutine.status(me) == "dead" and not coroutine.isyieldable())
    local ok, e = coroutine.resume(me)
    assert(not ok and e == "cannot resume dead coroutine")
    ok, e = pcall(coroutine.yield)
    assert(not ok and e:find("coroutine.yield outside a coroutine"))
    local co
    co = coroutine.create(function(...)
      local self, ismain = coroutine.running()
      assert(self == co and not ismain and coroutine.status(co) == "running" and coroutine.isyieldable())
      assert(not pcall(coroutine.close, co))
      local list = { coroutine.yield(...) }
      return #list
    end)
    assert(coroutine.status(co) == "suspended")
    local r = { coroutine.resume(co, 1, nil, 3) }
    assert(r[1] == true and r[2] == 1 and r[3] == nil and r[4] == 3)
    assert(select(2, coroutine.resume(co, 1, 2)) == 2 and coroutine.status(co) == "dead")
    assert(select("#", coroutine.wrap(function() local got, why = coroutine.resume(coroutine.running()) assert(got == false and why:find "non%-suspended") end)()) == 0)
    assert(not coroutine.resume(co) and not pcall(coroutine.resume, 5) and not pcall(coroutine.create, 5))
    local closed = false
    co = coroutine.create(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      coroutine.yield(guard)
    end)
    coroutine.resume(co)
    assert(coroutine.close(co) == true and closed and coroutine.close(co) == true)
    return true
  end,
  Unyieldable = function(_, _, ctx)
    for _, f in ipairs {
      function() table.sort({ 3, 2, 1 }, function(x, y) ctx:sleep(0.01) return x < y end) end,
      function() string.gsub("a", "a", function() ctx:call("echo", "Echo") end) end,
      function() table.sort({ 3, 2, 1 }, function(x, y) coroutine.wrap(function() ctx:sleep(0.01) end)() return x < y end) end,
      function() load(function() ctx:sleep(1) end) error { message = "cannot wait here" } end,
    } do
      local ok, e = pcall(f)
      assert(not ok and e.message:find("cannot wait here", 1, true), tostring(e))
    end
    return true
  end,
  Hold = function(_, _, ctx)
    held = coroutine.create(function() ctx:sleep(10) return "slept" end)
    coroutine.resume(held)
  end,
  Other = function()
    local ok, e = coroutine.resume(held)
    assert(not ok and e.message == "a coroutine that waits in one turn was resumed in another", tostring(e))
    return true
  end,
} }

return { echo, a, function(ctx)
  local list = ctx:call("a", "Generator")
  assert(#list == 3 and list[1] == 1 and list[3] == 3)
  assert(ctx:call("a", "Nested") == 111)
  for _, type in ipairs { "Error", "Library", "Unyieldable" } do assert(ctx:call("a", type) == true, type) end
  ctx:send("a/hold", "Hold")
  ctx:sleep(0.1)
  assert(ctx:call("a/2", "Other"))
  ctx:sleep(11)
  return 0
end }
