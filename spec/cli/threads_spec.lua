-- --threads: the same programs with several isolates; how such a process ends, drains, reloads, and talks to others.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local function script(name, text)
  return process.write_file(process.tmpdir() .. "/" .. name, text)
end

describe("--threads", function()
  it("gives the same as one thread", function()
    for _, n in ipairs { "1", "2", "4", "7" } do
      local status, out, err = sh.troupe { "run", "--threads", n, "examples/hello/greeter.lua", "--", "Clara", "Dora" }
      assert.equal("hello Clara, you are number 1\nhello Dora, you are number 2\n", out, err)
      assert.equal(0, status, err)
    end
  end)

  it("takes 1 to 64", function()
    for _, n in ipairs { "0", "65", "x", "-1" } do
      local status, _, err = sh.troupe { "run", "--threads", n, "examples/hello/greeter.lua" }
      assert.equal(2, status)
      assert.matches("--threads", err, 1, true)
    end
  end)

  it("ends when nothing can happen any more in any of them", function()
    local status, out = sh.troupe { "run", "--threads", "4", script("a.lua", [[
      return { { type = "a", mailbox = { limit = 100 }, on = { Hop = function(_, m, ctx)
          if m.n == 0 then print("done " .. m.first) return end
          ctx:sleep(0.001)
          ctx:send("a/" .. m.n % 11, "Hop", { n = m.n - 1, first = m.first })
        end } },
        { type = "b", autostart = { "1", "2", "3", "4", "5" }, init = function(_, ctx) ctx:after(0.01, "Begin") end,
          on = { Begin = function(_, _, ctx) ctx:send("a/7", "Hop", { n = 40, first = ctx.key }) end } } }]]) }
    assert.equal(0, status)
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.equal("done 1 done 2 done 3 done 4 done 5", table.concat(lines, " "))
  end)

  it("loads, prints and warns once", function()
    local _, out, err = sh.troupe { "run", "--threads", "4", script("p.lua", [[
      print("loaded")
      return { { type = "x", requeue = true, on = { A = function() end } }, function(ctx) print("ran") return 0 end }]]) }
    assert.equal("loaded\nran\n", out, err)
  end)

  it("ends with the status that any of them gives to ctx:exit", function()
    for i = 1, 4 do
      local status = sh.troupe { "run", "--threads", "4", script("e.lua", [[
        return { type = "e", autostart = { "k]] .. i .. [[" }, on = { A = print },
          init = function(_, ctx) ctx:exit(40 + ]] .. i .. [[) end }]]) }
      assert.equal(40 + i, status)
    end
  end)

  it("drains: what is queued is handled, close hooks run in each thread", function()
    local status, out, err = sh.troupe { "run", "--threads", "4", script("d.lua", [[
      local a = { type = "a", state = { n = 0 }, close = function(self, ctx, why) print(ctx.id .. " " .. why .. " " .. self.n) end,
        on = { Work = function(self, _, ctx) ctx:sleep(0.05) self.n = self.n + 1 end } }
      return { a, function(ctx)
        for i = 1, 6 do for _ = 1, 3 do ctx:send("a/" .. i, "Work") end end
        return 3
      end }]]) }
    assert.equal(3, status, err)
    for i = 1, 6 do assert.matches("a/" .. i .. " drain 3", out, 1, true) end
  end)

  it("launches processes for agents of any of them, and calls those from all", function()
    local folder = process.tmpdir()
    process.write_file(folder .. "/leaf.lua", [[return { type = "leaf", on = { Who = function(_, _, ctx) return ctx.id end } }]])
    local status, out, err = sh.troupe { "run", "--threads", "4", "--allow", "launch", process.write_file(folder .. "/l.lua", [[
      local far = { type = "far", on = {
        Launch = function(_, m, ctx)
          local p = ctx:launch { file = "leaf.lua", key = m.key }
          return (p:Who())
        end,
        Call = function(_, m, ctx) return (ctx:call(m.id, "Who")) end,
        Stop = function(_, m, ctx) ctx:stop(m.id) return true end } }
      local leaf = { type = "leaf", on = { Who = function(_, _, ctx) return "at home: " .. ctx.id end } }
      return { far, leaf, function(ctx)
        for i = 1, 5 do
          local id = (i % 2 == 0 and "k" or "d") .. i
          print((ctx:call("far/" .. i, "Launch", { key = id })),
            (ctx:call("far/" .. i + 5, "Call", { id = "leaf/" .. id })))
        end
        print((ctx:call("far/9", "Call", { id = "leaf/other" })))
        print(select(2, ctx:pcall("far/2", "Launch", { key = "other" })))
      end }]]) }
    assert.equal(0, status, err)
    assert.equal("leaf/d1\tleaf/d1\nleaf/k2\tleaf/k2\nleaf/d3\tleaf/d3\nleaf/k4\tleaf/k4\nleaf/d5\tleaf/d5\n" ..
      "at home: leaf/other\n", (out:gsub("[^\n]*\n$", "")))
    assert.matches("already_exists: leaf/other is an agent of this process already", out, 1, true)
  end)

  it("refuses what was not granted, or has failed, to agents of each of them", function()
    local status, out, err = sh.troupe { "run", "--threads", "4", script("r.lua", [[
      local a = { type = "a", on = {
        Launch = function(_, _, ctx) return tostring((ctx:launch { file = "leaf.lua" })) end,
        Join = function(_, _, ctx) return tostring((ctx:agent("b/1", { host = "nowhere" }))) end,
        Stop = function(_, _, ctx) return tostring((ctx:stop("b/other"))) end } }
      return { a, function(ctx)
        for _, what in ipairs { "Launch", "Join", "Stop" } do
          local said = {}
          for i = 1, 12 do said[tostring((select(2, ctx:pcall("a/" .. i, what))))] = true end
          for text in pairs(said) do print(what .. ": " .. text) end
        end
      end }]]) }
    assert.equal(0, status, err)
    assert.equal("Launch: permission_denied: scripts may not launch processes here (--allow launch grants it)", out:match("Launch[^\n]*"))
    local _, lines = out:gsub("\n", "")
    assert.equal(3, lines, out)
  end)

  it("lets types be added where all of them load, not by one of them while the others read them", function()
    local status, _, err = sh.troupe { "run", "--threads", "2", script("p.lua", [[
      return { { type = "a", on = { A = function() troupe.protobuf "x.desc" end } },
        function(ctx) print((select(2, ctx:pcall("a", "A")))) return 0 end }]]) }
    assert.equal(0, status, err)
    assert.matches("invalid: troupe.protobuf: with several threads it belongs to the top of the file", err, 1, true)
    _, _, err = sh.troupe { "run", "--threads", "2", "--state", process.tmpdir() .. "/s", script("s.lua", [[
      return { { type = "a", state = { n = 1 }, on = { A = function() return 1 end }, save = function() troupe.protobuf "x.desc" end },
        function(ctx) ctx:call("a", "A") return 0 end }]]) }
    assert.matches("save.failed agent=a/default error=\"invalid: .*with several threads it belongs to the top of the file", err)
  end)

  it("sees agents of all of them in ps, saves them, and reloads in all or in none", function()
    local folder = process.tmpdir()
    local env, door = { XDG_RUNTIME_DIR = folder }, "unix:" .. folder .. "/door"
    local code = [[return {
      { type = "r", autostart = { "1", "2", "3", "4", "5", "6", "7", "8" }, state = { n = 0 },
        on = { V = function(self) self.n = self.n + 1 return "%s" .. self.n end } },
      { type = "all", on = { V = function(_, _, ctx)
        local t = {}
        for i = 1, 8 do t[i] = ctx:call("r/" .. i, "V") end
        return table.concat(t, " ")
      end } } }]]
    local path = script("r.lua", code:format("a"))
    local p = process.troupe({ "run", "--threads", "4", "--listen", door, path }, { env = env })
    p:wait_line("^listening")
    local function ask(...)
      local status, out, err = sh.troupe({ ... }, { env = env })
      return (out .. err):gsub("\n$", ""), status
    end
    local function all() return (ask("call", "--host", door, "all", "V")) end
    assert.equal('"a1 a1 a1 a1 a1 a1 a1 a1"', all())
    assert.matches('"type":"r","instances":8', (ask("ps", "--json")), 1, true)
    process.write_file(path, code:format("b"))
    assert.matches("\n  r +changed  8 instances follow\n", (ask("reload", "--dry-run")))
    assert.equal(0, select(2, ask("reload")))
    assert.equal('"b2 b2 b2 b2 b2 b2 b2 b2"', all())
    process.write_file(path, code:format("c"):gsub("return {", "error 'broken' return {", 1))
    assert.matches("broken", (ask("reload")), 1, true)
    assert.equal('"b3 b3 b3 b3 b3 b3 b3 b3"', all())
    assert.equal(0, select(2, ask("state", "save", folder .. "/s")))
    assert.equal('"b4 b4 b4 b4 b4 b4 b4 b4"', all())
    assert.equal(0, select(2, ask("state", "restore", folder .. "/s")))
    assert.equal('"b4 b4 b4 b4 b4 b4 b4 b4"', all())
    assert.equal(0, select(2, ask("reload", "--to", "1")))
    assert.matches("^.a%d+ a", all())
    assert.matches('"type":"r","instances":8,.-"code":3,"older":%[%]', (ask("ps", "--json")))
    assert.equal(0, select(2, ask("stop")))
    assert.equal(0, (p:wait()))
  end)
end)
