-- What can go wrong. Each fault: name; act(world) makes it and ends it again; within: seconds after its end until all callers must get
-- good answers only (10); never: codes that no caller may see of it; long: seconds that it takes, where that is too much for a quick run.
local uv = require "luv"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local usage = require("spec.faults.world").uses

local faults = {}
local function fault(f) faults[#faults + 1] = f end

local workers, anybody = { "echo", "one", "two" }, { "echo", "one", "two", "caller1", "caller2" }
local function one_of(world, names) return names[world.random(#names)] end

-- One of these is ended in this way ("kill", "end_in_order"; "stop", which only freezes it), and is there again after so many seconds.
local function gone(how, names, seconds)
  return function(world)
    local name = one_of(world, names)
    world[how](world, name)
    world:run(seconds)
    world[how == "stop" and "continue" or "start"](world, name)
  end
end

-- ---- processes ----

fault { name = "host killed and started again", act = gone("kill", { "host" }, 0.3) }
fault { name = "worker killed and started again", act = gone("kill", workers, 0.5) }

fault { name = "worker of a shared type killed", act = function(world)
  world:kill "one"
  world.well_without = world:is_well(10) -- all of it but for echo's is answered by the other
  if not world.well_without then world:violated "nobody stood in for a worker of a shared type" end
  world:start "one"
end }

fault { name = "worker of a shared type stopped (SIGTERM) and started again", never = { "unavailable", "timeout", "not_found" },
  act = gone("end_in_order", { "one" }, 0.2) }

fault { name = "ids move away from a worker that is frozen", act = function(world)
  world:kill "one"
  world:run(0.3)
  world:stop "two"
  world:start "one"
  world:run(1)
  world:continue "two"
end }

fault { name = "a worker of a shared type comes and is killed at once, three times", act = function(world)
  for _ = 1, 3 do
    world:kill "one"
    world:start "one"
    world:run(0.05 * world.random(5))
  end
end }

fault { name = "host stopped (SIGTERM) and started again", act = gone("end_in_order", { "host" }, 0.2) }
fault { name = "caller killed", act = gone("kill", { "caller2" }, 0.3) }
fault { name = "worker frozen (SIGSTOP) for a second", act = gone("stop", workers, 1) }
fault { name = "worker frozen for longer than deadlines", long = 4, act = gone("stop", workers, 4) }
fault { name = "host frozen (SIGSTOP) for a second", act = gone("stop", { "host" }, 1) }
fault { name = "caller frozen for a second", act = gone("stop", { "caller1" }, 1) }

-- ---- links ----

fault { name = "link cut", act = function(world)
  local link = world.links[one_of(world, anybody)]
  for _ = 1, 3 do
    link:cut()
    world:run(0.2)
  end
end }

fault { name = "all links cut at once", act = function(world)
  for _, link in pairs(world.links) do link:cut() end
end }

-- Something is wrong with somebody's link for so long.
local function bad_link(seconds, spoil)
  return function(world)
    local link = world.links[one_of(world, anybody)]
    spoil(link)
    world:run(seconds)
    link:heal()
  end
end

fault { name = "link refuses connections for a second", act = bad_link(1, function(link)
  link.refuses = true
  link:cut()
end) }
fault { name = "link delayed by 100 ms", never = { "unavailable", "timeout" }, act = bad_link(1, function(link) link.delay = 100 end) }
fault { name = "link throttled to 30 kB/s", act = bad_link(1.5, function(link) link.rate = 30000 end) }
fault { name = "link frozen for a second", act = bad_link(1, function(link) link:freeze(true) end) }

fault { name = "link of a worker silent until it is given up", long = 35, within = 20, act = function(world)
  local link = world.links[one_of(world, workers)]
  link:freeze(true)
  world:run(34) -- 20 s of silence, 10 s for the pong: then the worker dials again
  link:cut()
  link:heal()
end }

fault { name = "half of a connection closed", act = function(world)
  world.links[one_of(world, anybody)]:half_close(world.random(2) == 1 and "up" or "down")
  world:run(0.5)
end }

fault { name = "bytes damaged on a link", act = function(world)
  local link = world.links[one_of(world, anybody)]
  link.corrupt = 5
  world:run(1)
  link:heal()
  link:cut()
end }

-- ---- what the machine runs out of ----

fault { name = "disk full for the host's log", act = function(world)
  world:kill "host"
  world:start_host "/dev/full"
  world:run(0.5)
  world.links.echo:cut() -- something to log
  world:run(0.3)
end }

local function connect_many(world, count)
  local pipes = {}
  for i = 1, count do
    pipes[i] = uv.new_pipe()
    pipes[i]:connect(world.path, function() end)
  end
  return pipes
end

local function close_all(pipes)
  for _, pipe in ipairs(pipes) do
    if not pipe:is_closing() then pipe:close() end
  end
end

fault { name = "host out of descriptors", act = function(world)
  local pid = world.processes.host.pid
  local function limit(n) process.start({ "/usr/bin/prlimit", "--pid", tostring(pid), "--nofile=" .. n .. ":" }):wait_ok() end
  limit(usage(pid).fds + 5)
  local pipes = connect_many(world, 40)
  world:run(0.2)
  local calls = world:seen().ok or 0
  world:run(0.5)
  local served = (world:seen().ok or 0) - calls
  if served < 5 then world:violated(("without descriptors for new ones the host served only %d calls"):format(served)) end
  world:stop "caller1" -- and with nothing else to do it rests, though connections wait
  world:stop "caller2"
  world:run(0.1)
  local before, at = usage(pid).cpu, uv.now()
  world:run(0.4)
  local share = (usage(pid).cpu - before) * 1000 / (uv.now() - at)
  if share > 0.2 then world:violated(("without descriptors the idle host took %d %% of a processor"):format(share * 100)) end
  world:continue "caller1"
  world:continue "caller2"
  world.links.caller1:cut() -- it must come in again, once there are
  world:run(0.3)
  close_all(pipes)
  limit(1024)
end }

fault { name = "300 connections that say nothing", never = { "unavailable", "timeout" }, act = function(world)
  local pipes = connect_many(world, 300)
  world:run(0.5)
  close_all(pipes)
end }

fault { name = "100 connections that send garbage", never = { "unavailable", "timeout" }, act = function(world)
  local pipes = connect_many(world, 100)
  for _, pipe in ipairs(pipes) do pipe:write(("\0\255garbage"):rep(world.random(200)), function() end) end
  world:run(0.5)
  close_all(pipes)
end }

faults.slow = loop.slow
return faults
