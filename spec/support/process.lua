-- Real processes in specs: started, watched, and killed when the test ends.
--
--   local process = require "spec.support.process"
--   local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
--   local _, address = host:wait_line("^listening (.*)$")
--   host:kill("sigterm")
--   assert.equal(0, host:wait())
--
-- Seconds default to 10 and are stretched under sanitizers and valgrind. When a test fails, the output of its
-- processes is printed.
local uv = require "luv"
local guard = require "spec.support.guard"
local loop = require "spec.support.loop"

local M = {}

--- The program under test.
M.program = os.getenv("TROUPE") or "build/troupe"
if M.program:sub(1, 1) ~= "/" then M.program = uv.cwd() .. "/" .. M.program end

--- Is it built with tiny buffers and bounds?
M.hostile = (os.getenv("TROUPE_BUILD") or ""):find("hostile", 1, true) ~= nil

--- The top of the tree.
M.cwd = uv.cwd()

--- The words before it: valgrind with its options.
M.wrap = {}
for word in (os.getenv("TROUPE_WRAP") or ""):gmatch("%S+") do M.wrap[#M.wrap + 1] = word end

local Process = {}
Process.__index = Process

local has_setpriv = uv.fs_stat("/usr/bin/setpriv") ~= nil

local function environment(extra)
  local env, all = {}, uv.os_environ()
  -- A make below us is not part of the make above us.
  for _, name in ipairs { "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "TROUPE_HOST" } do all[name] = nil end
  for name, value in pairs(extra or {}) do all[name] = value or nil end
  for name, value in pairs(all) do env[#env + 1] = name .. "=" .. value end
  return env
end

--- Start a program: { "cat", "-n" }. Options: cwd, env (name → value, false removes it), stdin = "closed", name.
function M.start(command, options)
  options = options or {}
  local self = setmetatable({
    name = options.name or command[1]:match("[^/]*$"),
    out = "", err = "", -- all that it has written so far
    seen = { out = 1, err = 1 }, -- where wait_line goes on
    open = 2,
  }, Process)
  local words = { table.unpack(command) }
  -- The kernel kills it too if this process dies before it can.
  if has_setpriv then
    words = { "/usr/bin/setpriv", "--pdeathsig", "KILL", "--", table.unpack(words) }
  end
  local stdin, stdout, stderr = uv.new_pipe(), uv.new_pipe(), uv.new_pipe()
  local handle, pid = uv.spawn(words[1], {
    args = { table.unpack(words, 2) },
    stdio = { options.stdin ~= "closed" and stdin or nil, stdout, stderr },
    cwd = options.cwd,
    env = environment(options.env),
  }, function(status, signal) self.status, self.signal = status, signal end)
  if not handle then error("cannot start " .. words[1] .. ": " .. tostring(pid), 2) end
  self.handle, self.pid, self.pipes = handle, pid, { stdin, stdout, stderr }
  self.stdin = stdin
  for stream, pipe in pairs { out = stdout, err = stderr } do
    pipe:read_start(function(_, data)
      if data then
        self[stream] = self[stream] .. data
      else
        self.open = self.open - 1
        pipe:read_stop()
      end
    end)
  end
  return guard.add(self)
end

--- Start the troupe program: process.troupe({ "run", "a.lua" }, options).
function M.troupe(args, options)
  local command = table.move(args, 1, #args, #M.wrap + 2, { table.unpack(M.wrap) })
  command[#M.wrap + 1] = M.program
  options = options or {}
  options.name = options.name or "troupe " .. tostring(args[1])
  return M.start(command, options)
end

local function next_match(self, stream, pattern)
  while true do
    local text, from = self[stream], self.seen[stream]
    local stop = text:find("\n", from, true)
    if not stop and (self.open > 0 or from > #text) then return nil end
    local line = text:sub(from, (stop or #text + 1) - 1)
    self.seen[stream] = (stop or #text) + 1
    local found = table.pack(line:match(pattern))
    if found.n > 0 and found[1] ~= nil then return line, found end
  end
end

--- Waits for the next line that matches; returns the line, then the pattern's captures. Goes on behind it next time.
--- stream: "out" (default) or "err". Raises when the time is over or the process has ended without it.
function Process:wait_line(pattern, seconds, stream)
  stream = stream or "out"
  local line, found
  loop.run(function()
    line, found = next_match(self, stream, pattern)
    return line or (self.status and self.open <= 0)
  end, seconds)
  if line then return line, table.unpack(found, 1, found.n) end
  error(("%s: no line matching '%s' %s"):format(self.name, pattern,
    self.status and ("and it has ended with " .. self.status) or "in time"), 2)
end

--- Waits until something holds of it: p:wait_for(function(p) return #p.out > 9 end).
function Process:wait_for(condition, seconds)
  if loop.run(function() return condition(self) end, seconds) then return end
  error(self.name .. ": the condition did not come true in time", 2)
end

function Process:write(text) self.stdin:write(text) end

function Process:close_stdin()
  if not self.stdin:is_closing() then self.stdin:close() end
end

--- signal: "sigterm" (default), "sigint", "sigkill", "sighup", …
function Process:kill(signal) self.handle:kill(signal or "sigterm") end

function Process:running() return self.status == nil end

--- Waits for its end and for all of its output: status, signal. Raises when the time is over.
function Process:wait(seconds)
  if loop.run(function() return self.status and self.open <= 0 end, seconds) then return self.status, self.signal end
  error(("%s: did not end in time"):format(self.name), 2)
end

--- Like wait; raises unless it ended with status 0 and by no signal.
function Process:wait_ok(seconds)
  local status, signal = self:wait(seconds)
  if status ~= 0 or signal ~= 0 then
    error(("%s: ended with status %d, signal %d"):format(self.name, status, signal), 2)
  end
end

--- The lines of "out" (default) or "err" so far.
function Process:lines(stream)
  local lines = {}
  for line in self[stream or "out"]:gmatch("([^\n]*)\n?") do lines[#lines + 1] = line end
  if lines[#lines] == "" then lines[#lines] = nil end
  return lines
end

function Process:dump()
  io.stdout:write(("---- %s (pid %d, %s)\n"):format(self.name, self.pid,
    self.status and ("status %d, signal %d"):format(self.status, self.signal) or "running"))
  for _, stream in ipairs { "out", "err" } do
    for _, line in ipairs(self:lines(stream)) do io.stdout:write("  ", stream, ": ", line, "\n") end
  end
end

function Process:release()
  if self.status == nil then
    self.handle:kill("sigkill")
    loop.run(function() return self.status end, 10)
  end
  for _, handle in ipairs { self.handle, table.unpack(self.pipes) } do
    if not handle:is_closing() then handle:close() end
  end
  uv.run("nowait")
  return not self.excused and self:complaint() or nil
end

--- What a sanitizer or valgrind said of it: this fails the test, whatever else it looked at. A test that expects it
--- sets p.excused.
function Process:complaint()
  local err = self.err
  if err:find("ERROR: %w+Sanitizer") or err:find("WARNING: ThreadSanitizer") or err:find(":%d+: runtime error: ")
    or (self.status == 99 and err:find("^==%d+==")) then
    return self.name .. ":\n" .. err
  end
end

--- A folder of the test's own, removed when it ends.
function M.tmpdir()
  local path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/troupe-spec-XXXXXX"))
  guard.add { release = function() os.execute("rm -rf '" .. path .. "'") end }
  return path
end

--- Writes a file (in tmpdir(), say) and returns its path.
function M.write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

function M.read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

return M
