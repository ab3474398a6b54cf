-- A call with `retry` whose connection breaks in the midst of it, between real processes: its handler runs once.
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"

local callee = [[
local runs = {}
return { type = "callee", reentrant = true, on = {
  Slow = function(_, m, ctx)
    runs[m.name] = (runs[m.name] or 0) + 1
    print("runs " .. m.name)
    ctx:sleep(m.seconds)
    print("done " .. m.name)
    return { name = m.name, run = runs[m.name] }
  end,
  Runs = function(_, m) return runs[m.name] end,
} }]]

local caller = [[
return { type = "caller", reentrant = true, subscriptions = { "go" }, on = { Go = function(_, m, ctx)
  local ok, r = ctx:pcall("callee", "Slow", m, { retry = m.retry, timeout = 20, id = "the same" })
  print(ok and ("got " .. r.name .. " " .. r.run) or ("failed " .. m.name .. " " .. r.code))
end } }]]

describe("a call that is sent again", function()
  local address, spies, workers
  local function start(name, text)
    spies[name] = proxy.before(address)
    local path = process.write_file(process.tmpdir() .. "/" .. name .. ".lua", text)
    workers[name] = process.troupe { "worker", "--host", spies[name].address, path }
    workers[name]:wait_line("^joined ")
  end
  local function runs(name)
    local _, out = sh.troupe { "call", "callee", "Runs", '{"name":"' .. name .. '"}', "--host", address, "--wait", "callee" }
    return out
  end
  -- The caller's handler is set going by an event, so nobody waits for it.
  local function go(name, retry, seconds)
    local body = ('{"name":"%s","retry":%d,"seconds":%g}'):format(name, retry, seconds)
    process.troupe({ "publish", "go", "Go", body, "--host", address }):wait_ok()
    workers.callee:wait_line("^runs " .. name .. "$")
  end
  before_each(function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address, spies, workers = select(2, host:wait_line("^listening (.*)$")), {}, {}
    start("callee", callee)
    start("caller", caller)
  end)

  it("joins the first, or gets its answer, when the caller lost its connection", function()
    go("a", 50, 1)
    spies.caller:cut()
    workers.caller:wait_line("^got a 1$")
    assert.equal("1\n", runs "a")
    spies.caller.closed = true -- no new connection until the first has been handled
    go("b", 50, 0.2)
    spies.caller:cut()
    workers.callee:wait_line("^done b$")
    spies.caller.closed = false
    workers.caller:wait_line("^got b 1$")
    assert.equal("1\n", runs "b")
  end)

  it("joins it when the callee lost its connection", function()
    go("a", 50, 1)
    spies.callee:cut()
    workers.caller:wait_line("^got a 1$")
    assert.equal("1\n", runs "a")
  end)

  it("is another call where it is not its own doing, however alike they are", function()
    go("a", 1, 0.1)
    workers.caller:wait_line("^got a 1$")
    go("a", 1, 0.1)
    workers.caller:wait_line("^got a 2$")
  end)

  it("is none without retry", function()
    go("a", 0, 0.2)
    spies.caller:cut()
    workers.caller:wait_line("^failed a unavailable$")
    assert.equal("1\n", runs "a")
  end)
end)
