-- A web server within the spec's process: local server = web(function(request) return text end)
-- request: { method, path, head (all of it as text), body }; text: the whole answer, or nil for none. server.port, server:close().
local uv = require "luv"

local function serve(peer, answer)
  local got = ""
  peer:read_start(function(_, data)
    if not data then if not peer:is_closing() then peer:close() end return end
    got = got .. data
    local head, rest = got:match("^(.-\r\n)\r\n(.*)$")
    local length = head and tonumber(head:lower():match("content%-length: (%d+)") or 0)
    if not head or #rest < length then return end
    got = ""
    local method, path = head:match("^(%S+) (%S+)")
    local text = answer { method = method, path = path, head = head, body = rest }
    if text then peer:write(text, function() if not peer:is_closing() then peer:close() end end) end
  end)
end

return function(answer)
  local self = { peers = {} }
  local tcp = uv.new_tcp()
  assert(tcp:bind("127.0.0.1", 0))
  assert(tcp:listen(64, function()
    local peer = uv.new_tcp()
    tcp:accept(peer)
    self.peers[#self.peers + 1] = peer
    serve(peer, answer)
  end))
  self.port = tcp:getsockname().port
  function self:close() -- luacheck: ignore
    for _, peer in ipairs(self.peers) do if not peer:is_closing() then peer:close() end end
    tcp:close()
  end
  return self
end
