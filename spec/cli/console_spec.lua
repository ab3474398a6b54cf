-- The operator's verbs that look at agents: top, inspect, trace, break, repl.
-- luacheck: no max line length
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local terminal = require "spec.support.terminal"
local json = require "dkjson"

local folder, env, p

local function ask(...) return sh.troupe({ ... }, { env = env, cwd = folder }) end
local function out_of(...) return (select(2, ask(...))) end
local function err_of(...) return (select(3, ask(...))) end
local function answer(...)
  local status, out, err = ask(...)
  assert.equal(0, status, err)
  return assert(json.decode(out))
end
local function repl(agent, text) return sh.troupe({ "repl", agent }, { env = env, cwd = folder, stdin = text }) end

local function start(text, ...)
  folder = process.tmpdir()
  env = { XDG_RUNTIME_DIR = folder, HOME = folder }
  p = process.troupe({ "run", "--listen", "unix:" .. folder .. "/door.sock", process.write_file(folder .. "/agents.lua", text), ... }, { env = env })
  p:wait_line("^up")
end

-- counter/a has a failure behind it, counter/loop computes for ever, counter/slow waits.
local agents = [[
local step = 1
note = "global"
return {
  { type = "counter", version = 3, mailbox = { limit = 10000 }, state = { n = 0, list = { 1, { x = true } } }, subscriptions = { "news", { prefix = "home." } },
    limits = { instructions = 1e15, turn_ms = 3600e3 }, timers = { Tick = 60 },
    methods = { twice = function(self) return 2 * self.n end },
    on = {
      Add = function(self, m) self.n = self.n + (m.n or step) return self.n end,
      Fail = function() error("this is broken") end,
      Loop = function(self) while true do self.n = self.n + 1 end end,
      Guarded = function(self) while true do pcall(function() while true do self.n = self.n + 1 end end) end end,
      Slow = function(_, _, ctx) ctx:sleep(1000) end,
      News = function() end, Tick = function() end } },
  { type = "limited", limits = { instructions = 1e6 }, state = { n = 1 }, failures = { limit = 1, action = "stop" }, on = { Add = function() return 1 end } },
  { type = "fat", limits = { memory = "300K" }, state = { n = 1 }, on = { Add = function(self, m) self[#self + 1] = m end } },
  { type = "own", vm = "own", state = { n = 1 }, methods = { twice = function(self) return 2 * self.n end },
    on = { Add = function(self) self.n = self.n + 1 return self.n end } },
  { type = "starter", autostart = true, on = { Go = function(_, m, ctx) ctx:send(m.to, m.what) end, Flood = function(_, m, ctx)
      for i = 1, m.n do
        ctx:send("counter/b", "Add", { n = i, pad = ("x"):rep(900) })
        if i % 500 == 0 then ctx:sleep(0) end
      end end },
    init = function(_, ctx)
      ctx:call("counter/a", "Add", { n = 5 })
      ctx:pcall("counter/a", "Fail")
      ctx:call("limited", "Add")
      local list = {}
      for n = 1, 5000 do list[n] = n end
      for _ = 1, 4 do ctx:pcall("fat", "Add", list) end
      ctx:send("counter/slow", "Slow")
      print "up"
    end } }
]]

describe("a console on a live process", function()
  setup(function() start(agents) end)

  it("top tells who is busy", function()
    assert.equal(0, (ask("repl", "starter", "-e", 'ctx:send("counter/loop", "Loop")')))
    local top = answer("top", "--once", "--interval", "0.2", "--json")
    assert.equal("counter/loop", top.rows[1].id)
    assert.is_true(top.rows[1].cpu > 0.3, "cpu is " .. top.rows[1].cpu)
    assert.equal("working", top.rows[1].state)
    assert.equal(3, top.rows[1].version)
    local status, out = ask("top", "--once", "--interval", "0.1", "--sort", "failures")
    assert.equal(0, status)
    assert.matches("^%d+ agents  %d+ queued .*\nAGENT +STATE +QUEUED.*\ncounter/a +idle +0 ", out)
    local _, _, problem = ask("top", "--once", "--sort", "beauty")
    assert.matches("sort: it is one of cpu, turns", problem, 1, true)
    -- and its loop is ended, from within pcall, with a traceback
    local broken = answer("break", "counter/loop", "--json")
    assert.equal(1, broken.turns)
    assert.matches("counter/loop, Loop %(computing%):\n.*agents%.lua:10: in function", broken.traceback)
    assert.equal("idle", answer("inspect", "counter/loop", "--json", "--window", "0.01").doing)
    assert.matches("cancelled: counter/loop, Loop: .*agents.lua:10: ended by the operator", answer("inspect", "counter/loop", "--json", "--window", "0.01").failures.last)
  end)

  it("break ends what pcall would catch, and what waits only when asked to", function()
    ask("repl", "starter", "-e", 'ctx:send("counter/g", "Guarded")')
    local status, out = ask("break", "counter/g")
    assert.equal(0, status)
    assert.matches("in function 'pcall'", out, 1, true)
    assert.equal("idle", answer("inspect", "counter/g", "--json", "--window", "0.01").doing)
    local failed, _, err = ask("break", "counter/slow")
    assert.equal(1, failed)
    assert.matches("counter/slow computes nothing now; it has 1 turn that waits", err, 1, true)
    assert.equal(0, (ask("break", "counter/slow", "--waiting")))
    assert.equal("idle", answer("inspect", "counter/slow", "--json", "--window", "0.01").doing)
    failed, _, err = ask("break", "counter/slow", "--waiting")
    assert.equal(1, failed)
    assert.matches("no turn of it is open", err, 1, true)
  end)

  it("inspect shows all there is to know of one", function()
    ask("repl", "starter", "-e", 'ctx:send("counter/i", "Slow") ctx:send("counter/i", "Add", {})')
    local it = answer("inspect", "counter/i", "--json", "--window", "0.01")
    assert.equal(1, it.queued)
    assert.is_true(it.queued_bytes == 32 or it.queued_bytes == 16) -- an empty table; as it is encoded, where it came from another thread
    assert.same({ type = "Add", kind = "send", sender = "starter/default" }, it.mail[1])
    assert.equal("waiting", it.turns_open[1].doing)
    assert.equal("starter/default", it.turns_open[1].sender)
    assert.matches("agents.lua:12: in function", it.turns_open[1].traceback, 1, true)
    assert.equal(60, it.timers[1].every_s)
    assert.same({ { topic = "news" }, { prefix = "home." } }, it.about.subscriptions)
    assert.same({ n = 0, list = { 1, { x = true } } }, it.state)
    assert.is_true(it.memory > 0)
    local status, out = ask("inspect", "counter/a")
    assert.equal(0, status)
    assert.matches("counter/a  idle  version 3  ", out, 1, true)
    assert.matches("failures   1, the last one %d+%.%d s ago: handler_error: .*this is broken", out)
    assert.matches('state      {"list":[1,{"x":true}],"n":5}', out, 1, true)
  end)

  it("shows what a terminal would obey, wherever it came from", function()
    local evil, shown = [[\27[2J\194\155\8]], "\\x1b[2J\\x9b\\x08"
    local t = process.troupe({ "trace", "counter/evil" }, { env = env })
    repeat ask("repl", "starter", "-e", ('ctx:send("counter/evil", "%s")'):format(evil)) until t.out ~= ""
    ask("repl", "starter", "-e", ('ctx:publish("unheard", "%s") ctx:send("nobody", "%s")'):format(evil, evil))
    local said = table.concat({ out_of("deadletters"), out_of("doctor"), out_of("inspect", "counter/evil"), err_of("repl", "starter", "-e", ('error "%s"'):format(evil)),
      out_of("repl", "counter/evil", "-e", ('self.text = "%s" return self.text'):format(evil)) }, "\n--\n")
    assert.is_nil((said .. t.out):find("[\0-\8\11-\31\127]"))
    assert.is_nil((said .. t.out):find("\194[\128-\159]"))
    for _, one in ipairs { "  message " .. shown .. " to nobody/default", "the last one, " .. shown .. ",", "console:1: " .. shown, [["\x1b[2J\xc2\x9b\x08"]] } do
      assert.matches(one, said, 1, true)
    end
    t:wait_for(function() return t.out:find("starter/default → counter/evil  " .. shown .. " {}\n", 1, true) end)
    t:kill()
    assert.equal("\27[2J\194\155\8", answer("inspect", "counter/evil", "--json").state.text) -- as it is
    assert.matches([["text":"\u001b[2J\u009b\b"]], (out_of("inspect", "counter/evil"):gsub("\\u0008", "\\b")), 1, true)
    assert.equal("\27[2J\194\155\8\n", out_of("repl", "counter/evil", "-e", "print(self.text)")) -- no terminal reads it
    t = terminal.open({ process.program, "repl", "counter/evil" }, { env = env, cwd = folder })
    t:wait "counter/evil>"
    t:type "print(self.text)"
    t:key "Enter"
    t:wait(shown)
  end)

  it("inspect counts the turns of one that ends meanwhile from its beginning", function()
    for _ = 1, 5 do ask("repl", "starter", "-e", 'ctx:call("own/brief", "Add")') end
    local t = process.troupe({ "inspect", "own/brief", "--window", "0.5", "--json" }, { env = env })
    ask("ps") -- by then it has begun
    ask("repl", "own/brief", "-e", "ctx:stop()")
    ask("repl", "starter", "-e", 'ctx:call("own/brief", "Add")')
    t:wait_ok()
    local it = json.decode(t.out)
    assert.equal(1, it.state.n - 1)
    assert.is_true(it.turns_s < 100, t.out)
  end)

  it("names the nearest where there is no such agent", function()
    for _, verb in ipairs { "inspect", "break", "repl" } do
      local status, _, err = ask(verb, "conter/a")
      assert.equal(1, status)
      assert.matches("not_found: no agent \"conter/a\" lives here (did you mean counter/a?)", err, 1, true)
    end
    local _, _, err = ask("trace", "nobody")
    assert.matches('no agent "nobody" lives here', err, 1, true)
  end)

  it("repl leaves out a line that is too long, and says what was not printed", function()
    local status, out, err = repl("counter/a", "self.a = 1\n" .. ("x"):rep(70000) .. " self.a = 2\nself.a\n" .. ("y"):rep(66000))
    assert.equal(1, status)
    assert.equal("1\n", out)
    assert.equal(("troupe: repl: a line is longer than 65536 bytes: it is left out\n"):rep(2), err)
    out = select(2, repl("counter/a", "print 'first' print(('x'):rep(70000)) print 'last' return 7"))
    assert.equal("first\n… (it printed more than 64 KB: the rest is left out)\n7\n", out)
  end)

  it("repl says who has too much memory, and no place where there is none", function()
    local _, _, problem = repl("fat", "self.n\n")
    assert.matches("limit_exceeded: fat/default, console: it keeps more than 300 KB of memory", problem, 1, true)
    assert.is_nil(problem:find("?:", 1, true))
  end)

  it("repl evaluates in the agent's environment, one line after the other", function()
    local status, out, err = repl("counter/a", 'self.n = 7\nself.n, self:twice(), note, ctx.id\nnote = "other"\nnote\nprint("a", 1)\nctx:call("counter/c", "Add", { n = 2 })\n{ f = print, n = 1 / 0 }\n')
    assert.equal(0, status, err)
    assert.equal('7\n14\n"global"\n"counter/a"\n"other"\na\t1\n2\n"Add"\n{ f = <function>, n = inf }\n', out)
    local problem
    local _
    status, _, problem = repl("counter/a", "self.nothing.at.all\n")
    assert.equal(1, status)
    assert.matches("console:1: attempt to index a nil value (field 'nothing')", problem, 1, true)
    assert.matches("console:1: unexpected symbol near '='", (select(3, repl("counter/a", "x = = 1\n"))), 1, true)
    assert.equal(1, #answer("repl", "counter/a", "--json", "-e", "self.n").values)
  end)

  it("repl names what ends a line that goes on", function()
    ask("repl", "starter", "-e", 'ctx:call("counter/long", "Add")')
    local status, _, err = ask("repl", "counter/long", "-t", "0.3", "-e", "while true do end")
    assert.equal(1, status)
    assert.matches("timeout: no answer within the time (--timeout); the line may go on: troupe break counter/long ends it (with --waiting, if it waits)\n", err, 1, true)
    ask("break", "counter/long")
  end)

  it("inspect says that there is no state yet", function()
    ask("repl", "starter", "-e", 'ctx:pcall("limited/none", "Unknown")')
    assert.matches("  state      none yet: no handler of it has run\n", out_of("inspect", "limited/none"), 1, true)
  end)

  it("repl and inspect reach an agent with a state of its own", function()
    ask("repl", "starter", "-e", 'ctx:call("own", "Add")')
    local _, out, err = ask("repl", "own", "-e", "self.n, self:twice(), note")
    assert.equal('2\n4\n"global"\n', out, err)
    local it = answer("inspect", "own", "--json", "--window", "0.01")
    assert.same({ n = 2 }, it.state)
    assert.is_true(it.memory > 1000)
  end)

  it("repl reaches an agent that waits, and keeps to limits and sandbox", function()
    ask("repl", "starter", "-e", 'ctx:send("counter/w", "Slow")')
    assert.equal("0\n", out_of("repl", "counter/w", "-e", "self.n"))
    assert.matches("limit_exceeded: limited/default, console: console:1: more than 1000000 instructions", err_of("repl", "limited", "-e", "while true do end"), 1, true)
    assert.equal("nil\nnil\nnil\n", out_of("repl", "limited", "-e", "io, os.execute, (load('\\27Lua'))"))
    assert.equal("troupe: repl: console:1: mine\n", err_of("repl", "limited", "-e", "error('mine')"))
    assert.equal("idle", answer("inspect", "limited", "--json", "--window", "0.01").doing) -- its policy stops it at the first failure of its own
    -- nobody but an operator can ask so
    assert.equal("", err_of("repl", "starter", "-e", 'ctx:call("counter/a", "troupe.get", { code = "self.n = 0" })'))
    assert.equal("true\n", out_of("repl", "counter/a", "-e", "self.n ~= 0"))
  end)

  it("repl in a terminal completes, remembers, and goes on with a statement in the next line", function()
    ask("repl", "starter", "-e", 'ctx:call("counter/t", "Add")')
    local t = terminal.open({ process.program, "repl", "counter/t" }, { env = env, cwd = folder })
    t:wait "counter/t>"
    t:type "self:tw"
    t:key "Tab"
    t:wait "counter/t> self:twice"
    t:type "()"
    t:key "Enter"
    t:wait "\n2\n"
    t:type "for i = 5, 6 do"
    t:key "Enter"
    t:type "print(i * 11) end"
    t:key "Enter"
    t:wait "\n55\n66\n"
    t:key "Up"
    t:key "Up"
    t:key "Up"
    t:wait("counter/t> self:twice()", 2)
    -- Ctrl-C: the line and the statement that it goes on with; an evaluation that waits, or computes; twice: the end
    t:key "C-c"
    t:wait "self:twice()^C\ncounter/t>"
    t:type "for i = 5, 6 do"
    t:key "Enter"
    t:wait "for i = 5, 6 do\ncounter/t>"
    t:type "print(1)"
    t:key "C-c"
    t:wait "print(1)^C\ncounter/t>"
    for i, code in ipairs { "ctx:sleep(1000)", "while true do end", "ctx:sleep(1001)" } do
      t:type(code)
      t:key "Enter"
      t:wait(code .. "\n")
      t:key "C-c"
      t:wait("^C\ninterrupted\ncounter/t>", i)
    end
    t:type "6 * 7"
    t:key "Enter"
    t:wait "\n42\n"
    t:key "C-c"
    t:wait "(Ctrl-C once more, or Ctrl-D, ends it)\ncounter/t>"
    t:key "C-c"
    t:wait_end()
  end)

  it("top on a terminal is drawn anew", function()
    local t = terminal.open({ process.program, "top", "--interval", "0.1" }, { env = env, lines = 12 })
    t:wait "counter/a"
    ask("repl", "starter", "-e", 'ctx:call("counter/new", "Add")')
    t:wait "counter/new"
    local _, headers = t:visible():gsub("AGENT +STATE", "")
    assert.equal(1, headers)
    local narrow = terminal.open({ process.program, "top", "--interval", "0.1" }, { env = env, columns = 80, lines = 50 })
    ask("repl", "starter", "-e", 'ctx:call("counter/" .. ("long"):rep(100), "Add")')
    narrow:wait "longlon… idle"
    for line in narrow:visible():gmatch "[^\n]+" do
      assert.truthy(line:find("^%d+ agents") or line:find("^AGENT +STATE +QUEUED +TURNS/S +CPU%% +MEMORY$") or line:find("^%l+/.* [BKM]+$"), line)
    end
  end)

  it("top leaves answers out for who does not read them", function()
    ask("repl", "starter", "-e", 'for n = 1, 1000 do ctx:send("counter/many" .. n, "Add") end')
    local t = process.troupe({ "top", "--json", "--limit", "1000", "--interval", "0.05" }, { env = env })
    t:wait_for(function() return #t.out > 1e5 end)
    t.pipes[2]:read_stop()
    local function memory() return answer("ps", "--json").stats.memory end
    out_of("top", "--count", "10", "--interval", "0.05") -- pipes and sockets are full
    local before = memory()
    out_of("top", "--count", "20", "--interval", "0.05")
    assert.is_true(memory() - before < 1e6, memory() .. ", before " .. before)
    t.pipes[2]:read_start(function(_, data) t.out = t.out .. (data or "") end)
    local n = #t.out
    t:wait_for(function() return #t.out > n + 1e6 end) -- it goes on
    t:kill()
  end)

  it("trace prints what goes by, by agent and type", function()
    local t = process.troupe({ "trace", "counter/t", "--type", "Add,News", "--json", "-n", "4" }, { env = env })
    repeat -- until it listens
      ask("repl", "starter", "-e", 'ctx:call("counter/t", "Tick") ctx:call("counter/t", "Add", { n = 1 })')
    until t.out ~= ""
    ask("repl", "starter", "-e", 'ctx:publish("news/t", "News", { a = 1 }) ctx:send("counter/u", "Add")')
    repeat ask("repl", "starter", "-e", 'ctx:publish("news/t", "News", { a = 1 })') until not t:running()
    t:wait()
    local seen = {}
    for line in t.out:gmatch("[^\n]+") do
      local it = json.decode(line)
      seen[it.at] = it
      assert.is_true(it.type == "Add" or it.type == "News")
    end
    assert.equal("starter/default", seen.sent.from)
    assert.equal("counter/t", seen.sent.to)
    assert.same({ n = 1 }, seen.sent.body)
    assert.equal("counter/t", seen.answered.from)
    assert.equal("Add", seen.answered.reply)
  end)

  it("trace loses lines rather than hold anything up, and says how many", function()
    local t = process.troupe({ "trace", "counter/b", "--json" }, { env = env })
    repeat ask("repl", "starter", "-e", 'ctx:send("counter/b", "Tick")') until t.out ~= ""
    t.pipes[2]:read_stop()
    ask("repl", "starter", "-e", 'ctx:send("starter", "Flood", { n = 6000 })')
    repeat until out_of("repl", "counter/b", "-e", "self.n") == "18003000\n" -- it is done, whoever reads
    t.pipes[2]:read_start(function(_, data) t.out = t.out .. (data or "") end)
    local lost, lines
    t:wait_for(function()
      lost, lines = 0, select(2, t.out:gsub('"type":"Add"', ""))
      for n in t.out:gmatch '{"lost":(%d+)}' do lost = lost + tonumber(n) end
      return lost + lines >= 6000
    end)
    assert.is_true(lost > 0 and lines > 10 and lost + lines >= 6000, ("%d lost, %d lines"):format(lost, lines))
  end)
end)

describe("a console on a live process with several threads", function()
  setup(function() start(agents, "--threads", "3") end)

  it("reaches the agents of all of them", function()
    local seen, threads = {}, 0
    local t = process.troupe({ "trace", "counter", "--type", "Add", "--json" }, { env = env })
    repeat ask("repl", "starter", "-e", 'ctx:call("counter/first", "Add")') until t.out ~= ""
    for i = 1, 6 do
      local id = "counter/k" .. i
      assert.equal(0, (ask("repl", "starter", "-e", ('ctx:call("%s", "Add", { n = %d })'):format(id, i))))
      local status, out, err = ask("repl", id, "-e", "self.n, self:twice(), ctx.id")
      assert.equal(0, status, err)
      assert.equal(("%d\n%d\n%q\n"):format(i, 2 * i, id), out)
      local it = answer("inspect", id, "--json", "--window", "0.01")
      assert.same(i, it.state.n)
      if not seen[it.isolate] then threads = threads + 1 end
      seen[it.isolate] = true
    end
    assert.is_true(threads > 1)
    t:wait_for(function() return t.out:find('"at":"answered"[^\n]*"from":"counter/k6"') end)
    for i = 1, 6 do
      for _, at in ipairs { "sent", "answered" } do
        local _, lines = t.out:gsub(('"at":"%s"[^\n]*"%s":"counter/k%d"'):format(at, at == "sent" and "to" or "from", i), "")
        assert.equal(1, lines, at .. " of k" .. i .. "\n" .. t.out)
      end
    end
    assert.matches("limit_exceeded", err_of("repl", "limited", "-e", "while true do end"), 1, true)
    local top = answer("top", "--once", "--interval", "0.1", "--json")
    assert.is_true(top.agents >= 10)
  end)

  it("breaks loops in all of them", function()
    for i = 1, 4 do
      ask("repl", "starter", "-e", ('ctx:send("counter/b%d", "Loop")'):format(i))
      local status, out, err
      repeat status, out, err = ask("break", "counter/b" .. i) until status == 0 or not err:find("did you mean")
      assert.equal(0, status, err)
      assert.matches("agents.lua:10: in function", out, 1, true)
    end
  end)
end)
