-- examples/calls: each runs with one command and says what it shows.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

describe("examples/calls", function()
  local function run(name)
    local path = "examples/calls/" .. name
    assert.is_true(select(2, process.read_file(path):gsub("\n", "")) <= 40)
    local status, out, err = sh.troupe { "run", path }
    assert.equal(0, status, err)
    return out
  end

  it("cancel: whoever works on what is given up hears of it", function()
    assert.equal([[
hare took step 1
hare puts its lamp out
hare found it	Search
tortoise puts its lamp out
cancelled: the call was cancelled
cancelled: the call was cancelled
left puts its lamp out
right puts its lamp out
timeout: searcher/chief did not answer within the deadline
chief puts its lamp out
helper puts its lamp out
]], run "cancel.lua")
  end)
end)
