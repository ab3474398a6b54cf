-- Agents that wait for each other in several processes of one host.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

-- Each calls the next one on its way, after `pause`; what lies behind its own turn waits.
local source = [[
local name = ...
local inside = 0
return { type = name, on = {
  Go = function(_, m, ctx)
    inside = inside + 1
    assert(inside == 1 or m.nested, name .. " takes two at once")
    if m.began then print("began " .. name) end
    local first = table.remove(m.way, 1)
    if m.gate then ctx:call("gate/" .. m.gate, "Pass", {}) end
    local answer = name
    if first then
      local ok, body = ctx:pcall(first, "Go", { way = m.way, nested = m.nested })
      answer = name .. "-" .. (ok and body or body.code)
    end
    inside = inside - 1
    return answer
  end,
  Both = function(_, m, ctx) -- two beside each other, of which the second calls the first
    local f, g = ctx:async(m.slow, "Slow"), ctx:async(m.other, "Go", { way = { m.slow } })
    return f:await() .. " " .. g:await()
  end,
  Slow = function(_, _, ctx)
    inside = inside + 1
    ctx:sleep(0.3)
    assert(inside == 1, name .. " takes two at once")
    inside = inside - 1
    return "slow"
  end,
} }]]
-- Lets all through once as many as its key says wait there.
local gate = [[
return { type = "gate", reentrant = true, state = { waiting = 0 }, on = { Pass = function(self, _, ctx)
  self.waiting = self.waiting + 1
  while self.waiting < tonumber(ctx.key:match("%d+")) do ctx:sleep(0.01) end
  return {}
end } }]]

describe("agents of several processes", function()
  local address
  local function file(name, text) return process.write_file(process.tmpdir() .. "/" .. name .. ".lua", text) end
  local function worker(...)
    local files = {}
    for i, name in ipairs { ... } do files[i] = file(name, name == "gate" and gate or "local function agent(...) " .. source ..
      " end return agent '" .. name .. "'") end
    process.troupe({ "worker", "--host", address, table.unpack(files) }):wait_line("^joined")
  end
  before_each(function()
    address = "unix:" .. process.tmpdir() .. "/s"
    local here = file("here", "local function agent(...) " .. source .. " end return agent 'here'")
    process.troupe({ "run", "--listen", address, here }):wait_line("^listening")
    worker("a")
    worker("b", "gate")
    worker("c", "d")
  end)
  local function call(agent, body)
    return process.troupe { "call", agent, "Go", body, "--raw", "--timeout", "20", "--host", address }
  end
  local function take(calls)
    local answers = {}
    for i, p in ipairs(calls) do
      assert.equal(0, (p:wait(10)))
      answers[i] = p.out:gsub("\n$", "")
    end
    table.sort(answers)
    return answers
  end

  it("that wait for each other in a circle end with deadlock, at once", function()
    for round, names in ipairs { { "a", "b" }, { "a", "c", "b" }, { "c", "here", "d", "b" }, { "here", "a" } } do
      local began, calls = os.time(), {}
      for i, name in ipairs(names) do
        calls[i] = call(name, ('{"way":["%s"],"gate":"%d in round %d"}'):format(names[i % #names + 1], #names, round))
      end
      local answers = take(calls)
      assert.is_true(os.time() - began <= 5)
      local ends = 0
      for _, answer in ipairs(answers) do
        if answer:find("deadlock", 1, true) then ends = ends + 1 end
        assert.is_nil(answer:find("timeout", 1, true))
      end
      assert.is_true(ends >= 1, table.concat(answers, ", "))
    end
  end)

  it("are called back by what they called, from whichever process", function()
    for _, way in ipairs { '"b","a"', '"here","a"', '"b","c","a","d","here","b","a"' } do
      local status, out, err = sh.troupe { "call", "a", "Go", ('{"way":[%s],"nested":true}'):format(way), "--raw", "--host", address }
      assert.equal("", err)
      assert.equal(0, status)
      assert.equal("a-" .. way:gsub('"', ""):gsub(",", "-") .. "\n", out)
    end
  end)

  it("take a call beside another of the same chain one after the other", function()
    local status, out, err = sh.troupe { "call", "a", "Both", '{"slow":"b","other":"c"}', "--raw", "--host", address }
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("slow c-b\n", out)
  end)
end)
