-- docs/porting.md promises nothing that docs/api.md does not have: each name in the column of troupe's words is a name there.
local process = require "spec.support.process"

-- The names in a piece of code: `ctx:call`, `troupe host`, the key of `messages = {`.
local function names_in(code)
  local names = {}
  for _, pattern in ipairs { "^%w%w+[:.][%a_]+", "^troupe %a+", "^([%a_]+) =" } do names[#names + 1] = code:match(pattern) end
  return names
end

describe("docs/porting.md", function()
  local api = process.read_file("docs/api.md")

  local function known(name)
    if api:find(name, 1, true) then return true end
    local of, field = name:match("^(%w+)[:.]([%a_]+)$") -- some stand there in lists: ctx's fields, `.all{…}`
    if of == "ctx" or of == "opts" then return api:find("%f[%a_]" .. field .. "%f[^%a_]") end
    return of == "troupe" and api:find("[ ]%." .. field .. "[({]")
  end

  it("uses the names of docs/api.md", function()
    local unknown, checked = {}, 0
    for line in process.read_file("docs/porting.md"):gmatch("[^\n]+") do
      local ours = line:match("^| .- | (.-) |") or "" -- the second column
      for code in ours:gsub("\\|", "|"):gmatch("`([^`]+)`") do
        for _, name in ipairs(names_in(code)) do
          checked = checked + 1
          if not known(name) then unknown[#unknown + 1] = name end
        end
      end
    end
    assert.same({}, unknown)
    assert.is_true(checked > 40, "only " .. checked .. " names were found")
  end)
end)
