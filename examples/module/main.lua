-- A plain Lua program with agents in it: lua5.4 examples/module/main.lua
local troupe = require "troupe"
local rt <close> = troupe.runtime {}

rt:load {
  type = "greeter",
  description = "Greets, and counts whom.",
  state = { count = 0 },
  on = {
    Greeting = function(self, message, ctx)
      self.count = self.count + 1
      ctx:publish("news", "Greeted", { name = message.name, number = self.count })
      return { content = ("hello %s, you are number %d"):format(message.name, self.count) }
    end,
  },
}

rt:subscribe("news", function(body, type) print(type, body.name) end)
for _, name in ipairs { "Anna", "Bert" } do
  print(rt:call("greeter/desk", "Greeting", { name = name }).content)
end

local ok, err = pcall(rt.call, rt, "greeter/desk", "Farewell")
print(ok, err.code)
rt:run_until_idle()
for _, agent in ipairs(rt:agents()) do print(agent.id, agent.state) end
