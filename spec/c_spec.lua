-- Every case of spec/c/*.c as a test: each room's program runs once, at its first test, and its report is read.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local folder = (os.getenv("TROUPE_BUILD") or "build") .. "/spec/"

local function programs()
  local named = os.getenv("TROUPE_C_SPECS")
  local list = {}
  for path in (named or io.popen("ls " .. folder .. "c_* 2>/dev/null"):read("a")):gmatch("%S+") do
    if not path:find("%.d$") then list[#list + 1] = path end
  end
  return list
end

local function run(program)
  local command = table.move({ program }, 1, 1, #process.wrap + 1, { table.unpack(process.wrap) })
  command[1] = table.concat(command, " ") .. " 2>&1"
  local status, out = sh(command[1], { seconds = 300 })
  local results, case = {}, nil
  for line in out:gmatch("[^\n]*") do
    local begun = line:match("^# begin (%S+)$")
    local ended, word = line:match("^# end (%S+) (%S+)")
    if begun then
      case = { lines = {} }
      results[begun] = case
    elseif ended then
      results[ended].word = word
      case = nil
    elseif case and line ~= "" then
      case.lines[#case.lines + 1] = line
    end
  end
  return { status = status, cases = results, out = out }
end

for _, program in ipairs(programs()) do
  local report
  describe("in C, " .. program:match("c_([^/]*)$"), function()
    local list = io.popen(program .. " --list"):read("a")
    if list == "" then error(program .. " lists no case: is it built?") end
    for case in list:gmatch("([^\n ]+) [^\n]*\n") do
      it(case:gsub("_", " "), function()
        report = report or run(program)
        local found = report.cases[case] or { word = "not run: " .. report.out:sub(-2000), lines = {} }
        local text = table.concat(found.lines, "\n")
        if found.word == "skipped" then pending(text:match("# reason ([^\n]*)") or "") end
        if found.word ~= "ok" then error(found.word .. "\n" .. text, 0) end
      end)
    end
  end)
end
