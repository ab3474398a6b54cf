-- What becomes of agents that fail again and again:  troupe run examples/life/failures.lua
local function fragile(type, action)
  return {
    type = type,
    state = { handled = 0 },
    failures = { limit = 3, within = 60, action = action },
    on = {
      Work = function(self, message)
        self.handled = self.handled + 1
        if message.bad then error("I cannot do that", 0) end
        return { handled = self.handled }
      end,
    },
  }
end

local function program(ctx)
  for _, type in ipairs { "patient", "forgetful", "proud" } do
    for _ = 1, 3 do ctx:pcall(type, "Work", { bad = true }) end
    local ok, reply = ctx:pcall(type, "Work", {})
    print(type, ok and "handled " .. reply.handled or reply)
  end
end

return { fragile("patient", "continue"), fragile("forgetful", "restart"), fragile("proud", "stop"), program }
