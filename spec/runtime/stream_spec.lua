-- Parts of an answer, between processes.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local counter = [[
return { type = "counter", reentrant = true, on = {
  Count = function(_, m, ctx)
    local guard <close> = setmetatable({}, { __close = function() print("closed " .. m.n) end })
    assert(guard)
    for i = 1, m.n do
      ctx:yield { i = i, filler = m.filler and ("x"):rep(m.filler) }
      if m.tell and i % m.tell == 0 then print("gave " .. i) end
      if m.pause then ctx:sleep(m.pause) end
    end
    if m.fail then error { code = m.fail, message = "as told" } end
    return { n = m.n }
  end,
} }]]
local relay = [[ -- passes on what it reads
return { type = "relay", reentrant = true, on = { Count = function(_, m, ctx)
  local stream = ctx:stream("counter", "Count", m)
  for part in stream do ctx:yield(part) end
  return stream:result()
end } }]]
-- Reads streams of the agent in its first argument.
local reader = [[return function(ctx, args)
  local function count(m, opts) return ctx:stream(args[1], "Count", m, opts) end
  local at, s = 0, count { n = 1000 }
  for part in s do
    at = at + 1
    assert(part.i == at)
  end
  assert(at == 1000 and s:result().n == 1000)
  print "all"
  assert(count({ n = 100 }):result().n == 100)
  assert(ctx:call(args[1], "Count", { n = 100 }).n == 100)
  at = 0
  local ok, e = pcall(function() for part in count { n = 7, fail = "not_found" } do at = part.i end end)
  assert(not ok and e.code == "not_found" and e.message == "as told" and at == 7)
  ok, e = pcall(function() for part in count({ n = 999, pause = 0.1 }, { timeout = 0.5 }) do at = part.i end end)
  assert(not ok and e.code == "timeout" and at > 1 and at < 7)
  at = 0
  for part in count { n = 50, filler = 100000 } do
    at = at + 1
    assert(part.i == at and #part.filler == 100000)
  end
  assert(at == 50)
  print "left"
  for part in count { n = 12345, pause = 0.001 } do if part.i == 5 then break end end
  -- the callee is not far ahead of who reads
  s = count { n = 10000, tell = 10 }
  s()
  ctx:subscribe("go_on")
  print "one read"
  ctx:receive(20)
  s:close()
  print "done"
end]]

describe("a stream", function()
  local function file(name, source) return process.write_file(process.tmpdir() .. "/" .. name .. ".lua", source) end
  local function start(first, ...)
    local p = process.troupe { ... }
    p:wait_line(first)
    return p
  end

  local function reads(p, address, giver)
    p:wait_line("^all$")
    p:wait_line("^left$", 20)
    giver:wait_line("^closed 12345$")
    p:wait_line("^one read$")
    giver:wait_line("^gave 10$")
    sh.troupe { "publish", "go_on", "Go", "--host", address }
    p:wait_line("^done$")
    giver:wait_line("^closed 10000$")
    local most = 0
    for n in giver.out:gmatch("gave (%d+)") do most = math.max(most, tonumber(n)) end
    assert.is_true(most <= 100, "gave " .. most)
    assert.equal(0, (p:wait()))
  end

  it("goes from a worker through a host to a program, also by way of a third", function()
    local address = "unix:" .. process.tmpdir() .. "/s"
    start("^listening", "host", "--listen", address)
    local giver = start("^joined", "worker", "--host", address, file("counter", counter))
    start("^joined", "worker", "--host", address, file("relay", relay))
    for _, target in ipairs { "counter", "relay" } do
      reads(process.troupe { "run", "--host", address, file("reader", reader), "--", target }, address, giver)
    end
  end)

  it("goes between a host's own agents and its workers", function()
    local address = "unix:" .. process.tmpdir() .. "/s"
    local host = start("^listening", "run", "--listen", address, file("counter", counter))
    reads(process.troupe { "run", "--host", address, file("reader", reader), "--", "counter" }, address, host)
    host:kill("sigterm")
    host:wait()
    local patient = reader:gsub("local function count",
      "repeat ctx:sleep(0.01) until ctx:pcall('counter', 'Count', { n = 0 })\n%0", 1)
    host = process.troupe { "run", "--listen", address, file("reader", patient), "--", "counter" }
    host:wait_line("^listening")
    reads(host, address, start("^joined", "worker", "--host", address, file("counter", counter)))
  end)
end)
