-- Idle means no CPU: nothing polls, so a process with nothing to do is not woken. Counted by the
-- kernel, over two seconds (TROUPE_NIGHTLY: ten). A worker asks its host every 20 s whether it is there: one question and one answer.
local process = require "spec.support.process"
local loop = require "spec.support.loop"
local uv = require "luv"

local seconds = os.getenv "TROUPE_NIGHTLY" and 10 or 2

local function counters(p)
  local status = assert(process.read_file(("/proc/%d/status"):format(p.pid)))
  local stat = assert(process.read_file(("/proc/%d/stat"):format(p.pid))):match "%) (.*)"
  local fields = {}
  for field in stat:gmatch "%S+" do fields[#fields + 1] = field end
  return tonumber(status:match "\nvoluntary_ctxt_switches:%s*(%d+)"), fields[12] + fields[13]
end

local function pass(s)
  local stop = uv.hrtime() + s * 1e9
  loop.poll(function() return uv.hrtime() >= stop end, s + 10)
end

describe("an idle process", function()
  it("is not woken: a host, a worker that joined it, and a program that waits for mail", function()
    local folder = process.tmpdir()
    local agents = process.write_file(folder .. "/a.lua", [[
      local list = { subscriptions = { "chat" }, type = "a", on = { Chat = function() end } }
      return { list, { type = "b", timers = { Tick = 3600 }, autostart = true, on = { Tick = function() end } } }]])
    local waiting = process.write_file(folder .. "/waiting.lua", [[return function(ctx) print("waits") ctx:receive() end]])
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (%S+)")
    local worker = process.troupe { "worker", "--host", address, agents }
    worker:wait_line "^joined"
    local program = process.troupe { "run", "--listen", "127.0.0.1:0", waiting }
    program:wait_line "^waits"
    local all, before = { host = host, worker = worker, program = program }, {}
    -- Who polls does so in every window. What starting left to do, late on a busy machine, is done in one of the first.
    local complaint
    for _ = 1, 5 do
      pass(0.3)
      for name, p in pairs(all) do before[name] = { counters(p) } end
      pass(seconds)
      complaint = nil
      for name, p in pairs(all) do
        local wakes, ticks = counters(p)
        wakes, ticks = wakes - before[name][1], ticks - before[name][2]
        if wakes > (name == "program" and 0 or 2) then complaint = ("%s was woken %d times in %d s"):format(name, wakes, seconds) end
        if ticks > 1 then complaint = ("%s used %d ticks of CPU"):format(name, ticks) end
      end
      if not complaint then break end
    end
    assert(not complaint, complaint)
    for _, p in pairs(all) do
      p:kill "sigterm"
      p:wait()
    end
  end)
end)
