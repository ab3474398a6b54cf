-- Circles with a stream in them, over processes and threads: the callee has given all the parts that it may, its caller waits for something
-- else meanwhile, and that for the callee.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

-- giver gives parts without end; taker takes one, and asks asker, which asks giver.
local giver = [[{ type = "giver", on = {
  Give = function(_, _, ctx) for i = 1, 1000 do ctx:yield { i = i } end end,
  Ask = function() return "answered" end } }]]
local taker = [[{ type = "taker", on = { Go = function(_, m, ctx)
  local parts, ends, last = 0, "no end", 0
  for part in ctx:stream("giver", "Give", {}) do
    parts = parts + 1
    assert(part.i == last + 1)
    last = part.i
    if parts == 1 then
      local ok, got = ctx:pcall(m.by, "Ask", { by = m.by }, { timeout = 15 })
      ends = ok and got or got.code
    end
  end
  return ends .. " " .. parts
end } }]]
local asker = [[{ type = "asker", on = { Ask = function(_, _, ctx) return (ctx:call("giver", "Ask", {}, { timeout = 15 })) end } }]]

describe("a circle with a stream in it", function()
  local folder, address
  local function file(name, ...)
    return process.write_file(folder .. "/" .. name .. ".lua", "return { " .. table.concat({ ... }, ",\n") .. " }")
  end
  before_each(function()
    folder = process.tmpdir()
    address = "unix:" .. folder .. "/h"
  end)

  local function ask(by)
    local began = os.time()
    local status, out, err = sh.troupe { "call", "taker", "Go", ('{"by":"%s"}'):format(by), "--raw", "--timeout", "30", "--wait", "taker",
      "--host", address }
    assert.equal(0, status, err)
    assert.equal("deadlock 1000\n", out)
    assert.is_true(os.time() - began <= 6)
  end
  local function worker(...)
    process.troupe({ "worker", "--host", address, file(...) }):wait_line("^joined")
  end

  it("ends with deadlock, once, wherever the three are", function()
    process.troupe({ "run", "--listen", address, file("here", giver) }):wait_line("^listening")
    worker("both", taker, asker)
    ask "asker"
    ask "giver"
  end)

  it("ends with deadlock over three processes", function()
    process.troupe({ "host", "--listen", address }):wait_line("^listening")
    worker("giver", giver)
    worker("asker", asker)
    worker("taker", taker)
    ask "asker"
  end)

  it("ends with deadlock over threads", function()
    for _, threads in ipairs { "1", "2", "4" } do
      local main = file("main" .. threads, giver, taker, asker, [[function(ctx)
        local out = {}
        for i = 1, 4 do out[i] = ctx:async("taker/" .. i, "Go", { by = "asker" }, { timeout = 40 }) end
        for i = 1, 4 do print((out[i]:await())) end
      end]])
      local status, out, err = sh.troupe { "run", "--threads", threads, main }
      assert.equal(0, status, err)
      assert.equal(4, select(2, out:gsub("%a+ 1000\n", "")), out)
      assert.is_nil(out:find("timeout", 1, true))
      assert.is_truthy(out:find("deadlock", 1, true))
    end
  end)
end)
