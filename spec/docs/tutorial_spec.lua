-- docs/tutorial.md is followed to the letter: its files, its commands, and what they print.
local markdown = require "spec.support.markdown"
local process = require "spec.support.process"

describe("docs/tutorial.md", function()
  local text = process.read_file("docs/tutorial.md")

  it("prints what it shows", function()
    local compared = 0
    markdown.follow(text, function(expected, printed, commands)
      compared = compared + 1
      assert.equal(expected, printed, commands)
    end)
    assert.is_true(compared >= 8, compared .. " outputs were compared")
  end)
end)
