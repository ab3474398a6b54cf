-- An agent, and a program that talks to it, in one process:  troupe run examples/hello/greeter.lua -- Anna
local greeter = {
  type = "greeter",
  state = { count = 0 },
  on = {
    Greeting = function(self, message)
      self.count = self.count + 1
      return { content = ("hello %s, you are number %d"):format(message.name, self.count) }
    end,
  },
}

local function program(ctx, args)
  for _, name in ipairs(#args > 0 and args or { "Anna", "Bert" }) do
    print(ctx:call("greeter", "Greeting", { name = name }).content)
  end
end

return { greeter, program }
