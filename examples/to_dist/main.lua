-- A live agent is moved into a process of its own, by one line: its callers do not notice. Where luv is not used, the runtime has a loop
-- of its own. From a built tree: LUA_CPATH=build/?.so lua5.4 examples/to_dist/main.lua
local troupe = require "troupe"

local folder = arg[0]:match("^.*/") or ""
local rt <close> = troupe.runtime { program = os.getenv("TROUPE") or "build/troupe" }
rt:load(folder .. "counter.lua")

print("the sum is " .. rt:call("counter/a", "Add", { by = 1 }))
rt:to_dist("counter/a", { launch = true }) -- or { host = "127.0.0.1:50051" }, where `troupe run --listen` has its type
print("the sum is " .. rt:call("counter/a", "Add", { by = 10 }))
print("the sum is " .. rt:call("counter/a", "Add", { by = 100 }))
rt:stop()
rt:run()
