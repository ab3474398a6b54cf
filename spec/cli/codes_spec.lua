-- Every error code of docs/api.md is raised where it comes from, with a text that says what happened; and every one
-- crosses the wire as it is.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

-- The codes as docs/api.md lists them.
local function codes()
  local list = {}
  local text = process.read_file("docs/api.md"):match("%*%*Errors%*%* are tables.-On the wire")
  for code in text:match("gRPC's: (.*)"):gmatch("`([%l_]+)`") do list[#list + 1] = code end
  for word in text:match("own names%s+`(.-)`"):gmatch("[%l_]+") do list[#list + 1] = word end
  return list
end

local agents = [[
  { type = "strict", messages = { Job = { n = "integer" } }, on = { Job = function() end } },
  { type = "faulty", on = { Ask = function() error("no idea") end } },
  { type = "slow", mailbox = { limit = 1, overflow = "refuse" }, on = { Ask = function(_, _, ctx) ctx:sleep(5) end } },
  { type = "unmade", init = function() error("no licence") end, on = { Ask = function() end } },
  { type = "endless", limits = { instructions = 1e5 }, on = { Ask = function() while true do end end } },
  { type = "left", on = { Ask = function(_, _, ctx) ctx:sleep(0.02) return ctx:call("right", "Other") end, Other = function() end } },
  { type = "right", on = { Ask = function(_, _, ctx) ctx:sleep(0.05) return ctx:call("left", "Other") end, Other = function() end } },
]]

-- Each prints what it got: tostring(error).
local function provoke(body)
  local path = process.write_file(process.tmpdir() .. "/p.lua", "return {" .. agents .. [[
    function(ctx)
      local function try(...) print((select(2, ctx:pcall(...)))) end
      ]] .. body .. [[
    end }]])
  local _, out, err = sh.troupe { "run", path, "--drain", "0" }
  return out, err
end

-- code → { program, the text }
local raised = {
  cant_handle = { [[try("faulty", "Other")]], "cant_handle: faulty has no handler for `Other`" },
  handler_error = { [[try("faulty", "Ask")]], "handler_error: .*/p.lua:%d+: no idea" },
  timeout = { [[try("slow", "Ask", nil, { timeout = 0.05 })]], "timeout: slow/default did not answer within the deadline" },
  overloaded = { [[for _ = 1, 2 do ctx:async("slow", "Ask") ctx:sleep(0) end try("slow", "Ask")]],
    "overloaded: the mailbox of slow/default is full" },
  invalid = { [[try("strict", "Job", { n = "x" })]], "invalid: body.n: expected integer, got string" },
  deadlock = { [[ -- left waits for right, and right, called by itself, for left
      local f, g = ctx:async("left", "Ask"), ctx:async("right", "Ask")
      local ok, e = pcall(g.await, g)
      local _, other = pcall(f.await, f)
      print(ok and other or e)]], "deadlock: [%a ]+/default closes a circle of waiting agents" },
  construction_failed = { [[try("unmade", "Ask")]], "construction_failed: .*no licence" },
  limit_exceeded = { [[try("endless", "Ask")]], "limit_exceeded: .*endless/default" },
  not_found = { [[try("nobody", "Ask")]], 'not_found: no agent type "nobody" here' },
  permission_denied = { [[print(select(2, pcall(ctx.launch, ctx, { file = "w.lua" })))]],
    "permission_denied: scripts may not launch processes here %(%-%-allow launch grants it%)" },
  cancelled = { [[
      local f = ctx:async("slow", "Ask")
      f:cancel()
      print((select(2, pcall(f.await, f))))]], "cancelled: " },
}

describe("the error", function()
  for code, case in pairs(raised) do
    it(code .. " is raised and says why", function()
      local out, err = provoke(case[1])
      assert.matches("^" .. case[2], out, err)
    end)
  end

  it("of a handler that always fails ends nothing: 100 000 messages, and it still answers", function()
    local path = process.write_file(process.tmpdir() .. "/throws.lua", [[
      return { { type = "bad", mailbox = { limit = 10000 }, state = { n = 0 }, on = {
          T = function(self) self.n = self.n + 1 error("no") end, Count = function(self) return self.n end } },
        function(ctx)
          for i = 1, 100000 do ctx:send("bad", "T") if i % 900 == 0 then ctx:sleep(0) end end
          print((select(2, ctx:pcall("bad", "T"))), ctx:call("bad", "Count"))
        end }]])
    local status, out = sh("exec " .. process.program .. " run --log error " .. path .. " 2>" .. path .. ".log")
    assert.equal(0, status)
    assert.matches("^handler_error: .*/throws.lua:%d+: no\t100001\tCount\n$", out)
  end)

  it("too_large is raised where the wire's limit is passed", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0", "--max-message", "64K" }
    local address = select(2, host:wait_line("^listening (.*)$"))
    local worker = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/big.lua",
      [[return { type = "big", on = { Ask = function() end } }]]) }
    worker:wait_line("^joined ")
    local status, _, err = sh.troupe({ "call", "big", "Ask", "-", "--host", address }, { stdin = '"' .. ("x"):rep(70000) .. '"' })
    assert.equal(1, status)
    assert.matches("^troupe: call: too_large: %d+ bytes are more than the host's limit of 65536", err)
  end)

  it("unavailable is raised where the callee's process is gone", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address = select(2, host:wait_line("^listening (.*)$"))
    local worker = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/stuck.lua",
      [[return { type = "stuck", on = { Ask = function(_, _, ctx) print("asked") ctx:sleep(100) end } }]]) }
    worker:wait_line("^joined ")
    local call = process.troupe { "call", "stuck", "Ask", "--host", address }
    worker:wait_line("^asked$")
    worker:kill("sigkill")
    assert.equal(1, call:wait())
    assert.matches("^troupe: call: unavailable: ", call.err)
  end)

  it("data_loss is raised where a state file is damaged", function()
    local folder = process.tmpdir()
    local file = process.write_file(folder .. "/a.lua", [[return { type = "a", autostart = true, state = { n = 1 }, on = {} }]])
    assert.equal(0, (sh.troupe { "run", file, "--state", folder .. "/s" }))
    local bytes = process.read_file(folder .. "/s")
    process.write_file(folder .. "/s", bytes:sub(1, -2) .. string.char(bytes:byte(-1) ~ 1))
    local status, _, err = sh.troupe { "run", file, "--state", folder .. "/s" }
    assert.equal(1, status)
    assert.matches("^troupe: run: %-%-state: .*/s is damaged at byte %d+", err)
  end)

  it("already_exists is raised where a type is there twice", function()
    local status, _, err = sh.troupe { "run", process.write_file(process.tmpdir() .. "/a.lua", [[return { type = "a", on = {} }]]),
      process.write_file(process.tmpdir() .. "/b.lua", [[return { type = "a", on = {} }]]) }
    assert.equal(1, status)
    assert.matches("^troupe: run: .*`a`", err)
  end)

  it("of any code reaches a caller behind a host as it was given", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address = select(2, host:wait_line("^listening (.*)$"))
    local worker = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/any.lua",
      [[return { type = "any", on = { ["*"] = function(_, _, ctx) error { code = ctx.type, message = "told by " .. ctx.id } end } }]]) }
    worker:wait_line("^joined ")
    local list = codes()
    assert.equal(17, #list)
    local lines = {}
    for i, code in ipairs(list) do lines[i] = ("try('any', '%s')"):format(code) end
    local out = select(2, sh.troupe { "run", "--host", address, process.write_file(process.tmpdir() .. "/ask.lua", [[
      return function(ctx)
        local function try(...) print((select(2, ctx:pcall(...)))) end
        ]] .. table.concat(lines, "\n") .. [[
      end]]) })
    local expected = {}
    for i, code in ipairs(list) do expected[i] = code .. ": told by any/default\n" end
    assert.equal(table.concat(expected), (out:gsub("^joined [^\n]*\n", "")))
  end)
end)
