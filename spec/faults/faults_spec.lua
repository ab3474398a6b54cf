-- A few of the faults, each once: the whole of them, by chance and for minutes, is `make soak`.
local process = require "spec.support.process"
local soak = require "spec.faults.soak"

describe("under load", function()
  local function survives(pattern)
    local lines = {}
    local function say(line) lines[#lines + 1] = line end
    local violations, rows = soak.run { once = true, only = pattern, folder = process.tmpdir(), say = say }
    assert.same({}, violations, table.concat(lines, "\n"))
    local name, saw = next(rows)
    assert.matches(pattern, name)
    return saw
  end

  it("a host may be killed: calls fail at once, and are answered when it is there again", function()
    local saw = survives "^host killed"
    assert.is_true((saw.unavailable or 0) + (saw.not_found or 0) > 0)
  end)

  it("a worker of a shared type may be killed: another stands in for it", function() survives "^worker of a shared type killed" end)

  it("all links may be cut: their ends find each other again", function() survives "^all links cut" end)

  it("a host may run out of descriptors: it serves who is there, rests, and takes more when it can", function()
    survives "^host out of descriptors"
  end)
end)
