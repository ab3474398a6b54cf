-- What messages carry between processes: priority, encodings, traces, schemas, subscriptions made while running, dead letters.
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local loop = require "spec.support.loop"

local callee = [[
local seen, order = {}, {}
local function note(_, m, ctx)
  seen = { text = type(m) == "string" and m, bytes = type(m) == "userdata" and #m .. ":" .. tostring(m):byte(1),
    trace = ctx.trace, state = ctx.metadata.tracestate, tag = ctx.metadata.tag }
  return m
end
return { type = "callee", mailbox = { limit = 100 }, subscriptions = { "wire" },
  messages = { Job = { n = "integer", tags = { "string" } } }, on = {
  Note = note, NoteText = note, Job = function() return { ok = true } end,
  Seen = function() return seen end,
  Work = function(_, _, ctx) ctx:sleep(0.5) end,
  Mark = function(_, m) order[#order + 1] = m.n end,
  Order = function() return table.concat(order, " ") end,
  On = function(_, m, ctx) return ctx:subscribe(m.prefix and { prefix = m.topic } or m.topic) end,
  Off = function(_, m, ctx) ctx:unsubscribe(m.id) end,
  Late = function(_, m) order[#order + 1] = m.n end,
} }]]

local caller = [[
return { type = "caller", on = {
  Echo = function(_, m, ctx)
    local value = m.bytes and troupe.bytes("\xff\0" .. m.bytes) or m.text
    local back = ctx:call("callee", "Note", value, { encoding = m.encoding, metadata = { tag = "t" } })
    return { kind = type(back), text = type(back) == "string" and back, size = #back, same = back == value }
  end,
  Event = function(_, m, ctx) ctx:publish("wire/default", "NoteText", m.text, { encoding = "bytes" }) end,
  Burst = function(_, _, ctx)
    ctx:send("callee", "Work")
    ctx:sleep(0)
    for n, priority in ipairs { "low", "normal", "high" } do ctx:send("callee", "Mark", { n = n }, { priority = priority }) end
  end,
  Job = function(_, m, ctx)
    local ok, e = ctx:pcall("callee", "Job", m)
    return ok and "taken" or tostring(e)
  end,
} }]]

local letters = [[
return { type = "letters", subscriptions = { "troupe.dead_letter" }, on = { DeadLetter = function(_, m)
  print(("dead %s %s %s %s"):format(m.reason, m.topic or m.agent, m.type, m.error))
end } }]]

describe("between processes", function()
  local host, address
  local function worker(name, text)
    local p = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/" .. name .. ".lua", text) }
    p:wait_line("^joined ")
    return p
  end
  local function call(agent, type, body)
    local status, out, err = sh.troupe { "call", agent, type, body or "{}", "--host", address }
    return status == 0 and out:gsub("\n$", "") or err
  end
  local function publish(...)
    local status, _, err = sh.troupe { "publish", ... }
    return status, err
  end
  local function until_called(wanted, agent, type)
    local got
    for _ = 1, 40 do
      got = call(agent, type)
      if got == wanted then return end
      loop.run(function() return false end, 0.05)
    end
    assert.equal(wanted, got)
  end
  before_each(function()
    host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
  end)

  it("text and bytes arrive as what they were", function()
    worker("callee", callee)
    worker("caller", caller)
    local back = call("caller", "Echo", '{"text":"grüß","encoding":"text"}')
    assert.matches('"text":"grüß"', back)
    assert.matches('"same":true', back)
    local seen = call("callee", "Seen")
    assert.matches('"text":"grüß"', seen)
    assert.matches('"tag":"t"', seen)
    for _, body in ipairs { '{"bytes":"x","encoding":"bytes"}', '{"bytes":"x"}' } do
      back = call("caller", "Echo", body)
      assert.matches('"kind":"userdata"', back)
      assert.matches('"size":3', back)
      assert.matches('"same":true', back)
      assert.matches('"bytes":"3:255"', call("callee", "Seen"))
    end
    call("caller", "Event", '{"text":"abc"}')
    local function arrived() return call("callee", "Seen"):find('"bytes":"3:97"', 1, true) end
    for _ = 1, 20 do if arrived() then break end end
    assert.is_truthy(arrived())
  end)

  it("a higher priority overtakes in the receiver's mailbox", function()
    worker("callee", callee)
    worker("caller", caller)
    call("caller", "Burst")
    until_called('"3 2 1"', "callee", "Order")
  end)

  it("schemas answer invalid, and the bad event is a dead letter where it arrived", function()
    local p = worker("callee", callee:gsub("^\nreturn", "return"):gsub("return { type = \"callee\"(.*)$", function(rest)
      return "local a = { type = \"callee\"" .. rest .. "\nreturn { a, (function() " .. letters .. " end)() }"
    end))
    worker("caller", caller)
    assert.equal('"taken"', call("caller", "Job", '{"n":1,"tags":["a"]}'))
    assert.equal('"invalid: body.tags[2]: expected string, got integer"', call("caller", "Job", '{"n":1,"tags":["a",2]}'))
    assert.equal("troupe: call: invalid: body.n: missing (expected integer)\n", call("callee", "Job"))
    assert.equal(0, (publish("wire/x", "Job", '{"n":"1","tags":[]}', "--host", address)))
    p:wait_line("^dead invalid wire/x Job body.n: expected integer, got string %(refused by callee/x%)$")
  end)

  it("subscriptions made while running reach the host, and go again", function()
    worker("callee", callee)
    local function order() return call("callee", "Order") end
    publish("late/default", "Late", '{"n":1}', "--host", address)
    assert.equal('""', order())
    local id = call("callee", "On", '{"topic":"late"}')
    -- It is told to the host after the turn; the first event may be too early.
    for _ = 1, 40 do
      publish("late/default", "Late", '{"n":2}', "--host", address)
      if order() ~= '""' then break end
    end
    assert.matches('^"2', order())
    call("callee", "Off", ('{"id":%s}'):format(id))
    local function quiet()
      local before = order()
      publish("late/default", "Late", '{"n":3}', "--host", address)
      loop.run(function() return false end, 0.1)
      return before == order()
    end
    for _ = 1, 20 do if quiet() then break end end
    assert.is_true(quiet())
    call("callee", "On", '{"topic":"late.","prefix":true}')
    local before = order()
    for _ = 1, 40 do
      publish("late.r/default", "Late", '{"n":4}', "--host", address)
      if order() ~= before then break end
    end
    assert.matches("4", order())
  end)

  it("a client hears the dead letters of its host, and nobody writes to reserved names", function()
    host:kill("sigterm")
    host:wait()
    local lonely = [[return { { type = "lonely", mailbox = { limit = 1, overflow = "refuse" }, on = {
      Go = function(_, _, ctx) ctx:send("nowhere/x", "Lost", { n = 1 }) end } }, }]]
    host = process.troupe { "run", "--listen", "127.0.0.1:0", process.write_file(process.tmpdir() .. "/lonely.lua", lonely) }
    address = select(2, host:wait_line("^listening (.*)$"))
    local p = worker("letters", letters)
    assert.equal(1, (publish("troupe.dead_letter", "DeadLetter", "{}", "--host", address)))
    call("lonely", "Go")
    p:wait_line('^dead not_found nowhere/x Lost no agent type "nowhere" here')
    assert.matches("^troupe: call: invalid: .*troupe%.x: names that begin with \"troupe%.\" are reserved", call("lonely/troupe.x", "Go"))
    local status, err = publish("chat/troupe.x", "E", "{}", "--host", address)
    assert.equal(1, status)
    assert.matches("reserved", err)
    -- A body that the subscribe verb prints is the letter too.
    local listener = process.troupe { "subscribe", "troupe.dead_letter", "--json", "--count", "1", "--host", address }
    listener:wait_line("^joined")
    call("lonely", "Go")
    assert.equal(0, (listener:wait()))
    assert.matches('"reason":"not_found"', listener.out)
  end)
end)
