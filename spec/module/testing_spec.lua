-- troupe.testing: virtual time, what was sent, stand-ins and injected failures; and `troupe test`, which runs specs that use it. Networks:
-- network_spec.lua.
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

  it("runs scripts the same in each process, whatever Lua's hashes are", function()
    local file = process.write_file(process.tmpdir() .. "/order.lua", [[return { on = { Go = function(_, message)
      local keys, firsts = {}, {}
      local left = { b = 1, a = 2, c = 3, [3] = 1, [1] = 1, [2.5] = 1, [-1] = 1, [true] = 1, [false] = 1, [print] = 1 }
      for k in pairs(left) do
        keys[#keys + 1] = type(k) == "function" and "f" or tostring(k)
        left[k] = nil
      end
      for k in next, message.map do firsts[#firsts + 1] = k end
      local ok = pcall(pairs)
      local meta = {}
      for k in pairs(setmetatable({}, { __pairs = function() return next, { z = 1 } end })) do meta[#meta + 1] = k end
      local step, weak, kept = pairs { 1 }, setmetatable({}, { __mode = "kv" }), 0
      for i = 1, 2000 do weak["some text " .. i] = {} weak[{}] = i end
      for _ in pairs(weak) do kept = kept + 1 end
      ok = ok or pcall(step) or pcall(step, 5) or kept > 4000
      return { keys, firsts, next({}) == nil, ok, meta, os.time { year = 2001, month = 1, day = 1 } > 0 }
    end } }]])
    local other <close> = testing.new { file }
    local got = other:call("order", "Go", { map = { ["10"] = 1, ["9"] = 1, b = 1, a = 1, ab = 1 } })
    local keys = { "-1", "1", "2.5", "3", "a", "b", "c", "false", "true", "f" }
    assert.same({ keys, { "10", "9", "a", "ab", "b" }, true, false, { "z" }, true }, got)
  end)

  it("lets agents take turns in an order by the seed", function()
    local function order(seed, shuffle)
      local other <close> = testing.new { seed = seed, shuffle = shuffle }
      local took = {}
      for i = 1, 6 do other:load { type = "a" .. i, on = { Go = function() took[#took + 1] = i end } } end
      for i = 1, 6 do other:send("a" .. i, "Go") end
      other:run()
      return table.concat(took)
    end
    assert.equal("123456", order(1))
    assert.equal(order(5, true), order(5, true))
    local found = {}
    for seed = 0, 5 do found[order(seed, true)] = true end
    local n = 0
    for text in pairs(found) do
      n = n + 1
      for i = 1, 6 do assert.truthy(text:find(i)) end
    end
    assert.is_true(n > 3)
  end)

  it("counts what is done and what is open", function()
    t:send("greeter/a", "Greeting", { name = "Anna", wait = 5 })
    local stats = t:stats()
    assert.same({ 1, 1, 0, 0 }, { stats.open_turns, stats.agents, stats.open_calls, stats.queued })
    t:advance(5)
    assert.equal(0, t:stats().open_turns)
    t:load { type = "lost", on = { Go = function(_, _, ctx) ctx:send("nobody", "X") end } }
    t:send("lost", "Go")
    assert.equal(1, t:stats().dead_letters)
  end)

  it("ends a call whose answer never comes, though timers go on", function()
    t:load { type = "mute", timers = { Tick = 1 }, on = { Ask = function(_, _, ctx) ctx:sleep(1e8) end, Tick = function() end } }
    local err = t:raises("timeout", t.call, t, "mute", "Ask", {}, { timeout = false })
    assert.match("is not answered, [%d.e+]+ s of the test's time later", err.message)
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
    assert.match("must be a whole number", module.raised(testing.new, { seed = 1.5 }))
    assert.match("paths and tables", module.raised(testing.new, { 1 }))
    assert.match("with a colon", module.raised(t.run))
    assert.match("0 to 1e9 seconds", module.raised(t.advance, t, -1))
    t:close()
    assert.match("the test is closed", module.raised(t.run, t))
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
    process.write_file(folder .. "/seeds_spec.lua", [[
      it("is run by seeds", function()
        local list = {}
        require("troupe.testing").explore(3, function(seed) list[#list + 1] = seed if seed == 5 then error "five" end end)
        print("seeds " .. table.concat(list, " "))
      end)]])
    local function seeds(...) return select(2, sh.troupe({ "test", "seeds_spec.lua", ... }, { cwd = folder, env = env })) end
    assert.match("seeds 1 2 3\n", seeds())
    assert.match("seeds 1 2 3 4\n", seeds("--seeds", "4"))
    assert.match("seeds 17\n", seeds("--seed", "17"))
    assert.match("seed 5: .*five.*repeat it by: troupe test %-%-seed 5", seeds("--seeds", "9"))
    for _, wrong in ipairs { "0", "x", "1.5", "99999999999999999999" } do
      local code, _, err = sh.troupe { "test", "--seed", wrong }
      assert.equal(2, code)
      assert.match("%-%-seed must be a whole number from 1", err)
    end
    assert.match("exclude each other", (select(3, sh.troupe { "test", "--seed", "1", "--seeds", "2" })))
  end)
end)
