-- One simulated run: a host and its workers in one process, whose links are slow, break, stand still, and whose processes crash,
-- leave and come back, all from a seed. Agents (agents.lua) ask, send and publish meanwhile; what must hold of that is said, and
-- looked at, in book.lua.
local testing = require "troupe.testing"
local agents = require "agents"
local Book = require "book"

local M = {}

local World = {}
World.__index = World

local STEPS = 150
local GRACE = 30 -- for so long a host keeps what is for a worker that is away

-- what is known of the network --------------------------------------------------------------------------------------

function World:note(text, ...)
  if self.trace then self.trace(("%10.4f          "):format(self.net:now()) .. text:format(...)) end
end

function World:away(name) return self.stalled[name] or not self.net:joined(name) end

-- A number of the calm that is now; nil: something is wrong. The same number later: nothing was wrong in between.
function World:calm()
  for _, name in ipairs(self.names) do
    if self.crashed[name] or self:away(name) then return nil end
  end
  return self.faults + self.net:stats().cuts
end

-- How often anything was lost that nobody could keep.
function World:losses()
  local n = self.crashes
  for _, name in ipairs(self.names) do n = n + self.absences[name] end
  return n
end

-- Is looked at after each step: who has joined this host, who was away for too long.
function World:look()
  local now = self.net:now()
  for _, name in ipairs(self:running()) do
    if self:away(name) then
      self.away_since[name] = self.away_since[name] or now
      if now - self.away_since[name] > GRACE - 5 then
        self.absences[name], self.away_since[name], self.member[name] = self.absences[name] + 1, now, nil
      end
    else
      self.member[name], self.away_since[name] = self.lives[self.host], nil
    end
  end
end

-- Who is to hear what `name` publishes now.
function World:listeners(name)
  local list = {}
  local function add(other) list[#list + 1] = { name = other, life = self.lives[other], absences = self.absences[other] } end
  for _, other in ipairs(self.names) do
    if other ~= name and self.member[other] == self.lives[self.host] then add(other) end
  end
  if name ~= self.host then add(self.host) end
  return list
end

function World:is_known(name) return name == self.host or self.member[name] == self.lives[self.host] end

-- Somebody whom the host knows can take a job.
function World:has_crew()
  for _, name in ipairs(self.names) do
    if self.member[name] == self.lives[self.host] then return true end
  end
  return false
end

function World:pick(list) return list[self.random(#list)] end

function World:running()
  local list = {}
  for _, name in ipairs(self.names) do
    if not self.crashed[name] then list[#list + 1] = name end
  end
  return list
end

-- Agents speak in turns of their own, so that all that one says has one order.
function World:tell(name, what, message) self.net:node(name):send(name .. "/x", what, message) end

-- what happens ------------------------------------------------------------------------------------------------------

local steps = {}

function World:anybody()
  local list = self:running()
  list[#list + 1] = self.host
  return self:pick(list)
end

function World:priority() return self.random(6) == 1 and self:pick { "high", "low" } or nil end

function steps.ask(self)
  if self.random(4) == 1 then steps.ask(self) end -- several at a time
  self:tell(self:anybody(), "Go", {
    to = self:pick(self.all), timeout = self:pick { 0.05, 1, 5, 30 }, retry = self.random(4) == 1 and 3 or nil, priority = self:priority(),
    sleep = self.random(4) == 1 and self:pick { 0.01, 0.5, 3, 12 } or nil,
  })
end

function steps.give_up(self)
  self:tell(self:anybody(), "Go", { to = self:pick(self.all), timeout = 30, give_up = self:pick { 0.01, 0.2, 1 }, sleep = 12 })
end

function steps.stream(self)
  self:tell(self:anybody(), "Go", { to = self:pick(self.all), timeout = self:pick { 1, 5, 30 }, parts = self:pick { 1, 3, 16, 40 } })
end

function steps.mail(self)
  local to = self.random(6) == 1 and "nobody" or self:pick(self.all)
  self:tell(self:anybody(), "Write", { to = to, count = self.random(3), priority = self:priority() })
end

function steps.publish(self) self:tell(self:anybody(), "Publish", {}) end
function steps.job(self) self:tell(self:anybody(), "Publish", { job = "jobs/k" .. self.random(6) }) end

function World:fault() self.faults = self.faults + 1 end

function steps.cut(self)
  local running = self:running()
  self:fault()
  if #running > 0 then self.net:cut(self:pick(running), self.host) end
end

function steps.stall(self)
  local running = self:running()
  if #running == 0 then return end
  local name = self:pick(running)
  self:fault()
  self.net:stall(name, self.host)
  self.stalled[name] = true
end

function steps.heal(self)
  for _, name in ipairs(self:running()) do
    if self.stalled[name] then self.net:heal(name, self.host) end
    self.stalled[name] = nil
  end
end

function World:gone(name)
  self:fault()
  self.crashed[name], self.stalled[name], self.member[name], self.away_since[name] = true, nil, nil, nil
end

function steps.crash(self)
  local running = self:running()
  if #running < 2 then return end
  local name = self:pick(running)
  self.net:crash(name)
  self.crashes = self.crashes + 1
  self:gone(name)
end

function steps.leave(self)
  local running = self:running()
  if #running < 2 then return end
  local name = self:pick(running)
  if self:away(name) then return end -- it could not say good-bye
  self:fault()
  self.left = self.left + 1
  self.member[name], self.crashed[name] = nil, true -- what it is asked from now on may be refused
  local was, last = self.net:stats().cuts, not self:has_crew()
  self.net:stop(name, 20)
  if last then self:advance(4 * self.slowest) end -- until the host knows
  -- It may not have been heard; and the last one can give to nobody what it has.
  if last or self.net:stats().cuts ~= was then self.crashes = self.crashes + 1 end
  self:gone(name)
end

function steps.restart(self)
  for _, name in ipairs(self.names) do
    if self.crashed[name] then return self:bring_back(name) end
  end
end

function steps.restart_host(self)
  self:fault()
  self.crashes = self.crashes + 1
  self.member = {}
  self.net:node(self.host).options[1] = self:agent_of(self.host)
  self.net:restart(self.host)
end

function World:agent_of(name)
  local life = (self.lives[name] or 0) + 1
  self.lives[name] = life
  return agents.one(self.book, name, life, self.flaws)
end

function World:bring_back(name)
  self:fault()
  self.net:node(name).options[1] = self:agent_of(name)
  self.net:restart(name)
  self.crashed[name] = nil
end

-- Of 114 steps.
local weights = {
  { "ask", 35 }, { "stream", 6 }, { "give_up", 4 }, { "mail", 18 }, { "publish", 14 }, { "job", 16 },
  { "cut", 4 }, { "stall", 3 }, { "heal", 5 }, { "crash", 2 }, { "leave", 2 }, { "restart", 4 }, { "restart_host", 1 },
}

function World:advance(seconds)
  self:look()
  self.net:advance(seconds)
  self:look()
  self.book:check()
end

function World:step()
  local rest = self.random(114)
  for _, one in ipairs(weights) do
    rest = rest - one[2]
    if rest <= 0 then
      self:note("%s", one[1])
      steps[one[1]](self)
      break
    end
  end
  if self.random(3) == 1 then self:advance(self.random(300) / 1000) end
  if self.random(60) == 1 then self:advance(40) end
end

-- the end -----------------------------------------------------------------------------------------------------------

function World:calm_down()
  self.net:weather { delay = { 0.0001, 0.002 } }
  steps.heal(self)
  self:advance(60)
  for _, name in ipairs(self.names) do
    if self.crashed[name] then self:bring_back(name) end
  end
  self:advance(90) -- every deadline, every back-off, every grace
  self.slowest = 0.002
  if not self.net:joined() then self.book:violated "not all have joined again" end
end

-- How many of a kind there are more when this was done.
function World:more(kind, f)
  local before = self.book.counts[kind]
  f()
  self:advance(1)
  return self.book.counts[kind] - before
end

function World:check_reach()
  for _, from in ipairs(self.all) do
    for _, to in ipairs(self.all) do
      if self:more("answered", function() self:tell(from, "Go", { to = to, timeout = 5 }) end) ~= 1 then
        self.book:violated("%s does not reach %s when all is calm", from, to)
      end
      if self:more("mailed", function() self:tell(from, "Write", { to = to, count = 3 }) end) ~= 3 then
        self.book:violated("mail of %s does not reach %s when all is calm", from, to)
      end
    end
    if self:more("dead", function() self:tell(from, "Write", { to = "nobody", count = 2 }) end) ~= 2 then
      self.book:violated("what %s sends to nobody is no dead letter", from)
    end
    local heard = self:more("noted", function() self:tell(from, "Publish", {}) end)
    if heard ~= #self.all - 1 then self.book:violated("a note of %s came to %d of %d when all is calm", from, heard, #self.all - 1) end
    for key = 1, 6 do
      if self:more("jobs", function() self:tell(from, "Publish", { job = "jobs/k" .. key }) end) ~= 1 then
        self.book:violated("a job of %s did not come to one when all is calm", from)
      end
    end
  end
end

-- Who asked one whose connection breaks, or whose process crashes, hears of it at once.
function World:check_loss()
  local from, to = self.host, self:pick(self.names)
  for _, break_it in ipairs { function() self.net:cut(to, self.host) end, function() self.net:crash(to) self:gone(to) end } do
    for _, asker in ipairs { from, self.names[1] ~= to and self.names[1] or self.names[2] } do
      self:tell(asker, "Go", { to = to, timeout = 30, sleep = 25 })
    end
    self:advance(1)
    self:fault()
    break_it()
    self:advance(1)
    for id = self.book.number - 1, self.book.number do
      if self.book.requests[id].code ~= "unavailable" then self.book:violated("request %d did not end when %s was lost", id, to) end
    end
    self:advance(5)
  end
  self:bring_back(to)
  self:advance(60)
end

function World:check_quiet()
  self:advance(700) -- all that is kept for somebody who may come back
  for _, name in ipairs(self.all) do
    local node = self.net:node(name)
    self.book:check_nothing_open(name, node:stats(), name == self.host and #self.names or nil)
    self.book:check_log(name, node.log)
  end
end

function World:live()
  for _ = 1, STEPS do self:step() end
  self:calm_down()
  self.book:check_all()
  self:check_reach()
  self:check_loss()
  self:check_quiet()
  self.book:check_all()
end

--- One run. Returns what happened: { counts, failed, crashes, left, stats }; raises "invariant: …". options.flaws: what to do wrong
--- on purpose, so that the invariants can be seen to notice: { twice = true } or { crossed = true }. options.trace: f(line), of all
--- that happens.
function M.run(seed, options)
  options = options or {}
  local self = setmetatable({ random = testing.random(seed), host = "hub", names = {}, all = { "hub" }, lives = {}, crashed = {},
    stalled = {}, member = {}, away_since = {}, absences = { hub = 0 }, flaws = options.flaws or {}, trace = options.trace,
    faults = 0, crashes = 0, left = 0 }, World)
  self.book = Book.new(self)
  local delays = self:pick { { 0, 0 }, { 0.0001, 0.002 }, { 0.001, 0.05 }, { 0.05, 0.4 } }
  self.slowest = delays[2]
  local net <close> = testing.network { seed = seed, shuffle = self.random(2) == 1, trace = options.trace, delay = delays,
    cut = self:pick { 0, 0, 200, 40 }, piece = self:pick { 0, 0, 100, 7 } }
  self.net = net
  net:host(self.host, { self:agent_of(self.host) })
  for i = 1, 2 + self.random(3) do
    local name = "w" .. i
    self.names[i], self.all[i + 1], self.absences[name] = name, name, 0
    net:worker(name, self.host, { self:agent_of(name), agents.crew(self.book, name) })
  end
  self:advance(1)
  self:live()
  self.counts, self.failed, self.stats = self.book.counts, self.book.failed, net:stats()
  return self
end

return M
