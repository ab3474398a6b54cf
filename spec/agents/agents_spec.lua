-- The stock agents of agents/, each with a program that uses it as its page says.
local sh = require "spec.support.sh"
local web = require "spec.support.web"
-- luacheck: no max line length
local uv = require "luv"
local process = require "spec.support.process"

-- Runs agents/NAME.lua beside a program: its lines, and the log.
local function use(name, program, ...)
  local path = process.write_file(process.tmpdir() .. "/program.lua", program)
  local args = { "run", "--log", "debug", "agents/" .. name .. ".lua", path, "--" }
  for _, arg in ipairs { ... } do table.insert(args, arg:find("^--allow=") and 2 or #args + 1, (arg:gsub("^--allow=agents", "agents"))) end
  local status, out, err = sh.troupe(args)
  assert.equal(0, status, err)
  return out, err
end

describe("agents/", function()
  it("echo answers with what it got", function()
    local out = use("echo", [[return function(ctx)
      local body, type = ctx:call("echo", "Any", { n = { 1, troupe.null } })
      print(type, body.n[1], #ctx:call("echo", "Text", "abc"))
      ctx:send("echo", "Event")
      ctx:sleep(0.01)
      local count = ctx:call("echo", "EchoCount")
      print(count.requests, count.events)
    end]])
    assert.equal("Any\t1\t3\n2\t1\n", out)
  end)

  it("logger writes a line for each event of its topics", function()
    local _, err = use("logger", [[return function(ctx)
      ctx:publish("chat", "Said", { text = 'a "b"', n = { 1, 2 } })
      ctx:publish("home.attic", "Reading", 21)
      ctx:publish("other", "Unseen")
      ctx:sleep(0.01)
      assert(ctx:call("logger/log", "LoggerCount").lines == 2)
    end]], "chat", "home.*")
    assert.matches('agent=logger/log text="event" .-topic="chat/default"', err)
    assert.matches('text="{ n = { 1, 2 }, text = \\"a \\\\\\"b\\\\\\"\\" }"', err, 1, true)
    assert.matches('topic="home.attic/default"', err, 1, true)
    assert.not_matches('topic="other', err)
  end)

  it("logger shows the beginning of large bodies, and no bytes", function()
    local _, err = use("logger", [[return function(ctx)
      local list = {}
      for i = 1, 100000 do list[i] = { i } end
      ctx:publish("chat", "Said", list)
      ctx:publish("chat", "Said", ("ä"):rep(1 << 20))
      ctx:publish("chat", "Said", { b = troupe.bytes "\255", c = {} })
      ctx:sleep(0.01)
      assert(ctx:call("logger/log", "LoggerCount").lines == 3)
    end]])
    assert.matches('text="{ { 1 }, { 2 }, { 3 }, .-…"', err)
    assert.matches('ää…"', err, 1, true)
    assert.matches('text="{ b = (1 bytes), c = {} }"', err, 1, true)
    assert.truthy(utf8.len(err))
  end)

  it("timer publishes later, and again and again until it is cancelled", function()
    local out = use("timer", [[return function(ctx)
      ctx:subscribe("bell")
      local id = ctx:call("timer", "Every", { seconds = 0.01, topic = "bell", type = "Ring", body = { n = 1 } }).id
      ctx:call("timer", "After", { seconds = 0.005, topic = "bell", type = "Once" })
      print(#ctx:call("timer", "Timers").list)
      local body, type = ctx:receive(5)
      print(type)
      for _ = 1, 3 do body, type = ctx:receive(5) print(type, body.n) end
      print(ctx:call("timer", "Cancel", { id = id }).cancelled, #ctx:call("timer", "Timers").list)
      print(ctx:call("timer", "Cancel", { id = id }).cancelled, ctx:pcall("timer", "After", { seconds = -1, topic = "t", type = "T" }))
      for _, topic in ipairs { "troupe.x", "a b", "" } do print(ctx:pcall("timer", "Every", { seconds = 1, topic = topic, type = "T" })) end
      print(ctx:pcall("timer", "Every", { seconds = 1, topic = "t", type = "" }))
    end]])
    assert.matches("^2\nOnce\nRing\t1\nRing\t1\nRing\t1\ntrue\t0\nfalse\tfalse\tinvalid: ", out)
    for _, topic in ipairs { "troupe.x", "a b", "" } do assert.matches("false\tinvalid: `" .. topic .. "` is no topic", out, 1, true) end
    assert.matches("false\tinvalid: the type is empty", out, 1, true)
  end)

  it("router passes events on by its rules", function()
    local out = use("router", [[return function(ctx)
      ctx:subscribe("alarms")
      print(ctx:call("router", "SetRules", { rules = {
        { type = "Reading", where = { room = "attic" }, to = "alarms", as = "Alert" },
        { prefix = "Log", agent = "nobody" },
        { type = "Noise" } } }).rules)
      ctx:publish("route", "Reading", { room = "attic", value = 70 })
      for _, type in ipairs { "Reading", "LogLine", "Noise", "Other" } do ctx:publish("route", type, { room = "cellar" }) end
      local body, type = ctx:receive(5)
      print(type, body.value)
      ctx:sleep(0.01)
      local n = ctx:call("router", "Routed")
      print(n.passed, n.dropped, n.unmatched)
      print(ctx:pcall("router", "SetRules", { rules = { { typ = "Reading" } } }))
    end]])
    assert.matches("^3\nAlert\t70\n2\t1\t2\nfalse\tinvalid: body.rules%[1%].*typ", out)
  end)

  it("router refuses rules that lead nowhere, or in a circle", function()
    local out = use("router", [[return function(ctx)
      local function try(rule) print(select(2, ctx:pcall("router", "SetRules", { rules = { { type = "Fine", to = "x/y" }, rule } }))) end
      try { to = "a b" }
      try { to = "troupe.x" }
      try { agent = "a b/c" }
      try { to = "x", as = "" }
      try { prefix = "Log", agent = "router" }
      ctx:subscribe "x"
      ctx:call("router", "SetRules", { rules = { { to = "x" } } })
      ctx:publish("home.attic", "Reading", 1)
      print(ctx:receive(5))
    end]], "home.*")
    assert.equal(table.concat({ "invalid: rules[2]: `a b` is no topic to publish on", "invalid: rules[2]: `troupe.x` is no topic to publish on",
      'invalid: rules[2]: agent: the agent type "a b" has the character " ": only letters, digits, _ - . are allowed', "invalid: rules[2]: `as` is empty",
      "invalid: rules[2]: it would lead back to router/default itself, without end", "1\tReading\trouter/default\n" }, "\n"), out)
  end)

  it("recorder keeps the last events for whoever comes late", function()
    local out = use("recorder", [[return function(ctx)
      for n = 1, 1500 do ctx:publish("chat", "Said", { n = n }) if n % 100 == 0 then ctx:sleep(0) end end
      ctx:sleep(0.01)
      local all = ctx:call("recorder", "Last").events
      print(#all, all[1].body.n, all[#all].body.n, all[1].topic, all[1].type)
      print(ctx:call("recorder", "Last", { n = 2 }).events[1].body.n)
      print(ctx:call("recorder", "Forget").forgotten, #ctx:call("recorder", "Last").events)
    end]], "chat")
    assert.equal("1000\t501\t1500\tchat/default\tSaid\n1499\n1000\t0\n", out)
  end)

  it("recorder and deadletters keep no more than they can hold", function()
    if process.hostile then return pending "in a hostile build two dead letters wait" end
    local out = use("recorder", [[return function(ctx)
      local list = {}
      for i = 1, 5000 do list[i] = "v" .. i end
      for n = 1, 120 do
        ctx:publish("chat", "Said", { n = n, list = list })
        if n % 10 == 0 then ctx:sleep(0) end
      end
      ctx:publish("chat", "Said", ("x"):rep(5 << 20))
      ctx:sleep(0.01)
      local events = ctx:call("recorder", "Last").events
      print(#events > 50 and #events < 110, events[#events].cut, events[#events].body, events[#events - 1].body.n)
      for i = 1, 5 do ctx:send("nobody", "Lost", ("x"):rep(i << 20)) ctx:sleep(0) end
      repeat ctx:sleep(0.001) until ctx:call("deadletters", "Counts").total == 5
      local letters = ctx:call("deadletters", "Letters").letters
      print(#letters, letters[1].cut, letters[5].cut, ctx:pcall("deadletters", "Again", { number = 5 }))
    end]], "chat", "--allow=agents/deadletters.lua")
    assert.equal("true\ttrue\tnil\t120\n5\ttrue\tnil\tfalse\ttoo_large: the body of letter 5 was not kept\n", out)
  end)

  it("deadletters shows what could not be delivered, and sends it again", function()
    local out = use("deadletters", [[
      return { { type = "picky", mailbox = { limit = 1, overflow = "refuse" }, on = {
        Job = function(_, m, ctx)
          print("job", m.n)
          ctx:call("gate", "Add", { n = m.n })
          while m.n == 1 and ctx:call("gate", "Count").n < 10 do ctx:sleep(0.001) end
        end } },
        { type = "gate", state = { n = 0 }, on = {
          Add = function(self, m) self.n = self.n + m.n return { n = self.n } end, Count = function(self) return { n = self.n } end } },
        function(ctx)
          local function until_(agent, message, field, n) repeat ctx:sleep(0.001) until ctx:call(agent, message)[field] >= n end
          ctx:send("nobody", "Lost", { n = 1 })
          until_("deadletters", "Counts", "total", 1)
          ctx:send("picky", "Job", { n = 1 })
          until_("gate", "Count", "n", 1)
          for n = 2, 4 do ctx:send("picky", "Job", { n = n }) end
          until_("deadletters", "Counts", "total", 3)
          ctx:call("gate", "Add", { n = 9 })
          until_("gate", "Count", "n", 12)
          local letters = ctx:call("deadletters", "Letters").letters
          print(#letters, letters[#letters].reason, letters[#letters].agent)
          local again = ctx:call("deadletters", "Again", { number = letters[1].number }).sent
          until_("gate", "Count", "n", 16)
          print(again)
          local counts = ctx:call("deadletters", "Counts")
          print(counts.total, counts.counts["not_found Lost"])
          print((select(2, ctx:pcall("deadletters", "Again", { number = 99 }))))
        end }]])
    assert.matches("^job\t1\njob\t2\n3\tnot_found\tnobody/default\njob\t4\ntrue\n3\t1\nnot_found: there is no letter 99", out)
  end)

  it("run behind a host as the page shows", function()
    local session = process.read_file("agents/README.md"):match("```sh\n(.-)```")
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address = select(2, host:wait_line("^listening (.*)$"))
    local _, worker, call = session:match("^(.-)\n(.-)\n(.-)\n")
    local function real(line) return "exec " .. line:gsub("^troupe", process.program):gsub("127%.0%.0%.1:50051", address) end
    process.start({ "/bin/sh", "-c", real(worker) }):wait_line("^joined ")
    assert.equal('{"n":1}\n', (select(2, sh(real(call)))))
  end)

  it("has a page for each", function()
    local page = process.read_file("agents/README.md")
    local names = select(2, sh "ls agents")
    for name in names:gmatch("(%w+)%.lua") do assert.matches("\n## " .. name .. "\n", page) end
  end)

  it("runner runs what was granted", function()
    local out = use("runner", [[return function(ctx)
      local r = ctx:call("runner", "Run", { program = "sort", args = { "-r" }, stdin = "a\nb\n" })
      print(r.status, r.out)
      print(ctx:pcall("runner", "Run", { program = "sh", args = {} }))
      print(ctx:pcall("runner", "Run", { program = "sort", args = { 1 } }))
      print(ctx:call("runner", "Run", { program = "sort" }).status)
      local out = ctx:call("runner", "Run", { program = "printf", args = { "\\377" } }).out
      print(tostring(out):byte(-1), ctx:call("runner", "Runs").runs)
      print(ctx:call("runner", "Run", { program = "sort", stdin = troupe.bytes "b\na\n" }).out)
    end]], "--allow=exec=sort", "--allow=exec=printf")
    assert.matches("^0\tb\na\n\nfalse\tpermission_denied: .*%-%-allow exec=sh grants it.*\nfalse\tinvalid: .*args.*\n0\n255\t4\na\nb\n\n$", out)
  end)

  it("watcher tells of what is new, changed and gone", function()
    local folder = process.tmpdir()
    for _, name in ipairs { "a", "b" } do process.write_file(folder .. "/" .. name, name) end
    local out = use("watcher", ([[return function(ctx)
      local at = %q
      ctx:subscribe("files")
      print(ctx:call("watcher", "Look").changes, #ctx:call("watcher", "Files").paths)
      troupe.fs.write(at .. "/a", "b")
      troupe.fs.write(at .. "/c", "")
      print(ctx:call("watcher", "Look").changes)
      for _ = 1, 2 do local m = ctx:receive(5) print(m.what, m.path:match("[^/]+$")) end
      troupe.fs.write(at .. "/c", "more") -- its timer sees that
      local m = ctx:receive(5) print(m.what, m.path:match("[^/]+$"))
    end]]):format(folder), folder, "0.02", "--allow=fs.read=" .. folder, "--allow=fs.write=" .. folder)
    assert.equal("0\t2\n2\nchanged\ta\nnew\tc\nchanged\tc\n", out)
  end)

  it("watcher outlives its folder, and many large files", function()
    local folder = process.tmpdir() .. "/in"
    assert.equal(0, (sh("mkdir " .. folder .. " && cd " .. folder .. " && truncate -s 12M $(seq 1 300)")))
    local out, err = use("watcher", ([[return function(ctx)
      local at = %q
      local function move(from, to) return ctx:call("runner", "Run", { program = "mv", args = { from, to } }).status end
      ctx:subscribe("files")
      print(ctx:call("watcher", "Look").changes, #ctx:call("watcher", "Files").paths, move(at, at .. "2"))
      local gone = 0
      while gone < 300 do if ctx:receive(5).what == "gone" then gone = gone + 1 end end
      print(gone, move(at .. "2", at))
      print(ctx:receive(5).what)
    end]]):format(folder), folder, "0.02", "--allow=fs.read=" .. folder, "--allow=exec=mv", "--allow=agents/runner.lua")
    assert.equal("0\t300\t0\n300\t0\nnew\n", out)
    assert.matches('text="the folder is gone".*text="the folder is back"', err)
  end)

  it("watcher and webhook say what is wrong with what they were given", function()
    local function fails(...)
      local status, _, err = sh.troupe { "run", ... }
      assert.equal(1, status, err)
      return err
    end
    local watcher, webhook = "agents/watcher.lua", "agents/webhook.lua"
    assert.matches("argument 2, `soon`: expected seconds", fails(watcher, "--", "in", "soon"), 1, true)
    assert.matches("which folder?", fails(watcher), 1, true)
    assert.matches("--allow fs.read=/nowhere grants it", fails(watcher, "--", "/nowhere"), 1, true)
    local err = fails("--allow", "fs.read=/nowhere", watcher, "--", "/nowhere")
    assert.matches("not_found: /nowhere: No such file.*troupe: run: it ends with no agent left, and 1 of its turns failed", err)
    assert.matches("where to listen?", fails(webhook), 1, true)
    assert.matches('argument 2, `/a=b b:C`: the agent type "b b"', fails(webhook, "--", "127.0.0.1:0", "/a=b b:C"), 1, true)
    assert.matches("argument 2, `/a=@troupe.b:C`: this is no topic", fails(webhook, "--", "127.0.0.1:0", "/a=@troupe.b:C"), 1, true)
    assert.matches("argument 3, `/a=d:e`: /a is there already", fails(webhook, "--", "127.0.0.1:0", "/a=b:c", "/a=d:e"), 1, true)
  end)

  it("http asks the web servers that were granted", function()
    local server = web(function(request)
      if request.path == "/bytes" then return "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\255" end
      if request.path == "/text" then return "HTTP/1.1 404 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno" end
      assert(select(2, request.head:lower():gsub("content%-type: application/[a-z+]*json", "")) == 1)
      return ("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(
        #request.body + 11 + #request.method, '{"was":"' .. request.method .. request.body:gsub('"', "'") .. '" }')
    end)
    local out = use("http", ([[return function(ctx)
      local at = "http://127.0.0.1:%d"
      print(ctx:call("http", "Request", { url = at .. "/json", json = { n = 1 } }).json.was)
      print(ctx:call("http", "Request", { url = at .. "/json", json = 1, headers = { ["content-type"] = "application/x+json" } }).json.was)
      local r = ctx:call("http", "Get", { url = at .. "/text" })
      print(r.status, r.body, r.headers["content-length"], r.url == at .. "/text")
      print(tostring(ctx:call("http", "Get", { url = at .. "/bytes" }).body):byte())
      print(ctx:pcall("http", "Get", { url = "http://127.0.0.1:1/" }))
      print(ctx:pcall("http", "Request", { url = at, body = "a", json = 1 }))
      local n = ctx:call("http", "Requests")
      print(n.requests, n.failed, n.open)
    end]]):format(server.port), "--allow=net=127.0.0.1:" .. server.port)
    server:close()
    assert.matches("^POST{'n':1}\nPOST1\n404\tno\t2\ttrue\n255\nfalse\tpermission_denied: .-%-%-allow net=127.0.0.1:1 grants it.-\nfalse\tinvalid: [^\n]*one of them\n5\t1\t0\n$", out)
  end)

  it("http lets go what nobody waits for any more", function()
    local server = assert(uv.new_tcp())
    server:bind("127.0.0.1", 0)
    server:listen(8, function() end) -- takes, and never answers
    local port = server:getsockname().port
    local out = use("http", ([[return function(ctx)
      print(ctx:pcall("http", "Get", { url = "http://127.0.0.1:%d/" }, { timeout = 0.05 }))
      repeat ctx:sleep(0.001) until ctx:call("http", "Requests").open == 0
      print(ctx:call("http", "Requests").requests)
    end]]):format(port), "--allow=net=127.0.0.1:" .. port)
    server:close()
    assert.equal("false\ttimeout: http/default did not answer within the deadline\n1\n", out)
  end)

  it("webhook turns posts into messages, and answers with their replies", function()
    local shop = process.write_file(process.tmpdir() .. "/shop.lua", [[return { { type = "shop", messages = { Order = { item = "string" } }, on = {
      Order = function(_, m, ctx) if m.item == "lamp" then error { code = "not_found", message = "secret" } end return { ordered = m.item, key = ctx.key } end } },
      { type = "ci", subscriptions = { { "builds", key = "default" } }, on = { Pushed = function(_, m) print("pushed", m.branch) end } } }]])
    local args = { "run", "--allow", "listen=127.0.0.1:0", "--allow", "env=WEBHOOK_SECRET", shop, "agents/webhook.lua", "--", "127.0.0.1:0",
      "/orders=shop/main:Order", "/push=@builds:Pushed", "/gone=nobody:X" }
    local p = process.troupe(args)
    local at = select(2, p:wait_line("address=\"(127[^\"]*)\"", 10, "err"))
    local function post(path, body, ...)
      return (select(2, sh { "curl", "-s", "-m", "5", "-w", " %{http_code}", "-H", "Content-Type: application/json", "-d", body, "http://" .. at .. path, ... }):gsub("\n", ""))
    end
    assert.equal('{"key":"main","ordered":"tea"} 200', (post("/orders", '{"item":"tea"}'):gsub('{"ordered":"tea","key":"main"}', '{"key":"main","ordered":"tea"}')))
    assert.equal('{"error":"invalid"} 400', post("/orders", '{"itm":"tea"}'))
    assert.equal('{"error":"invalid"} 400', post("/orders", '{'))
    assert.equal('{"error":"not_found"} 404', post("/orders", '{"item":"lamp"}'))
    assert.equal('{"error":"not_found"} 404', post("/gone", "{}"))
    assert.equal('{"error":"not_found"} 404', post("/other", "{}"))
    assert.equal('{"error":"invalid"} 405', post("/push", "{}", "-X", "GET"))
    assert.equal('{"error":"invalid"} 415', post("/push", "{}", "-H", "Content-Type: text/plain"))
    assert.equal(" 202", post("/push", '{"branch":"main"}'))
    p:wait_line "^pushed\tmain"
    p:kill "sigterm"
    assert.equal(0, p:wait())
    p = process.troupe(args, { env = { WEBHOOK_SECRET = "key" } })
    at = select(2, p:wait_line("address=\"(127[^\"]*)\"", 10, "err"))
    assert.equal('{"error":"unauthenticated"} 401', post("/push", "{}"))
    local sum = select(2, sh "printf {} | openssl dgst -sha256 -hmac key -r"):match "^%x+"
    assert.equal(" 202", post("/push", "{}", "-H", "X-Hub-Signature-256: sha256=" .. sum))
    p:kill "sigterm"
    assert.equal(0, p:wait())
    assert.matches("expected /PATH=AGENT:TYPE", (select(3, sh.troupe { "run", "agents/webhook.lua", "--", "127.0.0.1:0", "orders" })), 1, true)
  end)
end)
