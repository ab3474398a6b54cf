-- The README's first command, as it stands.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("the demo", function()
  it("has each of two agents greet exactly five times, and ends all three processes", function()
    local status, out, err = sh({ "examples/hello/demo.sh" }, { env = { TROUPE = process.program }, seconds = 60 })
    assert.equal("", err)
    assert.equal(0, status)
    local counts = {}
    for name, n in out:gmatch("(worker%d): Hello x (%d+)\n") do
      counts[name] = (counts[name] or 0) + 1
      assert.equal(counts[name], tonumber(n), "out of order:\n" .. out)
    end
    assert.same({ worker1 = 5, worker2 = 5 }, counts)
  end)

  it("is an agent of at most 20 lines", function()
    local _, lines = process.read_file("examples/hello/agent.lua"):gsub("\n", "")
    assert.is_true(lines <= 20, lines .. " lines")
  end)
end)
