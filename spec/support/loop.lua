-- Waiting, without sleeping: the loop of luv runs until something is true.
local uv = require "luv"

local M = {}

--- How much longer everything may take here (under sanitizers and valgrind).
M.slow = tonumber(os.getenv("TROUPE_SLOW")) or 1

--- Runs the loop until `done()` is true; returns what it returned, or false after `seconds` (default 10).
function M.run(done, seconds)
  local result = done()
  if result then return result end
  local timer, late = uv.new_timer(), false
  timer:start(math.ceil((seconds or 10) * M.slow * 1000), 0, function() late = true end)
  repeat
    uv.run("once")
    result = done()
  until result or late
  timer:close()
  return result
end

--- Like run, for a condition that no event of the loop announces: it is tried every 10 ms.
function M.poll(done, seconds)
  local tick = uv.new_timer()
  tick:start(10, 10, function() end)
  local result = M.run(done, seconds)
  tick:close()
  return result
end

return M
