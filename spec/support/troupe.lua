-- `require "troupe"` in the specs' own Lua state, and what the specs of the module share. With a sanitizer's build it cannot be
-- loaded into a program without it: then spec/module/sanitized_spec.lua runs the others in a program that can.
local M = { sanitized = (os.getenv("TROUPE_SANITIZER") or "") ~= "" }

if not M.sanitized then M.troupe = require "troupe" end

--- A runtime whose log is a list of lines; mode "own": as in a program that does not use luv.
function M.open(options, mode)
  local log, uv = {}, package.loaded.luv
  options = options or {}
  if options.log == nil then
    options.log = function(level, event, text) log[#log + 1] = ("%s %s %s"):format(level, event, text) end
  end
  if mode == "own" then package.loaded.luv = nil end
  local ok, rt = pcall(M.troupe.runtime, options)
  package.loaded.luv = uv
  if not ok then error(rt, 0) end
  return rt, log
end

--- The first line of the log with this text, or nil.
function M.logged(log, text)
  for _, line in ipairs(log) do
    if line:find(text, 1, true) then return line end
  end
end

--- What f raises, as "code: message".
function M.raised(f, ...)
  local ok, err = pcall(f, ...)
  return ok and "nothing" or tostring(err)
end

--- describe, once with luv's loop and once without; nothing where the module cannot be loaded.
function M.describe(name, describe, body)
  if M.sanitized then return end
  for _, mode in ipairs { "luv", "own" } do
    describe(name .. (mode == "luv" and ", on luv's loop" or ", on a loop of its own"), function() body(mode) end)
  end
end

return M
