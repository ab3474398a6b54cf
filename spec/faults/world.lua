-- A host, workers and callers as real processes, each on a link of its own that can go wrong; what the callers see; and what must
-- hold whatever happens: no answer is another's, nothing comes out of its order or twice, nothing hangs, memory and descriptors go back.
local uv = require "luv"
local link = require "spec.faults.link"
local loop = require "spec.support.loop"
local process = require "spec.support.process"

local M = {}
local World = {}
World.__index = World

local AGENTS = "spec/faults/agents/"
M.timeout = 2 -- seconds, of each call

-- ---- processes ----

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

--- Bytes of memory, open descriptors and seconds of CPU of a process; nil where it is gone.
function M.uses(pid)
  local status, stat, fds = read(("/proc/%d/status"):format(pid)), read(("/proc/%d/stat"):format(pid)), 0
  local dir = uv.fs_scandir(("/proc/%d/fd"):format(pid))
  if not status or not stat or not dir then return nil end
  while uv.fs_scandir_next(dir) do fds = fds + 1 end
  local user, system = stat:match("%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)")
  return { rss = (tonumber(status:match("VmRSS:%s+(%d+)")) or 0) * 1024, fds = fds, cpu = (user + system) / 100 }
end

-- What a process says is looked at as it comes and let go of, so that an hour of it is no load here.
local function follow(world, name, p)
  world.processes[name] = p
  p.latest = {}
  return p
end

local function look(world, p, text)
  for line in text:gmatch("[^\n]+") do
    if line:find("^CROSSED") or line:find("^ORDER") then world:violated(line) end
    if line:find("^MOVED") then world.moved = (world.moved or 0) + 1 end
    if line:find("worst=") then
      local seen = {}
      for key, value in line:gmatch("([%w_]+)=([%d.]+)") do seen[key] = tonumber(value) end
      p.latest, p.spoke = seen, uv.now()
      p.worst, p.gap = math.max(p.worst or 0, seen.worst), math.max(p.gap or 0, seen.gap)
      if seen.oldest > M.timeout + 3 * loop.slow and not p.stopped then
        world:violated(("%s: a call is open for %.1f s, and its deadline was %d s"):format(p.name, seen.oldest, M.timeout))
      end
    end
  end
end

function World:listen_to_all()
  for _, p in pairs(self.processes) do
    local whole = p.out:match("^.*\n")
    if whole then
      p.out = p.out:sub(#whole + 1)
      p.seen.out = 1
      look(self, p, whole)
    end
    if #p.err > 65536 then p.err, p.seen.err = p.err:sub(-8192), 1 end
    local complaint = p:complaint()
    if complaint then self:violated(complaint) end
  end
end

--- A host; log: a file for its standard error.
function World:start_host(log)
  os.remove(self.path)
  local command = { process.program, "host", "--listen", "unix:" .. self.path, "--shared", "spread" }
  if log then command = { "/bin/sh", "-c", "exec \"$@\" 2>" .. log, "sh", table.unpack(command) } end
  local p = follow(self, "host", process.start(command, { env = { XDG_RUNTIME_DIR = self.folder }, name = "host" }))
  p:wait_line("^listening ")
end

function World:start_worker(name)
  local file = process.cwd .. "/" .. AGENTS .. "echo.lua"
  local type = name == "echo" and { "echo", "alone" } or { "spread", "shared" }
  local args = { "worker", "--host", self.links[name].address, "--log", "warn", file, "--", name,
    table.unpack(type) }
  follow(self, name, process.troupe(args, { env = { XDG_RUNTIME_DIR = self.folder }, name = name }))
end

-- One thread: the caller counts in locals of its file, and each thread has its own.
function World:start_caller(name)
  local file = process.cwd .. "/" .. AGENTS .. "caller.lua"
  local args = { "worker", "--threads", "1", "--host", self.links[name].address, "--log", "error", file, "--",
    name, tostring(self.lanes), tostring(M.timeout) }
  follow(self, name, process.troupe(args, { env = { XDG_RUNTIME_DIR = self.folder }, name = name }))
end

function World:start(name)
  if name == "host" then self:start_host()
  elseif name:find("^caller") then self:start_caller(name)
  else self:start_worker(name) end
end

--- SIGKILL, and gone.
function World:kill(name)
  local p = self.processes[name]
  p:kill("sigkill")
  p:wait()
  self.processes[name] = nil
  if name:find("^caller") then self:keep(p.latest) end
  p:release()
end

--- SIGTERM; it must end well.
function World:end_in_order(name)
  local p = self.processes[name]
  p:kill("sigterm")
  self:run(10, function() return p.status end)
  if p.status ~= 0 then self:violated(("%s ended with %s when it was told to stop"):format(name, tostring(p.status))) end
  self.processes[name] = nil
  p:release()
end

function World:stop(name) self.processes[name].stopped = true self.processes[name]:kill("sigstop") end
function World:continue(name) self.processes[name]:kill("sigcont") self.processes[name].stopped = nil end

--- options: folder, random(n), lanes
function M.new(options)
  local self = setmetatable({ folder = options.folder, path = options.folder .. "/host", random = options.random,
                              lanes = options.lanes or 4, processes = {}, links = {}, violations = {}, past = {} }, World)
  self.names = { "echo", "one", "two", "caller1", "caller2" }
  for _, name in ipairs(self.names) do self.links[name] = link.to(self.path, ("%s/%s"):format(self.folder, name), self.random) end
  self:start_host()
  for _, name in ipairs(self.names) do self:start(name) end
  return self
end

-- ---- time ----

function World:violated(text) self.violations[#self.violations + 1] = text end

--- Lets it run for so long, or until `done` says so; false: it did not.
function World:run(seconds, done)
  local until_, tick = uv.now() + seconds * 1000 * loop.slow, uv.new_timer()
  local result
  tick:start(20, 20, function() end)
  repeat
    uv.run("once")
    self:listen_to_all()
    result = done and done()
  until result or uv.now() >= until_
  tick:close()
  return result or false
end

-- ---- what callers saw ----

function World:keep(seen)
  for what, n in pairs(seen) do self.past[what] = (self.past[what] or 0) + n end
end

--- In all, so far.
function World:seen()
  local all = {}
  for what, n in pairs(self.past) do all[what] = n end
  for name, p in pairs(self.processes) do
    for what, n in pairs(name:find("^caller") and p.latest or {}) do all[what] = (all[what] or 0) + n end
  end
  all.worst, all.oldest, all.gap, all.open = nil, nil, nil, nil
  return all
end

local function errors(seen)
  local n = 0
  for what, count in pairs(seen) do n = n + (what ~= "ok" and count or 0) end
  return n
end

--- Do all callers get good answers, and nothing else, for a while? false: not within so many seconds.
function World:is_well(seconds)
  local since, before, counts = nil, nil, {}
  return self:run(seconds, function()
    local now = self:seen()
    local each = true
    for _, name in ipairs { "caller1", "caller2" } do
      local p = self.processes[name]
      each = each and p and p.spoke and uv.now() - p.spoke < 500 * loop.slow and (p.latest.ok or 0) > (counts[name] or 0) + 20
    end
    if not before or errors(now) ~= errors(before) then
      before, since = now, uv.now()
      for _, name in ipairs { "caller1", "caller2" } do counts[name] = self.processes[name] and self.processes[name].latest.ok or 0 end
      return false
    end
    return each and uv.now() - since > 300
  end)
end

--- Forget the worst so far.
function World:begin()
  for _, p in pairs(self.processes) do p.worst, p.gap = 0, 0 end
  return self:seen()
end

--- What callers saw since: { ok=, unavailable=, …, worst=, gap= }.
function World:since(before)
  local now, diff = self:seen(), { worst = 0, gap = 0 }
  for what, n in pairs(now) do
    local d = n - (before[what] or 0)
    if d ~= 0 then diff[what] = d end
  end
  for name, p in pairs(self.processes) do
    if name:find("^caller") then
      diff.worst, diff.gap = math.max(diff.worst, p.worst or 0), math.max(diff.gap, p.gap or 0)
    end
  end
  return diff
end

return M
