-- A command run to its end: local status, out, err = sh({ "ls", "-l" } | "ls | wc", { stdin=, seconds=, cwd=, env= }).
-- A status above 128 is a signal's. Raises after `seconds` (default 30, stretched under sanitizers).
-- sh.troupe { "call", "a", "Ask" } runs the program under test.
local process = require "spec.support.process"

local function finish(started, options)
  if options.stdin then started:write(options.stdin) end
  started:close_stdin()
  local ok, status, signal = pcall(started.wait, started, options.seconds or 30)
  if not ok then started:dump() end
  started:release()
  if not ok then error(status, 3) end
  return signal ~= 0 and 128 + signal or status, started.out, started.err
end

local M = {}

function M.troupe(args, options)
  return finish(process.troupe(args, options), options or {})
end

return setmetatable(M, {
  __call = function(_, command, options)
    if type(command) == "string" then command = { "/bin/sh", "-c", command } end
    return finish(process.start(command, options), options or {})
  end,
})
