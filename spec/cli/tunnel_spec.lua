-- troupe tunnel: who speaks only plaintext, and can show no token, joins a host with TLS all the same.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"
local certs = require "spec.support.certs"
local join = certs.join

local token = "tunnel-token-0123456789"
local echo = [[return { type = "echo", on = {
  Say = function(_, message) return message end,
  Count = function(_, m, ctx) for i = 1, m.to do ctx:yield(i) end return { done = true } end,
} }]]

describe("troupe tunnel", function()
  local folder, c, host, address, tunnel, here

  before_each(function()
    folder, c = process.tmpdir(), certs.new()
    process.write_file(folder .. "/tokens", "tunnel " .. token .. "\n")
    process.write_file(folder .. "/rights", "[token:tunnel]\nregister = echo, p\ncall = *\npublish = *\nsubscribe = *\n")
    process.write_file(folder .. "/echo.lua", echo)
    host = process.troupe(join({ "host", "--listen", "tls:127.0.0.1:0", "--tokens", folder .. "/tokens", "--rights", folder .. "/rights" }, c.host_options()))
    address = select(2, host:wait_line("^listening (.*)$"))
    tunnel = process.troupe(join({ "tunnel", "--listen", "unix:" .. folder .. "/s", "--listen", "127.0.0.1:0", "--host", address }, c.client_options()), { env = { TROUPE_TOKEN = token } })
    tunnel:wait_line("^listening unix:")
    here = select(2, tunnel:wait_line("^listening (.*)$"))
  end)

  local function call(at) return sh.troupe { "call", "echo", "Say", '{"a":1}', "--host", at } end

  it("carries calls, events and answers in parts, of several connections", function()
    local worker = process.troupe { "worker", "--host", "unix:" .. folder .. "/s", folder .. "/echo.lua" }
    worker:wait_line("^joined ")
    assert.equal('{"a":1}\n', select(2, call(here)))
    local large = ('{"a":"%s"}'):format(("x"):rep(1000000))
    local _, out = sh(("%s call echo Say - --host %s < %s"):format(process.program, here, process.write_file(folder .. "/large", large)))
    assert.is_true(out == large .. "\n")
    local subscriber = process.troupe { "subscribe", "news", "--count", "1", "--host", here }
    subscriber:wait_line("^joined ")
    assert.equal(0, (sh.troupe { "publish", "news", "Hi", "--host", "unix:" .. folder .. "/s" }))
    subscriber:wait_ok()
    local status, printed, err = sh.troupe { "run", "--host", here, process.write_file(folder .. "/p.lua", [[return function(ctx)
      local n = 0
      for part in ctx:stream("echo", "Count", { to = 200 }) do n = n + part end
      print(n)
      for i = 1, 200 do assert(ctx:call("echo", "Say", { i = i }).i == i) end
    end]]) }
    assert.matches("20100\n", printed, 1, err)
    assert.equal(0, status)
    worker:kill()
    worker:wait_ok()
    host:wait_line("client.left .*reason=\"left\"", nil, "err") -- its end comes through as it was meant
  end)

  it("says what is wrong behind it, and goes on when that is mended", function()
    host:kill("sigkill")
    host:wait()
    local status, _, err = call(here)
    assert.equal(1, status)
    assert.matches("^troupe: call: unavailable: .*the tunnel to tls:127.*connection refused", err)
    host = process.troupe(join({ "host", "--listen", address, "--tokens", folder .. "/tokens" }, c.host_options()))
    host:wait_line("^listening ")
    process.troupe({ "worker", "--host", here, folder .. "/echo.lua" }):wait_line("^joined ")
    assert.equal(0, (call(here)))
    tunnel:kill()
    tunnel:wait_ok()
  end)

  it("shows its own token, and is no way around the rights", function()
    local worker = process.troupe({ "worker", "--host", here, process.write_file(folder .. "/other.lua", (echo:gsub("echo", "other"))) }, { env = { TROUPE_TOKEN = "another-token-0123456789" } })
    worker:wait_line("type other is refused: token:tunnel may not %(register = other", nil, "err")
  end)

  it("needs to be told where it leads", function()
    local status, _, err = sh.troupe { "tunnel" }
    assert.equal(2, status)
    assert.matches("%-%-host is missing", err)
  end)

  it("leads to another machine in plaintext only where it is told to", function()
    local status, _, err = sh.troupe { "tunnel", "--listen", "127.0.0.1:0", "--host", "192.0.2.1:1" }
    assert.equal(1, status)
    assert.matches("leads to another machine by TLS (tls:192.0.2.1:1; --insecure if the network is trusted)", err, 1, true)
    local p = process.troupe { "tunnel", "--listen", "127.0.0.1:0", "--host", "192.0.2.1:1", "--insecure" }
    p:wait_line("^listening ")
  end)
end)
