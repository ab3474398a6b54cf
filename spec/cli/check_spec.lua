-- troupe new and troupe check: from nothing to an agent that answers.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("troupe new", function()
  it("writes an agent that is checked, runs and answers", function()
    local folder = process.tmpdir()
    local status, out = sh.troupe({ "new", "greeter", "--with-python" }, { cwd = folder })
    assert.equal(0, status)
    assert.matches("^greeter.lua\ngreeter.py\ntry it:\n  troupe run .* greeter.lua &\n  troupe call greeter Greeting ", out)
    assert.equal(0, (sh.troupe { "check", folder .. "/greeter.lua" }))
    local server = process.troupe { "run", "--listen", "127.0.0.1:0", folder .. "/greeter.lua" }
    local address = select(2, server:wait_line("^listening (.*)$"))
    local json = out:match("Greeting '(.-)'")
    status, out = sh.troupe { "call", "greeter", "Greeting", json, "--host", address }
    assert.equal(0, status)
    assert.matches('"text":"hello Anna, from greeter/default"', out, 1, true)
    assert.matches("class Greeting:", process.read_file(folder .. "/greeter.py"))
  end)

  it("sets an editor up with the annotations of the API", function()
    local folder = process.tmpdir()
    local function at(path) return folder .. "/" .. path end
    local status, out = sh.troupe({ "new", "greeter", "--with-editor" }, { cwd = folder })
    assert.equal(0, status)
    assert.matches("^greeter.lua\n.luarc.json\n.luarc/troupe.lua\n.luarc/troupe/testing.lua\ntry it", out)
    assert.matches('"workspace.library": [".luarc", ', process.read_file(at ".luarc.json"), 1, true)
    assert.equal(process.read_file("lua/troupe/meta.lua"), process.read_file(at ".luarc/troupe.lua"))
    assert.equal(process.read_file("lua/troupe/meta_testing.lua"), process.read_file(at ".luarc/troupe/testing.lua"))
    assert.matches("\n%-%-%-@type troupe.agent\nreturn {", process.read_file(at "greeter.lua"))
    process.write_file(at ".luarc.json", "{}")
    local again, said, err = sh.troupe({ "new", "other", "--with-spec", "--with-editor" }, { cwd = folder })
    assert.equal(0, again, err)
    assert.matches("^other.lua\nother_spec.lua\n.luarc.json: it exists already, and is left as it is %(", said)
    assert.matches("\n.luarc/troupe.lua: it exists .-\n.luarc/troupe/testing.lua: it exists .-\ntry it:\n", said)
    assert.equal("{}", process.read_file(at ".luarc.json"))
  end)

  it("sets an editor up for agents that are there", function()
    local folder = process.tmpdir()
    local status, out = sh.troupe({ "new", "--with-editor" }, { cwd = folder })
    assert.equal(0, status)
    assert.equal(".luarc.json\n.luarc/troupe.lua\n.luarc/troupe/testing.lua\n", out)
    local _, err
    status, _, err = sh.troupe({ "new", "--with-spec" }, { cwd = folder })
    assert.equal(2, status)
    assert.matches("which NAME", err)
  end)

  it("overwrites nothing, and takes no name that is none", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/mine.lua", "return 1")
    local status, _, err = sh.troupe({ "new", "mine" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches("^troupe: new: mine.lua: it exists already", err)
    assert.equal("return 1", process.read_file(folder .. "/mine.lua"))
    process.write_file(folder .. "/half_spec.lua", "return 2")
    status, _, err = sh.troupe({ "new", "half", "--with-spec", "--with-python" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches("half_spec.lua: it exists already", err)
    assert.equal("half_spec.lua\nmine.lua\n", (select(2, sh { "ls", folder })))
    status, _, err = sh.troupe({ "new", "../up" }, { cwd = folder })
    assert.equal(2, status)
    assert.matches("agent type", err)
    status, _, err = sh.troupe({ "new", "troupe" }, { cwd = folder }) -- its spec could not be run
    assert.equal(2, status)
    assert.matches("another name", err)
  end)
end)

describe("troupe check", function()
  it("looks at each file by itself, and tells every fault with its place", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/a.lua", "return { type = 'one', on = {} }")
    process.write_file(folder .. "/b.lua", "return { on = {}\n  subscription = {} }")
    process.write_file(folder .. "/c.lua", "return { on = {},\n  subscription = {} }")
    process.write_file(folder .. "/d.lua", "return {\n  { type = 'one', on = {} },\n  { type = 'two', on = {} } }")
    local status, out, err = sh.troupe { "check", "--no-luacheck", folder }
    assert.equal(1, status)
    assert.equal(("%s/a.lua: ok: one\n%s/d.lua: ok: one, two\n"):gsub("%%s", folder), out)
    assert.matches("/b.lua:2: ", err)
    assert.matches("/c.lua:2: `subscription` is not a key of an agent; did you mean `subscriptions`?", err, 1, true)
  end)

  it("runs nothing but the chunk", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/p.lua", "print('chunk') return function() print('run') end")
    local status, out = sh.troupe { "check", "--no-luacheck", folder .. "/p.lua" }
    assert.equal(0, status)
    assert.matches("^chunk\n.*: ok", out)
    assert.not_matches("run", out)
  end)

  it("has nothing against the agents of the documentation, in a folder of their own", function()
    local folder, count = process.tmpdir(), 0
    for _, page in ipairs { "README.md", "docs/tutorial.md", "docs/api.md" } do
      for text in process.read_file(page):gmatch "```[lL]ua\n(.-)\n```" do
        if text:find "^return {" or text:find "\nreturn {" then
          count = count + 1
          process.write_file(("%s/agent%d.lua"):format(folder, count), text .. "\n")
        end
      end
    end
    assert.is_true(count >= 8, tostring(count))
    local status, out, err = sh.troupe({ "check", folder }, { cwd = folder })
    assert.equal(0, status, out .. err)
  end)

  it("is told by luacheck of globals that agents do not have, and goes by a .luacheckrc that is there", function()
    if (sh "command -v luacheck") ~= 0 then return pending "luacheck is not installed" end
    local folder = process.tmpdir()
    process.write_file(folder .. "/a.lua", "return { on = { A = function(self, m, ctx) return io.read() end } }")
    local status, out = sh.troupe({ "check", "a.lua" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches("a.lua: ok: a\na.lua:1:51: accessing undefined variable 'io'\n", out, 1, true)
    process.write_file(folder .. "/.luacheckrc", "std = 'lua54'")
    assert.matches("unused argument 'ctx'", select(2, sh.troupe({ "check", "a.lua" }, { cwd = folder })), 1, true)
    assert.is_true(os.execute("mkdir " .. folder .. "/below && mv " .. folder .. "/a.lua " .. folder .. "/below"))
    assert.matches("unused argument 'ctx'", select(2, sh.troupe({ "check", "a.lua" }, { cwd = folder .. "/below" })), 1, true)
  end)

  it("loads what needs luv where that is allowed", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/l.lua", "local uv = require 'luv'\nreturn { on = { Now = function() return uv.now() end } }")
    local status, _, err = sh.troupe({ "check", "l.lua" }, { cwd = folder })
    assert.equal(1, status)
    assert.matches("--allow luv grants it", err, 1, true)
    local out
    status, out, err = sh.troupe({ "check", "--allow", "luv", "l.lua" }, { cwd = folder })
    if err:find "luv is not installed" then return pending "luv is not installed" end
    assert.equal(0, status, err)
    assert.equal("l.lua: ok: l\n", out)
    status, _, err = sh.troupe { "check", "--allow=luv", "agents", "examples/luv" }
    assert.equal(0, status, err)
    status, _, err = sh.troupe { "check", "--allow=lvu", "agents" }
    assert.equal(2, status)
    assert.matches("did you mean `luv`", err, 1, true)
  end)

  it("lets luacheck say what it finds", function()
    if (sh "command -v luacheck") ~= 0 then return pending "luacheck is not installed" end
    local path = process.write_file(process.tmpdir() .. "/a.lua", "local unused\nreturn { on = { A = function() return troupe.null end } }")
    local status, out = sh.troupe { "check", path }
    assert.equal(1, status)
    assert.matches("a.lua:1:7: unused variable 'unused'", out, 1, true)
    assert.equal(0, (sh.troupe { "check", "--no-luacheck", path }))
  end)
end)
