-- troupe run --record, and troupe replay: what an agent got is given to it again, by a clock that is set forward.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local agents = [[
return {
  { type = "greeter", state = { count = 0 }, mailbox = { limit = 100 }, on = {
    Greeting = function(self, m, ctx)
      self.count = self.count + 1
      ctx:publish("chat", "Said", { text = m.name })
      local r = ctx:call("store/default", "Get", { key = m.name })
      return { text = "hello " .. m.name .. r.value }
    end,
    Wait = function(_, m, ctx) ctx:sleep(m.s) return { done = true } end,
    Bad = function() error("bad thing") end,
    Vain = function(_, _, ctx) return { tostring(select(2, ctx:pcall("store/default", "Never", {}, { timeout = 0.05 }))) } end,
    Back = function(_, m) return m end,
    Begin = function(_, _, ctx) ctx:after(0.05, "Later", {}) end,
    Later = function(self, _, ctx)
      self.count = self.count + 100
      ctx:send("log/default", "Fired", {})
    end,
  } },
  { type = "store", on = { Get = function(self, m) self.n = (self.n or 0) + 1 return { value = m.key:upper() .. self.n } end,
    Never = function(_, _, ctx) ctx:sleep(0.2) end } },
  { type = "log", on = { Fired = function() end } },
  function(ctx)
    for _, n in ipairs { "anna", "bert" } do ctx:call("greeter/desk", "Greeting", { name = n }) end
    ctx:send("greeter/desk", "Begin", {})
    ctx:call("greeter/desk", "Wait", { s = 0.1 })
    ctx:pcall("greeter/desk", "Bad", {})
    ctx:call("greeter/desk", "Vain", {})
    ctx:call("greeter/desk", "Back", { troupe.bytes("\xff\0x") })
  end,
}
]]

describe("troupe replay", function()
  local folder, record
  local function file(name, text) return process.write_file(folder .. "/" .. name, text) end
  local function replay(...)
    return sh.troupe({ "replay", "r.jsonl", "--agent", "greeter", ... }, { cwd = folder })
  end
  local function changed(from, to) file("new.lua", (assert(agents:gsub(from, to)))) end
  -- The record is made once: each spec may write over its own copy.
  setup(function()
    folder = process.tmpdir()
    file("agents.lua", agents)
    local status, _, err = sh.troupe({ "run", "--record", "r.jsonl", "agents.lua" }, { cwd = folder })
    assert.equal(0, status, err)
    record = process.read_file(folder .. "/r.jsonl")
  end)
  before_each(function()
    file("agents.lua", agents)
    file("r.jsonl", record)
  end)

  it("finds nothing different in the same code: calls are answered from the record, timers run in its time", function()
    local status, out, err = replay()
    assert.equal("", err)
    assert.equal("equal: 7 messages of 1 agent\n", out)
    assert.equal(0, status)
  end)

  it("shows what other code sends, answers and keeps as a diff", function()
    changed("hello ", "bye ")
    local status, out = replay("--script", "new.lua")
    assert.equal(1, status)
    assert.matches("^%-%-%- greeter/desk r.jsonl\n%+%+%+ greeter/desk new.lua\n@@ %-1,%d+ %+1,%d+ @@\n handled:\n", out)
    assert.matches('\n-  #1 Greeting {"name":"anna"} -> Greeting {"text":"hello annaANNA1"}\n', out, 1, true)
    assert.matches('\n+  #1 Greeting {"name":"anna"} -> Greeting {"text":"bye annaANNA1"}\n', out, 1, true)
    assert.matches('\n+  #2 Greeting {"name":"bert"} -> Greeting {"text":"bye bertBERT2"}\n', out, 1, true)
    assert.not_matches("\n[-+][^\n]*count", out)
    changed("count %+ 1\n", "count + 2\n")
    status, out = replay("--script", "new.lua")
    assert.equal(1, status)
    assert.matches('\n-    "count": 102\n+    "count": 104\n', out, 1, true)
    changed('"chat", "Said"', '"talk", "Said"')
    status, out = replay("--script", "new.lua")
    assert.equal(1, status)
    assert.matches('\n-  event chat/desk Said {"text":"anna"}\n', out, 1, true)
    assert.matches('\n+  event talk/desk Said {"text":"anna"}\n', out, 1, true)
  end)

  it("lets its timers run in the record's time", function()
    changed("ctx:after%(0.05", "ctx:after(9")
    local status, out = replay("--script", "new.lua")
    assert.equal(1, status)
    assert.matches("\n-  send log/default Fired {}\n", out, 1, true)
    assert.matches('\n-    "count": 102\n+    "count": 2\n', out, 1, true)
  end)

  it("says what the record has no answer for: it is unavailable", function()
    changed('"store/default", "Get"', '"store/other", "Get"')
    local status, out, err = replay("--script", "new.lua")
    assert.equal(1, status)
    assert.matches("^troupe: replay: greeter/desk called store/other %(Get%): the record has no answer, so it was unavailable\n", err)
    assert.matches("-> failed: unavailable: the record has no answer of store/other to Get", out, 1, true)
  end)

  it("tells it as JSON", function()
    local status, out = replay("--json")
    assert.equal(0, status)
    assert.matches('^{"agents":%[{"agent":"greeter/desk","equal":true,"messages":7,"diff":"","recorded":"handled:\\n', out)
    assert.matches('"notes":[],"equal":true}\n', out, 1, true)
    changed("hello ", "bye ")
    status, out = replay("--json", "--script", "new.lua")
    assert.equal(1, status)
    assert.matches('"equal":false}\n', out, 1, true)
  end)

  it("takes a file that has another name, as long as its agent says no type of its own", function()
    local text = process.read_file("README.md"):match("(%-%- greeter.lua\n.-)```")
    file("greeter.lua", text)
    file("main.lua", 'return function(ctx) ctx:call("greeter/desk", "Greeting", { name = "Anna" }) end')
    assert.equal(0, (sh.troupe({ "run", "--record", "g.jsonl", "greeter.lua", "main.lua" }, { cwd = folder })))
    local function again(new)
      file("new.lua", new)
      return sh.troupe({ "replay", "g.jsonl", "--agent", "greeter", "--script", "new.lua" }, { cwd = folder })
    end
    assert.equal("equal: 1 message of 1 agent\n", select(2, again(text)))
    local status, out = again((text:gsub("hello", "HI")))
    assert.equal(1, status)
    assert.matches('"content":"HI Anna, you are number 1"', out, 1, true)
    status, out = again((text:gsub("hello", "HI"):gsub("return {", 'return { vm = "own",', 1)))
    assert.equal(1, status)
    assert.matches('"content":"HI Anna, you are number 1"', out, 1, true)
    local _, _, err = again((text:gsub("return {", 'return { type = "waiter",', 1)))
    assert.equal('troupe: replay: no agent type "greeter" is in what was loaded ("waiter" of new.lua): give the agent `type = "greeter"`, '
      .. "or load the file that has it (--script FILE)\n", err)
  end)

  it("uses what a crash left, and says where it ends", function()
    local _, lines = record:gsub("\n", "")
    file("r.jsonl", record:sub(1, -10))
    local status, out, err = replay()
    assert.equal(0, status, out)
    assert.matches(("troupe: replay: r.jsonl:%d: the record is cut off here"):format(lines), err, 1, true)
    assert.matches("the record has no end, so states are not compared", err, 1, true)
  end)

  it("names the line that is damaged, and what is no record", function()
    local at = 0
    file("r.jsonl", (record:gsub("[^\n]+", function(line)
      at = at + 1
      return at == 3 and line:sub(1, -2) or nil
    end)))
    local status, _, err = replay()
    assert.equal(2, status)
    assert.matches("^troupe: replay: r.jsonl:3: the record is damaged: ", err)
    for _, text in ipairs { "", "x\n", '{"at":"sent"}\n', "{}" } do
      file("r.jsonl", text)
      status, _, err = replay()
      assert.equal(2, status)
      assert.matches("^troupe: replay: r.jsonl:1: this is no record", err)
    end
  end)

  it("is a usage error without an agent that is in it", function()
    local status, _, err = sh.troupe({ "replay", "r.jsonl" }, { cwd = folder })
    assert.equal(2, status)
    assert.matches("--agent TYPE or TYPE/KEY", err, 1, true)
    status, _, err = sh.troupe({ "replay", "r.jsonl", "--agent", "nobody" }, { cwd = folder })
    assert.equal(2, status)
    assert.equal("troupe: replay: r.jsonl: nothing in it is for an agent nobody\n", err)
  end)
end)

describe("a record", function()
  local folder
  local function file(name, text) return process.write_file(folder .. "/" .. name, text) end
  local function run(...)
    local status, out, err = sh.troupe({ ... }, { cwd = folder })
    assert.equal(0, status, err)
    return out
  end
  before_each(function() folder = process.tmpdir() end)

  it("of a worker has what came by its host, and is run again without one", function()
    local counter = [[return { type = "counter", state = { n = 0 }, on = {
      Add = function(self, m, ctx)
        self.n = self.n + m.by + ctx:call("other", "Twice", m).n
        return { n = self.n, raw = troupe.bytes "\xff" }
      end,
      News = function(self, m) self.n = self.n + m.by end }, subscriptions = { "news" } }]]
    file("counter.lua", counter)
    file("other.lua", [[return { type = "other", on = { Twice = function(_, m) return { n = 2 * m.by } end } }]])
    local address = "unix:" .. folder .. "/h"
    process.troupe({ "host", "--listen", address }):wait_line("^listening")
    process.troupe({ "worker", "--host", address, folder .. "/other.lua" }):wait_line("^joined")
    local worker = process.troupe({ "worker", "--host", address, "--record", "r.jsonl", "counter.lua" }, { cwd = folder })
    worker:wait_line("^joined")
    local function call(by)
      return run("call", "counter/default", "Add", ('{"by":%d}'):format(by), "--raw", "--wait", "other", "--host", address)
    end
    call(1)
    run("publish", "news", "News", '{"by":10}', "--host", address)
    repeat until call(0):find('"n":13', 1, true)
    worker:kill()
    assert.equal(0, (worker:wait()))
    assert.matches("^equal: %d+ messages of 1 agent\n$", run("replay", "r.jsonl", "--agent", "counter"))
    file("new.lua", (counter:gsub("m.by end }", "2 * m.by end }")))
    local status, out = sh.troupe({ "replay", "r.jsonl", "--agent", "counter", "--script", "new.lua" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches('\n-    "n": 13\n+    "n": 23\n', out, 1, true)
    assert.matches('Add {"by":0} -> Add {"n":23,"raw":bytes:"/w=="}\n', out, 1, true)
  end)

  it("of several threads is one, each line whole, and each agent's is run again", function()
    file("a.lua", [[return { { type = "a", state = { n = 0 }, mailbox = { limit = 300 }, on = { Go = function(self, m, ctx)
        self.n = self.n + ctx:call("b/" .. m.i % 4, "Add", { by = m.i }).by
        return { n = self.n }
      end } }, { type = "b", mailbox = { limit = 300 }, on = { Add = function(_, m) return m end } },
      function(ctx)
        local all = {}
        for i = 1, 200 do all[i] = ctx:async("a/" .. i % 8, "Go", { i = i }) end
        for i = 1, 200 do all[i]:await() end
      end }]])
    run("run", "--threads", "2", "--record", "r.jsonl", "a.lua")
    local lines = 0
    for line in process.read_file(folder .. "/r.jsonl"):gmatch("[^\n]+") do
      assert.matches('^{"at":"%a+",.*}$', line)
      lines = lines + 1
    end
    assert.is_true(lines > 800, tostring(lines))
    assert.equal("equal: 200 messages of 8 agents\n", run("replay", "r.jsonl", "--agent", "a"))
    assert.equal("equal: 25 messages of 1 agent\n", run("replay", "r.jsonl", "--agent", "a/3"))
    assert.equal("equal: 200 messages of 4 agents\n", run("replay", "r.jsonl", "--agent", "b"))
  end)

  -- What scripts learn of the time and by chance: an agent among others that draw, too, with waits, timers, and a second that passes.
  local lucky = [[
local born = math.random(1e9)
return {
  { type = "dice", mailbox = { limit = 1000 }, state = function() return { id = math.random(1e6), at = os.time() } end, on = {
    Roll = function(self, m, ctx)
      local began, roll = { os.time(), ctx:now(), os.clock() }, math.random(6)
      if m.n % 2 == 0 then ctx:call("peer/" .. m.n % 3, "Ask", m) end
      if m.n % 5 == 0 then ctx:after(0.01, "Late", {}) end
      local drawn, told = { math.random(), math.random(0), math.random(-3, 3) }, { os.time(), os.date(), os.date("!%T"), ctx:now() }
      return { born, roll, began, drawn, told, os.clock(), 3, os.time(), 3 }
    end,
    Late = function(self) self.late, self.on = (self.late or 0) + math.random(100), os.date("*t").sec end,
    Seeded = function()
      math.randomseed(7)
      local a = math.random(1e9)
      math.randomseed(7)
      return { a == math.random(1e9), pcall(math.random, 2, 1), os.time { year = 2001, month = 2, day = 3 }, os.date("%Y", 1e9) }
    end,
  } },
  { type = "peer", mailbox = { limit = 1000 }, on = { Ask = function(_, m, ctx)
      ctx:sleep(0.001)
      return { n = math.random(100) + m.n } end } },
  function(ctx, args)
    local all, second = {}, os.time()
    for i = 1, 30 do all[i] = ctx:async("dice/" .. i % 4, "Roll", { n = i }) end
    for i = 1, 30 do all[i]:await() end
    while args[1] and os.time() == second do ctx:sleep(0.02) end
    for i = 1, 5 do ctx:call("dice/" .. i, "Roll", { n = i }) end
    assert(ctx:call("dice/1", "Seeded", {})[1])
    ctx:sleep(0.1) -- what is late comes in time
  end,
}]]

  it("has the times and the random numbers of each turn", function()
    file("lucky.lua", lucky)
    for _, argument in ipairs { "2", "1" } do
      run("run", "--threads", argument, "--record", "l.jsonl", "lucky.lua", table.unpack(argument == "1" and { "--", "wait" } or {}))
      assert.equal("equal: 36 messages of 6 agents\n", run("replay", "l.jsonl", "--agent", "dice"))
    end
    -- of other code, which asks once more, only that differs; and always in the same way
    file("other.lua", (lucky:gsub('state = function%(%)', 'init = function(self) self.more = math.random(1e15) end, %0')))
    local status, out = sh.troupe({ "replay", "l.jsonl", "--agent", "dice/1", "--script", "other.lua" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches('\n%+    "more": %d+,\n', out)
    assert.not_matches("\n[-+]  #", out)
    assert.equal(out, select(2, sh.troupe({ "replay", "l.jsonl", "--agent", "dice/1", "--script", "other.lua" }, { cwd = folder })))
    -- a record of before, which has no times: those of the replay
    local text = process.read_file(folder .. "/l.jsonl"):gsub('"format":2', '"format":1'):gsub('{"at":"look"[^\n]*\n', "")
    file("l.jsonl", text)
    local began = math.tointeger(text:match('"t":(%d+)'))
    out = select(2, sh.troupe({ "replay", "l.jsonl", "--agent", "dice", "--json" }, { cwd = folder }))
    local times = 0
    for time in out:match('"replayed":(.*)'):gmatch(',3,(%d+),3') do
      times = times + 1
      assert.is_true(math.tointeger(time) >= began and math.tointeger(time) <= began + 5, time)
    end
    assert.is_true(times > 10, out)
  end)

  it("begins with the states that were restored", function()
    local text = [[return { { type = "a", state = { n = 0 }, shards = { "log" }, on = { Go = function(self, _, ctx)
        self.n = self.n + 1
        self.log = (self.log or "") .. self.n
        if self.n % 2 == 1 then ctx:after(60, "Late", {}) end
        return { n = self.n, log = self.log }
      end, Late = function() end } }, function(ctx) print(ctx:call("a/x", "Go", {}).log) end }]]
    file("a.lua", text)
    assert.equal("1\n", run("run", "--drain", "0", "--state", "s.state", "a.lua"))
    for i, log in ipairs { "12", "123" } do
      assert.equal(log .. "\n", run("run", "--drain", "0", "--state", "s.state", "--record", i .. ".jsonl", "a.lua"))
      assert.equal("equal: 1 message of 1 agent\n", run("replay", i .. ".jsonl", "--agent", "a"))
    end
    file("b.lua", (text:gsub("self.n %+ 1", "self.n + 5")))
    local status, out = sh.troupe({ "replay", "2.jsonl", "--agent", "a", "--script", "b.lua" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches('\n-  #1 Go {} -> Go {"log":"123","n":3}\n', out, 1, true)
    assert.matches('\n+  #1 Go {} -> Go {"log":"127","n":7}\n', out, 1, true)
  end)
end)

describe("troupe run --record", function()
  it("ends at its limit and says so, and keeps what was there as FILE.old", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/agents.lua", agents)
    process.write_file(folder .. "/r.jsonl", "before")
    local status, _, err = sh.troupe({ "run", "--record", "r.jsonl", "--record-limit", "2K", "agents.lua" }, { cwd = folder })
    assert.equal(0, status)
    assert.matches('warn record.ended why="it has reached its limit (--record-limit)"', err, 1, true)
    local text = process.read_file(folder .. "/r.jsonl")
    assert.matches('"why":"full"}\n$', text)
    assert.is_true(#text < 2048 + 100)
    assert.equal("before", process.read_file(folder .. "/r.jsonl.old"))
    local replayed, _, told = sh.troupe({ "replay", "r.jsonl", "--agent", "greeter" }, { cwd = folder })
    assert.is_true(replayed <= 1, told)
    assert.matches("the record ends at its limit", told, 1, true)
  end)
end)
