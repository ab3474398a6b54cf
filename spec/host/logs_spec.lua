-- What a host and a worker say at the default level: little, however many come and go.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local function count(text, pattern)
  local n = 0
  for _ in text:gmatch(pattern) do n = n + 1 end
  return n
end

describe("the log", function()
  local host, address
  before_each(function()
    host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
  end)

  local function worker(source)
    local started = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/a.lua", source) }
    started:wait_line("^joined")
    return started
  end

  it("tells of workers, not of calls", function()
    local echo = worker [[return { type = "echo", on = { Ask = function(_, message) return message end } }]]
    host:wait_line("client.joined", 10, "err")
    for i = 1, 5 do
      local status, out = sh.troupe { "call", "echo", "Ask", '{"n":' .. i .. "}", "--host", address }
      assert.equal(0, status)
      assert.equal('{"n":' .. i .. "}\n", out)
    end
    echo:kill("sigterm")
    echo:wait_ok()
    local line = host:wait_line("client.left", 10, "err")
    assert.truthy(line:find('reason="left"', 1, true), line)
    assert.equal(1, count(host.err, "client%.joined"))
    assert.equal(1, count(host.err, "client%.left"))
  end)

  it("tells of joining once, however much is registered later", function()
    local busy = worker [[return { type = "busy", on = {
      Ask = function(self, message, ctx)
        self.n = (self.n or 0) + 1
        ctx:subscribe("topic" .. self.n)
        ctx:sleep(0.05)
        return { n = self.n }
      end,
    } }]]
    for i = 1, 4 do
      local status, out, err = sh.troupe { "call", "busy", "Ask", "{}", "--host", address }
      assert.equal("", err)
      assert.equal(0, status)
      assert.equal('{"n":' .. i .. "}\n", out)
    end
    busy:kill("sigterm")
    busy:wait_ok()
    assert.equal(1, count(busy.err, "uplink%.joined"))
  end)
end)
