-- A link that goes wrong: stands between a process and the host. local link = require("spec.faults.link").to(address); give link.address
-- to the one. Then, for what is connected and for what connects later:
--   link.delay = 200           milliseconds that every piece of bytes is late, each way
--   link.rate = 20000          bytes a second at most, each way (nil: no bound)
--   link:freeze(true)          nothing goes through, and nobody is told: a network that has gone silent
--   link:cut()                 connections end, by a reset; link.refuses = true: new ones, too
--   link:half_close("up")      an end of file one way, the other way goes on
--   link.corrupt = n           one bit is turned over in each piece of bytes, n times in all
-- A side that does not read is not read for either: what is on its way is bounded by HELD bytes.
local uv = require "luv"
local guard = require "spec.support.guard"

local M = {}
local HELD = 1 << 20

local Link = {}
Link.__index = Link

local function close(handle)
  if not handle:is_closing() then handle:close() end
end

-- ---- one way of one connection ----

local Way = {}
Way.__index = Way

local function flip(way, data)
  local link = way.link
  if link.corrupt <= 0 or #data == 0 then return data end
  link.corrupt = link.corrupt - 1
  local at = link.random(#data)
  return data:sub(1, at - 1) .. string.char(data:byte(at) ~ (1 << link.random(0, 7))) .. data:sub(at + 1)
end

-- Hands on what is due.
function Way:pump()
  local link, now = self.link, uv.now()
  while self.queue[1] and not link.frozen do
    local piece = self.queue[1]
    if piece.due > now or self.free_at > now then break end
    table.remove(self.queue, 1)
    self.held = self.held - #piece.data
    if piece.eof then
      if not self.to:is_closing() then self.to:shutdown(function() end) end
    elseif not self.to:is_closing() then
      self.to:write(flip(self, piece.data))
      link.bytes = link.bytes + #piece.data
    end
    if link.rate then self.free_at = now + #piece.data * 1000 // link.rate end
  end
  if self.stopped and self.held < HELD / 2 and not self.from:is_closing() then
    self.stopped = false
    self.from:read_start(self.on_data)
  end
end

local function way(link, from, to)
  local self = setmetatable({ link = link, from = from, to = to, queue = {}, held = 0, free_at = 0 }, Way)
  function self.on_data(err, data)
    if err then close(from) close(to) return end
    local piece = link.rate and 1400 or 65536 -- a slow link sends a little at a time
    for i = 1, #(data or " "), piece do
      local part = data and data:sub(i, i + piece - 1) or ""
      table.insert(self.queue, { data = part, eof = not data, due = link.delay > 0 and uv.now() + link.delay or 0 })
      self.held = self.held + #part
    end
    if self.held > HELD then
      self.stopped = true
      from:read_stop()
    end
    self:pump()
  end
  from:read_start(self.on_data)
  return self
end

-- ---- the link ----

local function accept(link)
  local client, server = uv.new_pipe(), uv.new_pipe()
  if link.server:accept(client) ~= 0 or link.refuses then return close(client), close(server) end
  local connection = { client = client, server = server, ways = {} }
  link.connections[connection] = true
  link.accepted = link.accepted + 1
  server:connect(link.target, function(err)
    if err or client:is_closing() then
      close(client)
      close(server)
      return
    end
    connection.ways.up = way(link, client, server)
    connection.ways.down = way(link, server, client)
  end)
end

--- target: the path of a Unix socket.
function M.to(target, path, random)
  local self = setmetatable({ target = target, address = "unix:" .. path, delay = 0, corrupt = 0, bytes = 0, accepted = 0,
                              connections = {}, random = random or math.random }, Link)
  self.server = uv.new_pipe()
  assert(self.server:bind(path))
  self.server:listen(128, function() accept(self) end)
  self.tick = uv.new_timer()
  self.tick:start(2, 2, function() self:pump() end)
  return guard.add(self)
end

function Link:pump()
  for connection in pairs(self.connections) do
    if connection.client:is_closing() and connection.server:is_closing() then self.connections[connection] = nil end
    for _, one in pairs(connection.ways) do one:pump() end
  end
end

function Link:freeze(frozen) self.frozen = frozen end

function Link:cut()
  for connection in pairs(self.connections) do
    close(connection.client)
    close(connection.server)
  end
  self.connections = {}
end

function Link:half_close(name)
  for connection in pairs(self.connections) do
    local one = connection.ways[name]
    if one and not one.from:is_closing() then
      one.from:read_stop()
      table.insert(one.queue, { data = "", eof = true, due = 0 })
    end
  end
end

--- All is well again, for what is connected and what comes.
function Link:heal()
  self.delay, self.rate, self.frozen, self.refuses, self.corrupt = 0, nil, false, false, 0
end

function Link:release()
  self:cut()
  close(self.server)
  close(self.tick)
  uv.run("nowait")
end

return M
