-- Certificates, tokens and rights of runtimes in a program.
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local certs = require "spec.support.certs"
local sh = require "spec.support.sh"
local open, raised = module.open, module.raised

module.describe("doors of a program with TLS", describe, function(mode)
  local c, rt

  before_each(function() c = certs.new("anna") end)
  after_each(function()
    if rt then rt:close() end
    rt = nil
  end)

  local function own(name) return { cert = c.file(name), key = c.key(name), ca = c.file "ca", client_ca = c.file "ca" } end
  local function host(...)
    local file = process.write_file(c.folder .. "/echo.lua", [[return { on = { Say = function(_, m) return m end } }]])
    local options = c.host_options("--tls-client-ca", c.file "ca", ...)
    local p = process.troupe(certs.join({ "run", "--listen", "tls:127.0.0.1:0" }, options, file))
    return select(2, p:wait_line("^listening (.*)$")), p
  end

  it("carry calls, for who shows what is asked for", function()
    local address = host()
    rt = open({ security = own "anna" }, mode)
    rt:connect(address)
    assert.equal(1, rt:call("echo", "Say", { n = 1 }).n)
  end)

  it("show a token, and are granted what the rights say", function()
    local tokens = process.write_file(c.folder .. "/tokens", "ci ci-token-0123456789\n")
    local rights = process.write_file(c.folder .. "/rights", "[token:ci]\ncall = echo/none\n")
    local address, p = host("--tokens", tokens, "--rights", rights)
    rt = open({ security = { ca = c.file "ca", token = "ci-token-0123456789" } }, mode)
    rt:connect(address)
    assert.matches("^permission_denied: token:ci may not %(call = echo/default", raised(rt.call, rt, "echo", "Say"))
    process.write_file(rights, "[token:ci]\ncall = echo\n")
    p:kill("sighup")
    p:wait_line("secure.reloaded", nil, "err")
    assert.equal(2, rt:call("echo", "Say", { n = 2 }).n)
  end)

  if mode == "luv" then
    it("are hosts too, and take their files anew", function()
      rt = open({}, mode)
      rt:secure(own "host")
      rt:load { type = "echo", on = { Say = function(_, m) return m end } }
      local address = rt:listen "tls:127.0.0.1:0"
      local call = certs.join({ "call", "echo", "Say", "--host", address }, c.client_options "anna")
      assert.equal(0, (sh.troupe(call)))
      process.write_file(c.file "host", "no certificate")
      assert.matches("^invalid: the certificate .*host.pem: there is none in it", raised(rt.secure, rt))
      assert.equal(0, (sh.troupe(call)))
    end)
  end

  it("refuse options that are wrong, by name", function()
    rt = open({}, mode)
    assert.equal("invalid: rt:secure: `certs` is not an option", raised(rt.secure, rt, { certs = "x" }))
    assert.equal("invalid: rt:secure: `insecure` must be a boolean, not a string", raised(rt.secure, rt, { insecure = "yes" }))
    assert.matches("^invalid: the certificate /none.pem: No such file", raised(rt.secure, rt, { cert = "/none.pem", key = "/none.key" }))
    assert.matches("^permission_denied: 0.0.0.0:0 is reached from other machines", raised(rt.listen, rt, "0.0.0.0:0"))
    assert.matches("^invalid: tls:127.0.0.1:0 needs a certificate", raised(rt.listen, rt, "tls:127.0.0.1:0"))
  end)
end)
