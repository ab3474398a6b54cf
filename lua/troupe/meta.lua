---@meta troupe
-- Annotations of the whole Lua API for lua-language-server, and nothing else: this file is never run. docs/api.md says what things
-- mean; here stands what they take and give (meta_testing.lua: in tests). `troupe new NAME --with-editor` sets an editor up with it.
-- spec/docs/meta_spec.lua holds it to what there is: a method or key that is here and not there, or there and not here, fails.
--
-- A server types the arguments of handlers where it is told what the table is, by a line above `return` (or above a local):
--   ---@type troupe.agent      one agent            ---@type troupe.file      a list of them, or a program

-- agents --------------------------------------------------------------------------------------------------------------------------

---A body: anything but functions, threads and userdata; `troupe.null` and `troupe.bytes` stand for what Lua has not.
---@alias troupe.body nil|boolean|number|string|table|troupe.bytes|troupe.null|troupe.placeholder

---A handler: what it returns answers a request (a body, and its type); for an event it is ignored.
---@alias troupe.handler fun(self: table, message: any, ctx: troupe.ctx): any, string?

---@class troupe.match_handler
---@field match fun(self: table, message: any, ctx: troupe.ctx): boolean? the first handler of a list whose match is true takes the message
---@field handle troupe.handler

---@alias troupe.handlers table<string, troupe.handler|troupe.match_handler[]> by message type; `["*"]` takes what nothing else did

---@class troupe.subscription
---@field [1] string? the topic's type
---@field key string? always the instance with this key
---@field all boolean? every live instance of the type in this process
---@field prefix string? all topics whose type begins so
---@field match (fun(topic: string): boolean)? a local one of your own, together with `agent`
---@field agent (fun(topic: string): string)? which agent an event of that topic goes to

---@alias troupe.priority "high"|"normal"|"low"

---A kind (`"string"`, `"integer?"`), a list of one kind, a table of fields, or `{ schema = … }` with JSON Schema in it.
---@alias troupe.schema string|table

---@class troupe.mailbox
---@field limit integer? messages that may wait (10000)
---@field bytes (integer|string)? of the bodies that wait: a number, or "64M" (64M)
---@field overflow ("wait"|"refuse"|"drop_oldest")? what happens to one more

---@class troupe.limits
---@field instructions number? of one turn (1e8)
---@field turn_ms number? running time of one turn, milliseconds (5000)
---@field memory (integer|string)? what the agent holds: bytes, or "64M"
---@field timers integer? (10000)
---@field messages integer? that one turn may send (no limit)
---@field subscriptions integer? made by ctx:subscribe, of the type (10000)
---@field instances integer? in memory at a time, of the type (1000000)

---@class troupe.failures
---@field limit integer? so many failed turns (5)
---@field within number? in so many seconds (60)
---@field action ("continue"|"restart"|"stop")? and then (continue)

---A program, and what it was given behind `--`: runs once, the process ends with its status.
---@alias troupe.main fun(ctx: troupe.ctx, args: string[]): integer?

---What a file returns: one agent, a program, or a list of agents and at most one program.
---@alias troupe.file troupe.agent|troupe.main|(troupe.agent|troupe.main)[]

---@class troupe.agent
---@field type string? default: the file's name
---@field description string?
---@field subscriptions (string|troupe.subscription)[]?
---@field autostart (boolean|string|string[])? made when the runtime starts: true, a key, or keys
---@field state (table|fun(id: string): table)? what each instance begins with; a table is copied
---@field methods table<string, function>? behind the state's fields in `self`
---@field on troupe.handlers?
---@field on_event troupe.handlers? go before `on`
---@field on_request troupe.handlers? go before `on`
---@field messages table<string, troupe.schema>? what bodies must look like, by message type
---@field replies table<string, string>? the reply's type, by the request's
---@field timers table<string, number>? a message of this type every so many seconds
---@field version integer? of the state
---@field init (fun(self: table, ctx: troupe.ctx, restored: boolean))? before an instance's first message
---@field close (fun(self: table, ctx: troupe.ctx, why: "moved"|"stop"|"drain"|"idle"|"removed"))?
---@field save (fun(self: table): any)?
---@field restore (fun(self: table, value: any))?
---@field migrate (fun(self: table, from: integer))? from an older version
---@field timeout (number|false)? seconds, for the calls it makes (30)
---@field idle number? saved and put out of memory after so many seconds
---@field pool integer? stateless: so many instances share an id
---@field reentrant boolean? takes other messages while a turn waits
---@field priority table<string, troupe.priority>? by message type
---@field mailbox troupe.mailbox?
---@field limits troupe.limits?
---@field failures troupe.failures?
---@field requeue boolean? saved as before the turn that is under way
---@field shards string[]? fields of the state that are stored as parts of their own
---@field shared boolean? several workers of a host may have the type, each id is with one of them
---@field vm "own"? a Lua state of its own for each instance
---@field nulls "keep"? null members of bodies read as `troupe.null`

-- ctx -----------------------------------------------------------------------------------------------------------------------------

---@class troupe.options
---@field timeout (number|false)? seconds
---@field retry integer? on `unavailable` and `overloaded`, so often
---@field priority troupe.priority?
---@field metadata table<string, string>?
---@field id string? the message's id
---@field cancel troupe.token?
---@field encoding string? "json", "protobuf", "text", "bytes" or a content type

---@class troupe.launch_options
---@field file string?
---@field type string? default: the file's name
---@field key string? default: "default"
---@field host string? nothing is started: the agent is one of a server there
---@field args string[]? handed to the file's chunk as `...`
---@field lazy boolean? started at its first message
---@field allow string[]? its rights; default: the launcher's but for `launch`

---What a handler knows of its message and can do. Good for its own turn only.
---@class troupe.ctx
---@field id string "type/key" of this agent
---@field key string
---@field agent_type string
---@field type string of the message
---@field sender string? the agent that sent it
---@field topic string? where it was published
---@field message_id string
---@field is_request boolean
---@field deadline number? seconds, as ctx:now() counts them
---@field cancelled boolean the caller has given up
---@field metadata table<string, string>
---@field trace string? W3C's traceparent
local ctx = {}

---To whoever subscribes.
---@param topic string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function ctx:publish(topic, type, body, opts) end

---To one agent, no reply.
---@param agent string|troupe.proxy
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function ctx:send(agent, type, body, opts) end

---Waits for the reply; raises an error object.
---@param agent string|troupe.proxy
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return any body, string type
function ctx:call(agent, type, body, opts) end

---As call, but gives `true, body, type` or `false, error`.
---@param agent string|troupe.proxy
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return boolean ok, any body_or_error, string? type
function ctx:pcall(agent, type, body, opts) end

---As call, without waiting.
---@param agent string|troupe.proxy
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return troupe.future
function ctx:async(agent, type, body, opts) end

---Parts that the callee gives by ctx:yield: `for part in ctx:stream(…) do … end`.
---@param agent string|troupe.proxy
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return troupe.stream
function ctx:stream(agent, type, body, opts) end

---A part of the answer; waits while its reader is 16 parts behind.
---@param part troupe.body
---@return boolean reaches whether it goes to anybody
function ctx:yield(part) end

---An agent to call by method; nothing is sent yet.
---@param id string
---@param opts? { host: string } stays bound to the host at that address
---@return troupe.proxy
function ctx:agent(id, opts) end

---Those of the agent's type, in the forms that subscribe takes; with `id` where it was made by that.
---@return (string|troupe.subscription)[]
function ctx:subscriptions() end

---Hear a topic from now on.
---@param topic string|troupe.subscription
---@return integer id
function ctx:subscribe(topic) end

---Of what ctx:subscribe gave.
---@param id integer
function ctx:unsubscribe(id) end

---For programs: waits for a message.
---@param seconds? number
---@return any body, string type, string? sender nothing when none came
function ctx:receive(seconds) end

---The runtime's clock, which only goes forward.
---@return number seconds
function ctx:now() end

---Waits; other agents work meanwhile.
---@param seconds number 0 lets what the turn has sent go out
function ctx:sleep(seconds) end

---A message to itself, once.
---@param seconds number
---@param type string
---@param body? troupe.body
---@return integer id
function ctx:after(seconds, type, body) end

---A message to itself, again and again; missed ones are merged.
---@param seconds number
---@param type string
---@param body? troupe.body
---@return integer id
function ctx:every(seconds, type, body) end

---Ends a timer.
---@param id integer of a timer
---@return boolean found whether there was one
function ctx:cancel(id) end

---A function that may be called at any time, from a callback or another agent: it sends `type` to this agent.
---@param type string
---@return fun(...)
function ctx:callback(type) end

---Gives an agent a process of its own (with the right `launch`).
---@param options troupe.launch_options
---@return troupe.proxy
function ctx:launch(options) end

---A line in the log, with fields behind it.
---@param level "error"|"warn"|"info"|"debug"
---@param text string
---@param fields? table<string, string|number|boolean>
function ctx:log(level, text, fields) end

---Ends this instance, or a launched agent, when what it has is done.
---@param proxy? troupe.proxy
function ctx:stop(proxy) end

---Ends the runtime.
---@param status integer
function ctx:exit(status) end

---A call that is under way.
---@class troupe.future
local future = {}
---Waits for the answer; raises its error.
---@return any body, string type
function future:await() end
---Gives the call up.
function future:cancel() end
---Whether await would wait.
---@return boolean
function future:done() end

---The parts of an answer, as they come: call it for the next, or loop over it.
---@class troupe.stream
---@operator call: any
local stream = {}
---The answer, when all parts were given.
---@return any body, string type
function stream:result() end
---Whether the answer is there.
---@return boolean
function stream:done() end
---Gives the call up, if it is still under way.
function stream:close() end
---The same.
function stream:cancel() end

---An agent to call by method: `proxy:Type(body)` runs at once and gives a placeholder.
---@class troupe.proxy
---@field [string] fun(self: troupe.proxy, body?: troupe.body, opts?: troupe.options): troupe.placeholder

---What a call will give. As an argument of another call it makes that one wait; reading a field of it waits here.
---@class troupe.placeholder
---@field [any] any

-- the library ---------------------------------------------------------------------------------------------------------------------

---`null` of JSON: in arrays, and where an agent has `nulls = "keep"`.
---@class troupe.null

---Text that is none: any bytes.
---@class troupe.bytes
---@operator len: integer

---What a failed call raises, or gives; it prints as `code: message`.
---@class troupe.error
---@field code string
---@field message string
---@field agent string?
---@field type string?
---@field traceback string?

---@class troupe.token
local token = {}
---Gives up all calls that were made with it.
function token:cancel() end

---@class troupe.json values as JSON text, and back
---@field encode fun(value: any): string as a body may be
---@field decode fun(text: string): any

---@class troupe.fs for scripts with the rights fs.read=PATH and fs.write=PATH
---@field read fun(path: string): string a plain file, up to 16 MiB
---@field write fun(path: string, text: string) all of it, or nothing
---@field list fun(path: string): string[] sorted; names of folders end with a slash
---@field stat fun(path: string): troupe.stat

---@class troupe.stat
---@field kind "file"|"folder"|"other"
---@field size integer bytes
---@field modified number seconds since 1970
---@field inode integer another one where a file was replaced by a new one

---In scripts it is there as `troupe`; in a Lua program it is what `require "troupe"` gives.
---@class troupelib
---@field fs troupe.fs
---@field json troupe.json
---@field null troupe.null
---@field version string
troupe = {}

---Marks a table as an array: an empty one is `[]` then.
---@generic T: table
---@param list T
---@return T the same, an array also when it is empty
function troupe.array(list) end

---A body, or a part of one, that is no text.
---@param text string
---@return troupe.bytes
function troupe.bytes(text) end

---The two parts of "type/key"; a bare type has the key "default".
---@param id string
---@return string type, string key
function troupe.split(id) end

---Waits for a placeholder or a future; anything else is given back.
---@param x troupe.future|troupe.placeholder|any
---@return any
function troupe.await(x) end

---The first error raises, and the rest is cancelled.
---@param list (troupe.future|troupe.placeholder)[]
---@return any[]
function troupe.all(list) end

---The first that is good; the others are cancelled.
---@param list (troupe.future|troupe.placeholder)[]
---@return any
function troupe.any(list) end

---The first that is settled; the others are cancelled.
---@param list (troupe.future|troupe.placeholder)[]
---@return any
function troupe.race(list) end

---For `opts.cancel`: many calls that are given up together.
---@return troupe.token
function troupe.token() end

---Message types from a descriptor set, beside the script.
---@param path string
function troupe.protobuf(path) end

---A variable of the environment, for scripts with the right env=NAME.
---@param name string
---@return string? nil where it is not set
function troupe.env(name) end

---@class troupe.program
---@field [integer] string|number the program and its arguments
---@field stdin string?
---@field timeout number? seconds (30)

---@class troupe.program_result
---@field status integer? its exit status
---@field signal integer? or the signal that ended it
---@field out string what it wrote, up to 1 MiB
---@field err string

---Run a program to its end while the turn waits, for scripts with the right exec=PROGRAM.
---@param program troupe.program
---@return troupe.program_result
function troupe.exec(program) end

---@class troupe.http_request
---@field url string http: or https:, of a host and port that net=HOST:PORT grants; the same for each that a redirect leads to
---@field method string? default GET
---@field headers table<string, string>?
---@field body (string|troupe.bytes)? up to 16 MiB
---@field timeout number? seconds, for all of it; default 30
---@field most integer? bytes of the answer's body; default 1 MiB, 16 MiB at most
---@field redirects integer? to follow at most; default 5

---@class troupe.http_answer
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string
---@field url string where it came from

---Ask a web server while the turn waits, for scripts with the right net=HOST:PORT.
---@param request troupe.http_request
---@return troupe.http_answer
function troupe.http(request) end

---@class troupe.server
---@field address string "127.0.0.1:8080", "unix:PATH": one that listen=ADDRESS grants
---@field type string? of the messages that requests become; default "Http"
---@field secret string? requests must be signed with it, by HMAC-SHA256 of the body
---@field signature string? the header that has the signature; default "X-Hub-Signature-256"
---@field most integer? bytes of a request's body; default 1 MiB, 16 MiB at most
---@field timeout number? seconds for an answer; default 30

---Serve HTTP/1.1: each request is a request message { method, path, query, headers, body, peer } to this agent, its reply
---{ status, headers, body } the answer. Belongs into `init`.
---@param server troupe.server
---@return string address with the real port
function troupe.serve(server) end

-- the library in a Lua program ----------------------------------------------------------------------------------------------------

---@class troupe.security
---@field cert string? PEM file: what `tls:` listeners show, and uplinks to hosts that ask for it
---@field key string? its key
---@field ca string? whose certificates are believed of hosts; default: the system's
---@field client_ca string? clients of `tls:` listeners must have a certificate of these
---@field token string? shown to hosts
---@field token_file string? a file with it
---@field tokens string? file: whose tokens our listeners take
---@field rights string? file: who may do what at our listeners
---@field sign_key string? file: what leaves this runtime is signed with it
---@field verify_keys string? file: requests and events that come in must be signed by one of these
---@field insecure boolean? listen in plaintext where other machines reach it, too

---@class troupe.runtime_options
---@field allow (string|string[])? rights of scripts
---@field security troupe.security?
---@field program string? the `troupe` program, for launched agents
---@field store string? state file, read before the first message
---@field threads integer?
---@field compress integer? messages of so many bytes and more go gzipped to hosts and workers that take it
---@field seed integer?
---@field clock (fun(): number)? seconds
---@field log ((fun(level: string, event: string, text: string))|false)?

---A runtime of the program's own.
---@param options? troupe.runtime_options
---@return troupe.runtime
function troupe.runtime(options) end

---@class troupe.pool_options: troupe.runtime_options
---@field host string
---@field size integer? connections; default 5, at most 1000

---Connections for calls from outside; a broken one is replaced.
---@param options troupe.pool_options
---@return troupe.pool
function troupe.pool(options) end

---@class troupe.pool
local pool = {}
---An event for those at the host.
---@param topic string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function pool:publish(topic, type, body, opts) end
---Waits for the answer; raises its error.
---@param agent string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return any body, string type
function pool:call(agent, type, body, opts) end
---How many connections there are, how many have joined, how many calls are open.
---@return { size: integer, joined: integer, open: integer }
function pool:stats() end
---Ends open calls with `cancelled`, and sends what was published first.
function pool:close() end

---@class troupe.runtime
local rt = {}

---Files, and agents (or lists of them) as tables; each all or nothing.
---@param ... string|troupe.agent|(troupe.agent|troupe.main)[]
function rt:load(...) end

---@class troupe.reload
---@field name? string a file; else all
---@field canary? string "10%" of all keys, or a key (`=KEY`, whatever it looks like): only these get the new code
---@field promote? boolean the canary's code serves all keys
---@field undo? boolean the canary is over
---@field to? integer back to what was when this version served
---@field again? boolean also files that were taken back and have not changed since
---@field pin? boolean from then on nothing is reloaded
---@field unpin? boolean from then on it is again
---@field errors? integer taken back by itself when more turns of the new code fail
---@field within? number in so many seconds (60; of a canary: while it is one)
---@field drain? number turns of older code are ended after so many seconds

---Takes up changed files, all or none.
---@param what? string|troupe.reload
---@return integer count
function rt:reload(what) end
---To whoever subscribes.
---@param topic string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function rt:publish(topic, type, body, opts) end
---To one agent, no reply.
---@param agent string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
function rt:send(agent, type, body, opts) end
---Runs until the answer is there; raises its error.
---@param agent string
---@param type string
---@param body? troupe.body
---@param opts? troupe.options
---@return any body, string type
function rt:call(agent, type, body, opts) end
---Calls f for each event.
---@param topic string "home.*": all that begin so
---@param f fun(body: any, type: string, topic: string)
---@return integer id
function rt:subscribe(topic, f) end
---Of what rt:subscribe gave.
---@param id integer
function rt:unsubscribe(id) end

---@class troupe.message
---@field kind "request"|"send"|"event"
---@field agent string?
---@field topic string?
---@field type string
---@field sender string?
---@field id string
---@field body any

---Lets f see every message before anybody gets it: what it returns goes on, nil drops it. Without f: no more.
---@param f? fun(message: troupe.message): troupe.message?
function rt:intercept(f) end
---How many messages the interceptor has dropped.
---@return integer
function rt:dropped() end
---Reads and writes bodies of a message type ("*": any) in a content type.
---@param options { type: string?, content_type: string, encode: fun(body: any): string, decode: fun(bytes: string): any }
function rt:serializer(options) end
---Message types from a descriptor set.
---@param path string
function rt:protobuf(path) end
---Makes the instance, if it is not there, and waits for its `init`; `self` of an agent given as a table.
---@param id string
---@return string id, table? self
function rt:get(id) end
---An instance that is ready-made, of an agent type that was loaded as a table.
---@param id string
---@param instance table
function rt:put(id, instance) end
---The instances in memory.
---@return { id: string, type: string, key: string, state: string, mailbox: integer, turns: integer }[]
function rt:agents() end
---What is known of an agent's type.
---@param id string
---@return table
function rt:metadata(id) end
---Moves a live instance into a process of its own, or to a runtime that listens there.
---@param id string
---@param options? { host: string?, launch: boolean?, lazy: boolean? }
function rt:to_dist(id, options) end
---Be a host: others join there.
---@param address string
---@return string address
function rt:listen(address) end
---Be a worker of the host there; joining goes on while the runtime works.
---@param address string
function rt:connect(address) end
---Certificates, tokens, rights and keys; before the doors that need them.
---@param options? troupe.security nil: the same files again
function rt:secure(options) end
---Works until rt:stop or ctx:exit, or until nothing can happen any more.
---@param options? { until_signal: boolean? }
---@return integer status
function rt:run(options) end
---Works until nothing is under way (30 s at most: then `timeout`).
---@param seconds? number
function rt:run_until_idle(seconds) end
---Does what is due, for about so long; never waits.
---@param seconds? number
---@return boolean more
function rt:poll(seconds) end
---Ends in good order; rt:run then returns.
---@param drain? number seconds
function rt:stop(drain) end
---Ends at once.
function rt:close() end
---The states of all agents, into a file or as bytes.
---@param path? string
---@param options? { only: string[]? }
---@return string|integer bytes_or_failed, integer? failed
function rt:save(path, options) end
---What rt:save has saved.
---@param what string bytes, or a path
---@param options? { only: string[]? }
---@return integer failed
function rt:restore(what, options) end

return troupe
