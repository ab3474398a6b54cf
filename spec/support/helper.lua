-- Loaded once by busted before all specs (.busted names it).
local busted = require "busted"
local guard = require "spec.support.guard"

-- luv has one loop a state: load it, and what uses it, outside of busted's insulation of each file.
local uv = require "luv"
require "spec.support.process"
require "spec.support.sh"
require "spec.support.tcp"

-- Writing to a peer that has closed is an error code, not the end of the run. (A handler, not SIG_IGN, which the processes
-- under test would inherit.)
local broken_pipe = uv.new_signal()
broken_pipe:start("sigpipe", function() end)
broken_pipe:unref()

-- busted runs every block by safe(descriptor, …) of its core; the innermost on the stack is the one we are in.
function guard.in_before_each()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "S")
    if not info then return false end
    local name, value = debug.getlocal(level, 1)
    if name == "descriptor" and info.source:find("busted/core.lua", 1, true) then return value == "before_each" end
  end
end

for _, scope in ipairs { "file", "describe", "test" } do
  busted.subscribe({ scope, "start" }, function()
    guard.enter(scope)
    return nil, true
  end)
  busted.subscribe({ scope, "end" }, function(_, _, status)
    guard.leave(status == "failure" or status == "error")
    return nil, true
  end)
end
