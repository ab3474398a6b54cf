-- lua5.4 spec/tools/metrics.lua: how long files and functions are: median, p90 and the longest, by ctags where it is.
-- src/README.md says what to aim at.

local function lines_of(command)
  local list, pipe = {}, io.popen(command)
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function report(what, items, ceiling)
  table.sort(items, function(a, b) return a.length < b.length end)
  local function at(share) return items[math.max(1, math.ceil(#items * share))].length end
  if #items == 0 then return end
  print(("%-18s %5d  median %3d  p90 %3d  longest %d %s"):format(what, #items, at(0.5), at(0.9), items[#items].length,
    items[#items].name))
  for _, item in ipairs(items) do
    if item.length > ceiling then print(("  over %d: %d %s"):format(ceiling, item.length, item.name)) end
  end
end

local function files(what, find, ceiling)
  local items = {}
  for _, path in ipairs(lines_of(find)) do
    local length = 0
    for _ in io.lines(path) do length = length + 1 end
    items[#items + 1] = { name = path, length = length }
  end
  report(what, items, ceiling)
end

files("C files", "find src include -name '*.[ch]'", 600)
files("C checks", "find spec/c -name '*.c'", 600)
files("Lua files", "find lua agents examples -name '*.lua' 2>/dev/null", 600)
files("specs", "find spec -name '*.lua'", 600)

if os.execute("command -v ctags >/dev/null") then
  local functions = {}
  for _, line in ipairs(lines_of("ctags -x --_xformat='%N %F %n %e' --kinds-C=f --languages=C -R src spec/c")) do
    local name, path, first, last = line:match("^(%S+) (%S+) (%d+) (%d+)$")
    if name then functions[#functions + 1] = { name = path .. ": " .. name, length = last - first + 1 } end
  end
  report("C functions", functions, 80)
else
  print("C functions: ctags is not there (universal-ctags)")
end
