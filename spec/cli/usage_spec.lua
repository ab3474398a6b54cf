-- How the program answers a command line: help, versions, and what it says to a wrong one.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local verbs = { "run", "host", "worker", "call", "publish", "subscribe", "check", "new" }

describe("troupe", function()
  it("tells its verbs with --help, and ends with 0", function()
    local status, out = sh.troupe { "--help" }
    assert.equal(0, status)
    for _, verb in ipairs(verbs) do assert.matches("\n  " .. verb .. " ", out) end
  end)

  it("tells its verbs on standard error without arguments, and ends with 2", function()
    local status, out, err = sh.troupe {}
    assert.equal(2, status)
    assert.equal("", out)
    assert.matches("usage: troupe VERB", err)
  end)

  it("tells versions of itself, Lua, libuv, nghttp2 and nanopb", function()
    local status, out = sh.troupe { "--version" }
    assert.equal(0, status)
    assert.matches("^troupe %d+%.%d+%.%d+ %(Lua 5%.4%.%d, libuv 1%.%d+%.%d+, nghttp2 1%.%d+%.%d+, nanopb 0%.4%.%d+%)\n$", out)
  end)

  for _, verb in ipairs(verbs) do
    it("has help with an example for " .. verb, function()
      local status, out = sh.troupe { verb, "--help" }
      assert.equal(0, status)
      assert.matches("^troupe " .. verb, out)
      assert.matches("\nFor example:\n  troupe " .. verb, out)
    end)
  end

  it("has that help by `troupe help VERB` too, and names in one column", function()
    local _, out = sh.troupe { "help", "host" }
    assert.matches("^troupe host ", out)
    _, out = sh.troupe { "help" }
    assert.matches("\n  run          Run .*\n  deadletters  List ", out)
    assert.equal(2, (sh.troupe { "help", "hots" }))
  end)

  local wrong = {
    { { "host", "--threads", "many" }, '%-%-threads: "many" is not a number from 1\n$' },
    { { "host", "--rights", "none.rights" }, "none.rights: No such file or directory" },
    { { "--versoin" }, "^troupe: %-%-versoin: no such option %(did you mean %-%-version%?" },
    { { "--watch", "run", "a.lua" }, "come behind it: troupe VERB %-%-watch" },
    { { "run", "--drain", "a.lua" }, '^troupe: run: %-%-drain: "a.lua" is not a number of seconds' },
    { { "run", "--log", "a.lua" }, '%("a.lua" is the value of %-%-log;' },
    { { "host", "here" }, '%("here" is too much;' },
    { { "hots" }, "^troupe: hots: no such verb %(did you mean host%?" },
    { { "run" }, "^troupe: run: usage: troupe run FILE" },
    { { "run", "--wacth", "a.lua" }, "unknown option %-%-wacth %(did you mean %-%-watch%?" },
    { { "worker", "--host" }, "%-%-host needs a value: %-%-host ADDRESS" },
    { { "run", "--watch=1", "a.lua" }, "%-%-watch takes no value" },
    { { "host", "--drain", "soon" }, '%-%-drain: "soon" is not a number of seconds' },
    { { "host", "--max-message", "big" }, '%-%-max%-message: "big" is not a size in bytes' },
    { { "host", "--log", "loud" }, '"loud" is none of error, warn, info, debug' },
    { { "call", "a b", "Ask" }, "^troupe: call: .*a b" },
    { { "publish", "to pic", "Event" }, "^troupe: publish: .*to pic" },
    { { "publish", "topic" }, "^troupe: publish: usage: " },
    { { "call", "a", "Ask", "{oops" }, "^troupe: call: the body is not JSON: JSON, line 1, column 2: " },
    { { "worker", "--host", "http://localhost:1", "examples/hello/agent.lua" }, "an address has no scheme" },
    { { "worker", "--host", "localhost", "examples/hello/agent.lua" }, "expected host:port" },
    { { "subscribe", "default", "--count", "0" }, "%-%-count: \"0\" is not a number above 0" },
  }
  for _, case in ipairs(wrong) do
    it("answers a usage error with one line and status 2: " .. table.concat(case[1], " "), function()
      local status, out, err = sh.troupe(case[1])
      assert.equal("", out)
      assert.matches(case[2], err)
      assert.equal(1, select(2, err:gsub("\n", "")), err)
      assert.equal(2, status)
    end)
  end

  it("answers a missing file with its name and status 1", function()
    local status, _, err = sh.troupe { "run", "no/such/file.lua" }
    assert.equal(1, status)
    assert.matches("^troupe: run: no/such/file.lua: No such file or directory\n$", err)
  end)

  it("answers a folder without scripts with its name", function()
    local folder = process.tmpdir()
    local status, _, err = sh.troupe { "run", folder }
    assert.equal(1, status)
    assert.matches("there is no %*%.lua directly in this folder", err)
  end)

  it("says that an address is in use", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (.*)$")
    local status, _, err = sh.troupe { "host", "--listen", address }
    assert.equal(1, status)
    assert.matches("^troupe: host: cannot listen on 127.0.0.1:%d+: address already in use %(troupe ps tells .+%)\n$", err)
  end)

  it("says that nothing runs: ps on standard error, with an empty list and status 0; the others fail", function()
    local env = { XDG_RUNTIME_DIR = process.tmpdir() }
    for _, json in ipairs { false, "--json" } do
      local status, out, err = sh.troupe({ "ps", json or nil }, { env = env })
      assert.equal("", out)
      assert.equal("troupe: ps: no troupe of this user is running (troupe host, worker or run starts one)\n", err)
      assert.equal(0, status)
    end
    local status, _, err = sh.troupe({ "stop" }, { env = env })
    assert.equal(1, status)
    assert.matches("no troupe of this user is running", err)
  end)

  it("lists what doctor looks for without a process", function()
    local env = { XDG_RUNTIME_DIR = process.tmpdir() }
    local status, out = sh.troupe({ "doctor", "--checks" }, { env = env })
    assert.equal(0, status)
    assert.matches("^nobody_listens\n  events on a topic without subscribers\n  do: ", out)
    status, out = sh.troupe({ "doctor", "--checks", "--json" }, { env = env })
    assert.equal(0, status)
    assert.matches('^{"checks":%[{"name":"nobody_listens","sign":', out)
  end)

  it("says that no host is there, and how to start one", function()
    local status, out, err = sh.troupe { "call", "a", "Ask", "--host", "127.0.0.1:1" }
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches("^troupe: call: unavailable: 127.0.0.1:1: connection refused %(is a host there%? troupe host", err)
  end)
end)
