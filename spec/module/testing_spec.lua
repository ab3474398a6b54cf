-- troupe.testing: virtual time, what was sent, stand-ins and injected failures; and `troupe test`, which runs specs that use it.
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local source = [[
return {
  state = { count = 0, _private = 1 }, shards = { "book" }, timers = { Tick = 5 },
  on = {
    Greeting = function(self, message, ctx)
      self.count = self.count + 1
      self.book = { self.count }
      if message.wait then ctx:sleep(message.wait) end
      ctx:publish("news", "Hello", { n = self.count })
      return { content = "hello " .. message.name }
    end,
    Pay = function(_, message, ctx) return ctx:call("bank", "Pay", message, { retry = 2 }) end,
    Loop = function(_, _, ctx) ctx:send(ctx.id, "Loop") end,
    Tick = function(self) self.ticks = (self.ticks or 0) + 1 end,
    Luck = function() return { math.random(1e9), math.random(1e9) } end,
    Clock = function(_, _, ctx) return { os.time(), os.date("!%F %T"), os.date("!%F", 0), os.clock(), ctx:now() } end,
  },
}]]

describe("troupe.testing", function()
  if module.sanitized then return end
  local testing, path, t = require "troupe.testing"

  before_each(function()
    path = process.write_file(process.tmpdir() .. "/greeter.lua", source)
    t = testing.new { path }
  end)
  after_each(function() t:close() end)

  it("waits for programs that agents run, and no time passes", function()
    local file = process.write_file(process.tmpdir() .. "/run.lua", [[return { on = { Run = function(_, m)
      local r = troupe.exec{ "sh", "-c", m.text, timeout = m.timeout }
      return { out = r.out, status = r.status }
    end } }]])
    local other <close> = testing.new { file, allow = { "exec=sh" } }
    assert.same({ out = "a\n", status = 3 }, other:call("run", "Run", { text = "sleep 0.1; echo a; exit 3" }))
    assert.equal(65536 * 4, #other:call("run", "Run", { text = "head -c 262144 /dev/zero | tr '\\\\0' x" }).out)
    assert.equal(0, other:now())
    other:raises("timeout", other.call, other, "run", "Run", { text = "sleep 100", timeout = 0.05 })
    other:raises("too_large", other.call, other, "run", "Run", { text = "yes" })
  end)

  it("answers calls, moving time as far as they need", function()
    assert.equal("hello Anna", t:call("greeter/a", "Greeting", { name = "Anna" }).content)
    assert.equal(0, t:now())
    assert.equal("hello Bert", t:call("greeter/a", "Greeting", { name = "Bert", wait = 20 }).content)
    assert.equal(20, t:now())
    local err = t:raises("timeout", t.call, t, "greeter/a", "Greeting", { name = "Cleo", wait = 40 })
    assert.match("did not answer", err.message)
    assert.equal(50, t:now()) -- the call's 30 s
  end)

  it("lets time pass at once, and only when it is told to", function()
    t:call("greeter/a", "Greeting", { name = "Anna" })
    t:run()
    assert.is_nil(t:state("greeter/a").ticks)
    local began = os.clock()
    t:advance(3600)
    assert.same({ 720, 3600 }, { t:state("greeter/a").ticks, t:now() })
    assert.is_true(os.clock() - began < 2)
    t:advance(4.999999)
    assert.equal(720, t:state("greeter/a").ticks)
    t:advance(0.000001)
    assert.equal(721, t:state("greeter/a").ticks)
  end)

  it("shows states as they would be saved, shards with them", function()
    t:call("greeter/a", "Greeting", { name = "Anna" })
    assert.same({ count = 1, book = { 1 } }, t:state("greeter/a"))
    assert.same({ count = 1, book = { 1 } }, t:state("greeter/a"))
    assert.is_nil(t:state("greeter"))
    assert.is_nil(t:state("nobody"))
  end)

  it("keeps what was sent", function()
    t:mock("bank", { Pay = { ok = true } })
    t:call("greeter/a", "Greeting", { name = "Anna" })
    t:call("greeter/b", "Greeting", { name = "Bert", wait = 3 })
    t:call("greeter/b", "Pay", { euro = 5 })
    assert.equal(2, #t:sent("news"))
    local second = t:sent("news/b")[1]
    assert.same({ "event", "news/b", "Hello", "greeter/b", 3, { n = 1 } },
      { second.kind, second.topic, second.type, second.sender, second.time, second.body })
    local paid = t:sent("bank")
    assert.same({ 1, "request", "bank/default", { euro = 5 } }, { #paid, paid[1].kind, paid[1].agent, paid[1].body })
    assert.same({}, t:sent("nobody"))
  end)

  it("has stand-ins: bodies and functions", function()
    t:mock("bank", { Pay = function(self, message)
      self.sum = (self.sum or 0) + message.euro
      return { sum = self.sum }
    end, ["*"] = { other = true } })
    assert.equal(5, t:call("greeter", "Pay", { euro = 5 }).sum)
    assert.equal(8, t:call("greeter", "Pay", { euro = 3 }).sum)
    assert.is_true(t:call("bank", "What").other)
    assert.match("already_exists: t:mock: greeter is loaded already", module.raised(t.mock, t, "greeter", {}))
  end)

  it("injects failures, which are retried as others are", function()
    t:mock("bank", { Pay = { ok = true } })
    t:fail("bank", "Pay", "permission_denied")
    t:raises("permission_denied", t.call, t, "greeter", "Pay", {})
    t:fail("bank/default", "*", "unavailable", 2)
    assert.is_true(t:call("greeter", "Pay", {}).ok)
    assert.is_true(t:now() > 0) -- by back-off
    t:fail("bank", "Pay", "unavailable", 3)
    t:raises("unavailable", t.call, t, "greeter", "Pay", {})
    assert.match("there is no error code sad", module.raised(t.fail, t, "bank", "Pay", "sad"))
    assert.match("expected the error timeout, got nothing", module.raised(t.raises, t, "timeout", function() end))
    assert.match("expected the error timeout, got not_found", module.raised(t.raises, t, "timeout", t.call, t, "nobody", "X"))
  end)

  it("ends what would never end", function()
    t:send("greeter", "Loop")
    t:raises("limit_exceeded", t.run, t)
    t:raises("cant_handle", t.call, t, "greeter", "Nothing") -- and it goes on
  end)

  it("gives the same for the same seed, and other for another", function()
    local function luck(seed)
      local other <close> = testing.new { path, seed = seed }
      return other:call("greeter", "Luck")
    end
    assert.same(luck(7), luck(7))
    assert.not_same(luck(7), luck(8))
  end)

  it("shows agents its own time of day", function()
    assert.same({ 946684800, "2000-01-01 00:00:00", "1970-01-01", 0, 0 }, t:call("greeter", "Clock"))
    t:advance(3600.5)
    assert.same({ 946688400, "2000-01-01 01:00:00", "1970-01-01", 3600.5, 3600.5 }, t:call("greeter", "Clock"))
    local other <close> = testing.new { path, time = 86399 }
    assert.equal("1970-01-01 23:59:59", other:call("greeter", "Clock")[2])
    other:advance(1)
    assert.equal("1970-01-02 00:00:00", other:call("greeter", "Clock")[2])
    assert.match("`time` is in seconds since 1970", module.raised(testing.new, { path, time = 0 / 0 }))
  end)

  it("reloads", function()
    t:call("greeter/a", "Greeting", { name = "Anna" })
    process.write_file(path, (source:gsub("hello ", "welcome ")))
    assert.equal(1, t:reload())
    assert.equal("welcome Bert", t:call("greeter/a", "Greeting", { name = "Bert" }).content)
    assert.equal(2, t:state("greeter/a").count)
    process.write_file(path, "return {")
    t:raises("invalid", t.reload, t, path)
    assert.equal("welcome Bert", t:call("greeter/a", "Greeting", { name = "Bert" }).content)
  end)

  it("reloads for some keys, with a way back", function()
    local function hello(id) return t:call("greeter/" .. id, "Greeting", { name = "A" }).content end
    local new = source:gsub("hello ", "welcome ")
    hello "a"
    process.write_file(path, new)
    assert.equal(1, t:reload { canary = "a" })
    assert.match("^welcome A", hello "a")
    assert.match("^hello A", hello "b")
    t:raises("invalid", t.reload, t)
    t:reload { canary = "100%" }
    assert.match("^welcome A", hello "b")
    t:reload { undo = true }
    assert.match("^hello A", hello "b")
    t:raises("invalid", t.reload, t) -- it is what was undone
    t:reload { canary = "=b", again = true }
    t:reload { promote = true }
    assert.match("^welcome A", hello "a")
    t:reload { to = 1 }
    assert.match("^hello A", hello "a")
    process.write_file(path, (new:gsub("on = {", "on = { Bad = function() error 'bad' end,", 1)))
    assert.equal(1, t:reload { errors = 1, canary = "b" })
    for _ = 1, 2 do t:raises("handler_error", t.call, t, "greeter/b", "Bad") end
    t:run()
    assert.match("^hello A", hello "b")
    assert.equal("error", t:logged("reload.undone").level)
    t:raises("invalid", t.reload, t, { canery = "b" })
    t:raises("invalid", t.reload, t, { canary = 10 })
    t:raises("invalid", t.reload, t, { promote = true, undo = true })
    t:raises("invalid", t.reload, t, { drain = -1 })
    t:raises("not_found", t.reload, t, { promote = true })
  end)

  it("ends turns of older code after a time", function()
    local slow = source:gsub("on = {", "on = { Slow = function(_, _, ctx) ctx:sleep(100) end,", 1)
    process.write_file(path, slow)
    t:reload()
    t:send("greeter/a", "Slow")
    t:run()
    process.write_file(path, slow .. "\n")
    t:reload { drain = 10 }
    t:advance(9)
    assert.is_nil(t:logged "reload.drained")
    t:advance(2)
    assert.match("ended=0 cut=1 turns=\"greeter/a Slow\"", t:logged("reload.drained").text, 1, true)
  end)

  it("keeps the log, and says what is wrong about its use", function()
    t:raises("handler_error", t.call, t, "greeter", "Greeting", {})
    assert.equal("handler.failed", t:logged("greeter.lua:9").event)
    assert.match("`seeds` is not an option", module.raised(testing.new, { seeds = 1 }))
    assert.match("must be a number", module.raised(testing.new, { seed = "1" }))
    assert.match("paths and tables", module.raised(testing.new, { 1 }))
    assert.match("with a colon", module.raised(t.run))
    assert.match("0 to 1e9 seconds", module.raised(t.advance, t, -1))
    t:close()
    assert.match("the test is closed", module.raised(t.run, t))
  end)
end)

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
    assert.match("1 to 63 bytes", module.raised(net.worker, net, ("x"):rep(64), ("y"):rep(64)))
  end)
end)

describe("troupe test", function()
  if module.sanitized then return end

  it("runs the spec that `troupe new` writes, with no path set", function()
    local folder = process.tmpdir()
    local env = { LUA_CPATH = false, LUA_CPATH_5_4 = false }
    assert.equal(0, (sh.troupe({ "new", "greeter", "--with-spec" }, { cwd = folder })))
    local status, out = sh.troupe({ "test" }, { cwd = folder, env = env })
    assert.match("1 success / 0 failures / 0 errors", out)
    assert.equal(0, status)
    process.write_file(folder .. "/other_spec.lua", "it('fails', function() assert.equal(1, 2) end)")
    status, out = sh.troupe({ "test", "other_spec.lua", "--", "--output=TAP" }, { cwd = folder, env = env })
    assert.match("not ok 1 %- fails", out)
    assert.equal(1, status)
  end)
end)
