-- troupe.http and troupe.json: what scripts may ask of web servers.
-- luacheck: no max line length
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local sh = require "spec.support.sh"
local web = require "spec.support.web"

local folder, server, seen

local function ok(body, headers)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n%s"):format(#body, headers or "", body)
end

local function to(status, where) return ("HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"):format(status, where) end

local other -- a second server
local routes = {
  ["/plain"] = function() return ok("hello", "X-One: 1\r\nx-one: 2\r\n") end,
  ["/echo"] = function(r) return ok(r.method .. " " .. r.body) end,
  ["/head"] = function(r) return ok(r.head) end,
  ["/303"] = function() return to(303, "/echo") end,
  ["/307"] = function() return to(307, "/echo") end,
  ["/round"] = function() return to(302, "/round") end,
  ["/away"] = function() return to(302, ("http://127.0.0.1:%d/head"):format(other.port)) end,
  ["/file"] = function() return to(302, "file:///etc/passwd") end,
  ["/large"] = function() return ok(("x"):rep(100000)) end,
  ["/heads"] = function() return ok("", ("X-Long: " .. ("x"):rep(1000) .. "\r\n"):rep(80)) end,
  ["/404"] = function() return "HTTP/1.1 404 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno" end,
  ["/bad"] = function() return "SMTP\r\n\r\n" end,
  ["/silent"] = function() end,
}

local function run(text, rights, ...)
  local args = { "run", ... }
  for _, right in ipairs(rights or { "net=127.0.0.1:" .. server.port }) do args[#args + 1] = "--allow" args[#args + 1] = right end
  args[#args + 1] = process.write_file(folder .. "/main.lua", ("local at, other = 'http://127.0.0.1:%d', '127.0.0.1:%d'\n"):format(server.port, other.port) .. text)
  local status, out, err = sh.troupe(args, { env = { http_proxy = "http://127.0.0.1:1" } })
  assert.equal(0, status, err)
  return out, err
end

describe("troupe.http", function()
  before_each(function()
    folder, seen = process.tmpdir(), {}
    local function answer(r)
      seen[#seen + 1] = r
      return routes[r.path](r)
    end
    server, other = web(answer), web(answer)
  end)
  after_each(function()
    server:close()
    other:close()
  end)

  it("asks, and has status, headers and body", function()
    local out = run [[return function()
      local r = troupe.http{ url = at .. "/plain" }
      print(r.status, r.headers["x-one"], r.headers["content-length"], r.body, r.url == at .. "/plain")
      print(troupe.http{ url = at .. "/echo", method = "PUT", body = "a\0b" }.body == "PUT a\0b")
      print(troupe.http{ url = at .. "/echo", method = "POST", body = troupe.bytes "x" }.body)
      print(troupe.http{ url = at .. "/404" }.status)
      local head = troupe.http{ url = at .. "/head", headers = { ["X-Mine"] = "yes", Authorization = "Bearer t", Empty = "" } }.body
      print(head:match("X%-Mine: yes"), head:match("Authorization: [^\r]*"), head:match("User%-Agent: %a+"), head:match("Empty:\r"))
    end]]
    assert.equal("200\t1, 2\t5\thello\ttrue\ntrue\nPOST x\n404\nX-Mine: yes\tAuthorization: Bearer t\tUser-Agent: troupe\tEmpty:\r\n", out)
  end)

  it("needs the right for each address, also of redirects; secrets go to the first alone", function()
    local out = run([[return function()
      print(pcall(troupe.http, { url = at .. "/plain" }))
      print(pcall(troupe.http, { url = "http://127.0.0.1:1@" .. other .. "/plain" }))
    end]], { "net=127.0.0.1:1" })
    assert.matches("^false\tpermission_denied: scripts may not ask 127.0.0.1:%d+ here %(%-%-allow net=127.0.0.1:%d+ grants it%)", out)
    assert.equal(2, select(2, out:gsub("permission_denied", "")))
    assert.equal(0, #seen)
    out = run [[return function()
      print(pcall(troupe.http, { url = at .. "/away" }))
      print(pcall(troupe.http, { url = at .. "/file" }))
      print(troupe.http{ url = at .. "/away", redirects = 0 }.status)
    end]]
    assert.matches("^false\tpermission_denied: scripts may not ask 127.0.0.1:" .. other.port .. " here", out)
    assert.matches("\nfalse\tinvalid: `file:///etc/passwd` is no address of http or https.*\n302\n$", out)
    out = run([[return function()
      local r = troupe.http{ url = at .. "/away", headers = { Authorization = "secret", Cookie = "secret", ["X-Mine"] = "1" } }
      print(r.body:match("secret"), r.body:match("X%-Mine"), r.url:match(":(%d+)/") == other:match("%d+$"))
    end]], { "net=127.0.0.1:" .. server.port, "net=127.0.0.1:" .. other.port })
    assert.equal("nil\tX-Mine\ttrue\n", out)
  end)

  it("follows redirects with the right method, and not for ever", function()
    local out = run [[return function()
      print(troupe.http{ url = at .. "/303", method = "POST", body = "x" }.body)
      print(troupe.http{ url = at .. "/307", method = "POST", body = "x" }.body)
      print(troupe.http{ url = at .. "/round" }.status)
    end]]
    assert.equal("GET \nPOST x\n302\n", out)
    assert.equal(4 + 6, #seen)
  end)

  it("bounds sizes, time and number", function()
    local out = run [[
      local slow = { type = "slow", on = { Ask = function() return troupe.http{ url = at .. "/silent", timeout = 0.4 } end } }
      return { slow, function(ctx)
        print(pcall(troupe.http, { url = at .. "/large", most = 1000 }))
        print(#troupe.http{ url = at .. "/large" }.body)
        print(pcall(troupe.http, { url = at .. "/heads" }))
        print(pcall(troupe.http, { url = at .. "/silent", timeout = 0.05 }))
        local open, counts = {}, {}
        for i = 1, 70 do open[i] = ctx:async("slow/" .. i, "Ask") end
        for i = 1, 70 do
          local _, e = pcall(open[i].await, open[i])
          counts[e.code] = (counts[e.code] or 0) + 1
        end
        print(counts.timeout, counts.overloaded)
      end }]]
    assert.matches("^false\ttoo_large: http://127.0.0.1:%d+: the answer's body is larger than 1000 bytes\n100000\nfalse\ttoo_large: .-headers is larger than 65536 bytes", out)
    assert.matches("\nfalse\ttimeout: http://127.0.0.1:%d+: it took too long %(timeout%)\n64\t6\n$", out)
  end)

  it("says what is wrong with what is asked, and with who is", function()
    local out = run([[
      print(pcall(troupe.http, { url = "http://a" }))
      return function()
        for _, asked in ipairs {
          { { url = "ftp://a/" }, "no address of http" }, { { url = "nonsense" }, "is no address of http" }, { { url = "http://a b/" }, "no address" }, { {}, "url must be a string" },
          { { url = at, metod = "GET" }, "did you mean `method`" }, { { url = at, method = "GET\r\n" }, "is no method" }, { { url = at, headers = { ["a:"] = "" } }, "is no header's name" },
          { { url = at, headers = { a = "b\r\nc: d" } }, "line break" }, { { url = at, headers = { Host = "b" } }, "not a script's to set" }, { { url = at, headers = { a = 5 } }, "value must be a string" },
          { { url = at, body = {} }, "troupe.json.encode" }, { { url = at, most = 1e9 }, "from 0 to" }, { { url = at, timeout = -1 }, "timeout" }, { { url = "http://" .. ("x"):rep(9000) }, "no address" },
          { { url = "http://127.0.0.1:9/", timeout = 5 }, "unavailable" }, { { url = at .. "/bad" }, "unavailable" } } do
          local good, e = pcall(troupe.http, asked[1])
          if good or not tostring(e):find(asked[2], 1, true) then print(asked[2], e) end
        end
      end]], { "net=127.0.0.1:" .. server.port, "net=127.0.0.1:9" })
    assert.matches("^false\tinvalid: troupe.http waits: it belongs into a handler[^\n]*\n$", out)
  end)

  it("holds nobody up, from any thread, and ends with its turn", function()
    local out = run([[
      local asker = { type = "asker", on = { Ask = function(_, path) return troupe.http{ url = at .. path, timeout = 5 }.body end } }
      return { asker, function(ctx)
        local open = {}
        for i = 1, 8 do open[i] = ctx:async("asker/" .. i, "Ask", "/plain") end
        for i = 1, 8 do assert(open[i]:await() == "hello") end
        local late = ctx:async("asker/9", "Ask", "/silent")
        print(ctx:call("asker/1", "Ask", "/plain"))
        print(pcall(ctx.call, ctx, "asker/10", "Ask", "/silent", { timeout = 0.1 }))
        late:cancel()
        print(ctx:call("asker/9", "Ask", "/plain"))
        ctx:async("asker/11", "Ask", "/silent") -- under way when all ends
        ctx:sleep(0.02)
      end }]], nil, "--threads", "3", "--drain", "0")
    assert.matches("^hello\tAsk\nfalse\ttimeout: [^\n]*\nhello\tAsk\n$", out)
  end)

  if not module.sanitized then it("is waited for on the spot in a test", function() -- plain lua5.4 has no sanitizer in it
    local agent = process.write_file(folder .. "/asker.lua", ([[return { type = "asker", on = { Ask = function(_, _, ctx)
      return { troupe.http{ url = "http://127.0.0.1:%d/plain" }.body, ctx:now() } end } }]]):format(server.port))
    local main = process.write_file(folder .. "/test.lua", ([[
      local t <close> = require "troupe.testing".new { %q, allow = { "net=127.0.0.1:%d" } }
      local r = t:call("asker", "Ask")
      print(r[1], r[2] == t:now())]]):format(agent, server.port))
    local status, out, err = sh({ "lua5.4", main }, { env = { LUA_CPATH = (os.getenv "TROUPE_BUILD" or "build") .. "/?.so;;" } })
    assert.equal("hello\ttrue\n", out, err)
    assert.equal(0, status)
  end) end

  it("checks certificates, by --tls-ca", function()
    assert.equal(0, (sh.troupe({ "cert", "host", "--name", "localhost" }, { cwd = folder })))
    local tls = process.start({ "openssl", "s_server", "-accept", "0", "-www", "-cert", folder .. "/certs/host.pem", "-key", folder .. "/certs/host.key" }, { cwd = folder })
    local port = select(2, tls:wait_line "^ACCEPT [^ ]*:(%d+)")
    local text = ([[return function() print(pcall(troupe.http, { url = "https://localhost:%s/" })) end]]):format(port)
    assert.matches("^false\tunavailable: https://localhost:%d+: SSL peer certificate .*%-%-tls%-ca FILE", (run(text, { "net=localhost:" .. port })))
    assert.matches("^true\ttable", (run(text, { "net=localhost:" .. port }, "--tls-ca", folder .. "/certs/ca.pem")))
    assert.matches("^false\tunavailable: ", (run(text:gsub("localhost", "127.0.0.2"), { "net=127.0.0.2:" .. port }, "--tls-ca", folder .. "/certs/ca.pem")))
  end)
end)

describe("troupe.json", function()
  it("writes and reads what bodies may be", function()
    folder = process.tmpdir()
    server, other = { port = 1 }, { port = 2 }
    local out = run([[return function()
      local j = troupe.json
      print(j.encode { a = { 1, 2.5, "ä\n" }, b = troupe.array {} }, j.encode "x", j.encode {})
      local v = j.decode '{"a":[1,null,2.0],"b":null,"c":9007199254740993}'
      print(v.a[1], v.a[2], math.type(v.a[3]), v.b, v.c, j.encode(v))
      for _, text in ipairs { "", "{", "[1,]", "nan", '"\\ud800"', ("["):rep(1000) } do print(pcall(j.decode, text)) end
      for _, value in ipairs { { 1, x = 2 }, { print }, 0/0 } do print(pcall(j.encode, value)) end
      print(pcall(j.encode), pcall(j.decode, {}))
      local loop = {} loop.loop = loop
      print(pcall(j.encode, loop))
    end]], {})
    assert.matches('"a":%[1,2.5,"ä\\n"%]', out)
    assert.matches('1\tnull\tfloat\tnil\t9007199254740993\t{', out, 1, true)
    assert.equal(6 + 3 + 1, select(2, out:gsub("false\tinvalid: ", "")), out)
  end)
end)
