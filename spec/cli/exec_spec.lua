-- troupe.exec: programs that scripts may run, what comes of them, and that none of them is left behind.
-- luacheck: no max line length
local uv = require "luv"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local folder
local function gone(pid) return loop.poll(function() return uv.kill(pid, 0) ~= 0 end, 10) end

local function run(rights, text, ...)
  local args = { "run", ... }
  for _, right in ipairs(rights) do args[#args + 1] = "--allow" args[#args + 1] = right end
  args[#args + 1] = process.write_file(folder .. "/main.lua", text)
  local status, out, err = sh.troupe(args, { env = { SHOWN = "shown", HIDDEN = "hidden" } })
  assert.equal(0, status, err)
  return out, err
end

describe("troupe.exec", function()
  before_each(function() folder = process.tmpdir() end)

  it("gives status, outputs and signal, and takes input", function()
    local out = run({ "exec=/bin/sh", "exec=cat", "env=SHOWN" }, [[return function()
      local r = troupe.exec{ "/bin/sh", "-c", "echo out; echo err >&2; exit 3" }
      print(r.status, r.signal, r.out, r.err)
      local text = ("x\0"):rep(500000)
      print(troupe.exec{ "cat", stdin = text }.out == text)
      print(troupe.exec{ "/bin/sh", "-c", "kill -9 $$" }.signal, troupe.exec{ "cat" }.out == "")
      print(troupe.exec{ "/bin/sh", "-c", "exec <&-; sleep 0.05", stdin = text }.status)
      print(troupe.exec{ "/bin/sh", "-c", "echo $SHOWN-$HIDDEN; ls /proc/self/fd | wc -l" }.out)
    end]])
    assert.equal("3\tnil\tout\n\terr\n\ntrue\n9\ttrue\n0\nshown-\n4\n\n", out)
  end)

  it("is refused without the right, for anything but its very name, and where it makes no sense", function()
    local out = run({ "exec=cat", "exec=no-such-program" }, [[local top = tostring(select(2, pcall(troupe.exec, { "cat" })))
    return function()
      print(top)
      for _, words in ipairs { { "sh" }, { "/bin/cat" }, { "no-such-program" }, {}, { "cat", {} }, { "cat", "a\0b" }, { "cat", input = "x" }, { "cat", stdn = "x" }, { "cat", stdin = 5 },
        { "cat", timeout = -1 }, { "cat", stdin = ("x"):rep((1 << 20) + 1) }, table.move({}, 1, 0, 1, {}) } do print(select(2, pcall(troupe.exec, words))) end
      print(select(2, pcall(troupe.exec)))
      print(select(2, pcall(table.sort, { 1, 2 }, function() troupe.exec{ "cat" } end)))
      local many = {} for i = 1, 65 do many[i] = "cat" end
      print(select(2, pcall(troupe.exec, many)))
    end]])
    local expected = { "belongs into a handler", "--allow exec=sh grants it", "--allow exec=/bin/cat grants it", "not_found: no-such-program cannot be run", "takes a program and its arguments",
      "[2] must be a string", "[2] has a zero byte", "has no `input`", "did you mean `stdin`", "stdin must be a string", "must not be negative", "too_large: ", "takes a program", "takes one table",
      "cannot wait here", "more than 64 words" }
    local i = 0
    for line in out:gmatch("[^\n]+") do
      i = i + 1
      assert.matches(expected[i], line, 1, true)
    end
    assert.equal(#expected, i)
  end)

  it("lets others go on, in any isolate, and runs so many at a time", function()
    local text = [[return { { type = "a", on = { Run = function() return troupe.exec{ "sleep", 0.3 }.status end } }, { type = "quick", on = { Ping = function() return 1 end } },
      function(ctx)
        local all, pings = {}, 0
        for i = 1, 17 do all[i] = ctx:async("a/" .. i, "Run", nil, { timeout = 20 }) end
        while not all[1]:done() do pings = pings + ctx:call("quick", "Ping") ctx:sleep(0.001) end
        local good, why = 0, nil
        for i = 1, 17 do
          local ok, r = pcall(all[i].await, all[i])
          if ok then good = good + 1 else why = tostring(r) end
        end
        print(good, pings > 5, why)
      end }]]
    for _, threads in ipairs { "1", "3" } do
      assert.matches("^16\ttrue\toverloaded: 16 programs run already", (run({ "exec=sleep" }, text, "--threads", threads)))
    end
  end)

  it("leaves nothing behind: at its time-out, past its output, at the turn's end, and what it started itself", function()
    local text = [[return { { type = "a", on = { Run = function(_, m)
        local co = coroutine.wrap(function() troupe.exec{ "sh", "-c", "echo $$ >" .. m.file .. "; sleep 100" } end) co()
      end } }, function(ctx)
      local at = FOLDER
      print(select(2, pcall(troupe.exec, { "sh", "-c", "echo $$ >" .. at .. "/1; sleep 100", timeout = 0.1 })))
      print(select(2, pcall(troupe.exec, { "sh", "-c", "echo $$ >" .. at .. "/2; yes" })))
      print(troupe.exec{ "sh", "-c", "sleep 100 & echo $! >" .. at .. "/3" }.status)
      print(select(2, ctx:pcall("a", "Run", { file = at .. "/4" }, { timeout = 0.3 })))
    end }]]
    local out = run({ "exec=sh" }, (text:gsub("FOLDER", ("%q"):format(folder))))
    assert.matches("^timeout: .*too long, and was ended.*\ntoo_large: it wrote more than 1024 KiB\n0\ntimeout", out)
    for i = 1, 4 do assert.is_true(gone(tonumber(process.read_file(folder .. "/" .. i))), tostring(i)) end
  end)
end)
