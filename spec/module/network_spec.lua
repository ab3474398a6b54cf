-- Networks of tests: hosts and workers in one process, in virtual time (lua/troupe/testing/network.lua).
local module = require "spec.support.troupe"

describe("a network of tests", function()
  if module.sanitized then return end
  local testing, net = require "troupe.testing"

  -- Answers with its own name, or asks whom it is told to.
  local function echo(type)
    return { type = type, subscriptions = { { "news", key = "x" } }, state = { n = 0 }, on = {
      Ask = function(_, message, ctx)
        if message.to then return ctx:call(message.to, "Ask", {}) end
        return { from = type }
      end,
      News = function(self) self.n = self.n + 1 end,
    } }
  end

  local function open(options)
    net = testing.network(options)
    local hub = net:host("hub", { echo "zero" })
    local a, b = net:worker("a", "hub", { echo "one" }), net:worker("b", { "hub" }, { echo "two" })
    net:advance(2)
    assert.is_true(net:joined())
    return a, b, hub
  end

  after_each(function() net:close() end)

  it("joins hosts and workers, and takes its time", function()
    local a, b, hub = open { delay = { 0.01, 0.01 } }
    assert.equal("two", a:call("one", "Ask", { to = "two" }).from)
    assert.near(2.04, net:now(), 0.001) -- up, down, and back
    assert.equal("one", hub:call("one", "Ask").from)
    a:publish("news", "News")
    net:advance(1)
    assert.same({ 1, 1, 1 }, { a:state("one/x").n, b:state("two/x").n, hub:state("zero/x").n })
    assert.is_true(net:stats().packets > 10)
  end)

  it("breaks, stands still, and its processes crash and come back", function()
    local a, b = open { piece = 10 }
    net:cut(a, "hub")
    net:advance(1)
    assert.equal("two", a:call("one", "Ask", { to = "two" }).from)
    net:stall("b", "hub")
    a:raises("unavailable", a.call, a, "two", "Ask") -- the host notices by its pings
    net:heal("b", "hub")
    net:advance(10)
    assert.equal("two", a:call("two", "Ask").from)
    net:crash(b)
    a:raises("unavailable", a.call, a, "two", "Ask")
    assert.match("the test is closed", module.raised(b.run, b))
    net:restart("b")
    net:advance(10)
    assert.equal("two", a:call("two", "Ask").from)
    net:restart("hub")
    assert.is_false(net:joined())
    net:advance(10)
    assert.equal("two", a:call("two", "Ask").from)
    net:weather { cut = 20 }
    for _ = 1, 50 do pcall(a.call, a, "two", "Ask") end
    assert.is_true(net:stats().cuts > 3)
    net:weather {}
    net:advance(30)
    assert.equal("two", a:call("two", "Ask").from)
  end)

  it("lets a process leave in good order, and come back", function()
    local a = open {}
    local said
    local three = { type = "three", on = { Ask = function() return {} end }, close = function(_, _, why) said = why end }
    net:worker("c", net:node "hub", { three })
    net:advance(1)
    a:call("three", "Ask")
    net:stop "c"
    assert.equal("drain", said)
    net:advance(1)
    a:raises("unavailable", a.call, a, "three", "Ask")
    net:stop "c" -- it has
    net:restart "c"
    net:advance(1)
    assert.is_true(net:joined "c")
    a:call("three", "Ask")
  end)

  it("tells what happens, the same each time", function()
    local function trace(seed)
      local lines = {}
      local a = open { seed = seed, delay = { 0.001, 0.1 }, cut = 20, trace = function(line) lines[#lines + 1] = line end }
      for _ = 1, 10 do pcall(a.call, a, "two", "Ask") end
      net:crash "b"
      net:restart "b"
      net:advance(5)
      net:close()
      return table.concat(lines, "\n")
    end
    local one = trace(8)
    assert.match("request two/default Ask from outside\n", one)
    assert.match("\n +[%d.]+ b +crashes\n", one)
    assert.equal(one, trace(8))
    assert.not_equal(one, trace(9))
  end)

  it("ends nodes that never come to rest", function()
    net = testing.network { delay = { 0, 0 } }
    local function ball(type, to) return { type = type, on = { Ball = function(_, _, ctx) ctx:send(to, "Ball") end } } end
    net:host("hub", { ball("one", "two") })
    net:worker("w", "hub", { ball("two", "one") })
    net:advance(1)
    net:node("hub"):send("one", "Ball")
    assert.match("limit_exceeded: the nodes do not come to rest", module.raised(net.run, net))
  end)

  it("has hosts that are workers of hosts", function()
    net = testing.network { seed = 4 }
    net:host("top")
    net:host("below", { joins = "top" })
    local a, b = net:worker("a", "top", { echo "one" }), net:worker("b", "below", { echo "two" })
    net:advance(2)
    assert.equal("one", b:call("one", "Ask").from)
    assert.equal("one", a:call("one", "Ask").from)
  end)

  it("says what is wrong about its use", function()
    open {}
    assert.match("already_exists: there is a node named a already", module.raised(net.worker, net, "a", "hub"))
    assert.match("not_found: there is no node c", module.raised(net.crash, net, "c"))
    assert.match("`delays` is not an option", module.raised(net.weather, net, { delays = {} }))
    assert.match("`seed` must be an integer", module.raised(testing.network, { seed = 0.5 }))
    assert.match("with a colon", module.raised(net.cut))
    assert.match("not_found: net:cut: a is no worker of hob", module.raised(net.cut, net, "a", "hob"))
    assert.match("not_found: net:stall: hub is no worker of hub", module.raised(net.stall, net, "hub", net:node "hub"))
    for _, delay in ipairs { { 1 }, { 2, 1 }, { -1, 1 }, { "1", 2 }, { 0, 1e9 } } do
      assert.match("`delay` must be { least, most } seconds", module.raised(net.weather, net, { delay = delay }))
    end
    assert.match("`cut` must be a whole number from 0", module.raised(net.weather, net, { cut = -1 }))
    assert.match("`trace` must be a function", module.raised(testing.network, { trace = 1 }))
    assert.match("the host that it joins", module.raised(net.worker, net, "c"))
    assert.match("0 to 1e9 seconds", module.raised(net.advance, net, "1"))
    local old = net:node "a"
    net:restart "a"
    assert.match("is of before a was restarted", module.raised(net.crash, net, old))
    assert.match("1 to 63 bytes", module.raised(net.worker, net, ("x"):rep(64), ("y"):rep(64)))
  end)
end)

-- Found by simulated runs (spec/sim); each is one of their scenes.
describe("between hosts and workers", function()
  if module.sanitized then return end
  local testing = require "troupe.testing"

  local function counter(type, ...)
    local agent = { type = type, subscriptions = { { "news", key = "x" } }, state = { n = 0 }, reentrant = true, on = {
      News = function(self) self.n = self.n + 1 end,
      Ask = function(self, message, ctx)
        self.n = self.n + 1
        if message.wait then ctx:sleep(message.wait) end
        return { n = self.n }
      end,
    } }
    return agent, ...
  end

  it("a send that could not leave is a dead letter", function()
    local net <close> = testing.network {}
    net:host "hub"
    local a = net:worker("a", "hub", { counter "one" })
    net:advance(1)
    net:crash "hub"
    a:send("two", "News")
    net:advance(29)
    assert.equal(0, a:stats().dead_letters)
    net:advance(2)
    assert.match("agent=two/default reason=\"unavailable: the host was not there to take it\"", a:logged("dead_letter").text, 1, true)
    assert.equal(0, a:stats().asked)
  end)

  it("a send to a worker that stands still is a dead letter once that is known", function()
    local net <close> = testing.network {}
    net:host "hub"
    local a = net:worker("a", "hub", { counter "one" })
    net:worker("b", "hub", { counter "two" })
    net:advance(1)
    net:stall("b", "hub")
    a:send("two", "News")
    net:node("hub"):send("two", "News")
    net:advance(200)
    assert.equal(1, a:stats().dead_letters)
    assert.equal(1, net:node("hub"):stats().dead_letters)
  end)

  it("a retried request to an agent of the host is handled once", function()
    local net <close> = testing.network {}
    local hub = net:host("hub", { counter "zero" })
    local a = net:worker("a", "hub", { counter "one" })
    net:advance(1)
    local answer
    a:load { type = "asker", on = { Go = function(_, _, ctx) answer = ctx:call("zero", "Ask", { wait = 2 }, { retry = 3 }) end } }
    a:send("asker", "Go")
    net:advance(1)
    net:cut(a, "hub")
    net:advance(10)
    assert.equal(1, answer.n)
    assert.equal(1, hub:state("zero/default").n)
  end)

  it("agents of the host hear an event once, though its worker was away for long and sends it again", function()
    local net <close> = testing.network { delay = { 0.01, 0.01 } }
    local hub = net:host("hub", { counter "zero" })
    local a = net:worker("a", "hub", { counter "one" })
    local b = net:worker("b", "hub", { counter "two" })
    net:advance(1)
    a:publish("news", "News")
    net:advance(0.02)
    net:stall(a, "hub") -- before it was acknowledged
    net:advance(100)
    net:heal(a, "hub")
    net:advance(20)
    assert.is_true(net:joined())
    assert.same({ 1, 1 }, { hub:state("zero/x").n, b:state("two/x").n })
  end)

  it("what was written on a connection on which nobody answered goes again", function()
    for _, after in ipairs { 0.005, 0.015, 0.019 } do
      local net <close> = testing.network { delay = { 0.01, 0.01 } }
      local hub = net:host("hub", { counter "zero" })
      local a = net:worker("a", "hub", { counter "one" })
      a:publish("news", "News")
      net:advance(after)
      net:cut(a, "hub")
      net:advance(20)
      assert.equal(1, hub:state("zero/x").n, after)
    end
  end)

  it("a worker that leaves asks again, where its connection breaks meanwhile, who is to have its shared ids", function()
    local net <close> = testing.network { delay = { 0.05, 0.05 } }
    local function crew()
      return { type = "crew", shared = true, state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 return self.n end } }
    end
    net:host "hub"
    net:worker("a", "hub", { crew() })
    local c = net:worker("c", "hub", { counter "one" })
    net:advance(2)
    for key = 1, 8 do c:call("crew/" .. key, "Add") end
    net:worker("b", "hub", { crew() })
    net:advance(5)
    net:node("a").core:stop(20)
    net:advance(0.07)
    net:cut("a", "hub")
    net:advance(5)
    net:stop "a"
    net:advance(1)
    local kept = 0
    for key = 1, 8 do kept = kept + c:call("crew/" .. key, "Add") end
    assert.equal(16, kept) -- with what they had
  end)
end)
