-- The output of a test run (.busted names it): a line for each file, each failure as it happens, and at the end what is
-- pending, the slowest tests, and alone on the last line "N passed, N failed" (", N skipped" when some are).
-- Errors outside of tests (a file that does not load) are failures, and so is a run without any test.
local pretty = require "pl.pretty"

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local passed, failed, pendings, times = 0, 0, {}, {}
  local file, test_start

  local function say(...)
    io.stdout:write(...)
    io.stdout:write("\n")
    io.stdout:flush()
  end

  local function text_of(message)
    if message == nil then return "no message" end
    if type(message) == "string" then return message end
    local meta = getmetatable(message)
    return meta and meta.__tostring and tostring(message) or pretty.write(message)
  end

  local function on(event, f)
    busted.subscribe(event, function(...)
      f(...)
      return nil, true
    end)
  end

  local function fail(element, _, message, trace)
    failed = failed + 1
    if file then file.failed = file.failed + 1 end
    say("FAILED ", handler.getFullName(element))
    say("  ", (text_of(message):gsub("\n", "\n  ")))
    if os.getenv("TROUPE_TRACEBACK") and trace and trace.traceback then say(trace.traceback) end
  end
  on({ "failure" }, fail)
  on({ "error" }, fail)

  on({ "file", "start" }, function(element)
    file = { name = element.name:gsub("^%./", ""), passed = 0, failed = 0, skipped = 0, start = busted.monotime() }
  end)

  on({ "file", "end" }, function()
    local skipped = file.skipped > 0 and (", %d skipped"):format(file.skipped) or ""
    say(("%-44s %4d passed, %d failed%s  (%.1f s)"):format(file.name, file.passed, file.failed, skipped,
      busted.monotime() - file.start))
    file = nil
  end)

  on({ "test", "start" }, function() test_start = busted.monotime() end)

  on({ "test", "end" }, function(element, _, status)
    local name = handler.getFullName(element)
    times[#times + 1] = { seconds = busted.monotime() - test_start, name = name, file = file and file.name or "?" }
    if status == "success" then
      passed = passed + 1
      if file then file.passed = file.passed + 1 end
    elseif status == "pending" then
      local reason = handler.pendings[#handler.pendings].message
      if type(reason) == "string" then reason = reason:gsub("^[^\n]-%.lua:%d+: ", "") end
      pendings[#pendings + 1] = name .. (reason and ": " .. text_of(reason) or "")
      if file then file.skipped = file.skipped + 1 end
    end
  end)

  local function list_slowest()
    table.sort(times, function(a, b) return a.seconds > b.seconds end)
    if not times[1] or times[1].seconds < 0.5 then return end
    say("slowest:")
    for i = 1, math.min(10, #times) do
      local test = times[i]
      if test.seconds >= 0.1 then say(("  %5.1f s  %s: %s"):format(test.seconds, test.file, test.name)) end
    end
  end

  -- The last event: busted itself would end with the number of failures as its status, and 256 of them as success.
  on({ "exit" }, function()
    list_slowest()
    for _, pending in ipairs(pendings) do say("skipped: ", pending) end
    if passed + failed + #pendings == 0 then
      say("FAILED no test was run")
      failed = 1
    end
    say(("%d passed, %d failed"):format(passed, failed), #pendings > 0 and (", %d skipped"):format(#pendings) or "")
    -- Handles that were closed last are still on their way: luv 1.44 does not survive the end of a program like that.
    require("luv").run("nowait")
    os.exit(failed == 0 and 0 or 1, true)
  end)

  return handler
end
