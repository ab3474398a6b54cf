-- Tokens, rights and who is who, between real processes; and what changes while they run.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"
local certs = require "spec.support.certs"
local join = certs.join

local echo = [[return { type = "echo", on = { Say = function(_, message) return message end } }]]
local ci, builder = "ci-token-0123456789", "builder-token-0123456789"

describe("a host with tokens and rights", function()
  local folder, c
  local function file(name, text)
    local path = process.write_file(folder .. "/" .. name, text)
    sh { "chmod", "600", path }
    return path
  end
  local function host(...)
    local p = process.troupe(join({ "host", "--listen", "127.0.0.1:0" }, { ... }))
    return p, select(2, p:wait_line("^listening (.*)$"))
  end
  local function call(address, token, ...)
    return sh.troupe(join({ "call", "echo", "Say", '{"a":1}', "--host", address }, { ... }), { env = { TROUPE_TOKEN = token or false } })
  end
  local function worker(address, token, ...)
    local p = process.troupe(join({ "worker", "--host", address, process.write_file(folder .. "/echo.lua", echo) }, { ... }), { env = { TROUPE_TOKEN = token or false } })
    p:wait_line("^joined ")
    return p
  end

  before_each(function()
    folder = process.tmpdir()
    file("tokens", ("# whose\nci %s\nbuilder sha256:%s\n"):format(ci, select(2, sh("printf %s " .. builder .. " | sha256sum | cut -d' ' -f1")):gsub("\n", "")))
  end)

  it("lets in who has a token, by the environment or a file, and nobody else", function()
    local p, address = host("--tokens", folder .. "/tokens", "--listen", "unix:" .. folder .. "/s")
    local _, unix = p:wait_line("^listening (.*)$")
    worker(address, builder)
    assert.equal(0, (call(address, ci)))
    assert.equal(0, (call(address, nil, "--token-file", file("token", ci .. "\n"))))
    assert.equal(0, (call(unix))) -- of the same user
    for _, token in ipairs { false, "another-token-0123456789", ci .. "0" } do
      local status, _, err = call(address, token)
      assert.equal(1, status)
      assert.matches("^troupe: call: unauthenticated: ", err)
    end
    p:wait_line("access.refused peer=127.0.0.1 count=1 reason=\"a token is needed", nil, "err")
    sh { "chmod", "644", folder .. "/tokens" }
    p:kill("sighup")
    p:wait_line("secure.readable file=.*/tokens", nil, "err")
    p:wait_line("secure.reloaded", nil, "err")
    p:kill()
    p:wait()
    assert.is_nil(p.err:find("token-0123456789", 1, true), "no token in the log")
  end)

  it("grants what its rights say, to tokens, certificates and users", function()
    c = certs.new("anna")
    local rights = file("rights", "[token:builder]\nregister = echo\n[token:ci, cert:anna]\ncall = echo/default\npublish = news\nsubscribe = news\n[uid:*]\ncall = *\n")
    local p = process.troupe(join({ "host", "--listen", "tls:127.0.0.1:0", "--listen", "unix:" .. folder .. "/s", "--tokens", folder .. "/tokens", "--rights", rights,
      "--tls-client-ca", c.file "ca" }, c.host_options()))
    local _, address = p:wait_line("^listening (.*)$")
    worker(address, builder, "--tls-ca", c.file "ca")
    assert.equal(0, (call(address, ci, "--tls-ca", c.file "ca")))
    assert.equal(0, (call(address, nil, table.unpack(c.client_options "anna"))))
    assert.equal(0, (call("unix:" .. folder .. "/s")))
    local function refused(args, options, right)
      local status, _, err = sh.troupe(join(args, "--host", address, options), { env = { TROUPE_TOKEN = ci } })
      assert.equal(1, status)
      assert.matches("^troupe: %w+: permission_denied: token:ci may not %(" .. right .. " in the host's rights would grant it%)\n$", err)
    end
    refused({ "call", "echo/other", "Say" }, c.client_options(), "call = echo/other")
    local subscriber = process.troupe(join({ "subscribe", "news", "--count", "1", "--host", address }, c.client_options()), { env = { TROUPE_TOKEN = ci } })
    subscriber:wait_line("^joined ")
    for _, topic in ipairs { "secrets", "news" } do
      sh.troupe(join({ "publish", topic, "Hi", "--host", address }, c.client_options()), { env = { TROUPE_TOKEN = ci } })
    end
    subscriber:wait_ok()
    p:wait_line("event.refused .*permission_denied: token:ci may not %(publish = secrets/default", nil, "err")
  end)

  it("tells a refused subscription to its subscriber, to ps and to doctor, and in both logs", function()
    local env = { TROUPE_TOKEN = builder, XDG_RUNTIME_DIR = folder }
    local rights = file("rights", "[token:builder]\nregister = *\nsubscribe = orders\n")
    local p, address = host("--tokens", folder .. "/tokens", "--rights", rights)
    local why = "the subscription to secret is refused: token:builder may not (subscribe = secret in the host's rights would grant it)"
    local status, out, err = sh.troupe({ "subscribe", "secret", "--host", address }, { env = env })
    assert.equal(1, status)
    assert.equal("", out)
    assert.equal("troupe: subscribe: permission_denied: " .. why .. "\n", err)
    p:wait_line("access.denied client=%S+ reason=\"token:builder may not %(subscribe = secret", nil, "err")
    err = select(3, sh.troupe({ "subscribe", "secret", "--host", address, "--wait", "echo", "--timeout", "0.3" }, { env = env }))
    assert.equal("troupe: subscribe: timeout: could not join " .. address .. " in time: " .. why .. "\n", err)
    local w = process.troupe({ "worker", "--host", address, file("w.lua", "return { type = 'w', subscriptions = { { 'secret', key = 'a' }, 'orders' }, on = {} }") }, { env = env })
    w:wait_line("subscription.refused host=" .. address:gsub("%p", "%%%0") .. " topic=secret reason=", nil, "err")
    local _, listed = sh.troupe({ "ps", "--pid", tostring(w.pid) }, { env = env })
    assert.matches("host " .. address .. " (joining: " .. why .. ")", listed, 1, true)
    status, out = sh.troupe({ "doctor", "--pid", tostring(w.pid) }, { env = env })
    assert.equal(1, status)
    assert.matches("not_joined: host " .. address .. " has not taken all that this worker has: " .. why .. "\n", out, 1, true)
    file("rights", "[token:builder]\nregister = *\nsubscribe = *\n")
    p:kill("sighup")
    w:wait_line("^joined ", 20)
  end)

  it("takes new rights, tokens and certificates under way, and ends only what they forbid", function()
    c = certs.new()
    local rights = file("rights", "[token:builder]\nregister = echo\n[token:ci]\nregister = p\ncall = *\n")
    local p, address = host("--tokens", folder .. "/tokens", "--rights", rights)
    worker(address, builder)
    local story = process.troupe({ "run", "--host", address, file("p.lua", [[return function(ctx)
      ctx:call("echo", "Say") print("before")
      while ctx:pcall("echo", "Say") do ctx:sleep(0.01) end
      print(select(2, ctx:pcall("echo", "Say")))
      while not ctx:pcall("echo", "Say") do ctx:sleep(0.01) end
      print("after")
    end]]) }, { env = { TROUPE_TOKEN = ci } })
    story:wait_line("^before")
    file("rights", "[token:builder\n")
    p:kill("sighup")
    p:wait_line("secure.failed .*rights:1: a section is .*%(what was in force stays%)", nil, "err")
    local status, _, err = sh.troupe { "reload", "--pid", tostring(p.pid) }
    assert.equal(1, status)
    assert.matches("rights:1: a section is", err)
    file("rights", "[token:builder]\nregister = echo\n[token:ci]\nregister = p\ncall = nothing\n")
    p:kill("sighup")
    story:wait_line("^permission_denied: token:ci may not %(call = echo/default")
    file("rights", "[token:builder]\nregister = echo\n[token:ci]\nregister = p\ncall = *\n")
    assert.equal(0, (sh.troupe { "reload", "--pid", tostring(p.pid) }))
    story:wait_line("^after")
    story:wait_ok()
    assert.is_nil(p.err:find("client.left client=[^\n]*\n[^\n]*client.joined"), "no stream was dropped")
    file("tokens", "ci " .. ci .. "\n")
    p:kill("sighup")
    p:wait_line("access.withdrawn .*the token is none of those", nil, "err")
  end)

  it("shows a new certificate to who comes after it was loaded, and keeps its streams", function()
    c = certs.new()
    local p = process.troupe(join({ "host", "--listen", "tls:127.0.0.1:0" }, c.host_options()))
    local _, address = p:wait_line("^listening (.*)$")
    local w = worker(address, nil, "--tls-ca", c.file "ca")
    local new = certs.new()
    sh(("cp %s %s; cp %s %s"):format(new.file "host", c.file "host", new.key "host", c.key "host"))
    p:kill("sighup")
    p:wait_line("secure.reloaded", nil, "err")
    local status, out, err = call(address, nil, "--tls-ca", new.file "ca")
    assert.equal('{"a":1}\n', out, err)
    assert.equal(0, status)
    assert.matches("not to be believed", select(3, call(address, nil, "--tls-ca", c.file "ca")))
    assert.equal(1, select(2, w.err:gsub("uplink.joined", "")))
  end)

  it("lets what was only passed on be fetched by who was told of it", function()
    local rights = file("rights", "[token:builder]\nregister = echo, maker\nsender = *\ncall = echo/default maker/default\n[token:ci]\nregister = p\ncall = echo/default maker/default\n")
    local _, address = host("--tokens", folder .. "/tokens", "--rights", rights)
    worker(address, builder)
    local maker = process.troupe({ "worker", "--host", address, file("maker.lua", [[return { on = { Make = function() return { list = { 1, 2, 3 } } end } }]]) }, { env = { TROUPE_TOKEN = builder } })
    maker:wait_line("^joined ")
    local status, out, err = sh.troupe({ "run", "--host", address, file("p.lua", [[return function(ctx)
      local made = ctx:agent("maker"):Make {}
      print(#ctx:agent("echo"):Say { it = made }.it.list)
    end]]) }, { env = { TROUPE_TOKEN = ci } })
    assert.matches("3\n", out, 1, err)
    assert.equal(0, status)
  end)

  it("never shows a token to another machine in plaintext, nor takes one from the command line", function()
    local status, _, err = sh.troupe({ "call", "echo", "Say", "--host", "192.0.2.1:1" }, { env = { TROUPE_TOKEN = ci } })
    assert.equal(2, status)
    assert.matches("a token is not shown to another machine in plaintext %(tls:192.0.2.1:1; where the network is trusted, troupe tunnel %-%-insecure leads there%)", err)
    assert.matches("unknown option %-%-token", select(3, sh.troupe { "call", "echo", "Say", "--token", ci }))
    assert.matches("a token has 16 to", select(3, sh.troupe({ "call", "echo", "Say" }, { env = { TROUPE_TOKEN = "short" } })))
  end)

  it("takes a token in a user-agent, from those who can set nothing else", function()
    local _, address = host("--tokens", folder .. "/tokens")
    local port = address:match("%d+$")
    local function get(agent) -- prior knowledge HTTP/2, one call: GetSubscriptions
      return select(2, sh(([[printf '\0\0\0\0\0' | curl -s --http2-prior-knowledge -i -H 'content-type: application/grpc' -H 'te: trailers' -H 'client-id: x' ]]
        .. [[-A '%s' --data-binary @- http://127.0.0.1:%s/agents.AgentRpc/GetSubscriptions]]):format(agent, port)))
    end
    if sh "command -v curl >/dev/null" ~= 0 then return pending("no curl here") end
    assert.matches("grpc%-status: 0", get("grpc-python/1.0 troupe-token/" .. ci .. " grpc-c/1"))
    local refused
    for _ = 1, 20 do -- curl says nothing at all where it is refused before it has sent everything
      refused = get("grpc-python/1.0 troupe-token/" .. ci .. "x")
      if refused ~= "" then break end
    end
    assert.matches("grpc%-status: 16", refused)
  end)
end)
