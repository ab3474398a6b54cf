-- How runtimes of a program begin and end.
local module = require "spec.support.troupe"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local open, raised, logged = module.open, module.raised, module.logged

module.describe("a runtime of a program", describe, function(mode)
  local rt, log

  before_each(function() rt, log = open(nil, mode) end)
  after_each(function() rt:close() end)

  local function counter(more)
    local agent = { type = "counter", state = { n = 0 }, on = {
      Add = function(self)
        self.n = self.n + 1
        return { self.n }
      end,
      Sleep = function(_, _, ctx) ctx:sleep(60) end,
    } }
    for name, value in pairs(more or {}) do agent[name] = value end
    return agent
  end

  it("refuses options that it does not know, or that do not fit", function()
    local troupe = module.troupe
    assert.equal("invalid: troupe.runtime: `stor` is not an option", raised(troupe.runtime, { stor = "x" }))
    assert.equal("invalid: troupe.runtime: `log` must be a function, not a number", raised(troupe.runtime, { log = 1 }))
    assert.equal("invalid: troupe.runtime: `seed` must be an integer", raised(troupe.runtime, { seed = 0.5 }))
    assert.equal("invalid: troupe.runtime takes a table", raised(troupe.runtime, 1))
    assert.match("^invalid: .*fly", raised(troupe.runtime, { allow = { "fly" } }))
    assert.match("must be a list of texts", raised(troupe.runtime, { allow = { 1 } }), 1, true)
  end)

  it("is closed twice, and then says so", function()
    rt:close()
    rt:close()
    assert.equal("troupe.runtime (closed)", tostring(rt))
    for _, name in ipairs { "load", "call", "publish", "subscribe", "agents", "run", "poll", "stop", "listen", "get", "save" } do
      assert.equal("invalid: the runtime is closed", raised(rt[name], rt, "a", "b", "c"))
    end
    do
      local other <close> = open(nil, mode)
      rt = other
    end
    assert.equal("troupe.runtime (closed)", tostring(rt))
  end)

  it("stops twice; while it drains, what is new is unavailable; what was dropped is told; close hooks share the rest", function()
    local closed = {}
    rt:load(counter { close = function(self, ctx, why)
      closed[#closed + 1] = ctx.key .. " " .. why .. " " .. self.n
      if ctx.key == "slow" then ctx:sleep(60) end
    end })
    rt:call("counter/a", "Add")
    rt:call("counter/slow", "Add")
    rt:send("counter/busy", "Sleep")
    rt:send("counter/busy", "Add")
    rt:poll()
    rt:stop(0.1)
    rt:stop(0.1)
    assert.match("^unavailable: the runtime is stopping", raised(rt.call, rt, "counter/a", "Add"))
    assert.match("^unavailable: ", raised(rt.publish, rt, "news", "X"))
    assert.equal(0, rt:run())
    assert.equal(0, rt:run())
    rt:stop()
    table.sort(closed)
    assert.same({ "a drain 1", "busy drain 0", "slow drain 1" }, closed)
    assert.match("agent=counter/busy turns=1 messages=1", logged(log, "drain.dropped"), 1, true)
  end)

  it("runs until nothing can happen any more, or until ctx:exit", function()
    local ticks = 0
    rt:load(counter())
    assert.equal(0, rt:run())
    rt:load { type = "quits", autostart = true, timers = { Tick = 0.001 }, on = { Tick = function(_, _, ctx)
      ticks = ticks + 1
      if ticks == 3 then ctx:exit(7) end
    end } }
    assert.equal(7, rt:run())
    assert.equal(3, ticks)
    assert.equal("invalid: rt:run: `signal` is not an option", raised(rt.run, rt, { signal = true }))
  end)

  it("runs until idle, and no longer than it is told", function()
    rt:load(counter())
    rt:send("counter", "Add")
    rt:run_until_idle(1)
    assert.equal(2, rt:call("counter", "Add")[1])
    rt:send("counter", "Sleep")
    assert.match("^timeout: still busy after 10 ms", raised(rt.run_until_idle, rt, 0.01))
    assert.is_false(rt:poll())
  end)

  it("a door that cannot be opened leaves nothing behind", function()
    local other = open(nil, mode)
    finally(function() other:close() end)
    local address = other:listen "127.0.0.1:0"
    assert.match("^io_error: .*in use", raised(rt.listen, rt, address))
    assert.match("^invalid: ", raised(rt.listen, rt, "nowhere"))
    assert.match("^invalid: ", raised(rt.connect, rt, "nowhere"))
    assert.is_false(rt.core:has_door())
    other:close()
    assert.equal(address, rt:listen(address))
  end)

  it("two of them live in one program, and join each other", function()
    local host, host_log = open(nil, "luv")
    finally(function() host:close() end)
    local worker = open(nil, "luv")
    finally(function() worker:close() end)
    worker:load(counter())
    rt:load(counter())
    worker:connect(host:listen("unix:" .. process.tmpdir() .. "/s"))
    loop.run(function() return pcall(host.metadata, host, "counter") end)
    assert.same({ type = "counter", where = "remote" }, host:metadata("counter"))
    assert.equal(1, host:call("counter/x", "Add")[1])
    assert.equal(2, host:call("counter/x", "Add")[1])
    assert.equal(1, rt:call("counter/x", "Add")[1])
    assert.match("^not_found: no agent type \"counter\" in this process", raised(host.get, host, "counter/x"))
    assert.is_nil(logged(host_log, "failed"))
  end)

  it("an agent of one may use another", function()
    local other = open(nil, mode)
    finally(function() other:close() end)
    other:load(counter())
    rt:load { type = "a", on = { X = function()
      other:send("counter", "Add")
      other:run_until_idle()
      return { #other:agents() }
    end } }
    assert.equal(1, rt:call("a", "X")[1])
    assert.equal(2, other:call("counter", "Add")[1])
  end)

  it("takes its time from the program", function()
    local now, fired = 0, 0
    local virtual = open({ clock = function() return now end }, "own")
    finally(function() virtual:close() end)
    virtual:load { type = "a", autostart = true, timers = { Tick = 60 }, on = { Tick = function() fired = fired + 1 end } }
    virtual:poll()
    for minute = 1, 3 do
      now = minute * 60
      virtual:poll()
    end
    assert.equal(3, fired)
  end)

  it("a clock or a log that fails does no harm", function()
    local calls = 0
    local odd = open({ clock = function() error("no clock") end, log = function()
      calls = calls + 1
      error("no log")
    end }, mode)
    odd:load(counter { on = { Bad = function() error("x") end, Add = function() return { 1 } end } })
    odd:send("counter", "Bad")
    odd:poll()
    assert.is_true(calls > 0)
    odd:close()
  end)

  it("keeps its state in a store", function()
    local path = process.tmpdir() .. "/state"
    for expected = 1, 2 do
      local stored = open({ store = path }, mode)
      stored:load(counter())
      assert.equal(expected, stored:call("counter", "Add")[1])
      stored:stop()
      assert.equal(0, stored:run())
      stored:close()
    end
    local file = assert(io.open(path, "r+b"))
    file:write("x")
    file:close()
    local damaged = open({ store = path }, mode)
    damaged:load(counter())
    assert.match("^data_loss: ", raised(damaged.call, damaged, "counter", "Add"))
    damaged:close()
  end)

  it("seeds make ids that come again", function()
    local ids = {}
    for i = 1, 2 do
      local seeded = open({ seed = 42 }, mode)
      seeded:load { type = "a", on = { X = function(_, _, ctx) return ctx.message_id end } }
      ids[i] = seeded:call("a", "X")
      seeded:close()
    end
    assert.equal(ids[1], ids[2])
  end)
end)
