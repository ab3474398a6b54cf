-- troupe call, publish, subscribe against a host with workers.
local uv = require "luv"
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"

local agent = [[
return { type = "clerk", subscriptions = { "desk" }, on = {
  Ask = function(_, message, ctx) return { got = message, key = ctx.key }, "Answer" end,
  Text = function() return "bare" end,
  Fail = function() error("no idea") end,
  Never = function(_, _, ctx) ctx:sleep(100) end,
  Note = function(_, message, ctx) ctx:publish("echo", "Echo", message) end,
} }]]

describe("from outside", function()
  local host, address, worker
  before_each(function()
    host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
    worker = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/clerk.lua", agent) }
    worker:wait_line("^joined " .. address:gsub("%p", "%%%0") .. ": clerk$")
  end)

  it("call prints the reply's body", function()
    local status, out = sh.troupe { "call", "clerk/anna", "Ask", '{"n":[1,null,9223372036854775807,0.5,"ä",[],{}]}', "--host", address }
    assert.equal(0, status)
    assert.matches('"n":[[]1,null,9223372036854775807,0.5,"ä",[[]%],{}%]', out)
    assert.matches('"key":"anna"', out)
  end)

  it("call takes the body from standard input, and the host from TROUPE_HOST", function()
    local status, out = sh.troupe({ "call", "clerk", "Ask", "-" }, { stdin = '{"a":1}', env = { TROUPE_HOST = address } })
    assert.equal(0, status)
    assert.matches('"got":{"a":1}', out)
  end)

  it("takes what follows -- as it is", function()
    local status, out = sh.troupe { "call", "--host", address, "--", "clerk", "Ask", "-5" }
    assert.equal(0, status)
    assert.matches('"got":%-5', out)
  end)

  it("publish fails where nobody answers, within --timeout", function()
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    server:listen(8, function() end)
    local silent = "127.0.0.1:" .. server:getsockname().port
    local status, _, err = sh.troupe { "publish", "desk", "Note", "--timeout", "0.3", "--host", silent }
    server:close()
    assert.equal(1, status)
    assert.matches("^troupe: publish: timeout: the host does not answer\n$", err)
  end)

  it("call --raw prints a string bare, --json type, body, agent and time", function()
    assert.equal("bare\n", (select(2, sh.troupe { "call", "clerk", "Text", "--raw", "--host", address })))
    local _, out = sh.troupe { "call", "clerk", "Ask", "--json", "--host", address }
    assert.matches('^{"type":"Answer","body":{.*},"agent":"clerk","ms":%d+%.%d+}\n$', out)
  end)

  it("call tells an error as code and message, with status 1", function()
    local status, out, err = sh.troupe { "call", "clerk", "Fail", "--host", address }
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches("^troupe: call: handler_error: .*no idea\n$", err)
    status, out, err = sh.troupe { "call", "clerk", "Unknown", "--host", address }
    assert.equal(1, status)
    assert.matches("^troupe: call: cant_handle: ", err)
    assert.equal("", out)
    status, out, err = sh.troupe { "call", "nobody", "Ask", "--host", address }
    assert.equal(1, status)
    assert.matches("^troupe: call: not_found: .*nobody", err)
    assert.equal("", out)
    err = select(3, sh.troupe { "call", "clrek", "Ask", "--host", address })
    assert.equal("troupe: call: not_found: agent type clrek is not registered (did you mean clerk?)\n", err)
  end)

  it("call gives up at --timeout", function()
    local status, _, err = sh.troupe { "call", "clerk", "Never", "--timeout", "0.3", "--host", address }
    assert.equal(1, status)
    assert.matches("^troupe: call: timeout: ", err)
  end)

  it("call ends at once when its worker is killed while it waits", function()
    local call = process.troupe { "call", "clerk", "Never", "--host", address, "--timeout", "60" }
    -- The handler is running once the worker has answered a later message on the same road.
    sh.troupe { "call", "clerk/other", "Text", "--host", address }
    worker:kill("sigkill")
    local status = call:wait(5)
    assert.equal(1, status)
    assert.matches("unavailable", call.err)
  end)

  it("publish reaches subscribers, and subscribe prints the events", function()
    local listener = process.troupe { "subscribe", "echo", "--json", "--count", "2", "--host", address }
    listener:wait_line("^joined")
    for i = 1, 2 do
      assert.equal(0, (sh.troupe { "publish", "desk/s" .. i, "Note", ('{"i":%d}'):format(i), "--host", address }))
    end
    local status = listener:wait()
    assert.equal(0, status)
    assert.matches('{"topic":"echo/s1","type":"Echo","body":{"i":1}}\n', listener.out, 1, true)
    assert.matches('{"topic":"echo/s2","type":"Echo","body":{"i":2}}\n', listener.out, 1, true)
  end)

  it("publish ends when the host has read all of it, not before", function()
    local p = proxy.before(address)
    p.hold_at = "held back"
    local publish = process.troupe { "publish", "desk", "Note", '{"text":"held back"}', "--host", p.address }
    publish:wait_for(function() return p:saw "held back" end)
    assert.is_falsy(pcall(publish.wait, publish, 0.2))
    p:hold(false)
    assert.equal(0, (publish:wait()))
  end)

  it("subscribe takes a prefix", function()
    local listener = process.troupe { "subscribe", "ho*", "--count", "1", "--host", address }
    listener:wait_line("^joined")
    sh.troupe { "publish", "hum", "Note", "--host", address }
    sh.troupe { "publish", "home.kitchen/x", "Note", '{"t":20.5}', "--host", address }
    assert.equal(0, (listener:wait()))
    assert.matches('home.kitchen/x Note {"t":20.5}\n', listener.out, 1, true)
    assert.is_nil(listener.out:find("hum"))
  end)

  it("--wait waits for the host and for agent types", function()
    host:kill("sigterm")
    host:wait()
    local call = process.troupe { "call", "late", "Ask", "--wait", "late", "--host", address }
    host = process.troupe { "host", "--listen", address }
    host:wait_line("^listening")
    process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/late.lua",
      [[return { on = { Ask = function() return "here" end } }]]) }
    assert.equal(0, (call:wait(20)))
    assert.equal('"here"\n', call.out)
  end)

  it("--wait names the types that did not come", function()
    local status, _, err = sh.troupe { "publish", "desk", "Note", "--wait", "clerk,nobody", "--timeout", "0.5", "--host", address }
    assert.equal(1, status)
    assert.matches("timeout: .*nobody", err)
  end)

  it("workers and callers talk over a Unix socket", function()
    local path = "unix:" .. process.tmpdir() .. "/s"
    local other = process.troupe { "host", "--listen", path }
    other:wait_line("^listening " .. path:gsub("%p", "%%%0") .. "$")
    local p = process.troupe { "worker", "--host", path, process.write_file(process.tmpdir() .. "/clerk.lua", agent) }
    p:wait_line("^joined")
    local status, out = sh.troupe { "call", "clerk", "Text", "--host", path }
    assert.equal('"bare"\n', out)
    assert.equal(0, status)
  end)

  it("a worker joins again after its host was restarted, and says so once", function()
    host:kill("sigkill")
    host:wait()
    worker:wait_line("uplink.away", 10, "err")
    host = process.troupe { "host", "--listen", address }
    host:wait_line("^listening")
    worker:wait_line("uplink.joined", 20, "err")
    local status, out = sh.troupe { "call", "clerk", "Text", "--raw", "--wait", "clerk", "--host", address }
    assert.equal("bare\n", out)
    assert.equal(0, status)
    assert.equal(1, select(2, worker.err:gsub("uplink.away", "")))
  end)

  it("a second worker with the same type is refused and says who has it", function()
    local twin = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/clerk.lua", agent) }
    twin:wait_line("clerk.*held by another", 10, "err")
    worker:kill("sigterm")
    worker:wait()
    twin:wait_line("^joined", 20)
  end)
end)
