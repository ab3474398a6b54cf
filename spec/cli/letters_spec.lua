-- What could not be delivered is listed; what a topic's last events were is told to who comes late.
-- luacheck: no max line length
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local folder, env
local function script(name, text) return process.write_file(folder .. "/" .. name, text) end
local function ask(...) return sh.troupe({ ... }, { env = env, cwd = folder }) end

describe("troupe deadletters", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("lists what a process could not deliver, the newest last, and how many there were", function()
    local p = process.troupe({ "run", "--listen", "unix:" .. folder .. "/d", script("a.lua", [[return {
      { type = "full", subscriptions = { "news" }, mailbox = { limit = 1, overflow = "refuse" }, on = { Ping = function(_, _, ctx) ctx:sleep(60) end } },
      { type = "p", autostart = true, on = {}, init = function(_, ctx)
        ctx:send("nobody/1", "Hello")
        ctx:sleep(0)
        for i = 1, 300 do ctx:publish("news/k", "Ping", { n = i }) end
        ctx:sleep(0) print("up") end } }]]) }, { env = env })
    p:wait_line("^up")
    local kept = process.hostile and 2 or 256
    local shown = math.min(3, kept)
    local status, out, err = ask("deadletters", "--count", tostring(shown))
    assert.equal(0, status, err)
    local line = "%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d  event Ping to news/k from p/default  overloaded: the mailbox of full/k is full %(1 messages%)\n"
    assert.matches("^" .. line:rep(shown) .. "%d+ dead letters since it began; shown are the newest\n$", out)
    status, out = ask("deadletters", "--json", "--count", "1000")
    assert.equal(0, status)
    assert.matches('^{"total":%d+,"letters":%[{"time":%d+%.%d+,"kind":"event","code":"overloaded","type":"Ping","target":"news/k","sender":"p/default","to":"","error":"', out)
    local _, count = out:gsub('"kind"', "")
    assert.is_true(count >= 2 and count <= 256) -- a hostile build keeps two
  end)

  it("lists, at a host, events that a worker did not get", function()
    local host = process.troupe({ "host", "--listen", "unix:" .. folder .. "/h", "--session-bytes", "64K", "--grace", "1" }, { env = env })
    host:wait_line("^listening")
    local sleeper = process.troupe { "worker", "--host", "unix:" .. folder .. "/h", script("w.lua", [[return { type = "w", subscriptions = { "news" }, on = { Ping = function() end } }]]) }
    sleeper:wait_line("^joined")
    sleeper:kill("sigstop")
    assert.equal(0, (sh.troupe { "run", "--host", "unix:" .. folder .. "/h", script("p.lua", [[return function(ctx)
      for i = 1, 2000 do
        ctx:publish("news/k", "Ping", { text = ("x"):rep(1000) })
        if i % 900 == 0 then ctx:sleep(0) end
      end end]]) }))
    local status, out
    repeat status, out = ask("deadletters", "--pid", tostring(host.pid), "--count", "1") until status ~= 0 or out:find("event Ping")
    sleeper:kill("sigcont")
    assert.matches("event Ping to news/k from p/default for client %S+  overloaded: the queue to its worker is full\n", out)
    assert.equal(0, status)
  end)
end)

describe("dead letters of a host", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("of a client that does not come back are listed once, and published to who listens", function()
    local address = "unix:" .. folder .. "/h"
    local host = process.troupe({ "host", "--listen", address, "--grace", "1" }, { env = env })
    host:wait_line("^listening")
    local reader = process.troupe { "worker", "--host", address, script("r.lua", [[return { type = "reader", subscriptions = { "troupe.dead_letter" }, on = {
      DeadLetter = function(_, m) print(m.topic, m.type, m.body.n, m.reason, m.error) end } }]]) }
    reader:wait_line("^joined")
    local gone = process.troupe { "worker", "--host", address, script("g.lua", [[return { type = "gone", subscriptions = { "news" }, on = { Ping = function() end } }]]) }
    gone:wait_line("^joined")
    gone:kill("sigkill")
    gone:wait()
    host:wait_line("client.left", nil, "err")
    for n = 1, 2 do assert.equal(0, (sh.troupe { "publish", "news", "Ping", ('{"n":%d}'):format(n), "--host", address })) end
    for n = 1, 2 do reader:wait_line(("^news/default\tPing\t%d\tunavailable\tits client did not come back$"):format(n)) end
    local _, out = ask("deadletters", "--pid", tostring(host.pid))
    local _, count = out:gsub("its client did not come back", "")
    assert.equal(2, count)
  end)
end)

describe("a host", function()
  before_each(function() folder = process.tmpdir() end)

  it("gives the last events of a topic to who subscribes late, where the operator says so", function()
    local address = "unix:" .. folder .. "/h"
    process.troupe({ "host", "--listen", address, "--retain", "news=2", "--retain=other=1" }):wait_line("^listening")
    for i = 1, 3 do assert.equal(0, (sh.troupe { "publish", "news", "Ping", ('{"n":%d}'):format(i), "--host", address })) end
    local status, out, err = sh.troupe { "subscribe", "news", "--count", "2", "--host", address }
    assert.matches('news/default Ping {"n":2}\nnews/default Ping {"n":3}\n', out, 1, true, err)
    assert.equal(0, status)
  end)

  it("refuses rules that it does not understand", function()
    for rule, why in pairs { news = "expected TOPIC=N", ["news=x"] = "expected TOPIC=N", ["news=0"] = "expected TOPIC=N", ["a b=1"] = "topic", ["=1"] = "topic", ["news=100000"] = "between 1 and 10000" } do
      local status, _, err = sh.troupe { "host", "--listen", "unix:" .. folder .. "/h", "--retain", rule }
      assert.matches(why, err, 1, true)
      assert.equal(2, status)
    end
    local status, _, err = sh.troupe { "host", "--listen", "unix:" .. folder .. "/h", "--slow-consumer", "wait" }
    assert.matches('--slow-consumer: expected drop or block, got "wait"', err, 1, true)
    assert.equal(2, status)
  end)
end)
