-- The examples of examples/ that have no spec of their own: each runs with one command.
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local module = require "spec.support.troupe"

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

describe("examples/simulate", function()
  if module.sanitized then return end -- lua5.4 has no sanitizer in it
  it("finds no network in which the shop is not paid", function()
    local status, out = sh.troupe({ "test", "examples/simulate", "--seeds", "10" }, { seconds = 60 })
    assert.match("1 passed, 0 failed", out)
    assert.equal(0, status)
  end)

  it("finds one where payments are booked twice, and repeats it", function()
    local folder = process.tmpdir()
    for _, name in ipairs { "account.lua", "till.lua", "shop_spec.lua" } do
      local text = process.read_file("examples/simulate/" .. name):gsub("if not self.booked", "if not self.forgets")
      process.write_file(folder .. "/" .. name, text)
      assert.is_true(select(2, text:gsub("\n", "")) <= 40)
    end
    local status, out = sh.troupe({ "test", folder }, { seconds = 60 })
    assert.equal(1, status)
    local seed = out:match("troupe test %-%-seed (%d+)")
    local _, again = sh.troupe({ "test", folder, "--seed", seed }, { seconds = 60 })
    assert.equal(out:match("seed " .. seed .. ":.-repeat"), again:match("seed " .. seed .. ":.-repeat"))
  end)
end)
