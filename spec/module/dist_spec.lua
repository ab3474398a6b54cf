-- rt:to_dist, from plain Lua: an agent moves into a process, or to a runtime that listens, and its callers do not notice.
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local open, raised = module.open, module.raised

local counter = [[return { type = "counter", state = { n = 0 }, on = {
  Add = function(self, m) self.n = self.n + (m.by or 1) return self.n end } }]]

module.describe("rt:to_dist", describe, function(mode)
  local rt, log, folder

  before_each(function()
    folder = process.tmpdir()
    process.write_file(folder .. "/counter.lua", counter)
    rt, log = open({ program = process.program }, mode)
    rt:load(folder .. "/counter.lua")
  end)
  after_each(function() rt:close() end)

  it("moves a live agent into a process of its own", function()
    assert.equal(1, (rt:call("counter/a", "Add")))
    rt:to_dist("counter/a", { launch = true })
    assert.equal(11, (rt:call("counter/a", "Add", { by = 10 })))
    assert.is_truthy(module.logged(log, "launched agent=counter/a"))
    assert.equal("already_exists: counter/a is elsewhere already, or on its way", raised(rt.to_dist, rt, "counter/a"))
  end)

  it("moves one lazily, at its first message", function()
    assert.equal(1, (rt:call("counter/a", "Add")))
    rt:to_dist("counter/a", { lazy = true })
    assert.is_nil(module.logged(log, "launched"))
    assert.equal(2, (rt:call("counter/a", "Add")))
    assert.is_truthy(module.logged(log, "moved agent=counter/a"))
  end)

  it("moves one to a runtime that listens", function()
    local server = process.troupe { "run", "--listen", "127.0.0.1:0", folder .. "/counter.lua" }
    local _, address = server:wait_line("^listening (.*)$")
    assert.equal(1, (rt:call("counter/a", "Add")))
    rt:to_dist("counter/a", { host = address })
    assert.equal(2, (rt:call("counter/a", "Add")))
    local sh = require "spec.support.sh"
    assert.equal("3\n", select(2, sh.troupe { "call", "counter/a", "Add", "--host", address }))
    assert.equal(4, (rt:call("counter/a", "Add")))
  end)

  it("moves agents of every isolate, at work or not, with their state and in the order of their mail", function()
    process.write_file(folder .. "/wide.lua", [[return { { type = "wide", mailbox = { limit = 100 }, state = { n = 0, seen = "" }, on = {
        Slow = function(self, m, ctx) ctx:sleep(0.01) self.n = self.n + 1 self.seen = self.seen .. m.n .. " " end,
        Seen = function(self) return self.seen .. self.n end } },
      { type = "feeder", on = { Feed = function(_, m, ctx) for n = 1, 5 do ctx:send(m.to, "Slow", { n = n }) end return true end } } }]])
    local many = open({ program = process.program, threads = 4, log = false }, mode)
    many:load(folder .. "/wide.lua")
    many:load(folder .. "/counter.lua")
    for i = 1, 6 do
      local id = "counter/k" .. i
      assert.equal(1, (many:call(id, "Add")))
      many:to_dist(id, { lazy = i % 2 == 0 })
      assert.equal(2, (many:call(id, "Add")))
      assert.equal("already_exists: " .. id .. " is elsewhere already, or on its way", raised(many.to_dist, many, id))
    end
    for i = 1, 4 do
      local id = "wide/k" .. i
      many:call("feeder/x" .. i, "Feed", { to = id })
      many:to_dist(id) -- it is at the first, four wait
      many:call("feeder/x" .. i, "Feed", { to = id })
      local seen, tries = "", 0 -- asked by another sender: it may come before the last of them
      while not seen:find " 10$" and tries < 1000 do seen, tries = many:call(id, "Seen"), tries + 1 end
      assert.equal("1 2 3 4 5 1 2 3 4 5 10", seen)
    end
    local other = open({ program = folder .. "/none", threads = 4, log = false }, mode)
    other:load(folder .. "/counter.lua")
    for i = 1, 4 do
      assert.equal(1, (other:call("counter/k" .. i, "Add")))
      assert.matches("^unavailable: the process of counter/k%d could not be started", raised(other.to_dist, other, "counter/k" .. i))
      assert.equal(2, (other:call("counter/k" .. i, "Add")))
    end
    other:close()
    many:close()
  end)

  it("goes on with a new process where the last one outlives its stream", function()
    process.write_file(folder .. "/w.lua", [[return { type = "w", on = {
      Add = function() return { n = 1 } end, Stop = function(_, _, ctx) ctx:stop() end } }]])
    local slow = process.write_file(folder .. "/slow", '#!/bin/sh\nend() { sleep 0.2; }\ntrap end EXIT\n"' .. process.program .. '" "$@"\n')
    assert.equal(0, (require "spec.support.sh" { "chmod", "+x", slow }))
    local other = open({ program = slow, log = false, allow = { "launch" } }, mode)
    other:load { type = "main", on = { Go = function(_, _, ctx)
      local w = ctx:launch { file = folder .. "/w.lua", key = "1" }
      w:Add {}
      for _ = 1, 3 do
        ctx:send("w/1", "Stop")
        local good
        repeat ctx:sleep(0.01) good = ctx:pcall("w/1", "Add", nil, { timeout = 5 }) until good
      end
      return true
    end } }
    assert.is_true(other:call("main", "Go", nil, { timeout = 20 }))
    other:close()
  end)

  it("leaves it here where that fails", function()
    rt:load { type = "tabled", on = { Ask = function() return 1 end } }
    assert.matches("^not_found: no agent type \"nobody\"", raised(rt.to_dist, rt, "nobody/a"))
    assert.matches("^invalid: tabled/a was not loaded from a file", raised(rt.to_dist, rt, "tabled/a"))
    assert.matches("^invalid: .*host.*or.*launch", raised(rt.to_dist, rt, "counter/a", { host = "x:1", launch = true }))
    assert.matches("^invalid: ", raised(rt.to_dist, rt, "counter/a", { hots = "x:1" }))
    local other = open({ program = folder .. "/none" }, mode)
    other:load(folder .. "/counter.lua")
    assert.equal(1, (other:call("counter/a", "Add")))
    assert.matches("^unavailable: the process of counter/a could not be started", raised(other.to_dist, other, "counter/a"))
    assert.equal(2, (other:call("counter/a", "Add")))
    other:close()
  end)
end)
