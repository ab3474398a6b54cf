-- examples/calls, examples/stream: each runs with one command and says what it shows.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

describe("examples/calls and stream", function()
  local function run(name)
    local path = "examples/" .. name
    assert.is_true(select(2, process.read_file(path):gsub("\n", "")) <= 40)
    local status, out, err = sh.troupe { "run", path }
    assert.equal(0, status, err)
    return out
  end

  -- Who hears first depends on when each is interrupted.
  local function sorted(text)
    local lines = {}
    for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    return table.concat(lines, "\n")
  end

  it("cancel: whoever works on what is given up hears of it", function()
    assert.equal(sorted [[
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
]], sorted(run "calls/cancel.lua"))
  end)

  it("stream: an answer in parts, as they are made", function()
    assert.equal([[
(the teller is quiet)
Once upon a time a host was told a very long story: 12 words
Once
upon
(the teller is quiet)
(the teller is quiet)
12 words at once
]], run "stream/story.lua")
  end)
end)
