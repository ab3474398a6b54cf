-- Giving up reaches whoever works on it, here or in another process.   troupe run examples/calls/cancel.lua
local searcher = {
  type = "searcher",
  on = {
    Search = function(_, job, ctx)
      local me = ctx.key
      local lamp <close> = setmetatable({}, { __close = function() print(me .. " puts its lamp out") end })
      assert(lamp)
      for step = 1, job.steps do
        if me == "chief" then ctx:call("searcher/helper", "Search", job) end -- given up with its caller
        ctx:sleep(job.pace)
        print(me .. " took step " .. step)
      end
      return me .. " found it"
    end,
  },
}

local function program(ctx)
  local function search(who, steps, pace, opts) return ctx:async("searcher/" .. who, "Search", { steps = steps, pace = pace }, opts) end
  print(troupe.race { search("hare", 1, 0.1), search("tortoise", 100, 0.3) }) -- who loses is cancelled

  local token = troupe.token() -- one handle for any number of calls
  local calls = { search("left", 9, 9, { cancel = token }), search("right", 9, 9, { cancel = token }) }
  ctx:sleep(0.1)
  token:cancel()
  for _, call in ipairs(calls) do print(select(2, pcall(call.await, call))) end

  print(select(2, ctx:pcall("searcher/chief", "Search", { steps = 1, pace = 9 }, { timeout = 0.1 })))
  ctx:sleep(0.1)
end

return { searcher, program }
