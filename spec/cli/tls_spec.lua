-- TLS between real processes: hosts, workers, callers, C, Lua, and OpenSSL's own client.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"
local certs = require "spec.support.certs"
local join = certs.join

local echo = [[return { type = "echo", on = { Say = function(_, message) return message end } }]]

describe("TLS", function()
  local c, folder

  before_each(function()
    c = certs.new("anna")
    folder = process.tmpdir()
  end)

  local function host(options, ...)
    local p = process.troupe(join({ "host" }, options, ...))
    return p, select(2, p:wait_line("^listening (.*)$"))
  end

  local function call(address, options) return sh.troupe(join({ "call", "echo", "Say", '{"a":1}', "--host", address }, options)) end

  local function worker(address, options)
    local p = process.troupe(join({ "worker", "--host", address, process.write_file(folder .. "/echo.lua", echo) }, options))
    p:wait_line("^joined ")
    return p
  end

  it("carries calls from a worker to another, by a name or a number", function()
    local _, address = host({ "--listen", "tls:127.0.0.1:0" }, c.host_options())
    assert.matches("^tls:127%.0%.0%.1:%d+$", address)
    worker(address, c.client_options())
    for _, name in ipairs { address, (address:gsub("127.0.0.1", "localhost")) } do
      local status, out, err = call(name, c.client_options())
      assert.equal('{"a":1}\n', out, err)
      assert.equal(0, status)
    end
  end)

  it("asks for clients' certificates where it is told to, and says to each side what is wrong", function()
    local p, address = host({ "--listen", "tls:127.0.0.1:0" }, c.host_options("--tls-client-ca", c.file "ca"))
    worker(address, c.client_options "anna")
    assert.equal(0, (call(address, c.client_options "anna")))
    local other = certs.new("eve")
    for _, case in ipairs {
      { c.client_options(), "the host wants a certificate of ours", "the peer has shown no certificate" },
      { join(other.client_options "eve", { "--tls-ca", c.file "ca" }), "the host does not believe our certificate", "the peer's certificate is not to be believed" },
      { {}, "the host's certificate is not to be believed: .*%-%-tls%-ca" }, -- the host's log doubles its steps
    } do
      local status, _, err = call(address, case[1])
      assert.equal(1, status)
      assert.matches("^troupe: call: unavailable: .*" .. case[2], err)
      if case[3] then p:wait_line("tls.failed peer=127.*" .. case[3], nil, "err") end
    end
  end)

  it("believes the system's CA certificates where none are named, and AES-128 is what troupe asks for first", function()
    local _, address = host({ "--listen", "tls:127.0.0.1:0" }, c.host_options())
    worker(address, c.client_options())
    local words = { "call", "echo", "Say", '{"a":1}', "--host", address }
    local status, out, err = sh.troupe(words, { env = { SSL_CERT_FILE = c.file "ca" } })
    assert.equal('{"a":1}\n', out, err)
    assert.equal(0, status)
    assert.matches("is not to be believed", select(3, sh.troupe(words)))
    local server = process.start { "openssl", "s_server", "-accept", "0", "-naccept", "1", "-alpn", "h2", "-cert", c.file "host", "-key", c.key "host" }
    local _, port = server:wait_line("^ACCEPT .*:(%d+)$")
    process.troupe { "call", "a", "b", "--host", "tls:127.0.0.1:" .. port, "--tls-ca", c.file "ca" }
    server:wait_line("CIPHER is TLS_AES_128_GCM_SHA256")
  end)

  it("says so where one end speaks TLS and the other does not", function()
    local _, plain = host({ "--listen", "127.0.0.1:0" })
    local _, _, err = call("tls:" .. plain, c.client_options())
    assert.matches("the host does not speak TLS at this port", err)
    local _, secure = host({ "--listen", "tls:127.0.0.1:0" }, c.host_options())
    _, _, err = call(secure:gsub("^tls:", ""), {})
    assert.matches("this port speaks TLS: connect to tls:", err)
  end)

  it("is HTTP/2 or nothing, of version 1.2 or 1.3, to others' clients", function()
    local _, address = host({ "--listen", "tls:127.0.0.1:0" }, c.host_options())
    local function client(...)
      return select(2, sh(join({ "openssl", "s_client", "-connect", address:gsub("^tls:", ""), "-CAfile", c.file "ca" }, { ... })))
    end
    for _, version in ipairs { "2", "3" } do
      local out = client("-alpn", "http/1.1,h2", "-tls1_" .. version, "-verify_return_error")
      assert.matches("ALPN protocol: h2", out)
      assert.matches("TLSv1%." .. version, out)
    end
    assert.matches("alert no application protocol", select(3, sh(join({ "openssl", "s_client", "-connect", address:gsub("^tls:", ""), "-alpn", "http/1.1" }))))
    assert.matches("Cipher is %(NONE%)", client("-alpn", "h2", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"))
  end)

  it("listens at several places at once, and in plaintext only where nobody else comes by", function()
    local p = process.troupe(join({ "host", "--listen", "tls:0.0.0.0:0", "--listen", "127.0.0.1:0", "--listen", "unix:" .. folder .. "/s" }, c.host_options()))
    local at = {}
    for _ = 1, 3 do at[#at + 1] = select(2, p:wait_line("^listening (.*)$")) end
    worker("unix:" .. folder .. "/s", {})
    for i, address in ipairs { at[1]:gsub("0.0.0.0", "127.0.0.1"), at[2], at[3] } do
      assert.equal(0, (call(address, i == 1 and c.client_options() or {})), address)
    end
    local status, _, err = sh.troupe { "host", "--listen", "0.0.0.0:0" }
    assert.equal(1, status)
    assert.matches("^troupe: host: 0.0.0.0:0 is reached from other machines.*%-%-insecure", err)
    assert.truthy(process.troupe({ "host", "--listen", "0.0.0.0:0", "--insecure" }):wait_line("^listening 0.0.0.0:"))
  end)

  it("needs its files to be what they are said to be", function()
    for _, case in ipairs {
      { { "--tls-cert", folder .. "/none.pem", "--tls-key", c.key "host" }, "the certificate .*/none.pem: No such file" },
      { { "--tls-cert", c.file "host", "--tls-key", c.key "anna" }, "is not the one of the certificate" },
      { { "--tls-cert", c.file "host" }, "has no key beside it %(%-%-tls%-key%)" },
      { { "--listen", "tls:127.0.0.1:0" }, "needs a certificate and its key %(%-%-tls%-cert" },
    } do
      local status, _, err = sh.troupe(join({ "host" }, case[1]))
      assert.is_true(status == 1 or status == 2)
      assert.matches("^troupe: host: .*" .. case[2], err)
    end
  end)
end)

describe("troupe cert", function()
  it("makes a CA and what it signs, keys for their owner alone, and overwrites nothing", function()
    local c = certs.new("anna")
    local _, modes = sh("stat -c '%a %n' " .. c.folder .. "/*")
    for line in modes:gmatch("[^\n]+") do assert.matches(line:find("%.key$") and "^600" or "^644", line) end
    local _, out = sh { "openssl", "x509", "-in", c.file "host", "-noout", "-text" }
    for _, part in ipairs { "DNS:localhost", "IP Address:127%.0%.0%.1", "TLS Web Server Authentication", "CA:FALSE" } do assert.matches(part, out) end
    _, out = sh { "openssl", "verify", "-CAfile", c.file "ca", c.file "host", c.file "anna" }
    assert.matches("host.pem: OK\n.*anna.pem: OK", out)
    local before = process.read_file(c.key "anna")
    local status, _, err = sh.troupe { "cert", "--folder", c.folder, "client", "anna" }
    assert.equal(1, status)
    assert.matches("anna.key: it exists already, and is left as it is", err)
    assert.equal(before, process.read_file(c.key "anna"))
  end)

  it("says what is wrong with a name", function()
    for _, words in ipairs { { "client" }, { "client", "../x" }, { "host", "ca" }, { "cat" }, { "host", "--days", "0" } } do
      assert.equal(2, (sh.troupe(join({ "cert" }, words))))
    end
  end)
end)
