-- Agents as tables in the program's own state, beside those from files in the runtime's.
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local troupe, open, raised = module.troupe, module.open, module.raised

local function write(text, path)
  path = path or process.tmpdir() .. "/scribe.lua"
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

module.describe("agents of a program", describe, function(mode)
  local rt, log

  before_each(function() rt, log = open(nil, mode) end)
  after_each(function() rt:close() end)

  local greeter = {
    type = "greeter", description = "Greets.", version = 3, subscriptions = { "news", { prefix = "home." } }, state = { n = 0 },
    on = {
      Greet = function(self, message)
        self.n = self.n + 1
        return { content = "hello " .. message.name, n = self.n }, "Greeting"
      end,
      Twice = function(_, message, ctx)
        local one = ctx:call("greeter/other", "Greet", message)
        local ok, err = ctx:pcall("greeter/other", "Nothing")
        return { one.content, ok, err.code }
      end,
      Graph = function(_, _, ctx)
        local a, b, c = ctx:agent("greeter/a"), ctx:agent("greeter/b"), ctx:agent("greeter/c")
        local x = a:Echo { 1 }
        local y, z = b:Pass(x), c:Pass(x)
        return { y, z }
      end,
      Echo = function(_, message, ctx)
        ctx:sleep(0.01)
        return message
      end,
      Pass = function(_, message) return { message[1] + 1, troupe.null, troupe.array {}, troupe.bytes("\0\1") } end,
      Throw = function() error("thrown here") end,
    },
  }

  it("answer, call each other and wait", function()
    rt:load(greeter)
    local body, type = rt:call("greeter/desk", "Greet", { name = "Anna" })
    assert.same({ "hello Anna", 1, "Greeting" }, { body.content, body.n, type })
    assert.same({ "hello Bert", false, "cant_handle" }, (rt:call("greeter", "Twice", { name = "Bert" })))
    assert.equal(2, rt:call("greeter/desk", "Greet", { name = "x" }).n)
  end)

  it("run what depends on nothing at once, by placeholders", function()
    rt:load(greeter)
    local graph = rt:call("greeter", "Graph")
    assert.equal(2, graph[1][1])
    assert.equal(2, graph[2][1])
    assert.equal(troupe.null, graph[1][2])
    assert.equal("\0\1", tostring(graph[2][4]))
  end)

  it("are the program's own code: its upvalues, its libraries, its coroutines", function()
    local seen
    rt:load { type = "mine", on = { Look = function(_, message)
      seen = message.text
      return { os.getenv("HOME"), coroutine.wrap(function() coroutine.yield(5) end)() }
    end } }
    assert.same({ os.getenv("HOME"), 5 }, (rt:call("mine", "Look", { text = "inside" })))
    assert.equal("inside", seen)
    assert.equal("userdata", type(debug.getregistry and troupe.null or nil))
  end)

  it("cannot wait inside a coroutine of their own, and are told so", function()
    rt:load { type = "mine", on = { Wait = function(_, _, ctx)
      local ok, err = coroutine.resume(coroutine.create(function() ctx:sleep(1) end))
      return { ok, tostring(err) }
    end } }
    local answer = rt:call("mine", "Wait")
    assert.is_false(answer[1])
    assert.match("cannot wait here: inside a coroutine", answer[2], 1, true)
  end)

  it("raise errors that say where, and go on", function()
    rt:load(greeter)
    local err = select(2, pcall(rt.call, rt, "greeter", "Throw"))
    assert.equal("handler_error", err.code)
    assert.match("agents_spec%.lua:%d+: thrown here", err.message)
    assert.match("handler.failed agent=greeter/default type=Throw", module.logged(log, "handler.failed"), 1, true)
    assert.equal("hello x", rt:call("greeter", "Greet", { name = "x" }).content)
  end)

  it("end at the limit of instructions, like those of files", function()
    rt:load { type = "loop", limits = { instructions = 100000 }, on = { X = function() while true do end end } }
    assert.match("^limit_exceeded: loop/default, X: ", raised(rt.call, rt, "loop", "X"))
  end)

  it("talk to agents from files, both ways, and bodies arrive as they were", function()
    rt:load(write [[return { on = {
      Note = function(self, message, ctx) return ctx:call("greeter/desk", "Greet", message) end,
      Echo = function(self, message) return message end,
    } }]], greeter)
    assert.equal("hello Anna", rt:call("scribe", "Note", { name = "Anna" }).content)
    local big = { text = "ä", n = math.maxinteger, f = 0.5, list = { 1, { 2 } }, empty = troupe.array {}, map = {}, flag = false }
    assert.same(big, (rt:call("scribe", "Echo", big)))
    assert.same(big, (rt:call("greeter", "Echo", big)))
  end)

  it("have schemas that hold for whoever sends", function()
    rt:load({ type = "strict", messages = { Job = { n = "integer" } }, on = { Job = function(_, message) return { message.n } end } },
      write [[return { on = { Send = function(self, message, ctx)
        local ok, err = ctx:pcall("strict", "Job", message)
        return { ok, tostring(err) }
      end } }]])
    assert.equal("invalid: body.n: expected integer, got string", rt:call("scribe", "Send", { n = "1" })[2])
    assert.match("^invalid: body.n: expected integer", raised(rt.call, rt, "strict", "Job", { n = "1" }))
    assert.equal(4, rt:call("strict", "Job", { n = 4 })[1])
  end)

  it("have timers, hooks, subscriptions made while running", function()
    local seen = {}
    rt:load { type = "clock", state = function(id) return { id = id, ticks = 0 } end, timers = { Tick = 0.005 },
      init = function(self, ctx) ctx:subscribe("bell") self.ready = true end,
      on = { Tick = function(self) self.ticks = self.ticks + 1 end,
        Ring = function(self, _, ctx) seen[#seen + 1] = ctx.topic .. tostring(self.ready) end,
        Count = function(self, _, ctx)
          while self.ticks < 3 do ctx:receive_nothing() end
        end,
        Ask = function(self) return { self.id, self.ticks } end } }
    rt:get("clock/default")
    repeat local answer = rt:call("clock", "Ask") until answer[2] >= 3
    rt:publish("bell/default", "Ring")
    rt:call("clock", "Ask")
    assert.same({ "bell/defaulttrue" }, seen)
  end)

  it("are refused whole where one of them is wrong", function()
    assert.equal("invalid: a table given to rt:load: an agent given as a table needs `type`", raised(rt.load, rt, { on = {} }))
    assert.match("`onn` is not a key of an agent; did you mean `on`?", raised(rt.load, rt, { type = "a", onn = {} }), 1, true)
    assert.match("^invalid: a table given to rt:load: ", raised(rt.load, rt, { { type = "a", on = {} }, { type = "b", on = 1 } }))
    assert.match("^invalid: .*empty table", raised(rt.load, rt, {}))
    assert.match("a function is no agent", raised(rt.load, rt, { { type = "a", on = {} }, function() end }), 1, true)
    assert.equal("invalid: rt:load takes paths and tables, not number", raised(rt.load, rt, 1))
    assert.match("^not_found: no agent type \"a\"", raised(rt.call, rt, "a", "X"))
    rt:load(greeter)
    assert.match("^already_exists: .*agent type `greeter` is there already", raised(rt.load, rt, greeter))
    assert.match("^not_found: /nowhere/x.lua", raised(rt.load, rt, "/nowhere/x.lua"))
  end)

  it("are made on request, and whoever asks hears why one cannot be", function()
    local made = 0
    rt:load({ type = "slow", init = function(self, ctx)
      ctx:sleep(0.01)
      made = made + 1
      if ctx.key == "bad" then error("no such place") end
      self.ready = true
    end, on = {} }, greeter)
    local id, self = rt:get("slow/a")
    assert.same({ "slow/a", true, 1 }, { id, self.ready, made })
    assert.equal(self, select(2, rt:get("slow/a")))
    assert.equal(1, made)
    assert.match("no such place", raised(rt.get, rt, "slow/bad"), 1, true)
    assert.same({ "greeter/default", 0 }, { (rt:get("greeter")), select(2, rt:get("greeter")).n })
    assert.match("^not_found: no agent type \"nobody\" in this process", raised(rt.get, rt, "nobody/x"))
  end)

  it("are given ready-made; an id that is there is already_exists", function()
    local mine = { n = 41 }
    rt:load(greeter)
    rt:put("greeter/mine", mine)
    assert.equal(42, rt:call("greeter/mine", "Greet", { name = "x" }).n)
    assert.equal(42, mine.n)
    assert.equal(mine, select(2, rt:get("greeter/mine")))
    assert.equal("already_exists: greeter/mine is there already", raised(rt.put, rt, "greeter/mine", {}))
    assert.match("^not_found: no agent type \"other\" here", raised(rt.put, rt, "other/x", {}))
    rt:load { type = "filled", state = function() error("not for this one") end, methods = { go = function() end },
      init = function(self) self.begun = true end, on = { Ask = function(self) return { self.a, self.begun } end } }
    rt:put("filled/x", { a = 1 })
    assert.same({ 1, true }, (rt:call("filled/x", "Ask")))
    assert.match("^invalid: `go` is both", raised(rt.put, rt, "filled/y", { go = 1 }))
    assert.match("not for this one", raised(rt.call, rt, "filled/y", "Ask"), 1, true)
    rt:load(write "return { on = {} }")
    assert.match("^invalid: \"scribe\" comes from a file", raised(rt.put, rt, "scribe/x", {}))
  end)

  it("are listed and described", function()
    rt:load(greeter, write "return { on = { Echo = function(self, m) return m end, Wait = function(_, _, ctx) ctx:sleep(9) end } }")
    rt:call("greeter/desk", "Greet", { name = "x" })
    rt:send("scribe", "Wait")
    rt:poll()
    rt:send("scribe", "Wait")
    local list = {}
    for _, agent in ipairs(rt:agents()) do list[agent.id] = agent end
    assert.same({ id = "greeter/desk", type = "greeter", key = "desk", state = "idle", mailbox = 0, turns = 0 }, list["greeter/desk"])
    assert.same({ id = "scribe/default", type = "scribe", key = "default", state = "working", mailbox = 1, turns = 1 },
      list["scribe/default"])
    local about = rt:metadata("greeter/any")
    table.sort(about.messages)
    assert.same({ type = "greeter", where = "table", description = "Greets.", version = 3,
      messages = { "Echo", "Graph", "Greet", "Pass", "Throw", "Twice" },
      subscriptions = { { topic = "news" }, { prefix = "home." } } }, about)
    assert.equal("file", rt:metadata("scribe").where)
    assert.match("^not_found: no agent type \"nobody\" is known", raised(rt.metadata, rt, "nobody"))
  end)

  it("from files are reloaded; their state stays", function()
    local path = write "return { state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 return { self.n } end } }"
    rt:load(path)
    assert.equal(1, rt:call("scribe", "Add")[1])
    write("return { state = { n = 0 }, on = { Add = function(self) self.n = self.n + 10 return { self.n } end } }", path)
    assert.equal(1, rt:reload())
    assert.equal(11, rt:call("scribe", "Add")[1])
    write("return {", path)
    assert.match("scribe.lua:1:", raised(rt.reload, rt, path), 1, true)
    assert.equal(21, rt:call("scribe", "Add")[1])
    assert.match("^invalid: rt:reload's to: expected a whole number", raised(rt.reload, rt, { to = 1.5 }))
    assert.match("^invalid: rt:reload's errors: expected a whole number", raised(rt.reload, rt, { again = true, errors = 0.5 }))
  end)

  it("are saved and restored with all the others", function()
    rt:load(greeter, write "return { state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 return { self.n } end } }")
    rt:call("greeter/a", "Greet", { name = "x" })
    rt:call("greeter/b", "Greet", { name = "x" })
    rt:call("scribe", "Add")
    local bytes, failed = rt:save()
    assert.equal(0, failed)
    rt:call("greeter/a", "Greet", { name = "x" })
    assert.equal(0, rt:restore(bytes, { only = { "greeter/a", "scribe" } }))
    assert.equal(2, rt:call("greeter/a", "Greet", { name = "x" }).n)
    assert.equal(2, rt:call("scribe", "Add")[1])
    local path = process.tmpdir() .. "/state"
    assert.equal(0, rt:save(path))
    assert.equal(0, rt:restore(path))
    assert.equal(3, rt:call("greeter/a", "Greet", { name = "x" }).n)
    assert.match("^data_loss: ", raised(rt.restore, rt, bytes:sub(1, -2)))
    assert.match("^not_found: ", raised(rt.restore, rt, path .. ".not"))
  end)
end)
