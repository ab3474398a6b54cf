-- The examples of states and failures, as they stand.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("examples/life", function()
  it("counts on after a restart", function()
    local file = process.tmpdir() .. "/count.state"
    local status, out, err = sh.troupe { "run", "--state", file, "examples/life/count.lua" }
    assert.equal("count 1\ncount 2\ncount 3\nclosed (drain), 3 more than at the beginning\n", out, err)
    assert.equal(0, status)
    status, out, err = sh.troupe { "run", "--state", file, "examples/life/count.lua" }
    assert.equal("back, at 3\ncount 4\ncount 5\ncount 6\nclosed (drain), 3 more than at the beginning\n", out, err)
    assert.equal(0, status)
  end)

  it("goes on, begins anew or stops after failures", function()
    local status, out, err = sh.troupe { "run", "examples/life/failures.lua" }
    assert.equal("patient\thandled 4\nforgetful\thandled 1\nproud\tunavailable: proud/default was stopped after 3 failures "
      .. "within 60 s; the last: I cannot do that\n", out, err)
    assert.equal(0, status)
    for _, event in ipairs { "failures.many", "failures.restart", "failures.stop" } do assert.matches(event, err, 1, true) end
  end)

  it("is of at most 40 lines each", function()
    for _, name in ipairs { "count", "failures" } do
      local _, lines = process.read_file("examples/life/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 40, name .. ": " .. lines .. " lines")
    end
  end)
end)
