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
      return { { type = "a", on = { Hop = function(_, m, ctx)
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

  it("refuses what it cannot do yet, by name", function()
    local status, _, err = sh.troupe { "run", "--threads", "2", "--state", process.tmpdir() .. "/s", "examples/hello/greeter.lua" }
    assert.equal(1, status)
    assert.matches("several threads yet", err, 1, true)
  end)
end)
