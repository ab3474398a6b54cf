-- `require "troupe.testing"`: agents under test, in virtual time. Run by `require` with the table `troupe` and what lua/troupe/module.lua
-- has of C.
--
-- A test has a runtime of its own, whose clock stands still until the test moves it: what waits for a minute is there at once, and
-- the same test does the same each time. All that is sent passes an interceptor, which keeps it for t:sent and fails what t:fail names.
-- A network has several of them, which share a clock and are joined in memory (src/runtime/fabric.c).
--
-- What they have in common, the clock and the turns of it, is a *world*: { us, nodes, fabric }.
local troupe, C = ...

local World = {}
World.__index = World

local function new_world() return setmetatable({ us = 0, nodes = {} }, World) end

-- All that can be done now. Every node is let work until none has anything to do; then what lies in the network arrives.
function World:run()
  repeat
    local moved = false
    for _, node in ipairs(self.nodes) do
      if not node.core:closed() then node:work() end
    end
    if self.fabric then moved = self.fabric:step(self.us) end
  until not moved
end

-- When something is due next, or nil.
function World:next()
  local next = self.fabric and self.fabric:next()
  for _, node in ipairs(self.nodes) do
    local wait = not node.core:closed() and node.core:next()
    local at = wait and self.us + math.max(1, math.ceil(wait * 1e6 - 1e-3))
    if at and (not next or at < next) then next = at end
  end
  return next
end

-- Moves time to what is due next, but not past `limit`. False: nothing is due until then.
function World:step(limit)
  local at = self:next()
  if not at or at > limit then return false end
  self.us = math.max(at, self.us)
  self:run()
  return true
end

function World:advance(seconds)
  local limit = self.us + math.floor(seconds * 1e6 + 0.5)
  self:run()
  while self:step(limit) do end
  self.us = limit
  self:run()
end

local Test = {}
Test.__index = Test
Test.__name = "troupe.test"

local RUN_MAX = 100000 -- messages of one t:run: agents that never stop talking end a test, not hang it
local EPOCH = 946684800 -- what os.time says in files when a test begins: 2000-01-01 00:00:00 UTC
local KEPT_MAX = 100000 -- messages that t:sent can tell: the last ones

local function fail(code, text, ...) error(C.error(code, text:format(...)), 0) end

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

local option_kinds = { seed = "number", time = "number", allow = "table", log = "function", joins = "any" }

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
  local self = setmetatable({ world = world, count = 0, messages = {}, failures = {}, log = {} }, Test)
  local weak = setmetatable({ self }, { __mode = "v" }) -- the runtime must not hold what holds it
  self.core = C.new {
    seed = math.tointeger(options.seed or 1), grants = options.allow, level = "info",
    still = math.floor(options.time or EPOCH),
    clock = function() return weak[1] and (weak[1].world.us + 0.5) / 1e6 or 0 end, -- half of one more, lest it be rounded down
    log = function(level, event, text)
      if event == "callback.failed" and text:find("injected by the test", 1, true) then return end
      if options.log then options.log(level, event, text) end
      if weak[1] then table.insert(weak[1].log, { level = level, event = event, text = text }) end
    end,
  }
  self.core:intercept(function(message) return weak[1] and observe(weak[1], message) or message end)
  table.insert(world.nodes, self)
  for _, what in ipairs(options) do load_one(self, what) end
  return self
end

local M = {}

--- testing.new{ path | table, …, seed =, time =, allow = {…}, log = function(level, event, text) } → a test. Close it, or declare it
--- <close>; one that nobody holds is collected.
function M.new(options)
  if type(options) ~= "table" then fail("invalid", "troupe.testing.new takes a table") end
  check_options(options)
  return make(new_world(), options)
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
  while not result do
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

-- networks ----------------------------------------------------------------------------------------------------------

local Network = {}
Network.__index = Network
Network.__name = "troupe.network"

local function check_network(self, name)
  if getmetatable(self) ~= Network then fail("invalid", "call net:%s with a colon", name) end
end

-- The node itself, or the one of this name.
local function node_of(self, node)
  local found = type(node) == "table" and node or self.nodes[node]
  if not found or self.nodes[found.name] ~= found then fail("not_found", "there is no node %s in this network", tostring(node)) end
  return found
end

-- A node of a network is a test; these are what it was made of, for net:restart.
local function start_node(self, name, options, joins, serves)
  local seed = self.seed * 1000 + self.started
  self.started = self.started + 1
  local copied = { seed = seed, allow = options.allow, log = options.log, table.unpack(options) }
  local node = make(self.world, copied)
  node.name, node.options, node.joins, node.serves = name, options, joins, serves
  if serves then self.fabric:serve(node.core, name) end
  for _, host in ipairs(joins) do self.fabric:join(node.core, host) end
  self.nodes[name] = node
  return node
end

local function add_node(self, what, name, options, joins, serves)
  check_network(self, what)
  check_text("a node's name", name)
  if self.nodes[name] then fail("already_exists", "there is a node named %s already", name) end
  options = options or {}
  check_options(options)
  return start_node(self, name, options, joins, serves)
end

--- net:host(name [, { path | table, …, joins = name | {…} }]) → a node that others join; it may have agents, and be a worker of others.
function Network:host(name, options)
  local joins = options and options.joins or {}
  return add_node(self, "host", name, options, type(joins) == "table" and joins or { joins }, true)
end

--- net:worker(name, host | { hosts }, { path | table, … }) → a node that joins that host, now or when it comes.
function Network:worker(name, hosts, options)
  return add_node(self, "worker", name, options, type(hosts) == "table" and hosts or { hosts }, false)
end

--- net:crash(node): it is gone at once, with all it knew.
function Network:crash(node)
  check_network(self, "crash")
  node = node_of(self, node)
  node:close()
  for i, other in ipairs(self.world.nodes) do
    if other == node then table.remove(self.world.nodes, i) break end
  end
end

--- net:restart(node) → the node, made anew of the same files; one that runs crashes first.
function Network:restart(node)
  node = node_of(self, node)
  if not node.core:closed() then self:crash(node) end
  return start_node(self, node.name, node.options, node.joins, node.serves)
end

--- net:cut(node, host): the connection between them breaks; both notice, and the node dials again.
function Network:cut(node, host)
  check_network(self, "cut")
  self.fabric:cut(node_of(self, node).core, host)
end

--- net:stall(node, host): nothing goes over their connection any more, and nobody is told.  net:heal(node, host): it goes on.
function Network:stall(node, host)
  check_network(self, "stall")
  self.fabric:stall(node_of(self, node).core, host, true)
end

function Network:heal(node, host)
  check_network(self, "heal")
  self.fabric:stall(node_of(self, node).core, host, false)
end

local weather_names = { delay = "table", cut = "number", piece = "number" }

--- net:weather{ delay = { least, most }, cut = n, piece = bytes }: from now on packets take that long, one of n breaks its connection
--- (0: none), and bytes come in pieces of at most so many (0: as they were sent).
function Network:weather(options)
  check_network(self, "weather")
  for name, value in pairs(options) do
    local kind = weather_names[name]
    if not kind then fail("invalid", "net:weather: `%s` is not an option", tostring(name)) end
    if type(value) ~= kind then fail("invalid", "net:weather: `%s` must be a %s", name, kind) end
  end
  local delay = options.delay or { 0.0001, 0.001 }
  self.fabric:weather(delay[1] * 1e6 // 1 | 0, delay[2] * 1e6 // 1 | 0, options.cut or 0, options.piece or 0)
end

--- net:joined() → all nodes that run have joined the hosts they are workers of.
function Network:joined()
  for _, node in ipairs(self.world.nodes) do
    if not self.fabric:joined(node.core) then return false end
  end
  return true
end

--- net:stats() → { packets, bytes, dials, refused, cuts }
function Network:stats()
  local packets, bytes, dials, refused, cuts = self.fabric:stats()
  return { packets = packets, bytes = bytes, dials = dials, refused = refused, cuts = cuts }
end

function Network:now() return self.world.us / 1e6 end
function Network:run() self.world:run() end
function Network:advance(seconds) self.world:advance(seconds) end

--- net:close(): all nodes.
function Network:close()
  for _, node in ipairs(self.world.nodes) do node:close() end
end

Network.__close = Network.close

--- testing.network{ seed = 1, and net:weather's options } → hosts and workers in one process, without sockets; the same seed gives the
--- same run.
function M.network(options)
  options = options or {}
  if type(options) ~= "table" then fail("invalid", "troupe.testing.network takes a table") end
  local seed, weather = math.tointeger(options.seed or 1), {}
  if not seed then fail("invalid", "troupe.testing.network: `seed` must be an integer") end
  for name, value in pairs(options) do
    if name ~= "seed" then weather[name] = value end
  end
  local self = setmetatable({ world = new_world(), nodes = {}, seed = seed, started = 1, fabric = C.fabric(seed) }, Network)
  self.world.fabric = self.fabric
  self:weather(weather)
  return self
end

return M
