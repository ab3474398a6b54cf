-- Counts the greetings it hears, and passes the first five on. The agent type comes after `--`:
--   troupe worker --host 127.0.0.1:50051 examples/hello/agent.lua -- worker1
local name = ... or "worker1"

return {
  type = name,
  description = "Counts greetings and passes the first five on.",
  subscriptions = { "default" },
  state = { count = 0 },
  on = {
    Greeting = function(self, message, ctx)
      self.count = self.count + 1
      if self.count > 5 then return end
      print(("%s: Hello x %d"):format(name, self.count))
      ctx:publish("default", "Greeting", { content = message.content })
    end,
  },
}
