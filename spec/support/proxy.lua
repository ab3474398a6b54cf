-- A spy between two processes: what goes through it is counted. local p = proxy.before("127.0.0.1:4711"); then give p.address
-- to the one, look at p.up and p.down (bytes from who connects and to it) and at p:saw("text"). p:cut() ends all connections;
-- while p.closed it takes no new ones. p.hold_at = "text": what goes up and has this in it begins a p:hold.
local uv = require "luv"
local guard = require "spec.support.guard"

local M = {}

local Proxy = {}
Proxy.__index = Proxy

local function close(handle)
  if not handle:is_closing() then handle:close() end
end

local function pipe(self, from, to, name)
  local function on_data(_, data)
    if data then
      self[name] = self[name] + #data
      self.last[name] = self.last[name]:sub(-self.keep) .. data
      if name == "up" and self.hold_at and data:find(self.hold_at, 1, true) then self:hold(true) end
      if not to:is_closing() then to:write(data) end
    else
      close(from)
      close(to)
    end
  end
  from:read_start(on_data)
  if name == "down" then self.downs[#self.downs + 1] = { from, on_data } end
end

function M.before(address, keep)
  local self = setmetatable({ up = 0, down = 0, last = { up = "", down = "" }, keep = keep or 65536, handles = {}, downs = {} }, Proxy)
  local host, port = address:match("^(.*):(%d+)$")
  self.server = uv.new_tcp()
  self.server:bind("127.0.0.1", 0)
  self.server:listen(16, function()
    local client, server = uv.new_tcp(), uv.new_tcp()
    self.server:accept(client)
    if self.closed then return close(client), close(server) end
    table.move({ client, server }, 1, 2, #self.handles + 1, self.handles)
    server:connect(host, tonumber(port), function(err)
      if err or client:is_closing() then return close(client), close(server) end
      pipe(self, client, server, "up")
      pipe(self, server, client, "down")
    end)
  end)
  self.address = "127.0.0.1:" .. self.server:getsockname().port
  return guard.add(self)
end

function Proxy:bytes() return self.up + self.down end

--- Did the text go by lately, in one piece?
function Proxy:saw(text) return (self.last.up:find(text, 1, true) or self.last.down:find(text, 1, true)) ~= nil end

--- While held, nothing is read from behind the proxy, so what is sent to its clients piles up there.
function Proxy:hold(held)
  for _, down in ipairs(self.downs) do
    if down[1]:is_closing() then goto next end
    if held then down[1]:read_stop() else down[1]:read_start(down[2]) end
    ::next::
  end
end

--- Ends what is connected now; new connections are taken.
function Proxy:cut()
  for _, handle in ipairs(self.handles) do close(handle) end
  self.handles, self.downs = {}, {}
end

function Proxy:release()
  self:cut()
  close(self.server)
  uv.run("nowait")
end

return M
