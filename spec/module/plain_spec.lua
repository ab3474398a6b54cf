-- The module in the plain `lua5.4` program: the example, what `make install` gives, what require leaves alone, and how a program ends.
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

if module.sanitized then return end -- the program has no sanitizer in it

local build = os.getenv("TROUPE_BUILD") or "build"

local function lua(text, env)
  local path = process.tmpdir() .. "/program.lua"
  local file = assert(io.open(path, "w"))
  file:write("package.cpath = '" .. build .. "/?.so;' .. package.cpath\n", text)
  file:close()
  local wrap = os.getenv("TROUPE_WRAP") or ""
  return sh(wrap .. " lua5.4 " .. path, { env = env })
end

describe("in plain Lua", function()
  it("the example runs, and is at most 40 lines", function()
    local status, out, err = sh("LUA_CPATH=" .. build .. "/?.so lua5.4 examples/module/main.lua")
    assert.equal("", err)
    assert.equal("Greeted\tAnna\nhello Anna, you are number 1\nGreeted\tBert\nhello Bert, you are number 2\n"
      .. "false\tcant_handle\ngreeter/desk\tidle\n", out)
    assert.equal(0, status)
    local _, lines = process.read_file("examples/module/main.lua"):gsub("\n", "")
    assert.is_true(lines <= 40, lines .. " lines")
  end)

  it("the example of a pool runs, with a host of its own or another's, and is at most 40 lines", function()
    local host = process.troupe { "run", "examples/pool/shop.lua", "--listen", "127.0.0.1:0" }
    for _, address in ipairs { "", (select(2, host:wait_line("^listening (.*)$"))) } do
      local status, out, err = sh("LUA_CPATH='" .. build .. "/?.so;;' lua5.4 examples/pool/pool.lua " .. address)
      assert.equal("", err)
      assert.equal("20 calls are open\n20 answers, all together 1050\n20 sold today\nnot_found: agent type nobody is not registered\n", out)
      assert.equal(0, status)
    end
    for _, name in ipairs { "pool", "shop" } do
      local _, lines = process.read_file("examples/pool/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 40, lines .. " lines")
    end
  end)

  it("the README's program runs", function()
    local program = process.read_file("README.md"):match("\n```Lua\n(.-)\n```")
    local status, out, err = lua(program)
    assert.same({ 0, "hello Anna\n", "" }, { status, out, err })
  end)

  it("make install puts it on Lua's path", function()
    local root = process.tmpdir()
    local status, _, err = sh(("make BUILD=%s DESTDIR=%s PREFIX=/usr/local install"):format(build, root))
    assert.equal(0, status, err)
    local out
    status, out = sh(("LUA_CPATH=%s/usr/local/lib/lua/5.4/?.so lua5.4 -e 'print(require \"troupe\".split \"a/b\")'"):format(root))
    assert.same({ 0, "a\tb\n" }, { status, out })
  end)

  it("it brings no Lua of its own, and exports what Lua looks for", function()
    local _, needed = sh("objdump -p " .. build .. "/troupe.so | grep NEEDED")
    assert.is_nil(needed:find("liblua", 1, true))
    local _, names = sh("nm -D --defined-only " .. build .. "/troupe.so | awk '{print $3}'")
    assert.equal("luaopen_troupe\nluaopen_troupe_testing\n", names)
  end)

  it("require changes nothing of the program", function()
    local status, out, err = lua [[
      local before, strings = {}, getmetatable("").__index
      for name, value in pairs(_G) do before[name] = value end
      collectgarbage("incremental")
      local troupe = require "troupe"
      local rt <close> = troupe.runtime {}
      rt:load { type = "a", on = { X = function() return { type(io), type(debug), _G == _ENV } end } }
      local answer = rt:call("a", "X")
      for name, value in pairs(_G) do assert(before[name] == value, name) end
      assert(getmetatable("").__index == strings and not debug.gethook() and collectgarbage("incremental") == "incremental")
      assert(troupe == require "troupe")
      print(answer[1], answer[2], answer[3], tostring(troupe.null))
    ]]
    assert.equal("", err)
    assert.equal("table\ttable\ttrue\tnull\n", out)
    assert.equal(0, status)
  end)

  it("a script in its sandbox finds the table that scripts have", function()
    local path = process.tmpdir() .. "/a.lua"
    local file = assert(io.open(path, "w"))
    file:write [[
      local t = require "troupe"
      return { on = { X = function() return { t.runtime == nil, t.array ~= nil, io == nil, os.execute == nil } end } }
    ]]
    file:close()
    local _, out, err = lua(([[
      local rt <close> = require "troupe".runtime {}
      rt:load "%s"
      print(table.unpack((rt:call("a", "X")), 1, 4))
      print(pcall(rt.load, rt, "%s.not"))
    ]]):format(path, path))
    assert.equal("", err)
    assert.match("^true\ttrue\ttrue\ttrue\nfalse\tnot_found: ", out)
  end)

  it("prints what scripts print, and what is wrong to standard error, unless it is told where", function()
    local path = process.tmpdir() .. "/a.lua"
    local file = assert(io.open(path, "w"))
    file:write "return { on = { X = function() print('from a script', 1) error('so') end } }"
    file:close()
    local program = [[
      local rt <close> = require "troupe".runtime { log = %s }
      rt:load "%s"
      pcall(rt.call, rt, "a", "X")
    ]]
    local _, out, err = lua(program:format("nil", path))
    assert.equal("from a script\t1\n", out)
    assert.match("^troupe: handler.failed agent=a/default type=X ", err)
    _, out, err = lua(program:format("false", path))
    assert.same({ "", "" }, { out, err })
    _, out, err = lua(program:format("function(level, event) print(level, event) end", path))
    assert.same({ "print\tprint\nerror\thandler.failed\n", "" }, { out, err })
  end)

  it("a program may end with calls open, runtimes open, and futures in its hands", function()
    local status, out, err = lua [[
      local troupe = require "troupe"
      kept = {}
      for i = 1, 2 do
        local rt = troupe.runtime { log = false }
        rt:load { type = "slow", close = function() print("closed") end, on = {
          Wait = function(_, _, ctx)
            local held <close> = setmetatable({}, { __close = function() print "given up" end })
            kept[#kept + 1] = ctx
            kept[#kept + 1] = ctx:async("slow/other", "Sleep")
            kept[#kept + 1] = ctx:agent("slow/other"):Sleep()
            kept[#kept + 1] = ctx:callback("Wait")
            ctx:sleep(100)
          end,
          Sleep = function(_, _, ctx) ctx:sleep(100) end,
        } }
        rt:send("slow", "Wait")
        rt:poll()
        coroutine.wrap(function() pcall(rt.poll, rt) end)()
        kept[#kept + 1] = rt
      end
      kept[5]:close()
      kept[5]:close()
      for i = 1, 4 do print(pcall(tostring, kept[i])) end
      print(pcall(kept[4], {}))
      print(pcall(kept[2].await, kept[2]))
      collectgarbage()
    ]]
    assert.equal("", err)
    assert.equal(0, status)
    local first = "given up\ntrue\tctx (gone)\n"
    assert.equal(first, out:sub(1, #first))
    assert.match("false\tunavailable: the runtime is closed", out, 1, true)
  end)

  it("a runtime that nobody holds any more is collected, with what it has open", function()
    local status, out, err = lua [[
      local troupe = require "troupe"
      local function make()
        local rt = troupe.runtime { log = false }
        rt:load { type = "a", on = { X = function(_, m) return m end } }
        rt:subscribe("news", function() print(rt) end) -- holds it
        rt:intercept(function(message) return rt and message end)
        local address = rt:listen "127.0.0.1:0"
        rt:call("a", "X", { 1 })
        return address, setmetatable({ rt }, { __mode = "v" })
      end
      local address, weak = make()
      collectgarbage() collectgarbage()
      print(weak[1])
      local rt <close> = troupe.runtime {}
      print(rt:listen(address) == address)
    ]]
    assert.equal("", err)
    assert.equal("nil\ntrue\n", out)
    assert.equal(0, status)
  end)

  it("several threads share the agents from files; tables and functions of the program are refused with them", function()
    local path = process.write_file(process.tmpdir() .. "/a.lua",
      "return { state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 return { self.n } end, "
      .. "Say = function(_, _, ctx) print('from', ctx.key) end } }")
    local status, out, err = lua(([[
      local troupe = require "troupe"
      local rt <close> = troupe.runtime { threads = 3 }
      rt:load "%s"
      local sum = 0
      for i = 1, 30 do sum = sum + rt:call("a/" .. i %% 10, "Add")[1] end
      print(sum)
      rt:call("a/3", "Say")
      print(pcall(rt.load, rt, { type = "b", on = {} }))
      print(pcall(troupe.runtime, { threads = 2, log = print }))
      print(pcall(troupe.runtime, { threads = 65 }))
    ]]):format(path))
    assert.equal("", err)
    assert.equal(0, status)
    assert.match("60\n", out, 1, true)
    assert.match("from\t3\n", out, 1, true)
    assert.match("false\tinvalid: agents given as tables run in the program's own thread", out, 1, true)
    assert.match("false\tinvalid: troupe.runtime: with `threads`", out, 1, true)
    assert.match("false\tinvalid: troupe.runtime: `threads` must be 1 to 64", out, 1, true)
  end)

  it("until_signal: a signal drains and ends the run", function()
    local status, out, err = lua [[
      local troupe = require "troupe"
      local rt <close> = troupe.runtime { log = false }
      rt:load { type = "a", close = function(_, _, why) print("closed", why) end, timers = { Tick = 0.01 },
        autostart = true, on = { Tick = function() os.execute("kill -TERM $PPID") end } }
      rt:listen "127.0.0.1:0"
      print(rt:run { until_signal = true })
    ]]
    assert.equal("", err)
    assert.equal("closed\tdrain\n0\n", out)
    assert.equal(0, status)
  end)
end)
