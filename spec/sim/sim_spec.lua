-- A few of the simulated runs (`make sim` has more of them), and that their invariants notice what is wrong.
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

describe("make sim", function()
  if module.sanitized then return end

  it("finds every invariant held, and tells what was explored", function()
    local status, out = sh { "spec/sim/run", "10", "1" }
    assert.matches("^10 runs from seed 1: %d+ requests, %d+ answered .* %d+ of them streams", out)
    assert.matches("\n%d+ messages sent came, %d+ were dead letters; %d+ notes and %d+ jobs heard, %d+ more came again after a fault", out)
    assert.matches("\n%d+ packets, %d+ connections broken, %d+ refused, %d+ crashes, %d+ processes left; every invariant held\n$", out)
    assert.equal(0, status)
  end)

  it("refuses what is no number", function()
    for _, text in ipairs { "x", "0", "1.5" } do
      local status, _, err = sh { "spec/sim/run", text }
      assert.equal(2, status)
      assert.matches(('"%s" is not a number from 1'):format(text), err, 1, true)
    end
  end)

  it("does the same by the same seed, step by step", function()
    local _, first = sh({ "spec/sim/run", "2", "70" }, { env = { TRACE = "1" } })
    local _, again = sh({ "spec/sim/run", "2", "70" }, { env = { TRACE = "1" } })
    assert.is_true(#first > 20000)
    assert.equal(first, again)
  end)

  it("notices what is done twice, and answers that cross", function()
    package.path = process.cwd .. "/spec/sim/?.lua;" .. package.path
    local world = require "world"
    assert.matches("invariant: request %d+ was done twice", module.raised(world.run, 1, { flaws = { twice = true } }))
    assert.matches("invariant: request %d+ has the answer of %d+", module.raised(world.run, 1, { flaws = { crossed = true } }))
  end)
end)
