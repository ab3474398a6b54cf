-- troupe.pool: connections to a host for calls from outside.
local module = require "spec.support.troupe"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local raised = module.raised

local agents = [[
  return { type = "echo", mailbox = { limit = 1000 }, subscriptions = { "x" }, state = { n = 0 }, on = {
    Echo = function(_, message) return message end,
    Sleep = function(_, message, ctx) ctx:sleep(message.s) return message end,
    Add = function(self) self.n = self.n + 1 end,
    Seen = function(self) return { n = self.n } end,
  } }
]]

module.describe("a pool", describe, function(mode)
  local host, address

  local function open(options)
    local uv = package.loaded.luv
    if mode == "own" then package.loaded.luv = nil end
    local ok, pool = pcall(module.troupe.pool, options)
    package.loaded.luv = uv
    if not ok then error(pool, 0) end
    return pool
  end

  local function start()
    host = process.troupe { "run", process.write_file(process.tmpdir() .. "/a.lua", agents), "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
  end

  it("calls and publishes by its members, and sends what it has when it is closed", function()
    start()
    local pool <close> = open { host = address, size = 3, log = false }
    for n = 1, 20 do assert.same({ n = n }, (pool:call("echo/a", "Echo", { n = n }))) end
    local stats = pool:stats()
    assert.same({ 3, 0 }, { stats.size, stats.open })
    assert.equal("not_found: agent type nobody is not registered", raised(pool.call, pool, "nobody", "Echo"))
    assert.match("^timeout: ", raised(pool.call, pool, "echo/a", "Sleep", { s = 5 }, { timeout = 0.01 }))
    local other = open { host = address, log = false }
    for _ = 1, 100 do other:publish("x/b", "Add") end
    other:close()
    other:close()
    assert.equal("troupe.pool (closed)", tostring(other))
    assert.equal("invalid: the pool is closed", raised(other.call, other, "echo", "Echo"))
    assert.equal(100, pool:call("echo/b", "Seen").n)
  end)

  it("refuses what does not fit", function()
    assert.equal("invalid: troupe.pool takes a table", raised(open, "127.0.0.1:1"))
    assert.equal("invalid: troupe.pool: `host` must be an address", raised(open, {}))
    assert.equal("invalid: troupe.pool: `size` must be 1 to 1000", raised(open, { host = "a:1", size = 0 }))
    assert.equal("invalid: troupe.runtime: `sise` is not an option", raised(open, { host = "a:1", sise = 1 }))
    assert.match("^invalid: \"nonsense\"", raised(open, { host = "nonsense" }))
    local pool <close> = open { host = "127.0.0.1:1", log = false }
    assert.equal("invalid: call pool:call with a colon", raised(pool.call, "echo", "Echo"))
  end)

  if mode == "own" then return end

  it("has calls of many coroutines open at once", function()
    start()
    local pool <close> = open { host = address, size = 4, log = false }
    local done = 0
    for n = 1, 40 do
      coroutine.wrap(function()
        assert(pool:call("echo/" .. n, "Sleep", { s = 0.1, n = n }).n == n)
        done = done + 1
      end)()
    end
    assert.equal(40, pool:stats().open)
    loop.poll(function() return done == 40 end, 5)
    assert.equal(4, pool:stats().joined)
  end)

  it("replaces members that break; what they had sent is unavailable", function()
    start()
    local between = proxy.before(address)
    local pool <close> = open { host = between.address, size = 3, log = false }
    pool:call("echo", "Echo")
    loop.poll(function() return pool:stats().joined == 3 end, 5)
    local failed
    coroutine.wrap(function() failed = raised(pool.call, pool, "echo", "Sleep", { s = 30 }) end)()
    pool:call("echo/b", "Echo") -- by another, and the first has gone out
    between:cut()
    loop.poll(function() return failed end, 5)
    assert.match("^unavailable: ", failed)
    assert.same({ n = 1 }, (pool:call("echo/c", "Echo", { n = 1 })))
    loop.poll(function() return pool:stats().joined == 3 end, 10)
  end)
end)
