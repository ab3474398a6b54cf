-- The agent of the demo; its type comes after `--`.
local name = ...

return {
  type = name,
  subscriptions = { "default" },
  state = { count = 0 },
  on = {
    Greeting = function(self, message, ctx)
      self.count = self.count + 1
      print(("received %d: %s"):format(self.count, message.content))
      if self.count > 5 then return end
      local content = ("%s: Hello x %d"):format(name, self.count)
      print(content)
      ctx:publish("default", "Greeting", { content = content })
    end,
  },
}
