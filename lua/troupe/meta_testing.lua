---@meta troupe.testing
-- Annotations of `require "troupe.testing"` for lua-language-server: see meta.lua.

---@class troupe.testing
local testing = {}

---What a test is made of: files and tables of agents in order, and these.
---@class troupe.test_options
---@field [integer] string|troupe.agent|(troupe.agent|troupe.main)[]
---@field seed integer? the same seed gives the same run (1)
---@field shuffle boolean? agents take turns in an order by the seed
---@field time integer? what os.time begins at
---@field allow string[]? rights of the files
---@field log (fun(level: string, event: string, text: string))?

---Agents under test; close it, or declare it `<close>`.
---@param options troupe.test_options
---@return troupe.test
function testing.new(options) end

---@class troupe.weather
---@field delay number[]? seconds that a packet takes: { least, most }
---@field cut integer? one of so many packets breaks its connection; 0: none
---@field piece integer? bytes come in pieces of at most so many; 0: as they were sent

---@class troupe.network_options: troupe.weather
---@field seed integer? (1)
---@field shuffle boolean? agents take turns in an order by the seed
---@field trace fun(line: string)? is told of all that happens

---Hosts and workers in one process.
---@param options? troupe.network_options
---@return troupe.network
function testing.network(options) end

---Calls run(seed, random) for each seed from 1 to count (100), or those of `troupe test --seeds N` or `--seed N`, until one fails.
---@overload fun(run: fun(seed: integer, random: fun(m?: integer, n?: integer): number)): integer
---@param count integer
---@param run fun(seed: integer, random: fun(m?: integer, n?: integer): number)
---@return integer runs
function testing.explore(count, run) end

---As math.random, the same for the same seed in every process.
---@param seed integer
---@return fun(m?: integer, n?: integer): number
function testing.random(seed) end

---@class troupe.sent: troupe.message
---@field time number seconds since the test began

---Agents under test, in virtual time.
---@class troupe.test
local t = {}
---One more file or table.
---@param what string|troupe.agent|(troupe.agent|troupe.main)[]
function t:load(what) end
---The time of the test.
---@return number seconds since the test began
function t:now() end
---Does all that can be done without time passing.
function t:run() end
---All that happens in that time.
---@param seconds number
function t:advance(seconds) end
---What comes of it is done by t:run, t:advance or t:call.
---@param topic string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function t:publish(topic, type, body, opts) end
---Likewise.
---@param agent string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function t:send(agent, type, body, opts) end
---Time moves as far as the answer needs; raises the error it gets.
---@param agent string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return any body, string type
function t:call(agent, type, body, opts) end
---What went to this agent or topic, in order.
---@param target string an agent or a topic; a type alone: any key of it
---@return troupe.sent[]
function t:sent(target) end
---The fields that a save would store; nil: there is no such instance.
---@param id string
---@return table?
function t:state(id) end
---Counts of what was done, and of what is there now.
---@return table<string, integer>
function t:stats() end
---The first line of the log that has this in it.
---@param text string
---@return { level: string, event: string, text: string }?
function t:logged(text) end
---Agents of this type answer so; what they get is in t:sent.
---@param type string
---@param answers table<string, troupe.handler|any> a function, or what is answered
function t:mock(type, answers) end
---The next n (1) messages of this type that go there fail so.
---@param target string
---@param type string "*": any
---@param code string
---@param n? integer
function t:fail(target, type, code, n) end
---Calls f, and gives the error it must raise.
---@param code string
---@param f function
---@return troupe.error
function t:raises(code, f, ...) end
---Takes up changed files.
---@param what? string|troupe.reload
---@return integer count
function t:reload(what) end
---Does all that this node alone can do now.
function t:work() end
---At once; may be called twice.
function t:close() end

---@class troupe.host_options: troupe.test_options
---@field joins (string|string[])? hosts that it is a worker of

---Hosts and workers in one process, without sockets, in virtual time; the same seed gives the same run.
---@class troupe.network
local net = {}
---A node that others join.
---@param name string
---@param options? troupe.host_options
---@return troupe.test
function net:host(name, options) end
---A node that joins that host, now or when it comes.
---@param name string
---@param hosts string|string[]
---@param options? troupe.test_options
---@return troupe.test
function net:worker(name, hosts, options) end
---It is gone at once, with all it knew.
---@param node troupe.test|string
function net:crash(node) end
---It leaves in good order.
---@param node troupe.test|string
---@param seconds? number
function net:stop(node, seconds) end
---The node of this name, as it was started last.
---@param name string
---@return troupe.test
function net:node(name) end
---Made anew of the same files; one that runs crashes first.
---@param node troupe.test|string
---@return troupe.test
function net:restart(node) end
---The connection between them breaks; both notice, and the node dials again.
---@param node troupe.test|string
---@param host troupe.test|string
function net:cut(node, host) end
---Nothing goes over their connection any more, and nobody is told.
---@param node troupe.test|string
---@param host troupe.test|string
function net:stall(node, host) end
---It goes on.
---@param node troupe.test|string
---@param host troupe.test|string
function net:heal(node, host) end
---From now on connections are so.
---@param options troupe.weather
function net:weather(options) end
---Whether all nodes that run have joined their hosts; or this one.
---@param node? troupe.test|string
---@return boolean
function net:joined(node) end
---What went over the network.
---@return { packets: integer, bytes: integer, dials: integer, refused: integer, cuts: integer }
function net:stats() end
---Does all that can be done without time passing.
function net:run() end
---All that happens in that time.
---@param seconds number
function net:advance(seconds) end
---Seconds since the network began.
---@return number
function net:now() end
---All nodes.
function net:close() end

return testing
