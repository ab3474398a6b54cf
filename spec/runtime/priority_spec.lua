-- Priority in a host's session, between real processes: a worker that does not read for a while, and what it gets first afterwards.
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"

local listener = [[
local seen = 0
return { type = "listener", mailbox = { limit = 1000 }, subscriptions = { "news" }, on = { News = function(_, m)
  if #m.text > 9 then seen = seen + 1 else print(m.text .. " after " .. seen) end
end } }]]

local speaker = [[
return { type = "speaker", subscriptions = { "go" }, on = { Go = function(_, _, ctx)
  local text = ("x"):rep(60000)
  ctx:publish("news/default", "News", { text = "low" }, { priority = "low" })
  for _ = 1, 500 do ctx:publish("news/default", "News", { text = text }) end
  ctx:publish("news/default", "News", { text = "normal" })
  ctx:sleep(0)
  print("said")
end, Urgent = function(_, _, ctx) ctx:publish("news/default", "News", { text = "high" }, { priority = "high" }) end } }]]

describe("a worker that falls behind", function()
  it("gets what is urgent first, and what can wait last", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address = select(2, host:wait_line("^listening (.*)$"))
    local spy = proxy.before(address)
    local function worker(name, text, where)
      local p = process.troupe { "worker", "--host", where, process.write_file(process.tmpdir() .. "/" .. name .. ".lua", text) }
      p:wait_line("^joined ")
      return p
    end
    local late, source = worker("listener", listener, spy.address), worker("speaker", speaker, address)
    local function tell(type) process.troupe({ "publish", "go", type, "{}", "--host", address }):wait_ok() end
    spy:hold(true)
    tell "Go"
    source:wait_line("^said$")
    -- All of it is at the host once a call through the same uplink was answered.
    process.troupe({ "call", "speaker", "Nothing", "{}", "--host", address }):wait()
    tell "Urgent"
    process.troupe({ "call", "speaker", "Nothing", "{}", "--host", address }):wait()
    spy:hold(false)
    local high = tonumber(select(2, late:wait_line("^high after (%d+)$")))
    local normal = tonumber(select(2, late:wait_line("^normal after (%d+)$")))
    assert.equal(500, normal)
    assert.is_true(high < 400, "high came after " .. high) -- what the sockets held was on its way
    local low = tonumber(late.out:match("low after (%d+)\n"))
    assert.is_true(low > 0 and low < 100, "low came after " .. low) -- not before the others, and before they are all gone
  end)
end)
