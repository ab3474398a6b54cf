-- What outlives the process: states, parts of them, mail, timers, a turn that was cut off.
--   troupe run --drain 0 --state /tmp/world.state examples/state/world.lua   (and again)
local builder = {
  type = "builder",
  requeue = true, -- a turn that is open when the state is saved begins again
  state = { built = {} },
  on = {
    Build = function(self, message, ctx)
      print("building a " .. message.what)
      ctx:sleep(message.seconds)
      self.built[#self.built + 1] = message.what
      print("built: " .. table.concat(self.built, ", "))
    end,
  },
}
local keeper = {
  type = "keeper",
  state = { visits = 0, diary = {} },
  shards = { "diary" }, -- stored apart, and read when it is first touched
  on = {
    Visit = function(self, _, ctx)
      self.visits = self.visits + 1
      if self.visits == 1 then ctx:after(0.2, "Remind", { what = "water the plants" }) end
      return self.visits
    end,
    Remind = function(self, message)
      self.diary[#self.diary + 1] = message.what
      print(("diary: %s (%d)"):format(message.what, #self.diary))
    end,
  },
}

local function program(ctx)
  if ctx:call("keeper", "Visit") > 1 then return ctx:sleep(0.5) end
  ctx:send("builder", "Build", { what = "house", seconds = 0 })
  ctx:send("builder", "Build", { what = "tower", seconds = 0.3 })
  ctx:sleep(0.05)
end

return { builder, keeper, program }
