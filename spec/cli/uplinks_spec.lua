-- A worker of several hosts: it serves all of them, and what it does not have itself it finds at the one that has it.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local folder
local function script(name, text) return process.write_file(folder .. "/" .. name, text) end
local function host() return select(2, process.troupe({ "host", "--listen", "127.0.0.1:0" }):wait_line("^listening (.*)$")) end
local function worker(file, ...)
  local p = process.troupe { "worker", "--host", ..., file }
  p:wait_line("^joined ")
  return p
end

-- What the script printed, without the lines that say where it joined.
local function printed(out) return (out:gsub("joined [^\n]*\n", "")) end

local echo = [[local where = ... return { type = "%s", on = { Ask = function() return { at = "%s" } end } }]]

describe("a runtime with several uplinks", function()
  before_each(function() folder = process.tmpdir() end)

  it("joins each host, and finds a type at the first that knows it", function()
    local a, b = host(), host()
    worker(script("at_a.lua", echo:format("one", "a")), a)
    worker(script("at_b.lua", echo:format("two", "b")), b)
    worker(script("near.lua", echo:format("twos", "a")), a) -- which a names as the nearest to "two"
    worker(script("both.lua", echo:format("both", "a")), a)
    worker(script("both2.lua", echo:format("both", "b")), b)
    local status, out, err = sh.troupe { "run", "--host", a, "--host", b, script("p.lua", [[return function(ctx)
      for _, type in ipairs { "one", "two" } do
        while not ctx:pcall(type, "Ask", {}, { timeout = 1 }) do ctx:sleep(0.01) end
      end
      for _ = 1, 3 do print(ctx:call("one", "Ask").at, ctx:call("two", "Ask").at, ctx:call("both", "Ask").at) end
      print(select(2, ctx:pcall("three", "Ask")))
      ctx:send("two", "Ask")
    end]]) }
    assert.equal(("a\tb\ta\n"):rep(3) .. "not_found: agent type three is not registered\n", printed(out), err)
    assert.equal(0, status)
  end)

  it("has its deadlines counted from their arrival at the host, however long nothing came there", function()
    local a = host()
    worker(script("w.lua", echo:format("w", "there")), a)
    local status, out, err = sh.troupe { "run", "--host", a, script("p.lua", [[return function(ctx)
      while not ctx:pcall("w", "Ask", {}, { timeout = 1 }) do ctx:sleep(0.01) end
      ctx:sleep(0.6) print(ctx:pcall("w", "Ask", {}, { timeout = 0.5 }))
    end]]) }
    assert.matches("^true\ttable", printed(out), 1, err)
    assert.equal(0, status)
  end)

  it("is reached from each of them", function()
    local a, b = host(), host()
    local p = process.troupe { "worker", "--host", a, "--host", b, script("w.lua", echo:format("w", "here")) }
    p:wait_line("^joined ")
    p:wait_line("^joined ")
    for _, address in ipairs { a, b } do
      local status, out, err = sh.troupe { "call", "w", "Ask", "--host", address, "--wait", "w" }
      assert.equal('{"at":"here"}\n', out, err)
      assert.equal(0, status)
    end
  end)

  it("asks those that are there while another is away", function()
    local b = host()
    worker(script("at_b.lua", echo:format("two", "b")), b)
    local status, out, err = sh.troupe { "run", "--host", "unix:" .. folder .. "/nobody", "--host", b, script("p.lua", [[return function(ctx)
      local ok, answer
      repeat ok, answer = ctx:pcall("two", "Ask", {}, { timeout = 1 }) until ok
      print(answer.at) end]]) }
    assert.equal("b\n", printed(out), err)
    assert.equal(0, status)
  end)

  it("lets its clients reach what only a host above it has, over several hosts", function()
    local above = host()
    worker(script("w.lua", [[return { type = "w", on = {
      Ask = function(_, message) return message end,
      Fail = function() error({ code = "invalid", message = "no such day" }, 0) end,
      Parts = function(_, _, ctx) for i = 1, 3 do ctx:yield(i) end return "end" end } }]]), above)
    local middle = "unix:" .. folder .. "/middle"
    process.troupe({ "run", "--listen", middle, "--host", above, script("m.lua", echo:format("m", "middle")) }):wait_line("^joined ")
    local below = "unix:" .. folder .. "/below"
    process.troupe({ "run", "--listen", below, "--host", middle, script("b.lua", echo:format("b", "below")) }):wait_line("^joined ")
    local status, out, err = sh.troupe { "call", "w", "Ask", '{"n":[1,null]}', "--host", below }
    assert.equal('{"n":[1,null]}\n', out, err)
    assert.equal(0, status)
    status, out, err = sh.troupe { "call", "m", "Ask", "--host", below }
    assert.equal('{"at":"middle"}\n', out, err)
    assert.equal(0, status)
    status, out, err = sh.troupe { "call", "w", "Fail", "--host", below }
    assert.matches("invalid: no such day", err, 1, true)
    assert.same({ 1, "" }, { status, out })
    status, out, err = sh.troupe { "call", "nobody", "Ask", "--host", below }
    assert.matches("not_found: agent type nobody is not registered", err, 1, true)
    assert.same({ 1, "" }, { status, out })
    status, out, err = sh.troupe { "run", "--host", below, script("p.lua", [[return function(ctx)
      local stream = ctx:stream("w", "Parts")
      for part in stream do print(part) end
      print((stream:result()))
      ctx:send("w", "Ask")
    end]]) }
    assert.equal("1\n2\n3\nend\n", printed(out), err)
    assert.equal(0, status)
  end)

  it("does not send what nobody has round a circle of hosts for ever", function()
    local a, b = "unix:" .. folder .. "/a", "unix:" .. folder .. "/b"
    local first = process.troupe { "run", "--listen", a, "--host", b, script("a.lua", echo:format("a", "a")) }
    first:wait_line("^listening")
    process.troupe({ "run", "--listen", b, "--host", a, script("b.lua", echo:format("b", "b")) }):wait_line("^joined ")
    first:wait_line("^joined ")
    local status, out, err = sh.troupe { "call", "nobody", "Ask", "--host", a, "--timeout", "5" }
    assert.matches("not_found: agent type nobody is not registered", err, 1, true)
    assert.same({ 1, "" }, { status, out })
    status, out, err = sh.troupe { "call", "b", "Ask", "--host", a }
    assert.equal('{"at":"b"}\n', out, err)
    assert.equal(0, status)
  end)

  it("answers its clients at once where the host that may know is away", function()
    local b = "unix:" .. folder .. "/b"
    process.troupe({ "run", "--listen", b, "--host", "unix:" .. folder .. "/gone", script("b.lua", echo:format("b", "b")) }):wait_line("^listening ")
    local status, _, err = sh.troupe { "call", "w", "Ask", "--host", b, "--timeout", "20" }
    assert.matches("unavailable: the host that may have this agent is away", err, 1, true)
    assert.equal(1, status)
  end)

  it("takes at most 64 of them", function()
    local words = { "run" }
    for _ = 1, 65 do words[#words + 1] = "--host=127.0.0.1:1" end
    words[#words + 1] = script("w.lua", echo:format("w", "here"))
    local status, _, err = sh.troupe(words)
    assert.equal(2, status)
    assert.matches("--host: more than 64", err, 1, true)
  end)

  it("keeps a proxy with a host bound to that host, for whoever may connect", function()
    local a, b = host(), host()
    worker(script("at_a.lua", echo:format("both", "a")), a)
    worker(script("at_b.lua", echo:format("both", "b")), b)
    local path = script("p.lua", ([[return function(ctx)
      local a, b = ctx:agent("both/1", { host = "%s" }), ctx:agent("both/1", { host = "%s" })
      for _ = 1, 2 do print(a:Ask{}.at, b:Ask{}.at, ctx:call("both/1", "Ask").at) end
      local x = b:Ask{}
      print(ctx:pcall("both", "Ask", { x }, { timeout = 5 }))
    end]]):format(a, b))
    local status, out, err = sh.troupe { "run", "--host", b, path }
    assert.matches("permission_denied: scripts may not connect to " .. a .. " here (--allow net=" .. a .. " grants it)", err, 1, true)
    assert.equal(1, status)
    assert.equal("", printed(out))
    status, out, err = sh.troupe { "run", "--host", b, "--allow", "net=" .. a, path }
    assert.matches("^a\tb\tb\na\tb\tb\ntrue\ttable", printed(out), 1, err)
    assert.equal(0, status)
  end)

  it("refuses what is no address, and rights that are none", function()
    local status, out, err = sh.troupe { "run", "--allow=net", script("p.lua", [[return function(ctx)
      for _, host in ipairs { "x", true, "http://a:1" } do print(pcall(ctx.agent, ctx, "a", { host = host })) end
      print(pcall(ctx.agent, ctx, "a", { port = 1 }))
    end]]) }
    assert.matches("x\": expected host:port.*host must be an address.*boolean.*no scheme.*one option, `host`", out, 1, err)
    assert.equal(0, status)
    for right, why in pairs { lunch = "did you mean `launch`", ["launch=x"] = "takes no value", ["luv=x"] = "takes no value", [("x"):rep(500)] = "longer than" } do
      local _; status, _, err = sh.troupe { "run", "--allow", right, script("p.lua", "return function() end") }
      assert.matches(why, err, 1, true)
      assert.equal(2, status)
    end
  end)
end)
