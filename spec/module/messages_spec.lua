-- Messages of a program: publish, send, call, subscribe, the interceptor, serializers.
local module = require "spec.support.troupe"
local loop = require "spec.support.loop"
local troupe, open, raised, logged = module.troupe, module.open, module.raised, module.logged

module.describe("messages of a program", describe, function(mode)
  local rt, log

  before_each(function() rt, log = open(nil, mode) end)
  after_each(function() rt:close() end)

  local function echo()
    rt:load { type = "echo", on = {
      Echo = function(_, message) return message end,
      About = function(_, _, ctx)
        return { id = ctx.message_id, sender = ctx.sender, metadata = ctx.metadata, topic = ctx.topic, left = ctx.deadline ~= nil }
      end,
      Sleep = function(_, message, ctx) ctx:sleep(message.seconds) end,
      Pass = function(_, message, ctx) return ctx:call("echo/b", message.type, message.body) end,
    } }
  end

  it("carry options", function()
    echo()
    local about = rt:call("echo", "About", nil, { id = "mine-1", metadata = { colour = "red" }, timeout = 5, priority = "high" })
    assert.same({ id = "mine-1", metadata = { colour = "red" }, left = true }, about)
    assert.is_false(rt:call("echo", "About", {}, { timeout = false }).left)
    assert.match("^timeout: echo/default did not answer", raised(rt.call, rt, "echo", "Sleep", { seconds = 5 }, { timeout = 0.01 }))
  end)

  it("are refused with what is wrong about them", function()
    echo()
    local cases = {
      { "invalid: `timeouts` is not an option; did you mean `timeout`?", "echo", "Echo", nil, { timeouts = 1 } },
      { "invalid: the option `retry` is for agents (ctx:call)", "echo", "Echo", nil, { retry = 1 } },
      { "invalid: priority must be \"high\", \"normal\" or \"low\"", "echo", "Echo", nil, { priority = 1 } },
      { "invalid: timeout must be a number of seconds, or false", "echo", "Echo", nil, { timeout = "1" } },
      { "invalid: metadata.priority is reserved (give the option `priority`)", "echo", "Echo", nil, { metadata = { priority = "1" } } },
      { "invalid: metadata must have strings as keys and values", "echo", "Echo", nil, { metadata = { 1 } } },
      { "invalid: id must be UTF-8 text of 1 to 256 bytes", "echo", "Echo", nil, { id = "" } },
      { "invalid: options must be a table", "echo", "Echo", nil, 7 },
      { "invalid: body.f: a body cannot hold a function", "echo", "Echo", { f = print } },
      { "invalid: body: a string that is not UTF-8 (send it as troupe.bytes(s))", "echo", "Echo", "\xff" },
      { "invalid: the message type must be UTF-8 text that is not empty", "echo", "" },
      { "invalid: the message type must be a string, not nil (call methods with a colon)", "echo" },
      { "invalid: the agent must be a string, not table (call methods with a colon)", {}, "Echo" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[1], raised(rt.call, rt, table.unpack(case, 2, 5)))
    end
    assert.match("^invalid: .*reserved", raised(rt.publish, rt, "troupe.mine", "X"))
    assert.equal("invalid: call rt:call with a colon", raised(rt.call, "echo", "Echo"))
    assert.match("^not_found: nobody", raised(rt.send, rt, "nobody", "X"))
    assert.equal("thirty deep", rt:call("echo", "Echo", "thirty deep"))
  end)

  it("come to subscribers, until they unsubscribe; one that fails is told, and the others get theirs", function()
    local seen = {}
    local first = rt:subscribe("news", function(body, type, topic) seen[#seen + 1] = { body.n, type, topic } end)
    rt:subscribe("news", function() error("not today") end)
    local prefix = rt:subscribe("ne*", function(body) seen[#seen + 1] = body.n * 10 end)
    rt:publish("news/front", "Counted", { n = 1 })
    rt:run_until_idle()
    assert.same({ { 1, "Counted", "news/front" }, 10 }, seen)
    assert.match("error callback.failed in=a subscription error=.*not today", logged(log, "callback.failed"))
    rt:unsubscribe(first)
    rt:unsubscribe(prefix)
    rt:publish("news/front", "Counted", { n = 2 })
    rt:run_until_idle()
    assert.equal(2, #seen)
    assert.match("^not_found: no subscription", raised(rt.unsubscribe, rt, first))
    assert.match("takes a topic and a function", raised(rt.subscribe, rt, "news"), 1, true)
    assert.match("^invalid: ", raised(rt.subscribe, rt, "a b", print))
  end)

  it("callbacks may send, subscribe and unsubscribe, and wait in a coroutine, not else", function()
    echo()
    local seen, id = {}, nil
    id = rt:subscribe("news", function(body)
      rt:unsubscribe(id)
      rt:subscribe("later", function(later) seen.later = later.n end)
      rt:publish("later", "X", { n = body.n + 1 })
      seen.refused = raised(rt.call, rt, "echo", "Echo", {})
      seen.run = raised(rt.run, rt)
      seen.close = raised(rt.close, rt)
      coroutine.wrap(function() seen.answer = rt:call("echo", "Echo", "from a coroutine") end)()
      coroutine.wrap(function()
        rt:call("echo", "Echo", {})
        error("in a coroutine")
      end)()
    end)
    rt:publish("news", "X", { n = 1 })
    rt:run_until_idle()
    assert.equal(2, seen.later)
    assert.equal("from a coroutine", seen.answer)
    assert.match("would wait inside a callback of its own runtime", seen.refused, 1, true)
    assert.match("rt:run was called from inside a callback", seen.run, 1, true)
    assert.match("was called from inside a callback", seen.close, 1, true)
    assert.match("in=a coroutine error=.*in a coroutine", logged(log, "in=a coroutine"))
  end)

  it("an agent that calls its runtime where it would wait is told what to do", function()
    rt:load { type = "a", on = { X = function() return { raised(rt.call, rt, "a", "X") } end } }
    assert.equal("invalid: rt:call inside an agent: it has ctx:call", rt:call("a", "X")[1])
  end)

  describe("under an interceptor", function()
    it("are seen, changed and dropped: from the program, from agents, to topics", function()
      echo()
      local seen = {}
      rt:intercept(function(message)
        seen[#seen + 1] = ("%s %s %s %s"):format(message.kind, message.agent or message.topic, message.type, tostring(message.sender))
        if message.type == "Drop" then return nil end
        if message.type == "Other" then message.type = "Echo" end
        if type(message.body) == "table" and message.body.secret then message.body.secret = "***" end
        if message.body == "whole" then message.body = { "changed" } end
        return message
      end)
      local got = {}
      rt:subscribe("news", function(body) got[#got + 1] = body end)
      assert.same({ secret = "***", n = 1 }, (rt:call("echo/a", "Echo", { secret = "x", n = 1 })))
      assert.same({ "changed" }, (rt:call("echo/a", "Pass", { type = "Other", body = "whole" })))
      assert.equal("cancelled: the message was dropped by an interceptor", raised(rt.call, rt, "echo/a", "Drop"))
      assert.match("dropped by an interceptor", raised(rt.call, rt, "echo/a", "Pass", { type = "Drop" }), 1, true)
      rt:publish("news", "Drop", { 1 })
      rt:publish("news", "Keep", { 2 })
      rt:run_until_idle()
      assert.same({ { 2 } }, got)
      assert.equal(3, rt:dropped())
      assert.equal("request echo/b Other echo/a", seen[3])
      assert.equal("event news/default Keep nil", seen[#seen])
      rt:intercept(nil)
      assert.same({ secret = "x" }, (rt:call("echo/a", "Echo", { secret = "x" })))
      assert.equal(3, rt:dropped())
    end)

    it("an error in it is the error of that message", function()
      echo()
      local letters = {}
      rt:subscribe("troupe.dead_letter", function(body) letters[#letters + 1] = body end)
      rt:intercept(function(message)
        if message.type == "Bad" then error("cannot look at it") end
        if message.type == "Wrong" then return 7 end
        if message.type == "Function" then message.body = print end
        if message.type == "Object" then error(setmetatable({ code = "permission_denied", message = "not you" }, {}), 0) end
        return message
      end)
      assert.match("^handler_error: .*cannot look at it$", raised(rt.call, rt, "echo", "Bad"))
      assert.match("must return the message or nil, not number", raised(rt.call, rt, "echo", "Wrong"), 1, true)
      assert.match("^invalid: body: a body cannot hold a function", raised(rt.call, rt, "echo", "Function"))
      assert.equal("permission_denied: not you", raised(rt.call, rt, "echo", "Object"))
      pcall(rt.publish, rt, "news", "Bad")
      repeat rt:poll(0.01) until letters[1]
      assert.match("cannot look at it", letters[1].error, 1, true)
      assert.match("in=the interceptor", logged(log, "callback.failed"), 1, true)
      assert.equal("x", rt:call("echo", "Echo", "x"))
    end)

    it("what it sends itself it does not see; bodies that it leaves alone stay as they are", function()
      echo()
      local audit, count = {}, 0
      rt:subscribe("audit", function(body) audit[#audit + 1] = body.type end)
      rt:intercept(function(message)
        count = count + 1
        rt:publish("audit", "Seen", { type = message.type })
        return message
      end)
      local body = { nothing = troupe.null, list = troupe.array {}, map = {}, n = 2 ^ 53, raw = troupe.bytes "\0" }
      rt:load { type = "keeper", nulls = "keep", on = { Echo = function(_, m) return { m.nothing == troupe.null, m.list, m } end } }
      local answer = rt:call("keeper", "Echo", body)
      assert.is_true(answer[1])
      rt:run_until_idle()
      assert.same({ "Echo" }, audit)
      assert.equal(1, count)
    end)
  end)

  it("go in a content type of the program's own, over the wire", function()
    local host = open(nil, mode)
    finally(function() host:close() end)
    local address = host:listen "127.0.0.1:0"
    local seen = {}
    local function plug(runtime, name)
      runtime:serializer { type = "Note", content_type = "text/x-note",
        encode = function(body, type)
          if not body.text then error("a note needs text") end
          seen[#seen + 1] = name .. " writes " .. type
          return "note:" .. body.text
        end,
        decode = function(bytes)
          seen[#seen + 1] = name .. " reads"
          return { text = bytes:match "^note:(.*)$" or error "this is no note" }
        end }
    end
    plug(host, "host")
    plug(rt, "worker")
    rt:load { type = "echo", on = { Note = function(_, message) return { text = message.text .. "!" }, "Note" end } }
    rt:connect(address)
    local body
    loop.run(function()
      rt:poll(0.01)
      host:poll(0.01)
      return #host:agents() >= 0 and pcall(host.metadata, host, "echo")
    end)
    -- Two runtimes in one thread: what one waits for, the other must be given time to do.
    local timer = rt:subscribe("never", function() end)
    local co = coroutine.create(function() body = host:call("echo", "Note", { text = "hi" }, { encoding = "text/x-note" }) end)
    if mode == "luv" then
      assert(coroutine.resume(co))
      loop.run(function() return body end)
      assert.same({ text = "hi!" }, body)
      assert.same({ "host writes Note", "worker reads", "worker writes Note", "host reads" }, seen)
    end
    assert.match("^.*a note needs text", raised(host.send, host, "echo", "Note", {}, { encoding = "text/x-note" }))
    assert.match("^invalid: encoding: there is no serializer", raised(host.send, host, "echo", "Note", {}, { encoding = "x/y" }))
    assert.match("needs encode, a function", raised(rt.serializer, rt, { content_type = "a/b" }), 1, true)
    rt:unsubscribe(timer)
  end)
end)
