-- The README's code runs as it stands: its agents load, its shell session prints what it shows.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

-- Blocks of a language, in order.
local function blocks(text, language)
  local found = {}
  for kind, block in text:gmatch("\n```(%w*)\n(.-)\n```") do
    if kind == language then found[#found + 1] = block end
  end
  return found
end

describe("README.md", function()
  local text = process.read_file("README.md")

  it("names its two commands in the first screen", function()
    local first = text:match("^(.-)\n## ")
    assert.matches("\nmake demo ", first)
    assert.matches("\nmake test ", first)
    assert.is_true(select(2, first:gsub("\n", "")) < 25)
  end)

  it("has a session that prints what it shows", function()
    local folder = process.tmpdir()
    local agent = blocks(text, "lua")[1]
    process.write_file(folder .. "/greeter.lua", agent)
    local session = blocks(text, "sh")[2]
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (.*)$")
    local commands = {}
    for line in session:gmatch("[^\n]+") do
      commands[#commands + 1] = line:gsub("127%.0%.0%.1:50051", address):gsub("^build/troupe", process.program):gsub(" &$", "")
    end
    assert.equal(3, #commands)
    assert.matches("host %-%-listen", commands[1])
    process.start({ "/bin/sh", "-c", "exec " .. commands[2] }, { cwd = folder })
    local status, out, err = sh(commands[3], { cwd = folder })
    assert.equal("", err)
    assert.equal(blocks(text, "")[1] .. "\n", out)
    assert.equal(0, status)
  end)

  it("has agents that load", function()
    local agents = blocks(text, "lua")
    assert.is_true(#agents >= 2)
    for i, source in ipairs(agents) do
      local path = process.write_file(process.tmpdir() .. "/readme" .. i .. ".lua", source)
      local status, _, err = sh.troupe { "run", path }
      assert.equal("", (err:gsub("^troupe: run: there was nothing to do[^\n]*\n$", "")))
      assert.equal(0, status)
    end
  end)

  it("shows what its counter does", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/counter.lua", blocks(text, "lua")[2])
    process.write_file(folder .. "/main.lua", [[return function(ctx)
      local r = ctx:call("counter/mine", "Twice", { by = 3 })
      print(r[1], r[2])
    end]])
    local status, out, err = sh.troupe { "run", folder }
    assert.equal("3\t6\n", out, err)
    assert.equal(0, status)
  end)

  it("has a spec that passes", function()
    if (os.getenv("TROUPE_SANITIZER") or "") ~= "" then return end -- the module cannot be loaded then
    local folder = process.tmpdir()
    local spec = assert(text:match('```Lua\n(local testing = .-)\n```'))
    assert.is_true(select(2, spec:gsub("\n", "")) <= 6)
    process.write_file(folder .. "/greeter.lua", blocks(text, "lua")[1])
    process.write_file(folder .. "/greeter_spec.lua", spec)
    local status, out = sh.troupe({ "test" }, { cwd = folder })
    assert.matches("1 success / 0 failures / 0 errors", out)
    assert.equal(0, status)
  end)

  it("links only to files that are there", function()
    for target in text:gmatch("%]%(([^)#]+)") do
      if not target:match("^https?:") then
        assert.is_true(io.open(target) ~= nil, target .. " is missing")
      end
    end
  end)

  it("names only make targets that are there", function()
    local _, help = sh("make help")
    for target in text:gmatch("make (%l[%l-]*)") do assert.matches("\n? *" .. target:gsub("%-", "%%-"), help) end
  end)
end)
