-- The examples of examples/ that have no spec of their own: each runs with one command.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("examples/parallel", function()
  it("takes the time of the longest path", function()
    local status, out, err = sh.troupe({ "run", "examples/parallel/graph.lua" }, { seconds = 60 })
    assert.equal(0, status, err)
    local seconds = tonumber(out:match("^f is done after ([%d.]+) s\n$"))
    local slow = tonumber(os.getenv("TROUPE_SLOW") or 1)
    assert.is_true(seconds >= 4 and seconds <= 4 + 0.6 * slow, out)
  end)

  it("is at most 40 lines", function()
    local _, lines = process.read_file("examples/parallel/graph.lua"):gsub("\n", "")
    assert.is_true(lines <= 40, lines .. " lines")
  end)
end)
