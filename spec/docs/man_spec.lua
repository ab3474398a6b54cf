-- The manual page is made of the program's own help: all of it is there, and nothing in it is roff by accident.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

describe("troupe(1)", function()
  local page

  setup(function()
    local status, out, err = sh { "lua5.4", "spec/tools/man.lua", process.program, "0.1.0" }
    assert.equal(0, status, err)
    page = out
  end)

  local function has(text) assert.is_truthy(page:find((text:gsub("%-", "\\-")), 1, true), text) end

  it("has every verb with every option and example", function()
    local _, help = sh.troupe { "--help" }
    local verbs = 0
    for verb in help:gmatch("\n  (%l+)%s+%u") do
      verbs = verbs + 1
      local _, text = sh.troupe { verb, "--help" }
      has(".SS " .. text:match("^[^\n]+"))
      for option in text:gmatch("\n%s+%-?%l?,? *(%-%-[%w-]+)") do
        if option ~= "--help" then has(option) end
      end
      has(text:match("For example:\n([^\n]+)"))
    end
    assert.is_true(verbs >= 13)
  end)

  it("begins no line with a dot that is not a request of the man macros", function()
    for line in page:gmatch("[^\n]+") do
      local request = line:match("^[.']%S*")
      assert.is_truthy(not request or (".\\\" .TH .SH .SS .TP .B .I .PP .EX .EE"):find(request, 1, true), line)
    end
  end)
end)
