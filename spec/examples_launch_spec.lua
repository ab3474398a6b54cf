-- The examples of agents in processes of their own, as they stand.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local function printed(out) return (out:gsub("joined [^\n]*\n", "")) end

-- What a process prints and what it answers come by different ways.
local function sorted(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines, "\n")
end

describe("examples/launch", function()
  it("talks between two processes until one says exit", function()
    local status, out, err = sh.troupe { "run", "--allow", "launch", "examples/launch/dialogue.lua" }
    assert.matches("^Ann: good morning\nBen: hello\nAnn: how are you\nBen: well, and you\nfalse\tnot_found: ", printed(out), 1, err)
    assert.matches("launched agent=speaker/Ann", err, 1, true)
    assert.equal(0, status)
  end)

  it("moves a live agent into a process", function()
    if (os.getenv("TROUPE_SANITIZER") or "") ~= "" then return end -- which must come first in a program that loads the module
    local build = os.getenv("TROUPE_BUILD") or "build"
    local status, text, err = sh(("TROUPE=%s/troupe LUA_CPATH='%s/?.so' lua5.4 examples/to_dist/main.lua"):format(build, build))
    local expected = "counter/a begins\nthe sum is 1\ncounter/a leaves (moved), at 1\ncounter/a is here, at 1\n"
      .. "the sum is 11\nthe sum is 111\ncounter/a leaves (drain), at 111\n"
    assert.equal(sorted(expected), sorted(text), err)
    assert.equal(0, status)
  end)

  it("is of at most 40 lines each", function()
    for _, name in ipairs { "launch/dialogue", "launch/speaker", "to_dist/main", "to_dist/counter" } do
      local _, lines = process.read_file("examples/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 40, name .. ": " .. lines .. " lines")
    end
  end)
end)
