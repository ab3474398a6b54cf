-- docs/reference is made of the sources, and what is made is what is there; its code is C that compiles, and commands that the
-- program takes.
local markdown = require "spec.support.markdown"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local function page(name) return process.read_file("docs/reference/" .. name .. ".md") end

-- The commands of a line, without remarks and what they are fed: `a && b`, `a | b`, `a &`.
local function commands(line)
  local found = {}
  for command in (line:gsub("%s+#.*", ""):gsub("%s*&&%s*", "\n"):gsub("%s*|%s*", "\n"):gsub("%s*&$", "")):gmatch "[^\n]+" do
    if command:find "^troupe " then found[#found + 1] = command end
  end
  return found
end

describe("docs/reference", function()
  for _, name in ipairs { "lua", "c", "program" } do
    it("has in " .. name .. ".md what the sources say", function()
      local status, out, err = sh { "lua5.4", "spec/tools/manual.lua", name, process.program }
      assert.equal(0, status, err)
      assert.is_true(out == page(name), "`make docs` brings docs/reference/" .. name .. ".md up to date")
    end)
  end

  it("names every function", function()
    local function named(source, pattern, text)
      for name in process.read_file(source):gmatch(pattern) do assert.is_truthy(text:find(name .. "(", 1, true), name) end
    end
    named("include/troupe.h", "\nTROUPE_API [^\n(]-([%w_]+)%(", page "c")
    named("lua/troupe/meta.lua", "\nfunction ([%w_.:]+)", page "lua")
    named("lua/troupe/meta_testing.lua", "\nfunction ([%w_.:]+)", page "lua")
  end)

  it("describes every function of the Lua API", function()
    local bare
    for line in page("lua"):gmatch "[^\n]+" do
      assert.is_falsy(bare and not line:find "^  %S", bare)
      bare = line:match "^%- `[%w_]+[.:][%w_]+%(.*"
    end
  end)

  it("has C that compiles", function()
    local lines = { "#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>" }
    for _, block in ipairs(markdown.blocks(page "c")) do lines[#lines + 1] = block.body end
    local path = process.write_file(process.tmpdir() .. "/reference.c", table.concat(lines, "\n") .. "\n")
    local status, _, err = sh { "cc", "-std=c11", "-Wall", "-Werror", "-fsyntax-only", path }
    assert.equal(0, status, err)
  end)

  it("has commands that the program takes", function()
    local count, folder = 0, process.tmpdir()
    for _, block in ipairs(markdown.blocks(page "program")) do
      for line in block.body:gmatch "[^\n]+" do
        for _, command in ipairs(commands(line)) do
          count = count + 1
          -- Options are read, and it is not done.
          local asked = command:gsub("^troupe", process.program):gsub(" %-%- .*", ""):gsub("$", " --help")
          local status, out, err = sh(asked, { cwd = folder })
          assert.equal(0, status, command .. ": " .. err)
          assert.matches("^troupe " .. command:match "^troupe (%l+)", out)
        end
      end
    end
    assert.is_true(count > 40, count)
  end)
end)
