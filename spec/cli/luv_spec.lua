-- The right `luv`: scripts that share the runtime's loop.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local folder

local function run(text, ...)
  local args = { "run", "--allow", "luv", ... }
  args[#args + 1] = process.write_file(folder .. "/main.lua", text)
  local status, out, err = sh.troupe(args)
  assert.equal(0, status, err)
  return out, err
end

describe("--allow luv", function()
  before_each(function() folder = process.tmpdir() end)

  it("is asked for by name, and shown by ps", function()
    local path = process.write_file(folder .. "/main.lua", [[
      print(pcall(require, "luv"))
      return { { type = "idle", autostart = true, timers = { Tick = 60 } } }]])
    local p = process.troupe { "run", path }
    p:wait_line "scripts may not use luv here %(%-%-allow luv grants it%)"
    p:kill "sigterm"
    p:wait()
    local q = process.troupe { "run", "--allow", "luv", path }
    q:wait_line "^true"
    assert.match("luv", (select(2, sh.troupe { "ps" })), 1, true)
    q:kill "sigterm"
    assert.equal(0, q:wait())
    assert.match("may not use luv here", (select(3, sh.troupe { "run", process.write_file(folder .. "/b.lua", 'require "luv"') })), 1, true)
  end)

  it("runs sockets, files and timers on the loop of the runtime, and ctx:callback leads back to the agent", function()
    local out = run [[
      local uv = require "luv"
      return { {
        type = "server", autostart = true,
        init = function(self, ctx)
          local heard = ctx:callback "Heard"
          self._server = uv.new_tcp()
          assert(self._server:bind("127.0.0.1", 0))
          assert(self._server:listen(8, function()
            local peer = uv.new_tcp()
            self._server:accept(peer)
            peer:read_start(function(err, data)
              if data then heard { data = data } peer:write(data:upper()) else peer:close() end
            end)
          end))
        end,
        on = {
          Port = function(self) return self._server:getsockname().port end,
          Heard = function(_, m, ctx) print("heard", m.data, ctx.sender) end,
        } },
        function(ctx)
          local answer, read, back = ctx:callback "Answer", ctx:callback "Read", nil
          local client = uv.new_tcp()
          client:connect("127.0.0.1", ctx:call("server", "Port"), function(err)
            assert(not err, err)
            client:write "hello"
            client:read_start(function(_, data) answer(data) client:close() end)
          end)
          print(ctx:receive(5))
          uv.fs_open("/dev/null", "r", 0, function(_, fd) uv.fs_close(fd) read(type(fd)) end)
          back = ctx:receive(5)
          print(back)
          print(uv.fs_stat("/dev/null").type, uv.constants.SIGINT, getmetatable(client))
          for _, name in ipairs { "run", "stop", "walk", "loop_close", "new_thread", "new_work" } do print(pcall(uv[name])) end
        end }]]
    assert.matches("heard\thello\tnil\n", out)
    assert.matches("HELLO\tAnswer\t[^\n]+\nnumber\nchar\t2\tfalse\nfalse\tpermission_denied: luv.run is not there", out)
    assert.equal(6, select(2, out:gsub("permission_denied", "")))
  end)

  it("an error in a callback is told with its line and counted; an endless loop ends; nothing else does", function()
    local out, err = run [[
      local uv = require "luv"
      return function(ctx)
        local done = ctx:callback "Done"
        local bad, spin, deep = uv.new_timer(), uv.new_timer(), uv.new_timer()
        local n = 0
        bad:start(0, 1, function()
          n = n + 1
          if n == 4 then bad:close() done(n) end
          error "oh"
        end)
        print((ctx:receive(5)))
        spin:start(0, 0, function() while true do pcall(string.rep, "x", 1e6) end end)
        deep:start(1, 0, function() deep:close() spin:close() done(ctx.id) end) -- a ctx is its turn's
        print(ctx:receive(0.2))
        deep = uv.new_timer()
        deep:start(0, 0, function() deep:close() done(pcall(ctx.sleep, ctx, 1)) end)
        print((ctx:receive(5)))
      end]]
    assert.matches("^4\n", out)
    local agent = "callback.failed agent=[^ ]+ error=\"handler_error: [^\"]*main.lua:9: oh\""
    assert.matches(agent, err)
    assert.matches(agent .. " count=4", err)
    assert.matches("callback.failed agent=[^ ]+ error=\"limit_exceeded: [^\"]*main.lua:12: more than 100000000 instructions while a callback of luv ran", err)
  end)

  it("active handles keep the process alive, unless they are unref'd, and do not hold up its end", function()
    local out = run [[
      local uv = require "luv"
      return { { type = "a", autostart = true, init = function()
        local still = uv.new_timer()
        still:start(3600000, 0, print)
        still:unref()
        local last = uv.new_timer()
        last:start(30, 0, function() print "last" last:close() end)
      end } }]]
    assert.equal("last\n", out)
    local p = process.troupe { "run", "--allow", "luv", process.write_file(folder .. "/open.lua", [[
      local uv = require "luv"
      return { { type = "a", autostart = true, init = function()
        local server = uv.new_tcp()
        assert(server:bind("127.0.0.1", 0))
        server:listen(1, print)
        uv.new_timer():start(3600000, 0, print)
        uv.new_async(print):send()
        print "ready"
      end } }]]) }
    p:wait_line "^ready"
    p:kill "sigterm"
    assert.equal(0, p:wait(3)) -- the drain would take as long
  end)

  it("handles end with the agent that made them, also those made in its callbacks", function()
    local out = run [[
      local uv = require "luv"
      local all = {}
      return { { type = "a", on = {
          Make = function(self, _, ctx)
            local made = ctx:callback "Made"
            all[1] = uv.new_timer()
            all[1]:start(1, 0, function() all[2] = uv.new_timer() all[2]:start(1, 1, function() end) made() end)
            ctx:publish("told", "Told")
          end,
          Made = function(_, _, ctx) ctx:publish("told", "Told") end,
          End = function(_, _, ctx) ctx:stop() end } },
        function(ctx)
          ctx:subscribe "told"
          ctx:send("a", "Make")
          for _ = 1, 2 do ctx:receive(5) end
          print(all[1]:is_closing(), all[2]:is_closing())
          ctx:send("a", "End")
          ctx:sleep(0.02)
          print(all[1]:is_closing(), all[2]:is_closing())
        end }]]
    assert.equal("false\tfalse\ntrue\ttrue\n", out)
  end)

  it("handles of a file's top end when a reload replaces it, or is refused; those of instances stay", function()
    local text = [[
      local uv = require "luv"
      local n = VERSION
      local top = uv.new_timer()
      top:start(0, 5, function() print("top", n) end)
      return { type = "a", autostart = true, init = function()
        local own = uv.new_timer()
        own:start(0, 5, function() print("own", n) end)
      end }]]
    local path = process.write_file(folder .. "/main.lua", (text:gsub("VERSION", "1")))
    local p = process.troupe { "run", "--threads", "1", "--allow", "luv", path }
    p:wait_line "^top\t1"
    p:wait_line "^own\t1"
    process.write_file(path, (text:gsub("VERSION", "2"):gsub("return {", "return { typo = 1,")))
    local status = sh.troupe { "reload", "--pid", tostring(p.pid) }
    assert.equal(1, status)
    process.write_file(path, (text:gsub("VERSION", "3")))
    assert.equal(0, (sh.troupe { "reload", "--pid", tostring(p.pid) }))
    p:wait_line "^top\t3"
    local from = #p.out
    p:wait_line "^own\t1"
    p:wait_line "^top\t3"
    p:kill "sigterm"
    assert.equal(0, p:wait())
    assert.not_match("top\t2", p.out, 1, true)
    assert.not_match("top\t1", p.out:sub(from + 1), 1, true)
    assert.not_match("own\t3", p.out, 1, true)
  end)

  it("with several threads the agents of such a file are in the first; it is not for vm = \"own\"", function()
    local out = run([[
      local uv = require "luv"
      local made = {}
      return { { type = "a", on = { Wait = function(_, m, ctx)
          local due = ctx:callback "Due"
          local timer = uv.new_timer()
          timer:start(1, 0, function() timer:close() due() end)
          made[#made + 1] = timer
          return #made
        end, Due = function(_, _, ctx) ctx:publish("told", "Told", { key = ctx.key }) end } },
        function(ctx)
          ctx:subscribe { "told", key = "default" }
          local most = 0
          for i = 1, 20 do most = math.max(most, (ctx:call("a/" .. i, "Wait"))) end
          for _ = 1, 20 do assert(ctx:receive(5)) end
          print(most)
        end }]], "--threads", "3")
    assert.equal("20\n", out)
    out = run([[return { { type = "late", on = { Ask = function() return require "luv" and 1 end } },
      function(ctx) for i = 1, 3 do print(ctx:pcall("late/" .. i, "Ask")) end end }]], "--threads", "3")
    assert.equal(3, select(2, out:gsub("require \"luv\" at the top of the file", "")))
    local _, _, err = sh.troupe { "run", "--threads", "2", "--allow", "luv", process.write_file(folder .. "/top.lua", [[
      require "luv".new_timer()
      return { type = "a" }]]) }
    assert.match("luv: with several threads handles are made in handlers, not at the file's top", err, 1, true)
    _, _, err = sh.troupe { "run", "--allow", "luv", process.write_file(folder .. "/own.lua", [[
      require "luv"
      return { type = "a", vm = "own" }]]) }
    assert.match("`vm = \"own\"` does not go with luv", err, 1, true)
  end)

  it("examples/luv/lines.lua", function()
    local path = "examples/luv/lines.lua"
    assert.is_true(select(2, process.read_file(path):gsub("\n", "")) <= 40)
    local status, out, err = sh.troupe { "run", "--allow", "luv", path }
    assert.equal(0, status, err)
    assert.equal("1\tone\n2\ttwo\n", out)
  end)
end)
