-- Types that several workers share, over real processes: ids move to a worker that joins while they are at work, and the example.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local counter = [[
local worker = ...
return { type = "counter", shared = true, mailbox = { limit = 100 }, subscriptions = { "tick" },
  state = { n = 0, ticks = 0, rings = 0 }, on = {
  Add = function(self, _, ctx)
    self.n = self.n + 1
    if self.n % 20 == 1 then ctx:after(0.05, "Ring") end
    return { n = self.n, worker = worker }
  end,
  Ring = function(self) self.rings = self.rings + 1 end,
  Ask = function(_, message, ctx) return ctx:call("counter/" .. message.of, "Get") end,
  Get = function(self, _, ctx) return { n = self.n, ticks = self.ticks, rings = self.rings, id = ctx.id } end,
  Tick = function(self) self.ticks = self.ticks + 1 end,
  Shout = function(_, message, ctx) ctx:publish("tick/" .. message.to, "Tick", {}) end,
} }]]

-- Three calls a key are always open, and an event goes to each: until three workers have answered, and a while longer.
local load = [[
return function(ctx)
  local keys, rounds, after, seen, workers = 24, 0, 0, {}, 0
  repeat
    rounds = rounds + 1
    local open = {}
    for key = 1, keys do
      for call = 1, 3 do open[#open + 1] = { key = key, n = rounds * 3 - 3 + call, future = ctx:async("counter/k" .. key, "Add") } end
      ctx:publish("tick/k" .. key, "Tick", {})
    end
    for _, call in ipairs(open) do
      local body = call.future:await()
      if body.n ~= call.n then error(("k%d: %d came in the place of %d"):format(call.key, body.n, call.n)) end
      if not seen[body.worker] then seen[body.worker], workers = true, workers + 1 end
    end
    if rounds == 5 then print("under load") end
    if workers == 3 then after = after + 1 end
  until after == 30 or rounds == 5000
  for key = 1, keys do -- one asks for another: this goes by the host, whoever has it
    local body
    for _ = 1, 100 do -- a timer may be late, but it rings once
      body = ctx:call("counter/k" .. key % keys + 1, "Ask", { of = "k" .. key })
      if body.rings >= (body.n + 19) // 20 then break end
      ctx:sleep(0.05)
    end
    assert(body.id == "counter/k" .. key and body.n == rounds * 3, body.id .. " has " .. body.n)
    assert(body.rings == (body.n + 19) // 20, body.id .. " rang " .. body.rings .. " times of " .. (body.n + 19) // 20)
    assert(body.ticks == rounds, body.id .. " heard " .. body.ticks .. " of " .. rounds)
  end
  for key = 1, keys do ctx:call("counter/k" .. key, "Shout", { to = "k" .. key % keys + 1 }) end
  for key = 1, keys do -- an event of theirs goes by the host, too
    local body
    for _ = 1, 100 do
      body = ctx:call("counter/k" .. key, "Get")
      if body.ticks > rounds then break end
      ctx:sleep(0.05)
    end
    assert(body.ticks == rounds + 1, body.id .. " heard " .. body.ticks - rounds .. " of its neighbour")
  end
  print(workers .. " workers")
end]]

describe("a shared type", function()
  local host, address, folder
  before_each(function()
    folder = process.tmpdir()
    process.write_file(folder .. "/counter.lua", counter)
    host = process.troupe({ "host", "--listen", "unix:" .. folder .. "/s" }, { env = { XDG_RUNTIME_DIR = folder } })
    address = select(2, host:wait_line("^listening (.*)$"))
  end)

  local function worker(name, threads)
    local args = { "worker", "--host", address, folder .. "/counter.lua", "--", name }
    if process.hostile then threads = 1 end -- what comes by a door does not wait for room: not for links of two parcels
    if threads then table.insert(args, 2, "--threads=" .. threads) end
    local p = process.troupe(args)
    p:wait_line("^joined ")
    return p
  end

  it("moves ids to a worker that joins: no call is lost, doubled or out of order, no event is heard twice or not at all", function()
    worker "one"
    worker("two", 4)
    local caller = process.troupe { "run", "--host", address, process.write_file(folder .. "/load.lua", load) }
    caller:wait_line("^under load$")
    worker("three", 2)
    caller:wait_line("^3 workers$", 20)
    caller:wait_ok()
  end)

  it("gives its ids away when it is told to stop: its callers do not notice", function()
    local one = worker("one", 3)
    worker "two"
    local caller = process.troupe { "run", "--host", address, process.write_file(folder .. "/load.lua", load) }
    caller:wait_line("^under load$")
    one:kill("sigterm")
    one:wait_ok()
    worker "three"
    caller:wait_line("^3 workers$", 20)
    caller:wait_ok()
  end)

  it("is listed by ps: who has what", function()
    worker "one"
    for _, key in ipairs { "a", "b" } do process.troupe({ "call", "counter/" .. key, "Add", "--host", address }):wait_ok() end
    local env = { XDG_RUNTIME_DIR = folder }
    local status, out, err = sh.troupe({ "ps", "--pid", tostring(host.pid) }, { env = env })
    assert.equal(0, status, err)
    assert.matches("\n  counter +worker %x+%-[%x-]+: 2 ids  0 open  a, b\n", out)
    status, out = sh.troupe({ "ps", "--pid", tostring(host.pid), "--json" }, { env = env })
    assert.equal(0, status)
    assert.matches('"shared":%[{"type":"counter","worker":"[%x-]+","here":true,"ids":2,"open":0,"keys":%["a","b"%]}%]', out)
  end)

  it("keeps the ids where they are live over a restart of the host", function()
    local one, two = worker "one", worker("two", 2)
    for i = 1, 8 do process.troupe({ "call", "counter/k" .. i, "Add", "--host", address }):wait_ok() end
    host:kill("sigkill")
    host:wait()
    os.remove(folder .. "/s")
    host = process.troupe { "host", "--listen", "unix:" .. folder .. "/s" }
    host:wait_line("^listening ")
    for _, p in ipairs { one, two } do p:wait_for(function() return select(2, p.err:gsub("uplink.joined", "")) == 2 end) end
    process.troupe({ "call", "counter/k1", "Get", "--host", address, "--wait", "counter" }):wait_ok()
    for i = 1, 8 do
      local status, out = sh.troupe { "call", "counter/k" .. i, "Add", "--host", address }
      assert.equal(0, status)
      assert.matches('"n":2', out)
    end
  end)

  it("refuses what would make an instance without the host's word", function()
    local function refused(text)
      local status, _, err = sh.troupe { "check", process.write_file(folder .. "/bad.lua", "return { shared = true, " .. text .. " }") }
      assert.equal(1, status)
      return err
    end
    assert.matches("`shared` does not go with `autostart`", refused "autostart = true")
    assert.matches("a shared agent subscribes by the event's source alone", refused [[subscriptions = { { "x", key = "main" } }]])
    assert.matches("a shared agent subscribes by the event's source alone", refused [[subscriptions = { { "x", all = true } }]])
    assert.matches("`shared` must be true or false", refused [[shared = "yes"]])
  end)
end)

describe("examples/balance", function()
  it("spreads ninety counters, moves a part to a third worker, and goes on when one is killed", function()
    local status, out, err = sh({ "examples/balance/run.sh" }, { env = { TROUPE = process.program }, seconds = 60 })
    assert.equal(0, status, err)
    local one, two = out:match("^# two workers:\none has (%d+), two has (%d+); asked 90 times in all\n")
    assert.is_true(tonumber(one) > 30 and tonumber(two) > 30, out)
    local three
    one, three, two = out:match("\n# a third joins:\none has (%d+), three has (%d+), two has (%d+); asked 180 times in all\n")
    assert.is_true(tonumber(one) > 10 and tonumber(two) > 10 and tonumber(three) > 10, out)
    local asked = (90 - two) * 3 + two -- those of the killed one begin anew; a few may have moved on before
    local all = out:match("\n# two is killed, its counters begin anew:\none has %d+, three has %d+; asked (%d+) times in all\n$")
    assert.is_true(tonumber(all) >= asked and tonumber(all) < 270, out)
    for _, name in ipairs { "counter", "visit" } do
      assert.is_true(select(2, process.read_file("examples/balance/" .. name .. ".lua"):gsub("\n", "")) <= 40)
    end
  end)
end)
