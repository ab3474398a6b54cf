-- The operator's verbs by a host's door (--host ADDRESS): nobody may by default; rights or --operators let some.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"
local certs = require "spec.support.certs"
local join = certs.join

local shop = [[return { type = "shop", state = { sold = 0 }, on = {
  Buy = function(self) self.sold = self.sold + 1 return self.sold end,
  Loop = function() while true do end end } }]]

describe("an operator who comes by a host's door", function()
  local folder, env
  local function file(name, text)
    local path = process.write_file(folder .. "/" .. name, text)
    sh { "chmod", "600", path }
    return path
  end
  local function run(...)
    local p = process.troupe(join({ "run", file("shop.lua", shop) }, { ... }), { env = env })
    return p, select(2, p:wait_line("^listening (.*)$"))
  end
  -- status, out, err
  local function ask(address, token, ...)
    return sh.troupe(join({ ... }, { "--host", address }), { env = { XDG_RUNTIME_DIR = folder, TROUPE_TOKEN = token or false }, cwd = folder })
  end
  local function refused(why, address, token, ...)
    local status, out, err = ask(address, token, ...)
    assert.equal(1, status)
    assert.equal("", out)
    assert.equal("troupe: " .. (...) .. ": permission_denied: " .. why .. "\n", err)
  end

  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder }
  end)

  it("may nothing by default, not even in plaintext on this machine, and is told what would grant it", function()
    local p, address = run("--listen", "127.0.0.1:0", "--listen", "unix:" .. folder .. "/s")
    local _, unix = p:wait_line("^listening (.*)$")
    for verb, right in pairs { ps = "observe", ["top --once"] = "observe", ["inspect shop/a"] = "observe", trace = "observe", deadletters = "observe",
      ["state show"] = "observe", reload = "operate", stop = "operate", drain = "operate", ["state save"] = "operate", ["state restore"] = "operate",
      ["repl shop/a -e 1"] = "evaluate", ["break shop/a"] = "evaluate" } do
      local words = {}
      for word in verb:gmatch("%S+") do words[#words + 1] = word end
      refused(("operators may not by this door (%s = yes in the host's --rights, or its --operators %s, would grant it)"):format(right, right),
        address, nil, table.unpack(words))
    end
    assert.equal(1, (ask(unix, nil, "ps")))
    p:wait_line("operator.refused verb=%S+ by=anonymous reason=", nil, "err")
    assert.equal(0, (sh.troupe({ "ps", "--pid", tostring(p.pid) }, { env = env }))) -- its own socket asks for no right
    assert.equal(0, (ask("unix:" .. folder .. "/troupe/" .. p.pid .. ".sock", nil, "ps")))
  end)

  it("may what --operators says, and what is less", function()
    local p, address = run("--listen", "127.0.0.1:0", "--operators", "operate", "--state", folder .. "/own.state")
    sh.troupe { "call", "shop/a", "Buy", "--host", address }
    assert.matches("^" .. p.pid .. "  troupe .* listening " .. address:gsub("%.", "%%.") .. "\n  shop ", select(2, ask(address, nil, "ps")))
    assert.matches("shop/a +idle", select(2, ask(address, nil, "top", "--once", "--interval", "0.05")))
    assert.matches('state +{"sold":1}', select(2, ask(address, nil, "inspect", "shop/a")))
    file("shop.lua", (shop:gsub("self.sold %+ 1", "self.sold + 10")))
    assert.matches("^reloaded 1 file: .*shop.lua %(code 2%)\n$", select(2, ask(address, nil, "reload")))
    assert.equal("11\n", select(2, sh.troupe { "call", "shop/a", "Buy", "--host", address }))
    refused("operators may not by this door (evaluate = yes in the host's --rights, or its --operators evaluate, would grant it)", address, nil, "repl", "shop/a", "-e", "self.sold")
    refused("files are named at the process' own socket only; without a FILE its own one is meant (--state)", address, nil, "state", "save", folder .. "/x")
    assert.matches("^saved /.*/own.state, ", select(2, ask(address, nil, "state", "save")))
    local trace = process.troupe({ "trace", "--count", "2", "--host", address })
    repeat
      sh.troupe { "call", "shop/a", "Buy", "--host", address }
    until trace.status -- it may have begun in the middle of one
    assert.equal(2, select(2, trace.out:gsub("shop/a  Buy", "")))
    trace:wait_ok()
    p:wait_line("operator.asked verb=reload by=anonymous", nil, "err")
    local status, _, err = ask(address, nil, "stop")
    assert.equal(0, status, err)
    assert.equal(0, (p:wait()))
  end)

  it("may evaluate, and break a loop, where that is granted", function()
    local _, address = run("--listen", "127.0.0.1:0", "--operators", "evaluate")
    sh.troupe { "call", "shop/a", "Buy", "--host", address }
    assert.equal("2\n", select(2, ask(address, nil, "repl", "shop/a", "-e", "self.sold + 1")))
    assert.equal(0, (ask(address, nil, "repl", "shop/a", "-e", "ctx:send('shop/b', 'Loop')")))
    local status, out
    repeat status, out = ask(address, nil, "break", "shop/b") until status == 0
    assert.matches("^shop/b, Loop %(computing%):", out)
  end)

  it("is known by a token or a certificate, and may what the file of rights says of it", function()
    local c = certs.new("anna", "ben")
    local token = { watcher = "watcher-0123456789abc", boss = "boss-0123456789abcdef", wizard = "wizard-0123456789abc" }
    file("tokens", ("watcher %s\nboss %s\nwizard %s\nci ci-0123456789abcdef\n"):format(token.watcher, token.boss, token.wizard))
    file("rights", "[token:watcher]\nobserve = yes\n[token:boss, cert:anna]\noperate = yes\n[token:wizard]\nevaluate = yes\n[*]\ncall = *\nobserve = no\n")
    local _, address = run(table.unpack(join({ "--listen", "tls:127.0.0.1:0", "--tokens", folder .. "/tokens", "--rights", folder .. "/rights", "--tls-client-ca", c.file "ca" },
      c.host_options())))
    local ca = c.client_options()
    local function may(who, options, ...) return (ask(address, token[who], table.unpack(join({ ... }, options)))) == 0 end
    assert.is_true(may("watcher", ca, "ps"))
    refused("token:watcher may not (operate = yes in the host's rights would grant it)", address, token.watcher, "reload", table.unpack(ca))
    assert.is_true(may("boss", ca, "ps"))
    assert.is_true(may("boss", ca, "reload"))
    refused("token:boss may not (evaluate = yes in the host's rights would grant it)", address, token.boss, "repl", "shop/a", "-e", "1", table.unpack(ca))
    sh.troupe(join({ "call", "shop/a", "Buy", "--host", address }, ca), { env = { TROUPE_TOKEN = "ci-0123456789abcdef" } })
    assert.is_true(may("wizard", ca, "repl", "shop/a", "-e", "1"))
    assert.is_true(may("wizard", ca, "ps"))
    assert.is_true(may(nil, c.client_options "anna", "reload"))
    refused("cert:ben may not (observe = yes in the host's rights would grant it)", address, nil, "ps", table.unpack(c.client_options "ben"))
    refused("token:ci may not (observe = yes in the host's rights would grant it)", address, "ci-0123456789abcdef", "ps", table.unpack(ca))
    local status, _, err = ask(address, nil, "ps", table.unpack(ca))
    assert.equal(1, status)
    assert.matches("^troupe: ps: unauthenticated: who you are is not known here", err)
    assert.matches("^troupe: ps: unavailable: .*certificate", select(3, ask(address, token.boss, "ps"))) -- whose CA is not believed
    assert.matches("a token is not shown to another machine in plaintext", select(3, ask("192.0.2.1:1", token.boss, "ps")))
  end)

  it("is told what is wrong with --operators, and with an address", function()
    local function start(...) return select(3, sh.troupe({ "host", "--listen", "127.0.0.1:0", ... }, { env = env })) end
    assert.matches('%-%-operators: expected observe, operate or evaluate, got "all"', start("--operators", "all"))
    file("rights", "[*]\noperate = perhaps\n")
    assert.matches("rights:2: operate is yes or no", start("--rights", folder .. "/rights"))
    file("rights", "[*]\noperate = yes\n")
    assert.matches("%-%-operators: with %-%-rights, that file says who may", start("--rights", folder .. "/rights", "--operators", "observe"))
    assert.matches("^troupe: ps: unavailable: ", select(3, ask("127.0.0.1:1", nil, "ps")))
    assert.matches("^troupe: ps: invalid: ", select(3, ask("nowhere", nil, "ps")))
  end)
end)
