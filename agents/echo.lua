-- echo: answers every request with what it got, under the same type. For trying out a host, a wire, a schema.
---@type troupe.agent
return {
  type = "echo",
  description = "Answers every request with its own body and type.",
  state = { requests = 0, events = 0 },
  on_request = {
    ["*"] = function(self, message, ctx)
      self.requests = self.requests + 1
      return message, ctx.type
    end,
    EchoCount = function(self) return { requests = self.requests, events = self.events } end,
  },
  on_event = { ["*"] = function(self) self.events = self.events + 1 end },
  nulls = "keep", -- what goes out is what came in
}
