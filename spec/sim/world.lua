-- One simulated run: hosts and workers in one process, whose links are slow, break, stand still, and whose processes crash and come
-- back, all from a seed. Agents ask and publish meanwhile. What must hold, whatever happens:
--
--   each request ends exactly once, within its deadline, unless who asked has crashed; no answer is another request's
--   a request is done at most once; one that was answered was done
--   a receiver gets what one sender published in its order, and nothing twice
--   when all is calm again every worker has joined, and everybody reaches everybody: the registrations agree
--
-- The agents are given as tables, so they share this file's variables: that is how what happened is known without asking them.
local testing = require "troupe.testing"

local M = {}

local World = {}
World.__index = World

local STEPS = 150
local CODES = { unavailable = true, timeout = true, not_found = true, cancelled = true, overloaded = true }

local function violated(text, ...) error(("invariant: " .. text):format(...), 0) end

-- agents ------------------------------------------------------------------------------------------------------------

-- What a worker's agent knows is lost when its process crashes; `life` tells one process from the next under the same name.
function World:agent_of(name)
  local world, life = self, (self.lives[name] or 0) + 1
  self.lives[name] = life
  local heard, born = {}, self.published -- the last number by sender; what was published before this process began
  return {
    type = name,
    subscriptions = { { "notes", key = "x" } },
    mailbox = { limit = 100000 },
    reentrant = true,
    on = {
      Go = function(_, message, ctx) world:ask(ctx, name, life, message) end,
      Ask = function(_, message, ctx)
        if world.flaws.twice then world:done(ctx, name, message) end
        return world:done(ctx, name, message)
      end,
      Note = function(_, message)
        local last = heard[message.from] or 0
        world:note("%s hears note %d of %s after %d", name, message.n, message.from, last)
        if message.n <= last and message.n <= born then -- known: sent again, the host being lost, to who is there now (wire.md 10.4)
          world.doubled = world.doubled + 1
          return
        end
        if message.n <= last then violated("%s got note %d of %s after %d", name, message.n, message.from, last) end
        heard[message.from] = message.n
        world.heard = world.heard + 1
      end,
    },
  }
end

-- A job that comes twice, or late. Known, and counted: what was sent again after a connection or a host was lost, for an id that has moved
-- since: the process that has it now does not know what the other one had (docs/wire.md 10.4).
function World:twice(agent, name, message, before)
  if before.by ~= name then
    self.doubled = self.doubled + 1
  else
    violated("%s at %s got job %d of %s after %d", agent, name, message.n, message.from, before.n)
  end
end

-- One of a type that all workers share: the host says who has which key. It moves with what it has heard; one whose process crashed
-- begins anew.
function World:crew_agent(name)
  local world = self
  local function job(agent, message, ctx)
    local before = agent.heard[message.from] or { n = 0 }
    world:note("%s at %s hears job %d of %s after %d", ctx.id, name, message.n, message.from, before.n)
    if message.n <= before.n then return world:twice(ctx.id, name, message, before) end
    agent.heard[message.from] = { n = message.n, by = name }
    world.jobs = world.jobs + 1
  end
  return {
    type = "crew", shared = true, subscriptions = { "jobs" }, state = { heard = {} }, mailbox = { limit = 100000 }, on = { Job = job },
  }
end

function World:ask(ctx, name, life, message)
  self:note("%s asks %s: request %d, %s s%s", name, message.to, message.id, message.timeout, message.retry and ", retried" or "")
  local request = { to = message.to, from = name, life = life, ended = 0, done = 0, deadline = ctx:now() + message.timeout }
  self.requests[message.id] = request
  local options = { timeout = message.timeout, retry = message.retry }
  local ok, answer = ctx:pcall(message.to .. "/x", "Ask", { id = message.id, sleep = message.sleep }, options)
  request.ended = request.ended + 1
  self:note("request %d ended: %s", message.id, ok and "answered" or tostring(answer))
  if request.ended > 1 then violated("request %d ended %d times", message.id, request.ended) end
  local late = ctx:now() - request.deadline
  if late > 0.01 then violated("request %d ended %.3f s after its deadline", message.id, late) end
  if ok then
    self.answered = self.answered + 1
    if answer.id ~= message.id then violated("request %d has the answer of %s", message.id, tostring(answer.id)) end
    if request.done == 0 then violated("request %d was answered and not done", message.id) end
  else
    self.failed[answer.code] = (self.failed[answer.code] or 0) + 1
    if not CODES[answer.code] then violated("request %d ended with %s", message.id, tostring(answer)) end
  end
end

function World:done(ctx, name, message)
  local request = self.requests[message.id]
  if request.to ~= name then violated("request %d to %s came to %s", message.id, request.to, name) end
  request.done = request.done + 1
  self:note("%s does request %d", name, message.id)
  -- A process that came back does not know what the one before it did: then a retry may be done again.
  if request.done > 1 and request.done_life == self.lives[name] then violated("request %d was done twice", message.id) end
  request.done_life = self.lives[name]
  if message.sleep then ctx:sleep(message.sleep) end
  return { id = self.flaws.crossed and message.id + 1 or message.id }
end

-- what happens ------------------------------------------------------------------------------------------------------

-- With SIM_TRACE set a run tells what happens in it.
local tracing = os.getenv("SIM_TRACE")

function World:note(text, ...)
  if tracing then print(("%9.4f "):format(self.net:now()) .. text:format(...)) end
end

function World:tracer(name)
  return tracing and function(level, event, text) self:note("  %s: %s %s %s", name, level, event, text) end
end

function World:roll(n) return self.random(n) end
function World:pick(list) return list[self.random(#list)] end

function World:running()
  local list = {}
  for _, name in ipairs(self.names) do
    if not self.crashed[name] then list[#list + 1] = name end
  end
  return list
end

local steps = {}

function steps.ask(self)
  local running = self:running()
  if #running < 2 then return end
  local from, to = self:pick(running), self:pick(self.names)
  if from == to then return end
  self.asked = self.asked + 1
  self.net.nodes[from]:send(from .. "/x", "Go", {
    id = self.asked, to = to, timeout = self:pick { 0.05, 1, 5, 30 }, retry = self:roll(4) == 1 and 3 or nil,
    sleep = self:roll(5) == 1 and self:pick { 0.01, 0.5, 3 } or nil,
  })
end

function steps.publish(self)
  local running = self:running()
  if #running == 0 then return end
  local from = self:pick(running)
  self.published = self.published + 1
  -- The numbers of all senders grow together, so a process that came back goes on where it was.
  self:note("%s publishes note %d", from, self.published)
  self.net.nodes[from]:publish("notes/x", "Note", { from = from, n = self.published })
end

function steps.job(self)
  local running = self:running()
  if #running == 0 then return end
  local from = self:pick(running)
  self.published = self.published + 1
  self.net.nodes[from]:publish("jobs/k" .. self:roll(6), "Job", { from = from, n = self.published })
end

function steps.cut(self)
  local running = self:running()
  if #running > 0 then self.net:cut(self:pick(running), self.host) end
end

function steps.stall(self)
  local running = self:running()
  if #running > 0 then self.net:stall(self:pick(running), self.host) end
end

function steps.heal(self)
  for _, name in ipairs(self:running()) do self.net:heal(name, self.host) end
end

function steps.crash(self)
  local running = self:running()
  if #running < 2 then return end
  local name = self:pick(running)
  self.net:crash(name)
  self.crashed[name] = true
  self.crashes = self.crashes + 1
end

function steps.restart(self)
  for _, name in ipairs(self.names) do
    if self.crashed[name] then return self:bring_back(name) end
  end
end

function steps.restart_host(self)
  self.net:restart(self.host)
  self.crashes = self.crashes + 1
end

function World:bring_back(name)
  self.net.nodes[name].options[1] = self:agent_of(name)
  self.net:restart(name)
  self.crashed[name] = nil
end

-- Of 99 steps.
local weights = {
  { "ask", 45 }, { "publish", 15 }, { "job", 20 },
  { "cut", 4 }, { "stall", 3 }, { "heal", 5 }, { "crash", 2 }, { "restart", 4 }, { "restart_host", 1 },
}

function World:step()
  local rest = self:roll(99)
  for _, one in ipairs(weights) do
    rest = rest - one[2]
    if rest <= 0 then
      self:note("%s", one[1])
      steps[one[1]](self)
      break
    end
  end
  if self:roll(3) == 1 then self.net:advance(self:roll(300) / 1000) end
  if self:roll(60) == 1 then self.net:advance(40) end
end

-- the end -----------------------------------------------------------------------------------------------------------

function World:calm_down()
  local net = self.net
  net:weather { delay = { 0.0001, 0.002 } }
  steps.heal(self)
  net:advance(60)
  for _, name in ipairs(self.names) do
    if self.crashed[name] then self:bring_back(name) end
  end
  net:advance(90) -- every deadline, every back-off, every grace
  if not net:joined() then violated("not all have joined again") end
end

-- Requests of processes that crashed have no end that anybody could hear.
function World:check_ended()
  for id, request in pairs(self.requests) do
    if request.ended == 0 and request.life == self.lives[request.from] then violated("request %d of %s has not ended", id, request.from) end
  end
end

function World:check_reach()
  for _, from in ipairs(self.names) do
    for _, to in ipairs(self.names) do
      if from ~= to then
        self.asked = self.asked + 1
        local before = self.answered
        self.net.nodes[from]:send(from .. "/x", "Go", { id = self.asked, to = to, timeout = 5 })
        self.net:advance(1)
        if self.answered ~= before + 1 then violated("%s does not reach %s when all is calm", from, to) end
      end
    end
    local before = self.heard
    self.published = self.published + 1
    self:note("%s publishes note %d", from, self.published)
  self.net.nodes[from]:publish("notes/x", "Note", { from = from, n = self.published })
    self.net:advance(1)
    if self.heard ~= before + #self.names - 1 and self.heard ~= before + #self.names then
      violated("a note of %s came to %d of %d when all is calm", from, self.heard - before, #self.names)
    end
  end
end

-- What a node's log says is an error is none that a simulation may cause.
function World:check_logs()
  for name, node in pairs(self.net.nodes) do
    for _, line in ipairs(node.log) do
      if line.level == "error" and line.text:find("invariant: ", 1, true) then error(line.text:match("invariant: [^\"|]*"), 0) end
      if line.event:find("%.protocol$") or line.event:find("%.malformed$") then violated("%s: %s %s", name, line.event, line.text) end
    end
  end
end

--- One run. Returns what happened: { asked, answered, heard, crashes, stats }; raises "invariant: …". flaws: what to do wrong on purpose,
--- so that the invariants can be seen to notice: { twice = true } or { crossed = true }.
function M.run(seed, flaws)
  -- A generator of the run's own: math.random is everybody's.
  local state = seed * 2654435761 % 4294967296
  local function random(n)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (state >> 24) % n + 1
  end
  local self = setmetatable({ random = random, host = "hub", names = {}, lives = {}, crashed = {}, requests = {}, failed = {},
    flaws = flaws or {}, asked = 0, answered = 0, published = 0, heard = 0, jobs = 0, doubled = 0, crashes = 0 }, World)
  local delays = self:pick { { 0, 0 }, { 0.0001, 0.002 }, { 0.001, 0.05 }, { 0.05, 0.4 } }
  local net <close> = testing.network { seed = seed, delay = delays, cut = self:pick { 0, 0, 200, 40 }, piece = self:pick { 0, 0, 100, 7 } }
  self.net = net
  net:host(self.host)
  for i = 1, 2 + self:roll(3) do
    local name = "w" .. i
    self.names[i] = name
    net:worker(name, self.host, { self:agent_of(name), self:crew_agent(name), log = self:tracer(name) })
  end
  net:advance(1)
  local ok, err = pcall(function()
    for _ = 1, STEPS do self:step() end
    self:calm_down()
    self:check_ended()
    self:check_reach()
  end)
  self:check_logs() -- what an agent found is in its log
  if not ok then error(err, 0) end
  self.stats = net:stats()
  return self
end

return M
