-- A few of the faults, each once: all of them, by chance and for minutes, are `make soak`.
local process = require "spec.support.process"
local soak = require "spec.faults.soak"

describe("a host and its workers under load", function()
  it("survive: the host killed, a worker killed, all links cut, no descriptors left; no answer is another's, nothing hangs", function()
    local lines = {}
    local function say(line) lines[#lines + 1] = line end
    local only = { "^host killed", "^worker of a shared type killed", "^all links cut", "^host out of descriptors" }
    local violations, rows = soak.run { once = true, only = only, folder = process.tmpdir(), say = say, lanes = 2 }
    assert.same({}, violations, table.concat(lines, "\n"))
    local count = 0
    for _, row in pairs(rows) do
      count = count + 1
      assert.is_true(row.ok > 3) -- how many there are is the machine's business
    end
    assert.equal(#only, count)
    local killed = rows["host killed and started again"]
    assert.is_true((killed.unavailable or 0) + (killed.not_found or 0) > 0)
  end)
end)
