-- The half of `require "troupe"` (src/module) that is in Lua: runtimes as programs see them. Run once by C, with the table
-- `troupe` and what it needs of C. Not for scripts.
--
-- Waiting is here. A runtime has a loop of its own. Where the program uses luv, that loop is watched by luv's: a poll handle on its
-- descriptor and one timer, so that luv's own events and the runtime's interleave, and luv knows every handle that it has.
local troupe, C = ...
if type(C) ~= "table" or not C.new then error("troupe.module is a part of troupe itself", 0) end

local Runtime = {}
Runtime.__index = Runtime
Runtime.__name = "troupe.runtime"

local function fail(code, text, ...) error(C.error(code, text:format(...)), 0) end

-- What comes before a store is read: its states and mail need to know the agents.
local before_store = {
  load = true, reload = true, intercept = true, subscribe = true, unsubscribe = true, serializer = true, protobuf = true,
}

local function check(self, name)
  if getmetatable(self) ~= Runtime then fail("invalid", "call rt:%s with a colon", name) end
  if self.core:closed() then fail("invalid", "the runtime is closed") end
  if self.store and not before_store[name] then
    self.core:set_store(self.store) -- or it raises, and will again
    self.store = nil
  end
  return self.core
end

-- luv ---------------------------------------------------------------------------------------------------------------

local SLICE = 0.01

-- Do what is due, and come again when more is: at once by an idle handle, after the program's own sockets and timers. (A timer of 0 that is
-- started from its own callback is due again before anything else, for ever: libuv 1.44.)
local function pump(self)
  local core = self.core
  if core:closed() or core:working() then return end
  local luv = self.luv
  core:poll(SLICE)
  if core:closed() then return end -- by one of the program's own functions
  local wait = core:next()
  if wait == 0 then luv.idle:start(luv.pump) else luv.idle:stop() end
  if wait and wait > 0 then luv.timer:start(math.ceil(math.min(wait, 1e6) * 1000), 0, luv.pump)
  else luv.timer:stop() end
  -- A door keeps luv's loop alive; a runtime that has nothing to do does not.
  luv.poll[core:has_door() and "ref" or "unref"](luv.poll)
end

-- luv's loop must not keep a runtime that the program has let go.
local function weakly(self, f)
  local weak = setmetatable({ self }, { __mode = "v" })
  return function()
    if weak[1] then f(weak[1]) end
  end
end

local function open_luv(self, uv)
  local fd = self.core:descriptor()
  local luv = { uv = uv, fd = fd, pump = weakly(self, pump), timer = uv.new_timer(), idle = uv.new_idle(), poll = uv.new_poll(fd) }
  luv.poll:start("r", luv.pump)
  luv.poll:unref()
  self.luv = luv
end

-- Something may be due now.
local function kick(self)
  local luv = self.luv
  if luv and not self.core:closed() then luv.timer:start(0, 0, luv.pump) end
end

-- Work and wait, once; `done` says whether there is still something to wait for.
local function turn(self, done)
  local luv = self.luv
  if not luv or luv.uv.loop_mode() then return self.core:turn() end -- luv's own loop cannot be run from inside of it
  pump(self)
  if not done() then luv.uv.run("once") end
end

-- waiting -----------------------------------------------------------------------------------------------------------

local function resume(self, co)
  local ok, err = coroutine.resume(co)
  if ok then return end
  self.core:report("a coroutine", debug.traceback(co, tostring(err)))
  coroutine.close(co)
end

-- start(answer) begins something that calls answer(true, …) or answer(false, error) once, and perhaps at once.
local function await(self, what, start)
  if C.in_turn() then fail("invalid", "rt:%s inside an agent: it has ctx:call", what) end
  local core, co = self.core, coroutine.running()
  local yields = coroutine.isyieldable() and (self.luv or core:working())
  if core:working() and not yields then
    fail("invalid", "rt:%s would wait inside a callback of its own runtime: make a coroutine there", what)
  end
  local result, yielded
  start(function(...)
    result = table.pack(...)
    if yielded then resume(self, co) elseif not core:closed() then core:interrupt() end
  end)
  kick(self)
  if yields then
    yielded = true
    while not result do coroutine.yield() end
    yielded = false
  end
  while not result do turn(self, function() return result end) end
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

-- agents ------------------------------------------------------------------------------------------------------------

--- rt:load(path | table, …): files, and agents (or lists of them) as tables; each all or nothing.
function Runtime:load(...)
  local core = check(self, "load")
  if select("#", ...) == 0 then fail("invalid", "rt:load takes paths and tables") end
  for i = 1, select("#", ...) do
    local what = select(i, ...)
    if type(what) == "string" then core:load_file(what)
    elseif type(what) == "table" then core:load_table(what)
    else fail("invalid", "rt:load takes paths and tables, not %s", type(what)) end
  end
  kick(self)
end

--- rt:reload([name | { name=, canary=, promote=, undo=, to=, again=, pin=, unpin=, errors=, within=, drain= }]) → how many files
function Runtime:reload(what)
  if what ~= nil and type(what) ~= "string" and type(what) ~= "table" then
    fail("invalid", "rt:reload takes a file's name or options, not %s", type(what))
  end
  local changed = check(self, "reload"):reload(what)
  kick(self)
  return changed
end

--- rt:put(id, self): an instance that is ready-made, of an agent type that was loaded as a table.
function Runtime:put(id, instance)
  local core = check(self, "put")
  if type(id) ~= "string" or type(instance) ~= "table" then fail("invalid", "rt:put takes an id and a table") end
  core:put(id, instance)
  kick(self)
end

--- rt:get(id) → id, self: makes the instance if it is not there, and waits for its init; `self` of an agent given as a table.
function Runtime:get(id)
  local core = check(self, "get")
  if type(id) ~= "string" then fail("invalid", "rt:get takes an id") end
  await(self, "get", function(answer) core:get(id, answer) end)
  local kind, key = troupe.split(id)
  return kind .. "/" .. key, core:self_of(id)
end

function Runtime:agents() return check(self, "agents"):agents() end

function Runtime:metadata(id)
  local core = check(self, "metadata")
  if type(id) ~= "string" then fail("invalid", "rt:metadata takes an agent's id or type") end
  return core:metadata(id)
end

-- messages ----------------------------------------------------------------------------------------------------------

function Runtime:publish(topic, type, body, opts)
  check(self, "publish"):publish(topic, type, body, opts)
  kick(self)
end

function Runtime:send(agent, type, body, opts)
  check(self, "send"):send(agent, type, body, opts)
  kick(self)
end

function Runtime:call(agent, type, body, opts)
  local core = check(self, "call")
  return await(self, "call", function(answer) core:call(agent, type, body, opts, answer) end)
end

--- rt:subscribe(topic, f) → id: f(body, type, topic) for each event.
function Runtime:subscribe(topic, f)
  local id, anchor = check(self, "subscribe"):subscribe(topic, f)
  self.anchors[id] = anchor
  kick(self)
  return id
end

function Runtime:unsubscribe(id)
  check(self, "unsubscribe"):unsubscribe(id, self.anchors[id])
  self.anchors[id] = nil
end

--- rt:intercept(f | nil): f(message) gives the message, changed or not, or nil to drop it.
function Runtime:intercept(f)
  local core = check(self, "intercept")
  if f ~= nil and type(f) ~= "function" then fail("invalid", "rt:intercept takes a function, or nil") end
  core:intercept(f)
end

--- How many messages the interceptor has dropped.
function Runtime:dropped() return check(self, "dropped"):dropped() end

local function check_keys(what, given, known)
  if type(given) ~= "table" then fail("invalid", "%s takes a table", what) end
  for key in pairs(given) do
    if not known[key] then fail("invalid", "%s: `%s` is not an option", what, tostring(key)) end
  end
end

local serializer_keys = { type = true, content_type = true, encode = true, decode = true }

function Runtime:serializer(options)
  local core = check(self, "serializer")
  check_keys("rt:serializer", options, serializer_keys)
  if type(options.content_type) ~= "string" then fail("invalid", "rt:serializer needs content_type, a string") end
  for _, name in ipairs { "encode", "decode" } do
    if type(options[name]) ~= "function" then fail("invalid", "rt:serializer needs %s, a function", name) end
  end
  core:serializer(options.type or "*", options.content_type, options.encode, options.decode)
end

--- rt:protobuf(path): message types from a descriptor set.
function Runtime:protobuf(path)
  local core = check(self, "protobuf")
  local file, err = io.open(path, "rb")
  if not file then fail("not_found", "%s", err) end
  local bytes = file:read("a")
  file:close()
  core:protobuf(path, bytes)
end

-- doors and running -------------------------------------------------------------------------------------------------

local secure_keys = {
  cert = "string", key = "string", ca = "string", client_ca = "string", token = "string", token_file = "string", tokens = "string",
  rights = "string", sign_key = "string", verify_keys = "string", insecure = "boolean",
}

local function check_security(what, options)
  if type(options) ~= "table" then fail("invalid", "%s takes a table", what) end
  for key, value in pairs(options) do
    local expected = secure_keys[key]
    if not expected then fail("invalid", "%s: `%s` is not an option", what, tostring(key)) end
    if type(value) ~= expected then fail("invalid", "%s: `%s` must be a %s, not a %s", what, key, expected, type(value)) end
  end
end

--- rt:secure{ cert=, key=, ca=, client_ca=, token=, token_file=, tokens=, rights=, sign_key=, verify_keys=, insecure= }, before the doors
--- that need it; again with others, or without a table to read the same files again.
function Runtime:secure(options)
  local core = check(self, "secure")
  if options ~= nil then check_security("rt:secure", options) end
  core:secure(options)
end

function Runtime:listen(address)
  local core = check(self, "listen")
  if type(address) ~= "string" then fail("invalid", "rt:listen takes an address") end
  local bound = core:listen(address)
  kick(self)
  return bound
end

function Runtime:connect(address)
  local core = check(self, "connect")
  if type(address) ~= "string" then fail("invalid", "rt:connect takes an address") end
  core:connect(address)
  kick(self)
end

local function can_run(self, what)
  local core = check(self, what)
  if core:working() then fail("invalid", "rt:%s was called from inside a callback of the same runtime", what) end
  return core
end

local function run_with_luv(self)
  local core, uv = self.core, self.luv.uv
  if uv.loop_mode() then fail("invalid", "rt:run inside a callback of luv: its loop runs already") end
  repeat
    pump(self)
    local over = core:closed() or core:stopping() and core:ended() or core:ended() and not uv.loop_alive()
    if not over then uv.run("once") end
  until over
  return core:closed() and 0 or core:exit_status()
end

local run_keys = { until_signal = true }

--- rt:run{ until_signal = true } → exit status: until rt:stop or ctx:exit, or until nothing can happen any more.
function Runtime:run(options)
  local core = can_run(self, "run")
  if options ~= nil then check_keys("rt:run", options, run_keys) end
  if options and options.until_signal then core:signals() end
  return self.luv and run_with_luv(self) or not self.luv and core:run()
end

--- rt:run_until_idle([seconds]): until nothing is under way (30 s at most: then `timeout`).
function Runtime:run_until_idle(seconds)
  can_run(self, "run_until_idle"):run_until_idle(seconds or 30)
  kick(self)
end

--- rt:poll([seconds]) → true while work is left: does what is due, for about so long; never waits.
function Runtime:poll(seconds)
  local more = can_run(self, "poll"):poll(seconds or 0)
  kick(self)
  return more
end

--- rt:stop([drain_seconds]): may be called twice; rt:run then returns.
function Runtime:stop(drain)
  check(self, "stop"):stop(drain or 3)
  kick(self)
end

local dist_keys = { host = true, launch = true, lazy = true }

--- rt:to_dist(id, { host = ADDRESS | launch = true, lazy = }): moves a live instance into a process that is launched for it, or to a
--- runtime that listens there; returns when it has moved (lazily: at once), or raises, and then it goes on here.
function Runtime:to_dist(id, options)
  local core = check(self, "to_dist")
  options = options or {}
  check_keys("rt:to_dist", options, dist_keys)
  if options.host ~= nil and type(options.host) ~= "string" then fail("invalid", "rt:to_dist: `host` must be an address") end
  if options.host and options.launch then fail("invalid", "rt:to_dist: `host` or `launch`, not both") end
  if options.lazy then
    core:to_dist(id, options.host, true, function() end) -- what comes of it is in the log
    kick(self)
  else
    await(self, "to_dist", function(answer) core:to_dist(id, options.host, false, answer) end)
  end
end

-- state -------------------------------------------------------------------------------------------------------------

local only_keys = { only = true }

local function only_of(what, options)
  if options == nil then return nil end
  check_keys(what, options, only_keys)
  return options.only
end

--- rt:save([path [, options]]) → bytes where no path was given; then how many agents could not be saved (they are in the log).
function Runtime:save(path, options)
  return can_run(self, "save"):save(path, only_of("rt:save", options))
end

-- A saved state begins so (store/format.h); and what is damaged there still looks like no path.
local function is_state(text) return text:sub(1, 4) == "\x89TRS" or text:find("%c") ~= nil end

--- rt:restore(bytes | path [, { only = {…} }]) → how many records could not be restored.
function Runtime:restore(what, options)
  local core = can_run(self, "restore")
  if type(what) ~= "string" then fail("invalid", "rt:restore takes what rt:save gave, or a path") end
  local bytes = is_state(what)
  local failed = core:restore(not bytes and what or nil, bytes and what or nil, only_of("rt:restore", options))
  kick(self)
  return failed
end

-- the end -----------------------------------------------------------------------------------------------------------

-- luv must not find a handle half closed when the program ends (it crashes then, in 1.44): they are closed by the timer, when its
-- loop runs again. Until then the descriptor, a copy, is kept, so that nobody else gets its number.
local function close_luv(self)
  local luv = self.luv
  self.luv = nil
  if not luv then return end
  local poll, timer, idle, fd = luv.poll, luv.timer, luv.idle, luv.fd
  poll:stop()
  idle:stop()
  timer:unref()
  timer:start(0, 0, function()
    poll:close()
    timer:close()
    idle:close()
    C.close_descriptor(fd)
  end)
end

--- rt:close(): at once; open calls fail with `cancelled`. May be called twice.
function Runtime:close()
  if getmetatable(self) ~= Runtime then fail("invalid", "call rt:close with a colon") end
  if self.core:closed() then return end
  if self.core:working() then fail("invalid", "rt:close was called from inside a callback of the same runtime (stop it)") end
  close_luv(self)
  self.core:close()
end

Runtime.__close = Runtime.close

function Runtime:__gc()
  close_luv(self) -- the runtime itself goes with its userdata
end

function Runtime:__tostring() return self.core:closed() and "troupe.runtime (closed)" or "troupe.runtime" end

package.preload["troupe.testing"] = function()
  return assert(load(C.bundled "troupe.testing", "=troupe.testing", "t"))(troupe, C)
end

-- making one --------------------------------------------------------------------------------------------------------

local runtime_keys = {
  allow = "string", program = "string", store = "string", threads = "number", compress = "number", seed = "number",
  clock = "function", log = "function",
  security = "table",
}

-- To standard output what scripts print, to standard error what is wrong.
local function default_log(level, event, text)
  if level == "print" then print(text) else io.stderr:write("troupe: ", event, " ", text, "\n") end
end

local function check_options(options)
  for key, value in pairs(options) do
    local expected = runtime_keys[key]
    if not expected then fail("invalid", "troupe.runtime: `%s` is not an option", tostring(key)) end
    local fits = type(value) == expected or key == "allow" and type(value) == "table" or key == "log" and value == false
    if not fits then fail("invalid", "troupe.runtime: `%s` must be a %s, not a %s", key, expected, type(value)) end
  end
  local threads = options.threads or 1
  if not math.tointeger(threads) or threads < 1 or threads > 64 then fail("invalid", "troupe.runtime: `threads` must be 1 to 64") end
  if threads > 1 and (options.log or options.clock) then
    fail("invalid", "troupe.runtime: with `threads`, `log` may only be false, and `clock` not given: any thread would call them")
  end
  local from = options.compress or 0
  if not math.tointeger(from) or from < 0 or from >= 1 << 32 then
    fail("invalid", "troupe.runtime: `compress` must be a number of bytes")
  end
  if options.seed and not math.tointeger(options.seed) then fail("invalid", "troupe.runtime: `seed` must be an integer") end
end

local function check_grants(allow)
  if type(allow) ~= "table" then return allow end
  for _, right in ipairs(allow) do
    if type(right) ~= "string" then fail("invalid", "troupe.runtime: `allow` must be a list of texts") end
  end
  return allow
end

local function log_of(options)
  if options.log == false then return nil end
  return options.log or default_log
end

--- troupe.runtime{ allow=, program=, store=, threads=, compress=, seed=, clock=, log=, security= }
function troupe.runtime(options)
  options = options or {}
  if type(options) ~= "table" then fail("invalid", "troupe.runtime takes a table") end
  check_options(options)
  if options.security then check_security("troupe.runtime: security", options.security) end
  local self = { anchors = {}, store = options.store }
  self.core = C.new {
    seed = options.seed and math.tointeger(options.seed), grants = check_grants(options.allow), clock = options.clock,
    program = options.program, threads = math.tointeger(options.threads or 1),
    compress = options.compress,
    log = log_of(options),
    wake = package.loaded.luv and weakly(self, kick), level = options.log and "info" or "warn",
  }
  if options.security then self.core:secure(options.security) end
  local uv = package.loaded.luv
  if uv then open_luv(self, uv) end
  return setmetatable(self, Runtime) -- last: at the end of the program its __gc comes before those of luv's handles
end

-- pools ---------------------------------------------------------------------------------------------------------------

-- A pool is a runtime of its own that has no agents, and whose messages go by the members.
local Pool = {}
Pool.__index = Pool
Pool.__name = "troupe.pool"

local function pooled(self, name)
  if getmetatable(self) ~= Pool then fail("invalid", "call pool:%s with a colon", name) end
  if self.closed then fail("invalid", "the pool is closed") end
  return self.rt
end

function Pool:publish(topic, type, body, opts) pooled(self, "publish"):publish(topic, type, body, opts) end

--- pool:call(agent, type, body, opts) → body, type: waits as rt:call does; in coroutines several at once.
function Pool:call(agent, type, body, opts) return pooled(self, "call"):call(agent, type, body, opts) end

--- pool:stats() → { size, joined, open }: connections, those that are there, and calls that wait for their answers.
function Pool:stats()
  local size, joined, open = pooled(self, "stats").core:pool_stats()
  return { size = size, joined = joined, open = open }
end

--- pool:close(): open calls fail with `cancelled`; what was published is still sent. May be called twice.
function Pool:close()
  if getmetatable(self) ~= Pool then fail("invalid", "call pool:close with a colon") end
  local rt = self.rt
  if self.closed then return end
  if rt.core:working() then fail("invalid", "pool:close was called from inside a callback of the same pool") end
  self.closed = true
  if not C.in_turn() and not (rt.luv and rt.luv.uv.loop_mode()) then -- else there is no waiting here
    rt.core:pool_close()
    rt:stop(3)
    rt:run()
  end
  rt:close()
end

Pool.__close = Pool.close

function Pool:__tostring() return self.closed and "troupe.pool (closed)" or "troupe.pool" end

--- troupe.pool{ host =, size = 5 }: connections to a host for calls from outside; what else may be given is as for troupe.runtime.
function troupe.pool(options)
  if type(options) ~= "table" then fail("invalid", "troupe.pool takes a table") end
  local host, size = options.host, options.size or 5
  if type(host) ~= "string" then fail("invalid", "troupe.pool: `host` must be an address") end
  if not math.tointeger(size) or size < 1 or size > 1000 then fail("invalid", "troupe.pool: `size` must be 1 to 1000") end
  local others = {}
  for key, value in pairs(options) do
    if key ~= "host" and key ~= "size" then others[key] = value end
  end
  local rt = troupe.runtime(others)
  local ok, err = pcall(rt.core.pool, rt.core, host, math.tointeger(size))
  if not ok then
    rt:close()
    error(err, 0)
  end
  return setmetatable({ rt = rt }, Pool)
end
