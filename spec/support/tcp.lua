-- A raw client, for garbage, floods and silence: local c = tcp.connect("127.0.0.1:4711" | 4711 | "unix:/path").
-- It is closed when the test ends. Seconds default to 10.
local uv = require "luv"
local guard = require "spec.support.guard"
local loop = require "spec.support.loop"

local M = {}

local Client = {}
Client.__index = Client

function M.connect(address, seconds)
  local self = setmetatable({ received = "", ended = false }, Client)
  local connected, problem
  local function done(err) connected, problem = true, err end
  local path = type(address) == "string" and address:match("^unix:(.*)$")
  if path then
    self.handle = uv.new_pipe()
    self.handle:connect(path, done)
  else
    local host, port = tostring(address):match("^(.*):(%d+)$")
    self.handle = uv.new_tcp()
    self.handle:connect(host or "127.0.0.1", tonumber(port or address), done)
  end
  guard.add(self)
  if not loop.run(function() return connected end, seconds) then problem = "timed out" end
  if problem then error("tcp: cannot connect to " .. tostring(address) .. ": " .. problem, 2) end
  self:resume()
  return self
end

--- Stop reading (a receiver that does not read), and go on.
function Client:pause() self.handle:read_stop() end

function Client:resume()
  self.handle:read_start(function(err, data)
    if data then self.received = self.received .. data
    else self.ended, self.problem = true, err end
  end)
end

--- Queues bytes; with seconds: waits until the kernel has them → true, or false: the time is over, or it failed.
function Client:write(bytes, seconds)
  local written, problem
  self.handle:write(bytes, function(err) written, problem = true, err end)
  if not seconds then return true end
  return loop.run(function() return written end, seconds) and not problem or false
end

--- End our side; the other may go on.
function Client:shutdown() self.handle:shutdown() end

--- Exactly n bytes (or fewer where the peer closed or the time is over), taken from what was received.
function Client:read(n, seconds)
  loop.run(function() return #self.received >= n or self.ended end, seconds)
  local bytes = self.received:sub(1, n)
  self.received = self.received:sub(n + 1)
  return bytes
end

--- All up to and with the first match of a pattern, or nil.
function Client:read_until(pattern, seconds)
  local _, stop
  loop.run(function()
    _, stop = self.received:find(pattern)
    return stop or self.ended
  end, seconds)
  return stop and self:read(stop)
end

--- Has the peer closed, or does it within the time? What it sent before stays in `received`.
function Client:closed(seconds)
  return loop.run(function() return self.ended end, seconds) or false
end

function Client:close() self:release() end

function Client:release()
  if not self.handle:is_closing() then self.handle:close() end
  uv.run("nowait")
end

return M
