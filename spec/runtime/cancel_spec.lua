-- A call that is given up ends its callee in another process, and what that called in a third.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local slow = [[
return { type = "slow", limits = { instructions = 1e12 }, on = {
  Wait = function(_, m, ctx)
    local guard <close> = setmetatable({}, { __close = function() print("closed " .. m.n) end })
    assert(guard)
    print("began " .. m.n)
    ctx:publish("began", "Began")
    ctx:sleep(60)
    print("went on " .. m.n)
  end,
  Spin = function(_, m, ctx)
    print("spins")
    while not ctx.cancelled do for i = 1, 1000 do m.i = i end end
    print("cancelled")
    ctx:sleep(0)
    print("went on")
  end,
  Ping = function() return "pong" end,
  Left = function(_, _, ctx) return ctx.deadline and ctx.deadline - ctx:now() or "none" end,
} }]]
local middle = [[
return { type = "middle", reentrant = true, timeout = false, on = {
  Left = function(_, m, ctx)
    ctx:sleep(0.2)
    return ctx:call("slow", "Left", {}, m.timeout and { timeout = m.timeout })
  end,
  Wait = function(_, m, ctx) return ctx:call("slow/" .. m.n, "Wait", m) end,
  Spin = function(_, m, ctx) return ctx:call("slow/" .. m.n, "Spin", m) end,
} }]]

describe("a call given up", function()
  local address, last
  local function start(verb, name, source)
    local path = process.write_file(process.tmpdir() .. "/" .. name .. ".lua", source)
    return process.troupe { verb, "--host", address, path }
  end
  before_each(function()
    address = "unix:" .. process.tmpdir() .. "/s"
    process.troupe({ "host", "--listen", address }):wait_line("^listening")
    last = start("worker", "slow", slow)
    last:wait_line("^joined")
    start("worker", "middle", middle):wait_line("^joined")
  end)
  local function ends(n)
    last:wait_line("^closed " .. n .. "$")
    assert.is_nil(last.out:find("went on"))
    assert.equal("pong\n", (select(2, sh.troupe { "call", "slow/" .. n, "Ping", "--raw", "--host", address })))
  end

  it("by a future, a token, a race or its turn's failure ends two processes away", function()
    -- The callees say "began" on a topic, so that the caller knows when to give up.
    local p = start("run", "caller", [[return function(ctx)
      ctx:subscribe("began")
      local function wait(n, opts)
        local f = ctx:async("middle", "Wait", { n = n }, opts)
        repeat local _, _, sender = ctx:receive(20) until sender == "slow/" .. n
        return f
      end
      local token = troupe.token()
      wait("f"):cancel()
      wait("t", { cancel = token })
      token:cancel()
      troupe.race { wait("r"), ctx:async("slow/other", "Ping") }
      wait("e")
      error "enough"
    end]])
    for _, n in ipairs { "f", "t", "r", "e" } do ends(n) end
    assert.equal(1, (p:wait()))
  end)

  it("by the caller's end, however it comes, ends there", function()
    for i, signal in ipairs { "sigint", "sigterm", "sigkill" } do
      local call = process.troupe { "call", "middle", "Wait", ('{"n":%d}'):format(i), "--host", address }
      last:wait_line("^began " .. i)
      call:kill(signal)
      ends(i)
      call:wait()
    end
  end)

  it("has the rest of its caller's deadline, or its own earlier one", function()
    local function left(timeout, own)
      local body = own and ('{"timeout":%g}'):format(own) or "{}"
      return select(2, sh.troupe { "call", "middle", "Left", body, "--timeout", timeout, "--raw", "--host", address }):gsub("\n", "")
    end
    local rest = tonumber((left "9"))
    assert.is_true(rest > 0 and rest <= 8.8, rest)
    rest = tonumber((left("9", 5)))
    assert.is_true(rest > 0 and rest <= 5, rest)
    assert.equal("none", (left "0"))
  end)

  it("at its deadline ends there, and a handler that computes sees it", function()
    local status, _, err = sh.troupe { "call", "middle", "Wait", '{"n":1}', "--timeout", "0.5", "--host", address }
    assert.equal(1, status)
    assert.matches("^troupe: call: timeout: ", err)
    ends(1)
    sh.troupe { "call", "middle", "Spin", '{"n":2}', "--timeout", "0.5", "--host", address }
    last:wait_line("^cancelled$")
    assert.equal("pong\n", (select(2, sh.troupe { "call", "slow/2", "Ping", "--raw", "--host", address })))
    assert.is_nil(last.out:find("went on"))
  end)
end)
