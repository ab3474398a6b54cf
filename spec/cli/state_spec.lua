-- troupe run --state: what is restored, what is refused, what becomes of the file; and how a run ends.
-- luacheck: no max line length
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local folder
local function script(name, text) return process.write_file(folder .. "/" .. name, text) end
local function state_file() return folder .. "/all.state" end
local function run(path, ...) return sh.troupe { "run", "--state", state_file(), path, ... } end

local counter = [[return { { type = "counter", version = %s, state = { n = 0 }, %s on = { Add = function(self, m) self.n = self.n + m.n return self.n end } },
  function(ctx) print(ctx:call("counter/a", "Add", { n = 1 }), (ctx:call("counter/b", "Add", { n = 10 }))) end }]]

describe("troupe run --state", function()
  before_each(function() folder = process.tmpdir() end)

  it("is in --help", function()
    local _, out = sh.troupe { "run", "--help" }
    assert.matches("--state FILE", out, 1, true)
  end)

  it("restores each instance", function()
    local path = script("c.lua", counter:format("1", ""))
    for i = 1, 3 do
      local status, out, err = run(path)
      assert.equal(("%d\tcounter\t%d\n"):format(i, 10 * i):gsub("\tcounter", ""), (out:gsub("\tAdd", "")), err)
      assert.equal(0, status)
    end
  end)

  it("brings an older version up by migrate, and refuses a newer one", function()
    run(script("c.lua", counter:format("1", "")))
    local newer = script("c.lua", counter:format("2", "migrate = function(self, from) self.n = self.n + 1000 * from end,"))
    local status, out, err = run(newer)
    assert.matches("^1002\t.*1020\n", out, 1, err)
    assert.equal(0, status)
    local before = process.read_file(state_file())
    status, out, err = run(script("c.lua", counter:format("1", "")))
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches("is of version 2, newer than the code's 1", err, 1, true)
    assert.equal(before, process.read_file(state_file()))
  end)

  it("keeps a state that cannot be migrated", function()
    run(script("c.lua", counter:format("1", "")))
    local status, _, err = run(script("c.lua", counter:format("2", "")))
    assert.equal(1, status)
    assert.matches("version 1, the code of 2, and there is no `migrate`", err, 1, true)
    local _, out = run(script("c.lua", counter:format("1", "")))
    assert.matches("^2\t", out)
  end)

  it("finds a damaged file and leaves it as it is", function()
    local path = script("c.lua", counter:format("1", ""))
    run(path)
    local whole = process.read_file(state_file())
    for _, at in ipairs { 1, 20, #whole // 2, #whole - 3 } do
      local bad = whole:sub(1, at - 1) .. string.char(whole:byte(at) ~ 1) .. whole:sub(at + 1)
      process.write_file(state_file(), bad)
      local status, out, err = run(path)
      assert.equal(1, status)
      assert.equal("", out)
      assert.matches("--state", err, 1, true)
      assert.equal(bad, process.read_file(state_file()))
    end
    process.write_file(state_file(), whole:sub(1, #whole - 1))
    assert.equal(1, (run(path)))
  end)

  it("keeps mail that was not handled, and says which agent lost its turn", function()
    local text = [[return { { type = "slow", state = { done = {} }, on = { Job = function(self, m, ctx)
        ctx:sleep(m.s) self.done[#self.done + 1] = m.name print("did " .. m.name) end } },
      function(ctx) %s end }]]
    local status, out, err = sh.troupe { "run", "--drain", "0.2", "--state", state_file(),
      script("s.lua", text:format([[for i, s in ipairs { 0, 100, 0, 0 } do ctx:send("slow", "Job", { name = "job" .. i, s = s }) end]])) }
    assert.equal("did job1\n", out, err)
    assert.equal(0, status)
    assert.matches("drain.dropped: agent=slow/default turns=1 messages=2", (err:gsub("drain.dropped%s+", "drain.dropped: ")), 1, true)
    assert.is_nil(err:find("dead_letter", 1, true), err) -- they are in the file
    status, out, err = sh.troupe { "run", "--state", state_file(), script("s.lua", text:format("ctx:sleep(0.05)")) }
    assert.equal("did job3\ndid job4\n", out, err)
    assert.equal(0, status)
  end)

  it("saves what close hooks changed, also of one that is cut off", function()
    local text = [[return { { type = "a", state = { n = 0 }, close = function(self, ctx) self.n = self.n + 1 if ctx.key == "slow" then ctx:sleep(100) self.n = 0 end end,
        on = { Get = function(self) return self.n end } },
      function(ctx) print(ctx:call("a/fast", "Get"), (ctx:call("a/slow", "Get"))) end }]]
    local path = script("a.lua", text)
    for i = 0, 2 do
      local status, out, err = sh.troupe { "run", "--drain", "0.2", "--state", state_file(), path }
      assert.equal(0, status, err)
      assert.matches(("^%d\t.*%d\n"):format(i, i), out)
    end
  end)

  it("begins again what requeue = true was at, and leaves out a request whose caller is told", function()
    local text = [[return { { type = "w", requeue = true, timeout = false, state = { n = 0 }, on = { Job = function(self, m, ctx)
        self.n = self.n + 1 print("job " .. self.n) ctx:sleep(m.s) print("done " .. self.n) end } },
      function(ctx) %s end }]]
    local status, out, err = sh.troupe { "run", "--drain", "0.2", "--state", state_file(),
      script("s.lua", text:format([[ctx:send("w", "Job", { s = 100 }) ctx:send("w", "Job", { s = 0 })
        local f = ctx:async("w", "Job", { s = 0 }, { timeout = 50 })]])) }
    assert.equal("job 1\n", out, err)
    assert.equal(0, status)
    assert.matches("save.requests", err, 1, true)
    text = text:gsub("m.s%)", "0)")
    status, out, err = sh.troupe { "run", "--state", state_file(), script("s.lua", text:format("ctx:sleep(0.05)")) }
    assert.equal("job 1\ndone 1\njob 2\ndone 2\n", out, err)
    assert.equal(0, status)
  end)

  it("saves the others when one cannot be saved, and says so by its status; the last file that had all stays", function()
    local text = [[return { { type = "good", state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 return self.n end } },
      { type = "bad", save = function() %s end, on = { X = function() return 1 end } },
      function(ctx) print((ctx:call("good", "Add"))) ctx:call("bad", "X") end }]]
    run(script("g.lua", text:format "return {}"))
    local whole = process.read_file(state_file())
    local path = script("g.lua", text:format 'error("no")')
    local status, _, err = run(path)
    assert.equal(1, status)
    assert.matches('agent=bad/default error="handler_error: .*no"', err)
    assert.matches("(the old file, which has more, is " .. state_file() .. ".1)", err, 1, true)
    local _, out, again = run(path)
    assert.equal("3\n", out)
    assert.matches("it was not saved", again)
    assert.equal(whole, process.read_file(state_file() .. ".1"))
  end)

  it("keeps the file where not all of it could be taken up", function()
    local text = [[return { { type = "slow", timers = { Tick = 3600 }, on = { Tick = function() end, Go = function(_, _, ctx) ctx:sleep(3600) end } },
      function(ctx) for _ = 1, 3 do ctx:send("slow", "Go") end ctx:sleep(0.05) ctx:exit(0) end }]]
    sh.troupe { "run", "--drain", "0", "--state", state_file(), script("s.lua", text) }
    local before = process.read_file(state_file())
    local _, _, err = run(script("c.lua", counter:format("1", ""))) -- a slip
    assert.matches('restore.failed agent=slow/default record=mail error="not_found: no agent type', err, 1, true)
    assert.equal(before, process.read_file(state_file() .. ".1"))
  end)

  it("says at the start where the file could not be written", function()
    local path = script("c.lua", counter:format("1", ""))
    for name, why in pairs { ["none/all.state"] = "No such file or directory", link = "not a regular file", [""] = "names no file" } do
      if name == "link" then os.execute(("ln -s all.state '%s/link'"):format(folder)) end
      local status, out, err = sh.troupe { "run", "--state", folder .. "/" .. name, path }
      assert.equal(1, status)
      assert.equal("", out)
      assert.matches(why, err, 1, true)
    end
  end)

  it("belongs to one process at a time", function()
    local path = script("c.lua", [[return { { type = "c", autostart = true, state = { n = 0 }, timers = { Tick = 3600 },
      init = function(self) self.n = self.n + 1 print("n " .. self.n) end, on = { Tick = function() end } } }]])
    local p = process.troupe { "run", "--state", state_file(), path }
    p:wait_line "^n 1"
    local status, out, err = run(path)
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches(("is in use by process %d;"):format(p.pid), err, 1, true)
    p:kill "sigkill" -- its lock ends with it
    p:wait()
    for n = 1, 2 do
      p = process.troupe { "run", "--state", state_file(), path }
      p:wait_line("^n " .. n)
      p:kill "sigterm"
      assert.equal(0, p:wait())
    end
    assert.is_nil(io.open(state_file() .. ".lock"))
  end)
end)

describe("the end of troupe run", function()
  before_each(function() folder = process.tmpdir() end)

  it("runs close hooks on SIGTERM, which may wait and send", function()
    local p = process.troupe { "run", "--listen", "127.0.0.1:0", script("a.lua", [[return {
      { type = "a", autostart = true, init = function() print("up") end, close = function(_, ctx, why) ctx:sleep(0.1) print("closed " .. why) end },
      { type = "b", autostart = true, close = function(_, ctx, why) ctx:sleep(100) print("never") end } }]]), "--drain", "0.5" }
    p:wait_line("^up")
    p:kill("sigterm")
    p:wait_line("^closed drain")
    assert.equal(0, (p:wait()))
    assert.matches("drain.dropped.*agent=b/default turns=1 messages=0 closing=yes", p.err)
    assert.not_matches("never", p.out)
  end)
end)
