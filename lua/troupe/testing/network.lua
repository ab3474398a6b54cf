-- Networks of troupe.testing: hosts and workers in one process, without sockets, on one clock. What they send each other takes a while,
-- breaks and stands still as a seed says (src/runtime/fabric.c). Each node is a test, so all that a test can be asked goes for it.
local C, World, make, check_options, check_text, fail = ...

local Network = {}
Network.__index = Network
Network.__name = "troupe.network"

local function check(self, name)
  if getmetatable(self) ~= Network then fail("invalid", "call net:%s with a colon", name) end
end

-- The node itself, or the one of this name.
local function node_of(self, node)
  local found = type(node) == "table" and node or self.nodes[node]
  if not found or self.nodes[found.name] ~= found then
    local name = type(node) == "table" and node.name or node
    local was = name ~= nil and self.nodes[name]
    local text = was and "%s is of before %s was restarted: take what net:restart returns, or net:node"
      or "there is no node %s in this network"
    fail("not_found", text, tostring(node), tostring(name))
  end
  return found
end

-- nodes -------------------------------------------------------------------------------------------------------------

-- These are what a node was made of, for net:restart.
local function start(self, name, options, joins, serves)
  local seed = self.seed * 1000 + self.started
  self.started = self.started + 1
  local shuffle = options.shuffle
  if shuffle == nil then shuffle = self.shuffle end
  local node = make(self.world,
    { name = name, seed = seed, shuffle = shuffle, time = options.time, allow = options.allow, log = options.log,
      table.unpack(options) })
  node.options, node.joins, node.serves = options, joins, serves
  if serves then self.fabric:serve(node.core, name) end
  for _, host in ipairs(joins) do self.fabric:join(node.core, host) end
  self.nodes[name] = node
  return node
end

-- Names of hosts, of one name or node, or a list of them.
local function host_names(hosts)
  local names = {}
  if type(hosts) ~= "table" or hosts.core then hosts = { hosts } end
  for i, host in ipairs(hosts) do names[i] = check_text("a host's name", type(host) == "table" and host.name or host) end
  return names
end

local function add(self, what, name, options, hosts, serves)
  check(self, what)
  check_text("a node's name", name)
  if self.nodes[name] then fail("already_exists", "there is a node named %s already", name) end
  options = options or {}
  if type(options) ~= "table" then fail("invalid", "net:%s takes the node's files and tables of agents in a table", what) end
  check_options(options)
  return start(self, name, options, host_names(hosts), serves)
end

--- net:host(name [, { path | table, …, joins = host | {…} }]) → a node that others join; it may have agents, and be a worker of
--- others.
function Network:host(name, options)
  return add(self, "host", name, options, type(options) == "table" and options.joins or {}, true)
end

--- net:worker(name, host | { hosts }, { path | table, … }) → a node that joins that host, now or when it comes.
function Network:worker(name, hosts, options)
  if hosts == nil then fail("invalid", "net:worker takes a name, the host that it joins, and its agents") end
  return add(self, "worker", name, options, hosts, false)
end

--- net:node(name) → the node of this name, as it was started last.
function Network:node(name)
  check(self, "node")
  return node_of(self, name)
end

local function forget(self, node)
  for i, other in ipairs(self.world.nodes) do
    if other == node then table.remove(self.world.nodes, i) break end
  end
end

--- net:crash(node): it is gone at once, with all it knew.
function Network:crash(node)
  check(self, "crash")
  node = node_of(self, node)
  if not node.core:closed() then self.world:note(node.name, "crashes") end
  node:close()
  forget(self, node)
end

--- net:stop(node [, seconds]): it leaves in good order, as a process that is told to: what it has is handled, agents' `close` runs,
--- within so many seconds (10). Time moves as far as that needs.
function Network:stop(node, seconds)
  check(self, "stop")
  node = node_of(self, node)
  if node.core:closed() then return end
  self.world:note(node.name, "stops")
  node.core:stop(seconds or 10)
  local limit = self.world.us + ((seconds or 10) + 60) * 1e6 // 1 | 0
  self.world:run()
  while not node.core:ended() and self.world:step(limit) do end
  node:close()
  forget(self, node)
end

--- net:restart(node) → the node, made anew of the same files; one that runs crashes first.
function Network:restart(node)
  check(self, "restart")
  node = node_of(self, node)
  if not node.core:closed() then self:crash(node) end
  self.world:note(node.name, "starts")
  return start(self, node.name, node.options, node.joins, node.serves)
end

-- connections -------------------------------------------------------------------------------------------------------

-- The node, and the name of a host that it is a worker of.
local function ends_of(self, what, node, host)
  check(self, what)
  node = node_of(self, node)
  if type(host) == "table" then host = host.name end
  for _, name in ipairs(node.joins) do
    if name == host then return node, name end
  end
  fail("not_found", "net:%s: %s is no worker of %s", what, node.name, tostring(host))
end

--- net:cut(node, host): the connection between them breaks; both notice, and the node dials again.
function Network:cut(node, host)
  local from, to = ends_of(self, "cut", node, host)
  self.world:note(from.name, "is cut from %s", to)
  if not from.core:closed() then self.fabric:cut(from.core, to) end
end

--- net:stall(node, host): nothing goes over their connection any more, and nobody is told.  net:heal(node, host): it goes on.
function Network:stall(node, host)
  local from, to = ends_of(self, "stall", node, host)
  self.world:note(from.name, "does not get through to %s any more", to)
  if not from.core:closed() then self.fabric:stall(from.core, to, true) end
end

function Network:heal(node, host)
  local from, to = ends_of(self, "heal", node, host)
  self.world:note(from.name, "gets through to %s", to)
  if not from.core:closed() then self.fabric:stall(from.core, to, false) end
end

local weather_names = { delay = "table", cut = "number", piece = "number" }

local function check_weather(options)
  if type(options) ~= "table" then fail("invalid", "net:weather takes a table") end
  for name, value in pairs(options) do
    local kind = weather_names[name]
    if not kind then fail("invalid", "net:weather: `%s` is not an option", tostring(name)) end
    if type(value) ~= kind then fail("invalid", "net:weather: `%s` must be a %s", name, kind) end
    if kind == "number" and (math.type(value) ~= "integer" or value < 0 or value > 2 ^ 31) then
      fail("invalid", "net:weather: `%s` must be a whole number from 0", name)
    end
  end
end

--- net:weather{ delay = { least, most }, cut = n, piece = bytes }: from now on packets take that long, one of n breaks its connection
--- (0: none), and bytes come in pieces of at most so many (0: as they were sent).
function Network:weather(options)
  check(self, "weather")
  check_weather(options)
  local delay = options.delay or { 0.0001, 0.001 }
  local least, most = delay[1], delay[2]
  if type(least) ~= "number" or type(most) ~= "number" or not (least >= 0 and least <= most and most <= 1e6) then
    fail("invalid", "net:weather: `delay` must be { least, most } seconds")
  end
  self.fabric:weather(least * 1e6 // 1 | 0, most * 1e6 // 1 | 0, options.cut or 0, options.piece or 0)
end

--- net:joined() → all nodes that run have joined the hosts they are workers of; net:joined(node): this one has.
function Network:joined(node)
  check(self, "joined")
  for _, one in ipairs(node and { node_of(self, node) } or self.world.nodes) do
    if one.core:closed() or not self.fabric:joined(one.core) then return false end
  end
  return true
end

--- net:stats() → { packets, bytes, dials, refused, cuts }
function Network:stats()
  local packets, bytes, dials, refused, cuts = self.fabric:stats()
  return { packets = packets, bytes = bytes, dials = dials, refused = refused, cuts = cuts }
end

-- time --------------------------------------------------------------------------------------------------------------

function Network:now() return self.world.us / 1e6 end

function Network:run()
  check(self, "run")
  self.world:run()
end

function Network:advance(seconds)
  check(self, "advance")
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 1e9) then fail("invalid", "net:advance takes 0 to 1e9 seconds") end
  self.world:advance(seconds)
end

--- net:close(): all nodes.
function Network:close()
  for _, node in ipairs(self.world.nodes) do node:close() end
end

Network.__close = Network.close

function Network:__tostring() return ("troupe.network (%d nodes, %g s)"):format(#self.world.nodes, self:now()) end

--- testing.network{ seed = 1, shuffle =, trace = f(line), and net:weather's options } → a network without nodes; the same seed gives
--- the same run. shuffle: its nodes' agents take turns in an order by the seed. trace: is told of each message, each line of a log,
--- each fault, in order.
return function(options)
  options = options or {}
  if type(options) ~= "table" then fail("invalid", "troupe.testing.network takes a table") end
  local seed, weather = math.tointeger(options.seed or 1), {}
  if not seed then fail("invalid", "troupe.testing.network: `seed` must be an integer") end
  if options.trace and type(options.trace) ~= "function" then fail("invalid", "troupe.testing.network: `trace` must be a function") end
  for name, value in pairs(options) do
    if name ~= "seed" and name ~= "shuffle" and name ~= "trace" then weather[name] = value end
  end
  local self = setmetatable({ world = World.new(), nodes = {}, seed = seed, shuffle = options.shuffle, started = 1,
    fabric = C.fabric(seed) }, Network)
  self.world.fabric, self.world.trace = self.fabric, options.trace
  self:weather(weather)
  return self
end
