-- The example of saved states, as it stands.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("examples/state", function()
  it("goes on where it was cut off", function()
    local file = process.tmpdir() .. "/world.state"
    local function run()
      local status, out, err = sh.troupe { "run", "--drain", "0", "--state", file, "examples/state/world.lua" }
      assert.equal(0, status, err)
      return out, err
    end
    local out, err = run()
    assert.equal("building a house\nbuilt: house\nbuilding a tower\n", out)
    assert.matches("drain.dropped agent=builder/default turns=1", err, 1, true)
    assert.equal("building a tower\ndiary: water the plants (1)\nbuilt: house, tower\n", (run()))
    assert.equal("", (run()))
    local _, shown = sh.troupe { "state", "show", file }
    assert.matches('state        keeper/default version 0  {"visits":3}\n', shown, 1, true)
    assert.matches('state        keeper/default diary version 0  ["water the plants"]\n', shown, 1, true)
  end)

  it("is of at most 40 lines", function()
    local _, lines = process.read_file("examples/state/world.lua"):gsub("\n", "")
    assert.is_true(lines <= 40, lines .. " lines")
  end)
end)
