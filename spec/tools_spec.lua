-- The tools of the build: the layer check, the embedding of Lua files, and the harness itself.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("the layer check", function()
  local folder

  local function check(files)
    folder = process.tmpdir()
    assert(sh(("cd %s && mkdir -p src/core src/base src/net"):format(folder)) == 0)
    process.write_file(folder .. "/src/README.md", process.read_file("src/README.md"))
    for path, text in pairs(files) do process.write_file(folder .. "/src/" .. path, text) end
    return sh { "lua5.4", "spec/tools/layers.lua", folder }
  end

  it("finds nothing wrong with this tree", function()
    local status, out = sh { "lua5.4", "spec/tools/layers.lua" }
    assert.equal("", out)
    assert.equal(0, status)
  end)

  it("allows a room's own headers, the rooms of its row, and standard C", function()
    local status, out = check { ["core/a.c"] = '#include "core/a.h"\n#include "base/mem.h"\n#include <string.h>\n' }
    assert.same({ 0, "" }, { status, out })
  end)

  it("refuses a room that the row does not name, with file and line", function()
    local status, out = check { ["base/a.c"] = '#include <string.h>\n#include "core/message.h"\n' }
    assert.equal(1, status)
    assert.matches("src/base/a.c:2: core/message.h: base may not use core", out, 1, true)
  end)

  for header, library in pairs {
    ["lua.h"] = "lua", ["lauxlib.h"] = "lua", ["uv.h"] = "uv", ["nghttp2/nghttp2.h"] = "nghttp2",
    ["pb_decode.h"] = "nanopb", ["agent_worker.pb.h"] = "nanopb",
    ["openssl/ssl.h"] = "openssl", ["pthread.h"] = "posix",
  } do
    it("refuses " .. header .. " in core", function()
      local status, out = check { ["core/a.h"] = "# include <" .. header .. ">\n" }
      assert.equal(1, status)
      assert.matches("core may not use " .. library, out, 1, true)
    end)
  end

  it("refuses a library that it has never heard of", function()
    assert.equal(1, (check { ["net/a.c"] = "#include <sqlite3.h>\n" }))
  end)

  it("refuses a file outside of the rooms", function()
    assert.equal(1, (check { ["a.c"] = "" }))
  end)
end)

describe("embedding Lua files", function()
  it("names each as require does, and keeps its bytes", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/a.lua", "return 'x\\0\"'")
    local status, out = sh("cd " .. folder .. " && mkdir -p lua/troupe && mv a.lua lua/troupe/init.lua && lua5.4 "
      .. process.cwd .. "/spec/tools/embed.lua lua/troupe/init.lua")
    assert.equal(0, status)
    assert.matches('{ "troupe", (const char *)s1, 13 },', out, 1, true)
  end)

  it("refuses a file that does not compile", function()
    local folder = process.tmpdir()
    local status, _, err = sh { "lua5.4", "spec/tools/embed.lua", process.write_file(folder .. "/a.lua", "return (") }
    assert.equal(1, status)
    assert.matches("a.lua:1", err, 1, true)
  end)
end)

describe("the test run", function()
  local function run(text)
    local file = process.write_file(process.tmpdir() .. "/a_spec.lua", text)
    local status, out = sh { "lua5.4", "/usr/bin/busted", file }
    return { status, (out:match("([^\n]*)\n$")) }, out
  end

  it("ends with the counts, and status 0", function()
    assert.same({ 0, "2 passed, 0 failed" }, (run [[it("a", function() end) it("b", function() end)]]))
  end)

  it("counts a failure, an error and a file that does not load", function()
    local failing = [[it("a", function() assert(false) end) it("b", function() x() end)]]
    assert.same({ 1, "0 passed, 2 failed" }, (run(failing)))
    assert.same({ 1, "0 passed, 1 failed" }, (run "return ("))
  end)

  it("lists what is pending, with its reason", function()
    local ended, out = run [[it("a", function() end) it("b", function() pending("no moon") end)]]
    assert.same({ 0, "1 passed, 0 failed, 1 skipped" }, ended)
    assert.matches("skipped: b: no moon\n", out, 1, true)
  end)

  it("fails when there is no test", function()
    assert.same({ 1, "0 passed, 1 failed" }, (run ""))
  end)

  it("does not take 256 failures for success", function()
    assert.equal(1, run([[for i = 1, 256 do it("n" .. i, function() assert(false) end) end]])[1])
  end)

  it("kills the processes of a test and shows what they said when it failed", function()
    local _, out = run [[
      local process = require "spec.support.process"
      local started
      it("a", function()
        started = process.start { "cat" }
        started:write("hello\n")
        started:wait_line("hello")
        error("over")
      end)
      it("b", function() assert.is_false(started:running()) end)
    ]]
    assert.matches("out: hello", out, 1, true)
    assert.matches("\n1 passed, 1 failed\n", out, 1, true)
  end)
end)
