-- Placeholders between processes: what is only passed on does not come by its caller, and nothing else is different.
-- A host; worker 1 with a, c, e; worker 2 with b, d, f; and a caller, which talks to the host through a spy that counts.
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local loop = require "spec.support.loop"

local node = [[
local kinds = { text = "plain", number = 4.5, empty = {}, none = troupe.null, list = { 1, troupe.null, 3 }, ["false"] = false }
local function node(name) return { type = name, reentrant = true, mailbox = { limit = 1000 }, on = {
  Make = function(_, m) return { blob = ("y"):rep(m.n or 10), mark = "MARK-" .. name, back = m.back } end,
  Bytes = function() return troupe.bytes("\xff\0x") end,
  Kind = function(_, m) return kinds[m.kind] end,
  Size = function(_, m)
    local function size(v)
      if type(v) == "string" then return #v elseif type(v) ~= "table" then return 0 end
      local n = 0
      for _, w in pairs(v) do n = n + size(w) end
      return n
    end
    return { size = size(m) }
  end,
  Same = function(_, m) return m end,
  Fail = function() error { code = "not_found", message = "nothing there" } end,
  Die = function(_, _, ctx) ctx:log("info", "dies") ctx:exit(3) end,
  reply = function(_, m)
    local n = (m.n or 0) + 1
    return { n = n, content = n >= 10 and "exit" or "on" }
  end,
} } end
]]

local user = [[
local function agents(ctx) return ctx:agent("a"), ctx:agent("b"), ctx:agent("c") end
local function fails(f)
  local ok, e = pcall(f)
  return ok and "no error" or tostring(e)
end
return { { type = "near", on = { Same = function(_, m) return m end } }, { type = "user", reentrant = true, on = {
  Pass = function(_, m, ctx)
    local a, b = agents(ctx)
    local x = a:Make { n = m.n }
    local y = b:Size(x)
    return { size = y.size, nested = b:Size { "12", { x, troupe.null, deep = nil }, { q = x } }.size }
  end,
  Read = function(_, m, ctx)
    local a, b = agents(ctx)
    local x = a:Make { n = m.n }
    return { size = b:Size(x).size, here = #x.blob }
  end,
  Kinds = function(_, _, ctx)
    local a, b = agents(ctx)
    local out = {}
    for _, kind in ipairs { "text", "number", "empty", "none", "list", "false" } do
      out[kind] = b:Same { v = a:Kind { kind = kind }, w = { troupe.null, a:Kind { kind = kind } }, z = troupe.null }
      out[kind .. "_whole"] = troupe.await(b:Same(a:Kind { kind = kind }))
    end
    return { out.text.v, out.text.w[2], out.number.v, #out.list.v, out.list.v[3], out["false"].v,
      out.none.v == nil, next(out.empty.v) == nil,
      out.text_whole, out.number_whole, #out.list_whole, out.none_whole == nil, #troupe.await(b:Same(a:Bytes {})) }
  end,
  Near = function(_, _, ctx)
    local a = agents(ctx)
    local x = a:Make {}
    ctx:send("near", "Same", x)
    return { ctx:agent("near"):Same { x = x }.x.mark, ctx:call("near", "Same", a:Make {}).mark, (troupe.all { a:Make {}, x })[1].mark }
  end,
  Give = function(_, m, ctx)
    local a = agents(ctx)
    if m.part then return { part = a:Make {} } end
    return a:Make { n = m.n }
  end,
  Loop = function(_, _, ctx)
    local a, b = agents(ctx)
    local x = { content = "begin" }
    repeat
      x = a:reply(x)
      x = b:reply(x)
    until x.content == "exit"
    return x.n
  end,
  Errors = function(_, _, ctx)
    local a, b = agents(ctx)
    local failed, through = a:Fail {}, b:Size { a:Fail {} }
    return { fails(function() return failed.x end), fails(function() return through.x end),
      fails(function() return b:Size { failed }.x end) }
  end,
  Unread = function(_, m, ctx)
    local a, b = agents(ctx)
    b:Size(a:Make { n = m.n })
    a:Make { n = m.n }
    if m.fail then a:Fail {} end
    troupe.await(b:Size(a:Make {})) -- those before it have come to their ends, too
  end,
  Hold = function(_, m, ctx)
    local a, b = agents(ctx)
    local all, sum = {}, 0
    for i = 1, m.count do all[i] = a:Make { n = m.n } end
    ctx:sleep(0)
    for i = 1, m.count do sum = sum + b:Size(all[i]).size end
    return sum
  end,
  Gone = function(_, _, ctx)
    local a, b = agents(ctx)
    local x, y = a:Make {}, a:Make {}
    troupe.await(b:Size(x))
    ctx:pcall("a", "Die")
    local first
    repeat first = fails(function() return b:Size(x).size end) until first ~= "no error" -- it takes a moment to end
    return { first, fails(function() return y.mark end) }
  end,
} } }
]]

describe("placeholders between processes", function()
  local address, spy, first, caller
  local function worker(name, text, where)
    local p = process.troupe { "worker", "--host", where or address, process.write_file(process.tmpdir() .. "/" .. name .. ".lua", text) }
    p:wait_line("^joined ")
    return p
  end
  local function call(type, body)
    local status, out, err = sh.troupe { "call", "user/x", type, body or "{}", "--host", address }
    return status == 0 and out:gsub("\n$", "") or err
  end
  local function spent(type, body)
    local before = spy:bytes()
    local answer = call(type, body)
    return answer, spy:bytes() - before
  end

  setup(function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
  end)
  before_each(function()
    spy = proxy.before(address)
    first = worker("first", node .. 'return { node "a", node "c" }')
    worker("second", node .. 'return { node "b", node "d" }')
    caller = worker("user", user, spy.address)
  end)

  it("pass the content from who made it to who needs it, not by the caller", function()
    local answer, bytes = spent("Pass", '{"n":1000000}')
    assert.matches('"size":1000006', answer)
    assert.matches('"nested":2000014', answer)
    assert.is_true(bytes < 20000, bytes .. " bytes went by the caller")
    assert.is_false(spy:saw("MARK-a"))
    answer, bytes = spent("Read", '{"n":1000000}')
    assert.matches('"here":1000000', answer)
    assert.is_true(bytes > 1000000, "what is read here comes here")
  end)

  it("carry every kind of value to where it was put", function()
    assert.equal('["plain","plain",4.5,3,3,false,true,true,"plain",4.5,3,true,3]', call("Kinds"))
  end)

  it("are read, sent to agents here, gathered and returned like others", function()
    assert.equal('["MARK-a","MARK-a","MARK-a"]', call("Near"))
    assert.matches('"mark":"MARK%-a"', call("Give"))
    assert.matches('"part":{.*"mark":"MARK%-a"', call("Give", '{"part":true}'))
  end)

  it("run in a loop until something was said", function() assert.equal("10", call("Loop")) end)

  it("raise their error where they are used, saying where it came from", function()
    local one = '"not_found: nothing there (from a/default, Fail)"'
    local known = one:gsub("nothing", "body[1]: nothing")
    assert.equal("[" .. one .. "," .. one .. "," .. known .. "]", call("Errors"))
  end)

  it("that nobody reads let go of the content, and their errors are in the caller's log, once", function()
    local before = spy:bytes()
    for _ = 1, 50 do assert.equal("null", call("Unread", '{"n":1000000}')) end -- 100 MB; 64 are kept at a time
    assert.matches('"size":1000006', (call("Pass", '{"n":1000000}')))
    assert.is_true(spy:bytes() - before < 200000, spy:bytes() - before .. " bytes went by the caller")
    call("Unread", '{"n":1,"fail":true}')
    caller:wait_line('^warn future.failed agent=user/x called=a/default type=Fail '
      .. 'error="not_found: nothing there" %(nobody read it%)$', 10, "err")
    call("Errors")
    assert.equal(1, select(2, caller.err:gsub("future.failed", "")))
  end)

  it("of more than there is room for come with their content, and are all there", function()
    local answer, bytes = spent("Hold", '{"n":1000000,"count":70}')
    assert.equal(tostring(70 * 1000006), answer)
    assert.is_true(bytes > 3000000 and bytes < 30000000, bytes .. " bytes went by the caller")
  end)

  it("are unavailable when who made them is gone, saying who that was", function()
    local answer = call("Gone")
    assert.equal(3, first:wait())
    local errors = { answer:match('^%["(unavailable: .-%(from a/default, Make%))","(unavailable: .-%(from a/default, Make%))"%]$') }
    assert.equal(2, #errors, answer)
  end)
end)

describe("placeholders in a circle", function()
  local circle = [[
local name, other = ...
return { type = name, on = { Go = function(_, m, ctx)
  if not m.first then return { got = name } end
  ctx:sleep(0.5) -- both are at work before they ask each other
  local x = ctx:agent(other):Go {}
  local y = ctx:agent("echo"):Use { x }
  return { got = y.got }
end } }]]
  local echo = 'return { type = "echo", on = { Use = function(_, m) return { got = m } end } }'
  local folder
  local function file(name, text) return process.write_file(folder .. "/" .. name .. ".lua", text) end
  -- Two callers, since within one call's own chain an agent that waits answers.
  local function check(address)
    local calls, deadlocks = {}, 0
    for _, type in ipairs { "p", "q" } do
      calls[#calls + 1] = process.troupe { "call", type, "Go", '{"first":true}', "--host", address, "--timeout", "20" }
    end
    for _, call in ipairs(calls) do
      call:wait(9)
      if call.err:match("deadlock: .*%(from [pq]/default, Go%)\n") then deadlocks = deadlocks + 1 end
    end
    assert.is_true(deadlocks > 0, calls[1].err .. calls[2].err)
  end
  before_each(function() folder = process.tmpdir() end)

  it("are an error, not a hang: in one process", function()
    local all = ("return { (load([==[%s]==]))('p', 'q'), (load([==[%s]==]))('q', 'p'), (load([==[%s]==]))() }")
    local run = process.troupe { "run", "--listen", "127.0.0.1:0", file("all", all:format(circle, circle, echo)) }
    check(select(2, run:wait_line("^listening (.*)$")))
  end)

  it("are an error, not a hang: over three", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address, path = select(2, host:wait_line("^listening (.*)$")), file("circle", circle)
    process.troupe({ "worker", "--host", address, path, "--", "p", "q" }):wait_line("^joined ")
    process.troupe({ "worker", "--host", address, path, "--", "q", "p" }):wait_line("^joined ")
    process.troupe({ "worker", "--host", address, file("echo", echo) }):wait_line("^joined ")
    check(address)
  end)
end)

describe("the graph of six agents", function()
  it("takes the time of the longest path over two workers", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address = select(2, host:wait_line("^listening (.*)$"))
    for _, types in ipairs { { "a", "c", "e" }, { "b", "d", "f" } } do
      process.troupe { "worker", "--host", address, "examples/parallel/graph.lua", "--", table.unpack(types) }:wait_line("^joined ")
    end
    local status, out, err = sh.troupe({ "run", "--host", address, "examples/parallel/graph.lua", "--", "call" }, { seconds = 60 })
    assert.equal(0, status, err)
    local seconds = tonumber(out:match("f is done after ([%d.]+) s\n"))
    assert.is_true(seconds and seconds >= 4 and seconds <= 4 + 0.6 * loop.slow, out)
  end)
end)
