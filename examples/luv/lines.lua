-- A line server beside agents: luv on the runtime's own loop (run with --allow luv).
local uv = require "luv"

local counter = {
  type = "counter", state = { lines = 0 },
  on = {
    Line = function(self, message, ctx)
      self.lines = self.lines + 1
      ctx:publish("counted", "Counted", { line = self.lines, text = message.text })
    end,
  },
}

local server = {
  type = "server",
  autostart = true,
  init = function(self, ctx)
    local line = ctx:callback "Line" -- may be called at any time: sends `Line` to this agent
    self._tcp = uv.new_tcp()
    assert(self._tcp:bind("127.0.0.1", 0))
    assert(self._tcp:listen(16, function()
      local peer, rest = uv.new_tcp(), ""
      self._tcp:accept(peer)
      peer:read_start(function(_, data)
        if not data then return peer:close() end
        rest = (rest .. data):gsub("([^\n]*)\n", function(text) line { text = text } return "" end)
      end)
    end))
  end,
  on = { Line = function(_, message, ctx) ctx:send("counter", "Line", message) end,
    Port = function(self) return self._tcp:getsockname().port end },
}

return { counter, server, function(ctx)
  ctx:subscribe { "counted", key = "default" }
  local client = uv.new_tcp()
  client:connect("127.0.0.1", ctx:call("server", "Port"), function() client:write "one\ntwo\n" end)
  for _ = 1, 2 do local counted = ctx:receive(5) print(counted.line, counted.text) end
end }
