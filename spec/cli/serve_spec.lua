-- troupe.serve: agents that answer HTTP.
-- luacheck: no max line length
local uv = require "luv"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local folder, p, address

local function start(text, ...)
  local args = { "run", "--allow", "listen=127.0.0.1:0", ... }
  args[#args + 1] = process.write_file(folder .. "/main.lua", text)
  p = process.troupe(args)
  address = select(2, p:wait_line "^at (.*)$")
end

local function curl(path, ...)
  return (select(2, sh { "curl", "-s", "-m", "5", "-w", "\n%{http_code}", "http://" .. address .. path, ... }))
end

-- Raw bytes there; what comes back until it is closed.
local function raw(text, seconds)
  local got, closed = "", false
  local tcp = uv.new_tcp()
  tcp:connect("127.0.0.1", tonumber(address:match "%d+$"), function(err)
    assert(not err, err)
    tcp:write(text)
    tcp:read_start(function(_, data)
      if data then got = got .. data else closed = true end
    end)
  end)
  loop.poll(function() return closed end, seconds or 5)
  tcp:close()
  return got, closed
end

local agent = [[
  return { type = "web", autostart = true, reentrant = true,
    init = function() print("at " .. troupe.serve { address = "127.0.0.1:0", OPTIONS }) end,
    on = { Http = function(self, r, ctx)
      self.n = (self.n or 0) + 1
      if r.path == "/echo" then return { status = 201, headers = { ["X-Method"] = r.method, ["Content-Type"] = "text/plain" }, body = r.body } end
      if r.path == "/show" then return { body = ("%s|%s|%s|%s"):format(r.query, r.headers["x-a"], #r.body, r.peer:match("^127.0.0.1:") and "peer") } end
      if r.path == "/wait" then ctx:sleep(5) end
      if r.path == "/error" then error "secret" end
      if r.path == "/nonsense" then return { status = "x" } end
      if r.path == "/header" then return { headers = { A = "b\r\nC: d", ["Content-Length"] = "1", D = "e" } } end
      if r.path == "/stop" then ctx:after(0.01, "End") return {} end
      if r.path == "/none" then return end
      return { body = tostring(self.n) }
    end, End = function(_, _, ctx) ctx:stop() end } } ]]

describe("troupe.serve", function()
  before_each(function() folder = process.tmpdir() end)

  it("gives each request to its agent, and answers with the reply", function()
    start((agent:gsub("OPTIONS", "")))
    assert.matches("serving " .. address, (select(2, sh.troupe { "ps", "--pid", tostring(p.pid) })), 1, true)
    assert.equal("hello\n201", (curl("/echo", "-d", "hello")))
    assert.matches("X%-Method: PUT\r\n", (curl("/echo", "-i", "-X", "PUT", "-d", "hello")))
    assert.equal("a=b%20c|1, 2|0|peer\n200", (curl("/show?a=b%20c", "-H", "X-A: 1", "-H", "x-a: 2")))
    assert.equal("100000", (curl("/echo", "-d", ("x"):rep(100000)):gsub("\n201", ""):gsub("x+", function(s) return #s end)))
    assert.equal("nil|nil|100000|peer\n200", (curl("/show", "-H", "Transfer-Encoding: chunked", "-d", ("x"):rep(100000))))
    assert.equal('{"error":"handler_error"}\n\n500', (curl "/error"))
    assert.equal('{"error":"internal"}\n\n500', (curl "/nonsense"))
    assert.equal('{"error":"internal"}\n\n500', (curl "/none"))
    local out = curl("/header", "-i")
    assert.matches("\r\nD: e\r\n", out)
    assert.not_matches("C: d", out)
    assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\n200", (curl("/x", "-I")))
    -- Several by one connection, the second before the first is answered; the last one closes.
    local got = raw("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.0\r\n\r\n")
    assert.equal(3, select(2, got:gsub("HTTP/1.1 200 OK", "")), got)
    assert.matches("Connection: close\r\n\r\n%d+$", got)
  end)

  it("is asked for by name, at that address alone, and not at the top or twice", function()
    local out = select(2, sh.troupe { "run", "--allow", "listen=127.0.0.1:9", process.write_file(folder .. "/main.lua", [[
      print(pcall(troupe.serve, { address = "127.0.0.1:0" }))
      return { { type = "a", on = { Try = function(_, m) return (select(2, pcall(troupe.serve, m))) end } }, function(ctx)
        for _, m in ipairs { { address = "127.0.0.1:0" }, {}, { adress = "x" }, { address = "127.0.0.1:9", secret = "" }, { address = "127.0.0.1:9", signature = "X" },
          { address = "127.0.0.1:9", most = -1 }, { address = "127.0.0.1:9", timeout = 0 }, { address = "127.0.0.1:9", type = 5 } } do
          local good, e = ctx:pcall("a", "Try", m)
          print(good and tostring(e.message) or e)
        end
      end }]]) })
    for _, text in ipairs { "invalid: troupe.serve is for agents", "may not serve at 127.0.0.1:0 here (--allow listen=127.0.0.1:0 grants it)", "address is missing", "did you mean `address`",
      "secret has 1 to 1000", "signature is the header", "most must be", "timeout must be", "type must be a string" } do assert.matches(text, out, 1, true) end
    local status, _, err = sh.troupe { "run", "--allow", "listen", folder .. "/main.lua" }
    assert.equal(2, status)
    assert.matches("needs a value: listen=ADDRESS", err, 1, true)
    local open = process.write_file(folder .. "/open.lua", [[return { type = "a", autostart = true, init = function() troupe.serve { address = "0.0.0.0:0" } end }]])
    err = select(3, sh.troupe { "run", "--allow", "listen=0.0.0.0:0", open })
    assert.matches("reached from other machines", err, 1, true)
  end)

  it("bounds requests, and the time for them and their answers", function()
    start((agent:gsub("OPTIONS", "most = 1000, timeout = 0.1")))
    assert.equal("\n413", (curl("/echo", "-d", ("x"):rep(1001))))
    assert.equal("\n413", (curl("/echo", "-H", "Transfer-Encoding: chunked", "-d", ("x"):rep(1001))))
    assert.equal("\n431", (curl("/x", "-H", "X-Long: " .. ("x"):rep(17000))))
    assert.equal('{"error":"timeout"}\n\n504', (curl "/wait"))
    for _, bad in ipairs { "GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n" } do
      local got, closed = raw(bad)
      assert.matches("^HTTP/1.1 400 Bad Request\r\n", got, 1, bad)
      assert.is_true(closed)
    end
    assert.matches("^HTTP/1.1 501 ", (raw "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"))
    assert.equal("1\n200", (curl "/x":gsub("%d+\n", "1\n"))) -- and goes on
  end)

  it("takes only what is signed, where there is a secret", function()
    start((agent:gsub("OPTIONS", 'secret = "key"')))
    local sum = select(2, sh "printf hello | openssl dgst -sha256 -hmac key -r"):match "^%x+"
    assert.equal("hello\n201", (curl("/echo", "-d", "hello", "-H", "X-Hub-Signature-256: sha256=" .. sum)))
    for _, wrong in ipairs { "", "sha256=" .. sum:reverse(), sum:sub(2), ("zz"):rep(32) } do
      assert.equal('{"error":"unauthenticated"}\n\n401', (curl("/echo", "-d", "hello", "-H", "X-Hub-Signature-256: " .. wrong)))
    end
    assert.equal('{"error":"unauthenticated"}\n\n401', (curl "/echo"))
  end)

  it("ends with its agent, which answers first, and does not hold up the process", function()
    start((agent:gsub("OPTIONS", "")))
    assert.equal("\n200", (curl "/stop"))
    assert.equal(0, p:wait(3)) -- nothing is left to do
    start((agent:gsub("OPTIONS", "")), "--threads", "3")
    assert.equal("hello\n201", (curl("/echo", "-d", "hello")))
    local tcp = uv.new_tcp()
    tcp:connect("127.0.0.1", tonumber(address:match "%d+$"), function() tcp:write "GET / HT" end)
    assert.equal("1\n200", (curl "/x":gsub("%d+\n", "1\n")))
    p:kill "sigterm"
    assert.equal(0, p:wait(3))
    tcp:close()
  end)
end)
