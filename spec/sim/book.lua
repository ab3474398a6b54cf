-- What happened in a simulated run, and what must hold of it, whatever happens:
--
--   each request ends exactly once, within its deadline, unless who asked has crashed; no answer is another request's
--   a request is done at most once; one that was answered was done; a stream's parts come in order, and all of them
--   where nothing was wrong meanwhile it is answered, and where it was given up its callee hears of that
--   a receiver gets what one sender sends or publishes in its order, and nothing twice
--   what one agent sends another arrives, or is a dead letter; what goes to nobody is one
--   what is published comes to all who had joined, as long as they, the host and who published it (and had joined as well) live
--   when all is calm again every worker has joined, everybody reaches everybody, and nothing is left open anywhere
--
-- A message has a number, and they grow over all senders, so that a process that came back goes on where it was. What is broken is raised
-- where it is found, and kept: the first in time is what the run ends with (an agent's error is only an answer to its caller).
local Book = {}
Book.__index = Book

local CODES = { unavailable = true, timeout = true, not_found = true, cancelled = true, overloaded = true }

function Book.new(world)
  return setmetatable({ world = world, number = 0, requests = {}, mails = {}, notes = {}, jobs = {}, heard = {}, failed = {},
    counts = { asked = 0, answered = 0, streamed = 0, noted = 0, mailed = 0, dead = 0, jobs = 0, doubled = 0 } }, Book)
end

function Book:violated(text, ...)
  self.broken = self.broken or ("invariant: " .. text):format(...)
  error(self.broken, 0)
end

function Book:check()
  if self.broken then error(self.broken, 0) end
end

function Book:next()
  self.number = self.number + 1
  return self.number
end

function Book:count(name, n) self.counts[name] = self.counts[name] + (n or 1) end

-- order -------------------------------------------------------------------------------------------------------------

-- A message comes to an agent; last: what came there last, by sender and priority, since that process began. False: it is known to come
-- again: the host being lost it was sent again, and this process was not there before, or had it from another host (docs/wire.md 10.4).
function Book:comes(name, last, message, again)
  local key = message.from .. (message.priority or "")
  local before = last[key] or 0
  if message.n > before then
    last[key] = message.n
    return true
  end
  if not again then self:violated("%s got message %d of %s after %d", name, message.n, message.from, before) end
  self:count "doubled"
  return false
end

-- requests ----------------------------------------------------------------------------------------------------------

function Book:asks(name, life, message, now)
  local world = self.world
  local request = {
    id = self:next(), from = name, to = message.to, life = life, ended = 0, done = 0, parts = 0, timeout = message.timeout,
    deadline = now + message.timeout, sleep = message.sleep or 0, give_up = message.give_up, calm = world:calm(),
  }
  self.requests[request.id] = request
  self:count "asked"
  return request
end

-- Nothing was wrong since the request began, and it had time enough.
local function must_be_answered(self, request)
  if request.give_up then return false end
  return request.calm and request.calm == self.world:calm() and request.sleep + 12 * self.world.slowest + 0.01 < request.timeout
end

function Book:ends(request, ok, answer, now)
  request.ended, request.ended_at = request.ended + 1, now
  if request.ended > 1 then self:violated("request %d ended %d times", request.id, request.ended) end
  local late = now - request.deadline
  if late > 0.01 then self:violated("request %d ended %.3f s after its deadline", request.id, late) end
  if ok then
    self:count "answered"
    if answer.id ~= request.id then self:violated("request %d has the answer of %s", request.id, tostring(answer.id)) end
    if request.done == 0 then self:violated("request %d was answered and not done", request.id) end
    return
  end
  local code = type(answer) == "table" and answer.code or "nothing"
  request.code = code
  self.failed[code] = (self.failed[code] or 0) + 1
  if not CODES[code] then self:violated("request %d ended with %s", request.id, tostring(answer)) end
  if must_be_answered(self, request) then self:violated("request %d ended with %s, and nothing was wrong", request.id, tostring(answer)) end
end

-- It is being handled. A process that came back does not know what the one before it did: then a retry may be done again.
function Book:does(name, life, id)
  local request = self.requests[id]
  if request.to ~= name then self:violated("request %d to %s came to %s", id, request.to, name) end
  request.done = request.done + 1
  if request.done > 1 and request.done_life == life then self:violated("request %d was done twice", id) end
  request.done_life = life
  return request
end

-- Its handler has waited as long as it was to: nobody told it that its caller has given up.
function Book:finishes(request, now)
  local late = request.ended_at and now - request.ended_at or 0
  local given_up, calm = request.code == "timeout" or request.code == "cancelled", request.calm and request.calm == self.world:calm()
  if given_up and calm and late > 1 + 4 * self.world.slowest then
    self:violated("request %d was given up, and its callee went on for %.1f s", request.id, late)
  end
end

function Book:has_part(request, part)
  request.parts = request.parts + 1
  if part.i ~= request.parts then self:violated("part %d of request %d came as the %dth", part.i, request.id, request.parts) end
end

function Book:streamed(request, answer)
  self:count "streamed"
  if answer.parts ~= request.parts then self:violated("of %d parts of request %d %d came", answer.parts, request.id, request.parts) end
end

-- Requests of processes that crashed have no end that anybody could hear.
function Book:check_requests()
  for id = 1, self.number do
    local request = self.requests[id]
    if request and request.ended == 0 and request.life == self.world.lives[request.from] then
      self:violated("request %d of %s has not ended", id, request.from)
    end
  end
end

-- mail --------------------------------------------------------------------------------------------------------------

function Book:mails_to(name, life, to)
  local mail = { n = self:next(), from = name, to = to, life = life, dead = 0, heard = 0, told = {} }
  self.mails[mail.n] = mail
  return mail
end

function Book:mail_comes(n)
  local mail = self.mails[n]
  mail.heard = mail.heard + 1
  self:count "mailed"
  if mail.heard > 1 then self:violated("mail %d of %s to %s came %d times", n, mail.from, mail.to, mail.heard) end
end

-- It is told where the message died, and to who is a client of that host.
function Book:dead_letter(name, letter)
  local n = type(letter.body) == "table" and letter.body.n
  local mail = self.mails[n]
  if self.jobs[n] then self.jobs[n].dead = true end
  if not mail then return end
  if mail.dead == 0 then self:count "dead" end
  mail.dead = mail.dead + 1
  if mail.told[name] then self:violated("%s was told twice that mail %d of %s is a dead letter", name, mail.n, mail.from) end
  mail.told[name] = true
end

function Book:check_mail()
  for n = 1, self.number do
    local mail = self.mails[n]
    if mail and mail.heard + mail.dead == 0 and mail.life == self.world.lives[mail.from] then
      self:violated("mail %d of %s to %s was lost", n, mail.from, mail.to)
    end
  end
end

-- events ------------------------------------------------------------------------------------------------------------

function Book:publishes(name, life)
  local note = { n = self:next(), from = name, life = life, host = self.world.lives[self.world.host],
    to = self.world:is_known(name) and self.world:listeners(name) or {} }
  self.notes[note.n] = note
  return note
end

function Book:note_comes(name, life, n)
  self:count "noted"
  self.heard[name .. life .. " " .. n] = true
end

-- Who is away for longer than the host keeps what is for it (30 s) has no right to anything from before.
function Book:check_notes()
  local world = self.world
  for n = 1, self.number do
    local note = self.notes[n]
    local whole = note and note.life == world.lives[note.from] and note.host == world.lives[world.host]
    for _, to in ipairs(whole and note.to or {}) do
      local there = to.life == world.lives[to.name] and to.absences == world.absences[to.name] and not world.crashed[to.name]
      local heard = self.heard[to.name .. to.life .. " " .. n]
      if there and not heard then self:violated("note %d of %s did not come to %s", n, note.from, to.name) end
    end
  end
end

-- A job comes to one of those who share the type, as long as none of them is lost; who leaves in good order gives on what it has. Where all
-- are away it waits for one of them, and is a dead letter if that does not come back.
function Book:gives_job(name, life)
  local world = self.world
  local job = { n = self:next(), from = name, life = life, losses = world:losses(), heard = 0,
    joined = world:is_known(name) and world:has_crew() }
  self.jobs[job.n] = job
  return job
end

function Book:job_comes(n)
  self.jobs[n].heard = self.jobs[n].heard + 1
  self:count "jobs"
end

function Book:check_jobs()
  for n = 1, self.number do
    local job = self.jobs[n]
    local whole = job and job.joined and job.losses == self.world:losses() and job.life == self.world.lives[job.from]
    if whole and job.heard == 0 and not job.dead then self:violated("job %d of %s came to nobody", n, job.from) end
  end
end

-- at the end --------------------------------------------------------------------------------------------------------

local OPEN = { "open_turns", "open_calls", "queued", "forwarded", "asked", "answering" }

function Book:check_nothing_open(name, stats, clients)
  for _, what in ipairs(OPEN) do
    if stats[what] ~= 0 then self:violated("%s has %d %s when all is over", name, stats[what], what) end
  end
  if clients and stats.clients ~= clients then self:violated("%s has %d clients, not %d", name, stats.clients, clients) end
end

-- What a node's log says is an error is none that a simulation may cause.
function Book:check_log(name, log)
  for _, line in ipairs(log) do
    if line.event:find("%.protocol$") or line.event:find("%.malformed$") then self:violated("%s: %s %s", name, line.event, line.text) end
  end
end

function Book:check_all()
  self:check_requests()
  self:check_mail()
  self:check_notes()
  self:check_jobs()
end

return Book
