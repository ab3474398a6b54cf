-- Beside luv: one loop for the program's own events and the runtime's.
local module = require "spec.support.troupe"
if module.sanitized then return end
local uv = require "luv"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local open, raised = module.open, module.raised

describe("on luv's loop", function()
  local rt, log

  before_each(function() rt, log = open() end)
  after_each(function() rt:close() end)

  local sleeper = { type = "sleeper", on = {
    Sleep = function(_, message, ctx)
      ctx:sleep(message.seconds)
      return { "slept" }
    end,
    Hear = function(self, message) self.heard = message end,
    Heard = function(self) return self.heard end,
  } }

  local function after(ms, f)
    local timer = uv.new_timer()
    timer:start(ms, 0, function()
      timer:close()
      f()
    end)
  end

  it("luv's timers run while a call waits", function()
    local fired = 0
    rt:load(sleeper)
    after(5, function() fired = fired + 1 end)
    assert.equal("slept", rt:call("sleeper", "Sleep", { seconds = 0.05 })[1])
    assert.equal(1, fired)
  end)

  it("a runtime that always has something to do leaves the program its turn", function()
    local fired
    rt:load { type = "busy", on = { Go = function(_, _, ctx) ctx:send(ctx.id, "Go") end } }
    rt:send("busy", "Go")
    after(5, function() fired = true end)
    loop.run(function() return fired end)
    rt:close()
  end)

  it("a call inside a coroutine yields; errors are raised there; others run meanwhile", function()
    local order = {}
    rt:load(sleeper)
    for i, seconds in ipairs { 0.04, 0.01 } do
      coroutine.wrap(function()
        rt:call("sleeper/" .. i, "Sleep", { seconds = seconds })
        order[#order + 1] = i
      end)()
    end
    coroutine.wrap(function() order[#order + 1] = select(2, pcall(rt.call, rt, "nobody", "X")).code end)()
    loop.run(function() return #order == 3 end)
    assert.same({ "not_found", 2, 1 }, order)
  end)

  it("a coroutine that somebody else resumes goes on waiting", function()
    rt:load(sleeper)
    local answer
    local co = coroutine.create(function() answer = rt:call("sleeper", "Sleep", { seconds = 0.02 })[1] end)
    coroutine.resume(co)
    coroutine.resume(co, "not this")
    assert.is_nil(answer)
    loop.run(function() return answer end)
    assert.equal("slept", answer)
  end)

  it("sends from luv's callbacks arrive, and calls from there wait on the runtime alone", function()
    local answer
    rt:load(sleeper)
    after(1, function() rt:send("sleeper", "Hear", "tick") end)
    after(5, function() answer = rt:call("sleeper", "Heard") end)
    loop.run(function() return answer end)
    assert.equal("tick", answer)
  end)

  it("ctx:callback gives luv a function whose calls are messages", function()
    rt:load { type = "watcher", init = function(self, ctx)
      self._timer = uv.new_timer()
      self._timer:start(1, 0, ctx:callback("Rang"))
    end, on = {
      Rang = function(self) self.rang = true end,
      Ask = function(self) return { self.rang == true } end,
    }, close = function(self) self._timer:close() end }
    rt:get("watcher/a")
    loop.run(function() return rt:call("watcher/a", "Ask")[1] end)
    rt:stop()
    rt:run()
  end)

  it("rt:run ends with the last of luv's own events, and rt:stop ends it from a callback", function()
    local fired = 0
    rt:load(sleeper)
    after(10, function()
      fired = fired + 1
      rt:send("sleeper", "Hear", 1)
    end)
    after(20, function()
      fired = fired + 1
      rt:stop()
    end)
    assert.equal(0, rt:run())
    assert.equal(2, fired)
  end)

  it("rt:run inside luv's loop is an error", function()
    local err
    after(1, function() err = raised(rt.run, rt) end)
    loop.run(function() return err end)
    assert.match("rt:run inside a callback of luv", err, 1, true)
  end)

  it("a runtime with nothing to do does not keep luv's loop alive; one with a timer or a door does", function()
    local path = process.tmpdir() .. "/program.lua"
    local file = assert(io.open(path, "w"))
    file:write("package.cpath = '" .. (os.getenv("TROUPE_BUILD") or "build") .. "/?.so;' .. package.cpath\n", [[
      local uv = require "luv"
      local rt = require "troupe".runtime {}
      local n = 0
      rt:load { type = "a", on = { X = function(_, _, ctx) ctx:after(0.01, "Y") end, Y = function() n = n + 1 end } }
      rt:send("a", "X")
      uv.run()
      print("first", n)
      rt:listen "127.0.0.1:0"
      local timer = uv.new_timer()
      timer:start(20, 0, function() timer:close() rt:stop() end)
      print(rt:run(), n)
      rt:close()
      uv.run()
      uv.walk(function(handle) print("left open", handle) end)
    ]])
    file:close()
    local sh = require "spec.support.sh"
    local status, out, err = sh { "lua5.4", path }
    assert.equal("", err)
    assert.equal("first\t1\n0\t1\n", out)
    assert.equal(0, status)
  end)

  it("an error in what a coroutine does after its call is told", function()
    rt:load(sleeper)
    coroutine.wrap(function()
      rt:call("sleeper", "Sleep", { seconds = 0 })
      error("after the call")
    end)()
    loop.run(function() return module.logged(log, "after the call") end)
  end)
end)
