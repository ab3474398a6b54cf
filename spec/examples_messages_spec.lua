-- examples/messages: each runs with one command and says what it shows.
local sh = require "spec.support.sh"

describe("examples/messages", function()
  local function run(name)
    local status, out, err = sh.troupe { "run", "examples/messages/" .. name }
    assert.equal(0, status, err)
    return out
  end

  it("schemas: bad bodies are refused with the field named", function()
    assert.equal([[
3 ordered
invalid: body.tags[2]: expected string, got integer
invalid: body.n: expected integer, got string
invalid: body.notes: the schema has no such field (did you mean `note`?)
clock built
invalid: body.parts[1].parts: missing (expected list)
****
invalid: body.stars: 6 is more than the maximum of 5
]], run "schemas.lua")
  end)

  it("dead letters: what could not be delivered, and why", function()
    assert.equal([[
Hello to nobody/default: no agent type "nobody" here (3 types are known)
  it said: is anybody there?
Form to desk/default: body.number: expected integer, got string (refused by clerk/default)
Form to clerk/default: the mailbox of clerk/default is full (1 messages)
]], run "dead_letters.lua")
  end)
end)
