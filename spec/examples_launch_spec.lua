-- The examples of agents in processes of their own, as they stand.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local function printed(out) return (out:gsub("joined [^\n]*\n", "")) end

describe("examples/launch", function()
  it("talks between two processes until one says exit", function()
    local status, out, err = sh.troupe { "run", "--allow", "launch", "examples/launch/dialogue.lua" }
    assert.matches("^Ann: good morning\nBen: hello\nAnn: how are you\nBen: well, and you\nfalse\tnot_found: ", printed(out), 1, err)
    assert.matches("launched agent=speaker/Ann", err, 1, true)
    assert.equal(0, status)
  end)

  it("is of at most 40 lines each", function()
    for _, name in ipairs { "launch/dialogue", "launch/speaker" } do
      local _, lines = process.read_file("examples/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 40, name .. ": " .. lines .. " lines")
    end
  end)
end)
