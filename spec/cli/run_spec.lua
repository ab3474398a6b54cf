-- troupe run: programs, folders, signals, reload.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local function script(name, text)
  return process.write_file(process.tmpdir() .. "/" .. name, text)
end

describe("troupe run", function()
  it("runs a program with the agents beside it", function()
    local status, out, err = sh.troupe { "run", "examples/hello/greeter.lua", "--", "Clara", "Dora" }
    assert.equal("hello Clara, you are number 1\nhello Dora, you are number 2\n", out)
    assert.equal(0, status, err)
  end)

  it("ends with the program's status", function()
    local status = sh.troupe { "run", script("p.lua", "return function() return 7 end") }
    assert.equal(7, status)
  end)

  it("takes 1 for a status that is none, and says so", function()
    for _, case in ipairs { { "300", "it returned 300" }, { "'x'", "it returned a string" }, { "1.5", "it returned a number" } } do
      local status, _, err = sh.troupe { "run", script("p.lua", "return function() return " .. case[1] .. " end") }
      assert.equal(1, status)
      assert.matches(case[2], err, 1, true)
    end
  end)

  it("runs without standard input, output and errors", function()
    local path = script("closed.lua", "return function() print('out') return 7 end")
    assert.equal(7, (sh(("exec %s run %s <&-"):format(process.program, path))))
    assert.equal(7, (sh(("exec %s run %s <&- >&- 2>&-"):format(process.program, path))))
  end)

  it("fails where all that it had to start failed", function()
    local path = script("fails.lua", "return { autostart = true, init = function() error 'no' end, on = {} }")
    local status, _, err = sh.troupe { "run", path }
    assert.equal(1, status)
    assert.matches("troupe: run: it ends with no agent left, and 1 of its turns failed (see the log)\n", err, 1, true)
    process.write_file(path, "return { autostart = true, init = function(_, ctx) ctx:stop() end, on = {} }")
    status, _, err = sh.troupe { "run", path }
    assert.equal("", err)
    assert.equal(0, status)
  end)

  it("says so where there was nothing to do", function()
    local status, _, err = sh.troupe { "run", script("a.lua", "return { on = { A = function() end } }") }
    assert.equal(0, status)
    assert.matches("nothing to do", err)
  end)

  it("prints a NUL as \\0 and escapes what a script logs", function()
    local _, out, err = sh.troupe { "run", script("p.lua", [[return function(ctx)
      print("n\0ul")
      ctx:log("warn", 'say "x" \27[1m', { ["a b"] = 'c"d' })
    end]]) }
    assert.equal("n\\0ul\n", out)
    assert.matches([[text="say \"x\" \x1b[1m" a_b="c\"d"]], err, 1, true)
  end)

  it("ends with 1 when the program fails, with a traceback in the log", function()
    local status, _, err = sh.troupe { "run", script("p.lua", "return function()\n  error('broken')\nend") }
    assert.equal(1, status)
    assert.matches("p.lua:2: broken", err)
    assert.matches('traceback=".*p.lua:2: in function', err)
  end)

  it("ends when nothing can happen any more", function()
    local status, out = sh.troupe { "run", script("a.lua", [[
      return { type = "a", autostart = true, state = { n = 0 }, on = {
        Tick = function(self, _, ctx)
          self.n = self.n + 1
          print("tick " .. self.n)
          if self.n < 3 then ctx:after(0.01, "Tick") end
        end },
        init = function(self, ctx) ctx:after(0.01, "Tick") end }]]) }
    assert.equal("tick 1\ntick 2\ntick 3\n", out)
    assert.equal(0, status)
  end)

  it("loads the scripts directly in a folder, but not its specs", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/one.lua", [[return { on = { Ask = function() return { n = 1 } end } }]])
    process.write_file(folder .. "/one_spec.lua", [[error("a spec is no agent")]])
    process.write_file(folder .. "/main.lua", [[return function(ctx) print(ctx:call("one", "Ask").n) end]])
    local status, out, err = sh.troupe { "run", folder }
    assert.equal("1\n", out, err)
    assert.equal(0, status)
  end)

  it("drains and ends with 0 on SIGTERM", function()
    local host = process.troupe { "run", "--listen", "127.0.0.1:0", "examples/hello/agent.lua" }
    host:wait_line("^listening ")
    host:kill("sigterm")
    assert.equal(0, (host:wait()))
  end)

  it("finishes what it is at when told to stop, and at once when told twice", function()
    local text = [[return { autostart = true, init = function(_, ctx) print("begun") ctx:sleep(%s) print("done") end }]]
    local p = process.troupe { "run", "--listen", "127.0.0.1:0", script("slow.lua", text:format("0.3")) }
    p:wait_line("^begun")
    p:kill("sigterm")
    p:wait_line("^done")
    assert.equal(0, (p:wait()))
    p = process.troupe { "run", "--listen", "127.0.0.1:0", "--drain", "60", script("slower.lua", text:format("1000")) }
    p:wait_line("^begun")
    p:kill("sigint")
    p:wait_line("stop signal=SIGINT", nil, "err")
    p:kill("sigint")
    assert.equal(0, (p:wait()))
  end)

  local answers = [[return { type = "a", state = { n = 0 }, on = { Ask = function(self)
    self.n = self.n + 1
    return { v = %q, n = self.n }
  end } }]]

  local function asker(p)
    local _, address = p:wait_line("^listening (.*)$")
    return function()
      local status, out, err = sh.troupe { "call", "a", "Ask", "--host", address }
      assert.equal(0, status, err)
      return out
    end
  end

  it("takes a changed script with --watch, keeps its state, and keeps the old one when the new is broken", function()
    local path = script("a.lua", answers:format("old"))
    local p = process.troupe { "run", "--watch", "--listen", "127.0.0.1:0", path }
    local ask = asker(p)
    assert.equal('{"n":1,"v":"old"}\n', (ask():gsub('{"v":"old","n":1}', '{"n":1,"v":"old"}')))
    process.write_file(path, answers:format("new"))
    p:wait_line('reload files=1 names=".*/a.lua"', nil, "err")
    assert.matches('"v":"new"', ask())
    process.write_file(path, "return { type = 'a',\n  on = { Ask = function( } }")
    p:wait_line("reload.failed .*a.lua:2:", nil, "err")
    assert.matches('"v":"new"', ask())
    -- As editors save: a new file renamed over the old one.
    local other = process.write_file(path .. ".tmp", answers:format("newest"))
    assert(os.rename(other, path))
    p:wait_line('reload files=1 names=".*/a.lua"', nil, "err")
    local last = ask()
    assert.matches('"v":"newest"', last)
    assert.matches('"n":4', last)
  end)

  it("takes a changed script on SIGHUP", function()
    local path = script("a.lua", answers:format("old"))
    local p = process.troupe { "run", "--listen", "127.0.0.1:0", path }
    local ask = asker(p)
    ask()
    process.write_file(path, answers:format("new"))
    p:kill("sighup")
    p:wait_line('reload files=1 names=".*/a.lua"', nil, "err")
    assert.matches('"v":"new"', ask())
    assert.matches('"n":3', ask())
  end)

  it("says where a script is wrong", function()
    local status, _, err = sh.troupe { "run", script("bad.lua", "return {\n  on = { Ask = 5 },\n}") }
    assert.equal(1, status)
    assert.matches("^troupe: run: .*bad.lua", err)
    assert.matches("Ask", err)
    status, _, err = sh.troupe { "run", script("worse.lua", "return {\n  on = = 5,\n}") }
    assert.equal(1, status)
    assert.matches("worse.lua:2:", err)
    status, _, err = sh.troupe { "run", script("key.lua", "return { subscription = { 'a' }, on = {} }") }
    assert.equal(1, status)
    assert.matches("subscription.*subscriptions", err)
  end)

  it("uses no CPU while idle", function()
    local p = process.troupe { "run", "--listen", "127.0.0.1:0", "examples/hello/agent.lua" }
    p:wait_line("^listening ")
    local function wakeups()
      local text = process.read_file("/proc/" .. p.pid .. "/status")
      return tonumber(text:match("\nvoluntary_ctxt_switches:%s*(%d+)"))
    end
    local woken
    for _ = 1, 4 do -- starting may take its time
      local before = wakeups()
      require("spec.support.loop").run(function() return false end, 0.5)
      woken = wakeups() - before
      if woken <= 2 then break end
    end
    assert.is_true(woken <= 2, "woke up " .. woken .. " times in half a second")
  end)
end)
