-- docs/operations.md is followed to the letter; "…" in what it shows stands for anything within a line.
local markdown = require "spec.support.markdown"
local process = require "spec.support.process"

-- The words of a text, without what differs, as a pattern.
local function pattern(text)
  return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("…", "[^\n]*") .. "$"
end

describe("docs/operations.md", function()
  local text = process.read_file("docs/operations.md")

  it("prints what it shows", function()
    local compared = 0
    markdown.follow(text, function(expected, printed, commands)
      compared = compared + 1
      assert.matches(pattern(expected), printed, 1, false, commands)
    end)
    assert.is_true(compared >= 6, compared .. " outputs were compared")
  end)
end)
