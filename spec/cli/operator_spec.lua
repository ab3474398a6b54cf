-- The operator's verbs ask a running process by its socket: ps, state, reload, drain, stop.
-- luacheck: no max line length
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local uv = require "luv"

local folder, env
local function script(name, text) return process.write_file(folder .. "/" .. name, text) end
local function ask(...) return sh.troupe({ ... }, { env = env, cwd = folder }) end

local counter = [[return { { type = "counter", version = 3, state = { n = 0 }, on = {
  Add = function(self, m) self.n = self.n + (m.n or 1) return self.n end,
  Slow = function(_, m, ctx) ctx:sleep(m.s) print("slow done") end } },
  { type = "starter", autostart = true, init = function(_, ctx) ctx:call("counter/a", "Add") ctx:send("counter/b", "Add", { n = 5 }) %s print("up") end } }]]

local function start(more, ...)
  local p = process.troupe({ "run", "--listen", "unix:" .. folder .. "/door.sock", script("counter.lua", counter:format(more or "")), ... }, { env = env })
  p:wait_line("^up")
  return p
end

describe("the operator's socket", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("is its owner's alone, and goes with its process", function()
    local p = start()
    local stat = uv.fs_stat(folder .. "/troupe")
    assert.equal(tonumber("700", 8), stat.mode & 511)
    stat = uv.fs_stat(("%s/troupe/%d.sock"):format(folder, p.pid))
    assert.equal(tonumber("600", 8), stat.mode & 511)
    p:kill("sigterm")
    assert.equal(0, (p:wait()))
    assert.is_nil(uv.fs_stat(("%s/troupe/%d.sock"):format(folder, p.pid)))
  end)

  it("is not opened in, nor believed from, a folder that others may enter", function()
    uv.fs_mkdir(folder .. "/troupe", tonumber("755", 8))
    local p = start()
    assert.matches("operator.socket.*open to others %(chmod 700%)", p.err)
    local status, _, err = ask("stop")
    assert.equal(1, status)
    assert.matches("no troupe of this user is running", err, 1, true)
    p:kill("sigterm")
    p:wait()
  end)

  it("of a killed process is cleared away", function()
    local p = start()
    p:kill("sigkill")
    p:wait()
    local path = ("%s/troupe/%d.sock"):format(folder, p.pid)
    assert.is_table(uv.fs_stat(path))
    local status, out = ask("ps")
    assert.equal(0, status)
    assert.equal("", out)
    assert.is_nil(uv.fs_stat(path))
  end)
end)

describe("troupe ps", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("lists processes, doors, agents", function()
    local p = start()
    local status, out, err = ask("ps")
    assert.equal(0, status, err)
    assert.matches(("^%d  troupe %%S+  running for %%d+ s  listening unix:"):format(p.pid), out)
    assert.matches("counter +2 instances  0 queued  0 at work  version 3  ", out)
    local _, json = ask("ps", "--json", "--pid", tostring(p.pid))
    assert.matches('"pid":' .. p.pid, json, 1, true)
    assert.matches('{"type":"starter","instances":1,', json, 1, true)
    assert.matches('"doors":[{"kind":"listen","address":"unix:', json, 1, true)
    p:kill("sigterm")
    p:wait()
  end)

  it("tells several apart", function()
    local a = start()
    local b = process.troupe({ "worker", "--host", "unix:" .. folder .. "/door.sock", script("w.lua", 'return { type = "w", on = {} }') }, { env = env })
    b:wait_line("^joined")
    local _, out = ask("ps")
    assert.matches("\n%d+  troupe.*host unix:%S+ %(joined%)\n  w ", out)
    local status, _, err = ask("reload")
    assert.equal(2, status)
    assert.matches("several are running: %d+, %d+ %(choose one with %-%-pid%)", err)
    status, out = ask("reload", "--pid", tostring(b.pid))
    assert.equal(0, status)
    assert.equal("reloaded 0 files\n", out)
    status, _, err = ask("reload", "--pid", "1")
    assert.equal(1, status)
    assert.matches("no troupe of this user runs as process 1", err, 1, true)
    assert.equal(0, (ask("stop", "--host", ("unix:%s/troupe/%d.sock"):format(folder, b.pid))))
    assert.equal(0, (b:wait()))
    a:kill("sigterm")
    a:wait()
  end)
end)

describe("troupe state", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("saves, shows and restores what runs", function()
    local p = start()
    local status, out, err = ask("state", "save", "world.state")
    assert.equal(0, status, err)
    assert.matches("^saved " .. folder:gsub("%-", "%%-") .. "/world.state, %d+ bytes\n$", out)
    status, out = ask("state", "show", "world.state")
    assert.equal(0, status)
    assert.matches('\nstate        counter/a version 3  {"n":1}\n', out, 1, true)
    assert.matches('\nstate        counter/b version 3  {"n":5}\n', out, 1, true)
    _, out = ask("state", "show", "world.state", "--only", "*/b")
    assert.not_matches("counter/a", out, 1, true)
    _, out = ask("state", "show", "world.state", "--json")
    assert.matches('"kind":"state","agent":"counter/a","version":3,"bytes":%d+,"value":{"n":1}}', out)
    sh.troupe { "call", "counter/a", "Add", '{"n":10}', "--host", "unix:" .. folder .. "/door.sock" }
    _, out = ask("state", "show", "--only", "counter")
    assert.matches('counter/a version 3  {"n":11}', out, 1, true)
    status, out = ask("state", "restore", "world.state", "--only", "counter/a")
    assert.equal(0, status)
    assert.equal("restored " .. folder .. "/world.state\n", out)
    _, out = sh.troupe { "call", "counter/a", "Add", "--host", "unix:" .. folder .. "/door.sock" }
    assert.equal("2\n", out)
    p:kill("sigterm")
    p:wait()
  end)

  it("says what is in its way", function()
    local p = start('ctx:send("counter/s", "Slow", { s = 100 })', "--drain", "0")
    local status, _, err = ask("state", "save", "world.state", "--timeout", "0.2")
    assert.equal(1, status)
    assert.matches("troupe: state: timeout: not saved: 1 agent is still at work: counter/s (Slow)", err, 1, true)
    status, _, err = ask("state", "save", "none/world.state", "--only", "starter")
    assert.equal(1, status)
    assert.matches("opening the folder .*none.*: No such file or directory", err)
    status, _, err = ask("state", "restore", "nothing.state")
    assert.equal(1, status)
    assert.matches("not_found: no file", err, 1, true)
    status, _, err = ask("state", "save")
    assert.equal(1, status)
    assert.matches("no file is named, and the process has none (--state)", err, 1, true)
    process.write_file(folder .. "/bad.state", "nonsense")
    status, _, err = ask("state", "show", "bad.state")
    assert.equal(1, status)
    assert.matches("data_loss", err, 1, true)
    assert.equal(2, (ask("state", "shwo")))
    p:kill("sigterm")
    p:wait()
  end)

  it("takes the process's own file", function()
    local p = start(nil, "--state", folder .. "/own.state")
    local status, out, err = ask("state", "save")
    assert.equal(0, status, err)
    assert.matches("own.state", out, 1, true)
    p:kill("sigterm")
    p:wait()
  end)
end)

describe("troupe reload, drain, stop", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("reloads, and tells what is wrong with a file", function()
    local p = start()
    script("counter.lua", (counter:format(""):gsub("version = 3", "version = 4, migrate = function() end")))
    local status, out = ask("reload")
    assert.equal(0, status)
    assert.equal("reloaded 1 file\n", out)
    assert.matches("version 4", select(2, ask("ps")), 1, true)
    script("counter.lua", "return {")
    local _, _, err = ask("reload")
    assert.matches("counter.lua:1:", err, 1, true)
    p:kill("sigterm")
    p:wait()
  end)

  it("drain waits for what is queued, stop only so long", function()
    local p = start('ctx:send("counter/s", "Slow", { s = 0.5 })', "--drain", "0.01")
    assert.equal(0, (ask("drain")))
    assert.equal(0, (p:wait()))
    assert.matches("slow done", p.out, 1, true)
    p = start('ctx:send("counter/s", "Slow", { s = 100 })', "--drain", "100")
    assert.equal(0, (ask("stop", "--drain", "0.1")))
    assert.equal(0, (p:wait()))
    assert.not_matches("slow done", p.out, 1, true)
  end)
end)

describe("verbs that are not there yet", function()
  it("say so", function()
    for _, verb in ipairs { "top", "inspect", "dev", "deadletters", "repl", "test" } do
      local status, _, err = sh.troupe { verb }
      assert.equal(2, status)
      assert.equal(("troupe: %s: not available yet (troupe --help lists what is)\n"):format(verb), err)
    end
  end)
end)
