-- A counter that goes on where it ended:  troupe run --state /tmp/count.state examples/life/count.lua   (and again)
local counter = {
  type = "counter",
  version = 2,
  state = { count = 0 },
  init = function(self, _, restored)
    self._begun = self.count -- fields that begin with _ are not saved
    if restored then print("back, at " .. self.count) end
  end,
  migrate = function(self, from)
    if from == 1 then self.count, self.n = self.n, nil end
  end,
  close = function(self, _, why) print(("closed (%s), %d more than at the beginning"):format(why, self.count - self._begun)) end,
  on = {
    Add = function(self, message)
      self.count = self.count + (message.n or 1)
      return { count = self.count }
    end,
  },
}

local function program(ctx)
  for _ = 1, 3 do print("count " .. ctx:call("counter", "Add").count) end
end

return { counter, program }
