-- `require "troupe.testing"`: agents under test, in virtual time. Run by `require` with the table `troupe` and what lua/troupe/module.lua
-- has of C.
--
-- A test has a runtime of its own, whose clock stands still until the test moves it (testing/world.lua): what waits for a minute is
-- there at once, and the same test does the same each time. All that is sent passes an interceptor, which keeps it for t:sent and
-- fails what t:fail names. A network has several of them, which share a clock and are joined in memory: testing/network.lua. Many
-- runs by many seeds: testing/explore.lua.
local troupe, C = ...

-- Found as a file, by a package.path that leads here (in this repository's own folder): the library that is built has it, too.
if type(troupe) == "string" then return require "troupe" and package.preload["troupe.testing"]() end

local function part(name, ...) return assert(load(C.bundled("troupe.testing." .. name), "=troupe.testing." .. name, "t"))(...) end

local Test = {}
Test.__index = Test
Test.__name = "troupe.test"

local RUN_MAX = 100000 -- messages of one t:run: agents that never stop talking end a test, not hang it
local STEPS_MAX = 50000 -- moments that t:call waits for: timers that go on for ever end a test as well
local EPOCH = 946684800 -- what os.time says in files when a test begins: 2000-01-01 00:00:00 UTC
local KEPT_MAX = 100000 -- messages that t:sent can tell: the last ones

local function fail(code, text, ...) error(C.error(code, text:format(...)), 0) end

local World = part("world", fail)

local function check(self, name)
  if getmetatable(self) ~= Test then fail("invalid", "call t:%s with a colon", name) end
  if self.core:closed() then fail("invalid", "the test is closed") end
  return self.core
end

local function check_text(what, value)
  if type(value) ~= "string" then fail("invalid", "%s must be a text, not a %s", what, type(value)) end
  return value
end

-- "type/key" of an id; a bare type is its default instance.
local function full(id)
  local kind, key = troupe.split(id)
  return kind .. "/" .. key
end

-- messages ----------------------------------------------------------------------------------------------------------

-- The first injected failure that is for this message, counted down.
local function injected(self, message)
  local target = message.agent or message.topic
  for i, one in ipairs(self.failures) do
    if (one.target == target or one.target == target:match("^[^/]*")) and (one.type == "*" or one.type == message.type) then
      one.left = one.left - 1
      if one.left == 0 then table.remove(self.failures, i) end
      return one
    end
  end
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local new = {}
  for k, v in pairs(value) do new[k] = copy(v) end
  return setmetatable(new, getmetatable(value))
end

local function observe(self, message)
  self.count = self.count + 1
  if self.count > RUN_MAX then fail("limit_exceeded", "more than %d messages without time passing", RUN_MAX) end
  if #self.messages == KEPT_MAX then self.messages = table.move(self.messages, KEPT_MAX // 2, KEPT_MAX, 1, {}) end
  local kept = copy(message)
  kept.time = self:now()
  table.insert(self.messages, kept)
  self.world:note(self.name, "%s %s %s from %s", message.kind, message.agent or message.topic, message.type, message.sender or "outside")
  local failure = injected(self, message)
  if failure then fail(failure.code, "injected by the test") end
  return message
end

-- Whether a message went to this agent or topic: "type/key", or a type alone with any key.
local function is_to(message, target)
  local to = message.agent or message.topic
  return to == target or to:match("^[^/]*") == target
end

-- making one --------------------------------------------------------------------------------------------------------

local option_kinds = { seed = "number", shuffle = "boolean", time = "number", allow = "table", log = "function", joins = "any" }

local function check_options(options)
  for key, value in pairs(options) do
    local kind = option_kinds[key]
    if math.type(key) ~= "integer" and not kind then fail("invalid", "troupe.testing.new: `%s` is not an option", tostring(key)) end
    if kind and kind ~= "any" and type(value) ~= kind then fail("invalid", "troupe.testing.new: `%s` must be a %s", key, kind) end
    if key == "time" and not (value >= 0 and value <= 1e11) then fail("invalid", "troupe.testing.new: `time` is in seconds since 1970") end
  end
end

local function load_one(self, what)
  if type(what) == "string" then self.core:load_file(what)
  elseif type(what) == "table" then self.core:load_table(what)
  else fail("invalid", "agents under test are paths and tables, not a %s", type(what)) end
end

-- A test in a world; the options are checked.
local function make(world, options)
  local self = setmetatable({ world = world, count = 0, messages = {}, failures = {}, log = {}, name = options.name }, Test)
  local weak = setmetatable({ self }, { __mode = "v" }) -- the runtime must not hold what holds it
  local seed = options.seed or 1
  if math.type(seed) ~= "integer" then fail("invalid", "troupe.testing.new: `seed` must be a whole number") end
  if seed == 0 then seed = math.mininteger end -- 0 would be another one each time
  self.core = C.new {
    seed = seed, shuffle = options.shuffle and seed or nil, grants = options.allow, level = "info",
    still = math.floor(options.time or EPOCH),
    clock = function() return weak[1] and (weak[1].world.us + 0.5) / 1e6 or 0 end, -- half of one more, lest it be rounded down
    log = function(level, event, text)
      if event == "callback.failed" and text:find("injected by the test", 1, true) then return end
      if options.log then options.log(level, event, text) end
      if not weak[1] then return end
      weak[1].world:note(weak[1].name, "%s %s %s", level, event, text)
      table.insert(weak[1].log, { level = level, event = event, text = text })
    end,
  }
  self.core:intercept(function(message) return weak[1] and observe(weak[1], message) or message end)
  table.insert(world.nodes, self)
  for _, what in ipairs(options) do load_one(self, what) end
  return self
end

local M = {}

--- testing.new{ path | table, …, seed =, shuffle =, time =, allow = {…}, log = function(level, event, text) } → a test. Close it, or
--- declare it <close>; one that nobody holds is collected.
function M.new(options)
  if type(options) ~= "table" then fail("invalid", "troupe.testing.new takes a table") end
  check_options(options)
  return make(World.new(), options)
end

--- t:load(path | table): one more.
function Test:load(what)
  check(self, "load")
  load_one(self, what)
end

-- time --------------------------------------------------------------------------------------------------------------

--- t:now() → seconds since the test began.
function Test:now() return self.world.us / 1e6 end

-- Does all that this node can do now.
function Test:work()
  while self.core:poll(0) do end
  local over = self.count > RUN_MAX
  self.count = 0
  if over then fail("limit_exceeded", "the agents do not come to rest: more than %d messages without time passing", RUN_MAX) end
end

--- t:run(): does all that can be done without time passing.
function Test:run()
  check(self, "run")
  self.world:run()
end

--- t:advance(seconds): all that happens in that time.
function Test:advance(seconds)
  check(self, "advance")
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 1e9) then fail("invalid", "t:advance takes 0 to 1e9 seconds") end
  self.world:advance(seconds)
end

-- messages in -------------------------------------------------------------------------------------------------------

--- t:publish(topic, type [, body, opts]): what comes of it is done by t:run, t:advance or t:call.
function Test:publish(topic, kind, body, opts) check(self, "publish"):publish(topic, kind, body, opts) end

--- t:send(agent, type [, body, opts])
function Test:send(agent, kind, body, opts) check(self, "send"):send(agent, kind, body, opts) end

--- t:call(agent, type [, body, opts]) → body, type; time moves as far as the answer needs. Raises the error it gets.
function Test:call(agent, kind, body, opts)
  local core, result = check(self, "call"), nil
  core:call(agent, kind, body, opts, function(...) result = table.pack(...) end)
  self.world:run()
  local steps = 0
  while not result do
    steps = steps + 1
    if steps > STEPS_MAX then fail("timeout", "%s to %s is not answered, %g s of the test's time later", kind, agent, self:now()) end
    if not self.world:step(math.maxinteger) then
      fail("timeout", "%s to %s is not answered, and nothing more can happen: somebody waits for what a test does not do", kind, agent)
    end
  end
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

-- looking -----------------------------------------------------------------------------------------------------------

--- t:sent(agent | topic) → list of { kind, agent | topic, type, sender, id, body, time }: what went there, in order; a type alone: to any
--- key of it.
function Test:sent(target)
  check(self, "sent")
  check_text("t:sent's agent or topic", target)
  self:run()
  local found = {}
  for _, message in ipairs(self.messages) do
    if is_to(message, target) then found[#found + 1] = message end
  end
  return found
end

--- t:state(id) → the fields that a save would store; nil: there is no such instance.
function Test:state(id)
  check(self, "state")
  check_text("t:state's agent", id)
  self:run()
  return self.core:state(full(id))
end

--- t:stats() → counts: turns, events, requests, sends, … since the beginning; agents, open_turns, open_calls, queued (messages in
--- mailboxes) now; and of a network's node clients, forwarded (requests that go through this host), asked (requests that wait for
--- another process' answer), answering (requests of other processes that agents here work on).
function Test:stats()
  check(self, "stats")
  self:run()
  return self.core:stats()
end

--- t:logged(text) → { level, event, text } of the first line whose event or text has this in it, or nil.
function Test:logged(text)
  check_text("t:logged's text", text)
  for _, line in ipairs(self.log) do
    if line.event:find(text, 1, true) or line.text:find(text, 1, true) then return line end
  end
end

-- standing in -------------------------------------------------------------------------------------------------------

local function answer(what)
  if type(what) == "function" then return what end
  return function() return copy(what) end
end

--- t:mock(type, { Type = body | function(self, message, ctx) }): agents of this type answer so. What they get is in t:sent(type).
function Test:mock(kind, answers)
  local core = check(self, "mock")
  check_text("t:mock's agent type", kind)
  if type(answers) ~= "table" then fail("invalid", "t:mock takes an agent type and a table of answers") end
  local on = {}
  for name, what in pairs(answers) do on[check_text("t:mock: a message type", name)] = answer(what) end
  local ok, err = pcall(core.load_table, core, { type = kind, on = on })
  if ok then return end
  if type(err) == "table" and err.code == "already_exists" then
    fail("already_exists", "t:mock: %s is loaded already: a test has the agent or its mock", kind)
  end
  error(err, 0)
end

--- t:fail(agent | topic, type, code [, n]): the next n (1) messages of this type ("*": any) that go there fail so.
function Test:fail(target, kind, code, n)
  check(self, "fail")
  check_text("t:fail's agent or topic", target)
  check_text("t:fail's message type", kind)
  if C.error(check_text("t:fail's code", code), "").code ~= code then fail("invalid", "t:fail: there is no error code %s", code) end
  if n ~= nil and (math.type(n) ~= "integer" or n < 1) then fail("invalid", "t:fail: how often must be a whole number above 0") end
  table.insert(self.failures, { target = target, type = kind, code = code, left = n or 1 })
end

--- t:raises(code, f, …) → the error; raises unless f raises one with this code.
function Test.raises(_, code, f, ...)
  local ok, err = pcall(f, ...)
  local found = ok and "nothing" or type(err) == "table" and err.code or "no error object"
  if ok or found ~= code then error(("expected the error %s, got %s%s"):format(code, found, ok and "" or ": " .. tostring(err)), 2) end
  return err
end

--- t:reload([path | options]) → how many files had changed: all, or this one; options as rt:reload has them.
function Test:reload(path)
  if path ~= nil and type(path) ~= "table" then check_text("t:reload's path", path) end
  local count = check(self, "reload"):reload(path)
  self:run()
  return count
end

--- t:close(): at once. May be called twice.
function Test:close()
  if not self.core:closed() then self.core:close() end
end

Test.__close = Test.close

function Test:__tostring() return ("troupe.test (%s)"):format(self.core:closed() and "closed" or self:now() .. " s") end

M.random, M.explore = part("explore", fail)
M.network = part("network", C, World, make, check_options, check_text, fail)

return M
