-- ctx:launch with real processes: how they start, what they may, how they end, and what their callers hear of it.
-- luacheck: no max line length
local uv = require "luv"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local folder
local function script(name, text) return process.write_file(folder .. "/" .. name, text) end
local function run(text) return sh.troupe { "run", "--allow", "launch", script("main.lua", text) } end
local function alive(pid) return uv.kill(pid, 0) == 0 end
local function gone(pid) return loop.poll(function() return not alive(pid) end, 10) end
local function started(p, pattern) -- the next process that it launches
  local _, pid = p:wait_line(pattern or "launched agent=%S+ pid=(%d+)", 10, "err")
  return tonumber(pid)
end

local worker = [[
local a, b = ...
return { type = "w", subscriptions = { "news" }, state = { n = 0 },
  close = function(_, _, why) print("closed " .. why) end,
  on = {
    Add = function(self, m) self.n = self.n + (m.by or 1) return { n = self.n } end,
    Args = function(_, _, ctx) return { a, b, ctx.id, ctx.sender } end,
    Back = function(_, _, ctx) return (ctx:call("here/1", "Ask")) end,
    Chain = function(_, m, ctx) return m.depth == 0 and { 0 } or (ctx:call("here/1", "Chain", { depth = m.depth - 1 })) end,
    Print = function(_, m) print("printed " .. m.text) end,
    Log = function(_, m, ctx) ctx:log("warn", m.text) end,
    Sleep = function(_, m, ctx) print("sleeping") ctx:sleep(m.s) return { slept = true } end,
    Exit = function(_, m, ctx) ctx:exit(m.status) ctx:sleep(0.1) end,
    Stop = function(_, _, ctx) ctx:stop() end,
    News = function(_, m, ctx) ctx:publish("answers/x", "Heard", { by = ctx.id, text = m.text }) end,
    Launch = function(_, m, ctx) local ok, e = pcall(ctx.launch, ctx, { file = "w.lua", key = "inner" })
      return { ok = ok, error = not ok and tostring(e) or nil } end,
  } }]]
local here = [[{ type = "here", on = {
    Ask = function() return { text = "from here" } end,
    Chain = function(_, m, ctx) return (ctx:call("w/1", "Chain", m)) end } }]]

describe("ctx:launch", function()
  before_each(function()
    folder = process.tmpdir()
    script("w.lua", worker)
  end)

  it("starts a process for an agent, which is called, sent to and calls back as if it were here", function()
    local status, out, err = run("return { " .. here .. [[, function(ctx)
      local w = ctx:launch{ file = "w.lua", key = "1", args = { "x", 2 } }
      print(w:Add{ by = 2 }.n, w:Add{ by = 3 }.n, ctx:call("w/1", "Add").n)
      print(table.concat(ctx:call("w/1", "Args"), " "), tostring(w), w:Back{}.text, w:Chain{ depth = 5 }[1])
      for i = 1, 3 do ctx:send("w/1", "Print", { text = tostring(i) }) end
      ctx:send("w/1", "Log", { text = "careful" })
      print(ctx:call("w/1", "Add").n)
      print(select(2, ctx:pcall("w/2", "Add")))
      print(select(2, ctx:pcall("w/1", "Nothing")))
    end }]])
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({ "2\t5\t6", "7", "cant_handle: w has no handler for `Nothing`", "closed drain", "not_found: no agent type \"w\" here (2 types are known)",
      "printed 1", "printed 2", "printed 3", "x 2 w/1 main/default\tw/1\tfrom here\t0" }, lines, err)
    assert.matches('warn launched.log agent=w/1 pid=%d+ line="agent.log agent=w/1 text=\\"careful\\""', err)
    assert.equal(0, status)
  end)

  it("gives it the events of here, and those of here its events", function()
    local status, out, err = run([[return { { type = "ear", subscriptions = { "answers" }, state = { n = 0 }, on = {
        Heard = function(self, m, ctx) self.n = self.n + 1 print(ctx.id, m.by, m.text) end, Count = function(self) return { n = self.n } end } },
      function(ctx)
        ctx:launch{ file = "w.lua", key = "1" } ctx:launch{ file = "w.lua", key = "2" }
        ctx:call("w/1", "Add") ctx:call("w/2", "Add")
        ctx:publish("news/1", "News", { text = "for one" }) ctx:publish("news/2", "News", { text = "for two" }) ctx:publish("news/3", "News", { text = "for nobody" })
        while ctx:call("ear/x", "Count").n < 2 do ctx:sleep(0.01) end
      end }]])
    assert.matches("ear/x\tw/1\tfor one\n", out, 1, err)
    assert.matches("ear/x\tw/2\tfor two\n", out, 1, true)
    assert.not_matches("nobody", out)
    assert.equal(0, status)
  end)

  it("is behind its launcher as if it were in it, for hosts too", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (.*)$")
    local clerk = process.troupe { "worker", "--host", address, script("clerk.lua", [[return { type = "clerk", subscriptions = { "answers" }, on = {
      Ask = function(_, _, ctx) return { text = "from " .. ctx.id } end, Heard = function(_, m) print("clerk heard " .. m.by) end } }]]) }
    clerk:wait_line("^joined")
    script("far.lua", [[return { type = "far", subscriptions = { "news" }, on = {
      Go = function(_, _, ctx) return (ctx:call("clerk/1", "Ask")) end,
      News = function(_, m, ctx) ctx:publish("answers/x", "Heard", { by = ctx.id }) end } }]])
    local p = process.troupe { "run", "--host", address, "--allow", "launch", script("main.lua", [[return { { type = "near", autostart = true, subscriptions = { "news" }, on = { News = function() end }, init = function(_, ctx)
      print(ctx:launch{ file = "far.lua", key = "1" }:Go{}.text) end } }]]) }
    p:wait_line("^from clerk/1")
    assert.equal(0, (sh.troupe { "publish", "news/1", "News", "{}", "--host", address }))
    clerk:wait_line("^clerk heard far/1")
    assert.is_nil(clerk.out:find("far/1.*far/1")) -- once
  end)

  it("is found by who comes in by its launcher's doors", function()
    local _, above = process.troupe({ "host", "--listen", "127.0.0.1:0" }):wait_line("^listening (.*)$")
    local p = process.troupe { "run", "--host", above, "--listen", "127.0.0.1:0", "--allow", "launch", script("main.lua", [[return { { type = "near",
      autostart = true, on = {}, init = function(_, ctx) print("made " .. ctx:launch{ file = "w.lua", key = "1" }:Add{}.n) end } }]]) }
    local _, own = p:wait_line("^listening (.*)$")
    p:wait_line("^made 1")
    for i, address in ipairs { own, above } do
      local status, out, err = sh.troupe { "call", "w/1", "Add", "--host", address, "--wait", address == above and "w" or "near" }
      assert.equal(('{"n":%d}\n'):format(i + 1), out, err)
      assert.equal(0, status)
      status, out, err = sh.troupe { "call", "w/2", "Add", "--host", address }
      assert.matches("not_found: ", err, 1, true)
      assert.same({ 1, "" }, { status, out })
    end
  end)

  it("starts it lazily at its first use, and the same again is the same", function()
    local status, out, err = run([[return function(ctx)
      local w = ctx:launch{ file = "w.lua", key = "1", lazy = true }
      ctx:sleep(0.1) ctx:log("warn", "not used yet")
      print(w:Add{}.n, ctx:launch{ file = "w.lua", key = "1" }:Add{}.n)
      print(pcall(ctx.launch, ctx, { file = "w.lua", key = "1", args = { "other" } }))
    end]])
    assert.matches("^1\t2\nfalse\talready_exists: w/1 is elsewhere already", out, 1, err)
    assert.is_true(err:find("not used yet", 1, true) < err:find("launched agent=w/1", 1, true))
    assert.equal(0, status)
  end)

  it("counts a deadline from the arrival, however long nothing came", function()
    local status, out, err = run([[return function(ctx)
      local w = ctx:launch{ file = "w.lua", key = "1" } w:Add{}
      ctx:sleep(0.6) print(ctx:pcall("w/1", "Add", {}, { timeout = 0.5 }))
    end]])
    assert.matches("^true\ttable", out, 1, err)
    assert.equal(0, status)
  end)

  it("is for those who may, and hands on no right that they have not", function()
    local status, _, err = sh.troupe { "run", script("main.lua", [[return function(ctx) ctx:launch{ file = "w.lua" } end]]) }
    assert.matches("permission_denied: scripts may not launch processes here (--allow launch grants it)", err, 1, true)
    assert.equal(1, status)
    local out
    status, out, err = run([[return function(ctx)
      print(ctx:launch{ file = "w.lua", key = "1" }:Launch{}.error)
      print(ctx:launch{ file = "w.lua", key = "2", allow = { "launch" } }:Launch{}.ok)
      print(pcall(ctx.launch, ctx, { file = "w.lua", key = "3", allow = { "net=127.0.0.1:1" } }))
    end]])
    assert.matches("permission_denied: .*%-%-allow launch.*\ntrue\nfalse\tpermission_denied: a right that this process has not.*%-%-allow net=127.0.0.1:1", out, 1, err)
    assert.equal(0, status)
  end)

  it("tells the callers what became of a process that crashed, and starts it anew", function()
    local p = process.troupe { "run", "--allow", "launch", script("main.lua", [[return function(ctx)
      local w = ctx:launch{ file = "w.lua", key = "1" }
      print("n", w:Add{}.n)
      print(ctx:pcall("w/1", "Sleep", { s = 100 }))
      print("n", w:Add{}.n)
      print(ctx:pcall("w/1", "Exit", { status = 3 }))
      print("n", w:Add{}.n)
    end]]) }
    local first = started(p)
    p:wait_line("^n\t1")
    p:wait_line("^sleeping")
    uv.kill(first, "sigkill")
    p:wait_line("^false\tunavailable: the process of w/1 was ended by signal 9")
    p:wait_line("^n\t1") -- its state begins anew
    assert.is_true(started(p) ~= first)
    p:wait_line("^n\t1")
    assert.equal(0, (p:wait()))
    assert.is_false(alive(first)) -- not even a zombie
    assert.matches('launched.ended agent=w/1 reason="the process of w/1 ended with status 3[^"]*" again_in=0%.', p.err)
  end)

  it("tells the first callers why one did not start, and tries again more and more rarely", function()
    script("bad.lua", "return { type = 'bad', on = { X = function() return 1 end } , oops = 1 }")
    script("program.lua", "return function() end")
    local status, out, err = run([[return function(ctx)
      ctx:launch{ file = "bad.lua" }
      print(ctx:pcall("bad", "X")) print(ctx:pcall("bad", "X"))
      ctx:launch{ file = "none.lua" } print(ctx:pcall("none", "X"))
      ctx:launch{ file = "w.lua", type = "v" } print(ctx:pcall("v", "X"))
      ctx:launch{ file = "program.lua", key = "p" } print(ctx:pcall("program/p", "X"))
      ctx:sleep(1)
    end]])
    local first = "false\tunavailable: the process of bad/default ended at its start with status 1: troupe: [^\n]*bad.lua: [^\n]*oops[^\n]*\n"
    assert.matches("^" .. first .. first .. "false\tunavailable: the process of none/default ended at its start[^\n]*none.lua: No such file[^\n]*\n", out, 1, err)
    assert.matches('unavailable: [^\n]*it has no agent of type "v"', out)
    assert.matches("unavailable: [^\n]*only agents can be launched", out)
    local delays = {}
    for delay in err:gmatch("agent=bad/default reason=[^\n]* again_in=([%d.e-]+)") do delays[#delays + 1] = tonumber(delay) end
    assert.is_true(#delays >= 2 and #delays < 12, #delays .. " starts")
    assert.is_true(delays[1] <= 0.05 and delays[#delays] > delays[1])
    assert.equal(0, status)
  end)

  it("ends them with their parent, however that ends", function()
    local text = [[return { { type = "x", autostart = true, init = function(_, ctx)
      local w = ctx:launch{ file = "w.lua", key = "1" } print("up", w:Add{}.n) end } }]]
    for _, signal in ipairs { "sigkill", "sigterm", "sigint" } do
      local p = process.troupe { "run", "--listen", "127.0.0.1:0", "--allow", "launch", script("main.lua", text) }
      local pid = started(p)
      p:wait_line("^up\t1")
      assert.is_true(alive(pid))
      p:kill(signal)
      p:wait()
      assert.is_true(gone(pid), signal)
      if signal ~= "sigkill" then assert.matches("closed drain", p.out, 1, true) end
    end
  end)

  it("stops one in order: by its proxy, or by itself, when it is started again at its next use", function()
    local status, out, err = run([[return function(ctx)
      local w = ctx:launch{ file = "w.lua", key = "1" }
      w:Add{}
      ctx:send("w/1", "Stop")
      local ok, again
      repeat ctx:sleep(0.01) ok, again = ctx:pcall("w/1", "Add") until ok
      print("n", again.n)
      ctx:stop(w)
      print(ctx:pcall("w/1", "Add"))
      print(pcall(ctx.stop, ctx, w))
      print(pcall(ctx.stop, ctx, 1))
      print("n", ctx:launch{ file = "w.lua", key = "1" }:Add{}.n)
    end]])
    assert.matches("^closed stop\nn\t1\n.*false\tnot_found: .*false\tnot_found: w/1 was not launched.*false\tinvalid: stop takes a proxy.*n\t1\n", out, 1, err)
    assert.equal(2, select(2, out:gsub("closed drain\n", "")), out)
    assert.equal(0, status)
  end)

  it("attaches to a server that runs already", function()
    local server = process.troupe { "run", "--listen", "127.0.0.1:0", folder .. "/w.lua" }
    local _, address = server:wait_line("^listening (.*)$")
    local status, out, err = sh.troupe { "run", "--allow", "net=" .. address, script("main.lua", ("return { " .. here .. [[, function(ctx)
      local w = ctx:launch{ type = "w", key = "7", host = "%s" }
      print(w:Add{}.n, w:Add{}.n, w:Back{}.text)
      print(ctx:pcall("w/7", "Add"))
    end }]]):format(address)) }
    assert.matches("^1\t2\tfrom here\nfalse\tnot_found", out, 1, err)
    assert.equal(0, status)
  end)

  it("launches so many and no more", function()
    local status, out, err = run([[return function(ctx)
      for i = 1, 64 do ctx:launch{ file = "w.lua", key = tostring(i), lazy = true } end
      print(pcall(ctx.launch, ctx, { file = "w.lua", key = "65", lazy = true }))
      ctx:stop(ctx:agent("w/1")) ctx:sleep(0.1)
      print((pcall(ctx.launch, ctx, { file = "w.lua", key = "65", lazy = true })))
    end]])
    assert.equal("false\tlimit_exceeded: 64 processes are launched already, as many as there may be\ntrue\n", out, err)
    assert.equal(0, status)
  end)

  it("names what is wrong with its table", function()
    local many = {}
    for i = 1, 65 do many[i] = '"x"' end
    local cases = {
      { "", "takes one table" }, { "{}", "needs a `file`" }, { "{ fiel = 'w.lua' }", "did you mean `file`" }, { "{ file = 1 }", "`file` must be a string" },
      { "{ file = '' }", "`file` is empty" }, { "{ file = 'w.lua', args = 'x' }", "`args` must be a list" }, { "{ file = 'w.lua', args = { {} } }", "args[1] must be a string" },
      { "{ file = 'w.lua', args = { 'a\\0b' } }", "args[1]: a zero byte" }, { "{ file = 'w.lua', args = { " .. table.concat(many, ",") .. " } }", "65 are more than 64" },
      { "{ file = 'w.lua', args = { ('x'):rep(70000) } }", "bytes are more than 65536" }, { "{ file = 'w.lua', type = 'a b' }", "type" },
      { "{ file = 'w.lua', key = 'troupe.x' }", "reserved" }, { "{ host = '127.0.0.1:1' }", "`type` says which agent" },
      { "{ file = 'main.lua', key = 'x' }", "is the type of a program of this process" }, { "{ file = 'w.lua', allow = { 'a b' } }", "allow[1] is no right" },
    }
    local text = { "return function(ctx)" }
    for _, case in ipairs(cases) do text[#text + 1] = ("print(pcall(ctx.launch, ctx%s))"):format(case[1] == "" and "" or ", " .. case[1]) end
    local status, out, err = run(table.concat(text, "\n") .. "\nend")
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal(#cases, #lines, err)
    for i, case in ipairs(cases) do assert.matches(case[2], lines[i], 1, true) end
    assert.equal(0, status)
  end)
end)
