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
    worker(script("both.lua", echo:format("both", "a")), a)
    worker(script("both2.lua", echo:format("both", "b")), b)
    local status, out, err = sh.troupe { "run", "--host", a, "--host", b, script("p.lua", [[return function(ctx)
      ctx:sleep(0.3)
      for _ = 1, 3 do print(ctx:call("one", "Ask").at, ctx:call("two", "Ask").at, ctx:call("both", "Ask").at) end
      print(select(2, ctx:pcall("three", "Ask")))
      ctx:send("two", "Ask")
    end]]) }
    assert.equal(("a\tb\ta\n"):rep(3) .. "not_found: agent type three is not registered\n", printed(out), err)
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
      ctx:sleep(0.3) print(ctx:call("two", "Ask", {}, { timeout = 5 }).at) end]]) }
    assert.equal("b\n", printed(out), err)
    assert.equal(0, status)
  end)

  it("takes at most 64 of them", function()
    local words = { "run" }
    for _ = 1, 65 do words[#words + 1] = "--host=127.0.0.1:1" end
    words[#words + 1] = script("w.lua", echo:format("w", "here"))
    local status, _, err = sh.troupe(words)
    assert.equal(2, status)
    assert.matches("--host: more than 64", err, 1, true)
  end)
end)
