-- examples/secure: TLS, a token and rights, with real processes.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("examples/secure", function()
  it("lets two workers and a customer do what they may, and nobody more", function()
    local status, out, err = sh({ "examples/secure/run.sh" }, { env = { TROUPE = process.program }, seconds = 60 })
    assert.equal(0, status, err)
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal('{"bought":"bread"}', lines[1])
    assert.equal('["bread"]', lines[2])
    assert.matches("^troupe: call: permission_denied: cert:eve may not %(call = shop/default", lines[3])
    assert.matches("^troupe: call: unauthenticated: ", lines[4])
    assert.equal(4, #lines)
  end)

  it("is agents of at most 40 lines", function()
    for _, name in ipairs { "shop", "ledger" } do
      local _, lines = process.read_file(("examples/secure/%s.lua"):format(name)):gsub("\n", "")
      assert.is_true(lines <= 40, lines .. " lines")
    end
  end)
end)
