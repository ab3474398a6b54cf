-- troupe reload --host ADDRESS --type TYPE: all workers of an agent type reload their own files, or none.
-- luacheck: no max line length
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local sh = require "spec.support.sh"
local tcp = require "spec.support.tcp"

-- In its version `version`; migrating is `migrate`; it answers `says`.
local function greeter(version, says, migrate, more)
  return ([[return { type = "greeter", shared = true, version = %d, state = { n = 0 }, migrate = function(self, from) %s end, %s
    on = { Hi = function(self) self.n = self.n + 1 return "%s" .. self.n end, Wait = function(_, _, ctx) ctx:sleep(0.3) return "%s" end } }
]]):format(version, migrate or "", more or "", says, says)
end

describe("all workers of a type reload their own files, or none", function()
  local folder, address, host
  local function write(name, text) return process.write_file(folder .. "/" .. name .. "/greeter.lua", text) end
  local function start_host(...)
    host = process.troupe { "host", "--listen", "127.0.0.1:0", "--operators", "operate", ... }
    address = select(2, host:wait_line("^listening (.*)$"))
  end
  local function worker(name, text, at, ...)
    sh { "mkdir", "-p", folder .. "/" .. name }
    local p = process.troupe { "worker", "--host", at or address, write(name, text), ... }
    p:wait_line("^joined ")
    return p
  end
  local function reload(...) return sh.troupe { "reload", "--host", address, "--type", "greeter", ... } end
  local function hi(key) return (select(2, sh.troupe { "call", "greeter/" .. key, "Hi", "--host", address })) end
  -- What each says, by its pid: "reloaded", "let go", …
  local function states(out)
    local all = {}
    for pid, state in out:gmatch("pid (%d+)%)  (%l[%l ]*%l)") do all[tonumber(pid)] = state end
    return all
  end
  -- What their `ps` says.
  local function serves(text, ...)
    for _, p in ipairs { ... } do
      local _, out = sh.troupe { "ps", "--pid", tostring(p.pid) }
      assert.matches(text, out, 1, true)
    end
  end

  before_each(function() folder = process.tmpdir() end)

  it("takes up what has changed in each, from its own folder, with state kept", function()
    start_host()
    local a, b = worker("a", greeter(1, "one")), worker("b", greeter(1, "one"))
    for i = 1, 8 do assert.equal('"one1"\n', hi("k" .. i)) end
    local status, out = reload()
    assert.equal(0, status)
    assert.same({ [a.pid] = "reloaded", [b.pid] = "reloaded" }, states(out))
    assert.equal(2, select(2, out:gsub("reloaded, nothing has changed\n", "")))
    write("a", greeter(2, "two"))
    write("b", greeter(2, "zwei"))
    status, out = reload("--dry-run")
    assert.equal(0, status)
    assert.same({ [a.pid] = "ready", [b.pid] = "ready" }, states(out))
    assert.equal(2, select(2, out:gsub("greeter +changed  version 1 to 2  %d instances? migrate", "")))
    serves("version 1  code 1", a, b)
    status, out = reload()
    assert.equal(0, status)
    assert.equal(2, select(2, out:gsub("reloaded  1 file: " .. folder:gsub("%-", "%%-") .. "/[ab]/greeter.lua %(code 2%)", "")))
    serves("version 2  code 2", a, b)
    local got = {}
    for i = 1, 8 do got[hi("k" .. i)] = true end
    assert.same({ ['"two2"\n'] = true, ['"zwei2"\n'] = true }, got)
    host:wait_line("workers.reload type=greeter workers=2 done=yes", nil, "err")
  end)

  it("changes nothing where one cannot: a wrong file, a version without migrate, a failing migration of an instance", function()
    start_host()
    local a, b = worker("a", greeter(1, "one")), worker("b", greeter(1, "one"))
    for i = 1, 8 do hi("k" .. i) end
    write("a", greeter(2, "two"))
    for text, why in pairs {
      ["return {\n  type = = }\n"] = "b/greeter.lua:2: unexpected symbol near '='",
      [greeter(2, "two"):gsub("migrate = ", "mygrate = ")] = "b/greeter.lua",
      [greeter(2, "two", "\n error('not so')")] = "b/greeter.lua: migrating greeter/k%d from version 1 to 2: .*b/greeter.lua:2: not so",
    } do
      write("b", text)
      local status, out, err = reload()
      assert.equal(1, status)
      assert.same({ [a.pid] = "let go", [b.pid] = "failed" }, states(out))
      assert.matches("^troupe: reload: %l+_?%l*: nothing was changed: 1 of 2 workers cannot: .*pid " .. b.pid .. ": .*" .. why, err)
      serves("version 1  code 1", a, b)
    end
    assert.matches('"one%d"', hi("k1"))
    write("b", greeter(2, "two"))
    assert.equal(0, (reload()))
    serves("version 2  code 2", a, b)
  end)

  it("goes back where taking it fails in one though staging did not", function()
    start_host()
    local a = worker("a", greeter(1, "one"))
    local b = worker("b", greeter(1, "one"), nil, "--allow", "fs.read=" .. folder, "--allow", "fs.write=" .. folder)
    local i, has = 0
    repeat
      i = i + 1
      hi("k" .. i)
      has = tonumber(select(2, sh.troupe { "ps", "--pid", tostring(b.pid) }):match("greeter +(%d+) instance"))
    until i >= 4 and has > 0
    -- The trial migrates each of b's once; taking it, each for the second time.
    process.write_file(folder .. "/count", "0")
    write("a", greeter(2, "two"))
    write("b", ([[local troupe, file = require "troupe", "%s/count"
]]):format(folder) .. greeter(2, "two", ([[
      local n = tonumber(troupe.fs.read(file)) + 1
      if n > %d then error("the second time") end
      troupe.fs.write(file, tostring(n))]]):format(has)))
    local status, out, err = reload()
    assert.equal(1, status)
    assert.same({ [a.pid] = "went back", [b.pid] = "failed" }, states(out))
    assert.matches("nothing was changed: 1 of 2 workers cannot: .*pid " .. b.pid .. ": .*the second time", err)
    a:wait_line("reload.undone code=2 by=host", nil, "err")
    serves("version 1", a, b)
    assert.matches('"one%d"', hi("k1"))
    write("b", greeter(2, "two")) -- the fault was there: a's files may come again as they are
    assert.equal(0, (reload()))
    serves("version 2", a, b)
  end)

  it("waits only so long for one that does not answer, and says which one was lost", function()
    start_host()
    local a, b = worker("a", greeter(1, "one")), worker("b", greeter(1, "one"))
    write("a", greeter(2, "two"))
    write("b", greeter(2, "two"))
    b:kill("sigstop")
    local status, out, err = reload("--timeout", "0.6")
    assert.equal(1, status)
    assert.equal("let go", states(out)[a.pid])
    assert.matches("silent: it does not answer in time", out)
    assert.matches("^troupe: reload: timeout: nothing was changed: 1 of 2 workers cannot", err)
    b:kill("sigcont")
    serves("version 1  code 1", a, b)
    b:kill("sigkill")
    b:wait()
    repeat status, out, err = reload("--timeout", "0.6") until out:find("away", 1, true)
    assert.equal(1, status)
    assert.matches("it was lost a moment ago, and may come back", err)
    serves("version 1  code 1", a)
  end)

  it("leaves out who has left in order", function()
    start_host()
    local a, b = worker("a", greeter(1, "one")), worker("b", greeter(1, "one"))
    write("a", greeter(2, "two"))
    b:kill()
    b:wait()
    local status, out = reload()
    assert.equal(0, status)
    assert.same({ [a.pid] = "reloaded" }, states(out))
    a:kill()
    a:wait()
    assert.matches("^troupe: reload: not_found: no worker of this host has the agent type \"greeter\"", select(3, reload()))
  end)

  it("does one at a time", function()
    start_host()
    local a = worker("a", greeter(1, "one"))
    write("a", greeter(2, "two"))
    a:kill("sigstop")
    local first = process.troupe { "reload", "--host", address, "--type", "greeter", "--timeout", "6" }
    host:wait_line("operator.asked verb=reload", nil, "err")
    local _, _, err = reload()
    assert.matches("^troupe: reload: unavailable: another reload of workers is under way, of the type \"greeter\"", err)
    a:kill("sigcont")
    first:wait_ok()
    serves("version 2  code 2", a)
  end)

  it("lets go of it when whoever asked goes", function()
    start_host()
    local a, b = worker("a", greeter(1, "one")), worker("b", greeter(1, "one"))
    write("a", greeter(2, "two"))
    b:kill("sigstop")
    local first = process.troupe { "reload", "--host", address, "--type", "greeter", "--timeout", "60" }
    host:wait_line("operator.asked verb=reload", nil, "err")
    first:kill("sigkill")
    host:wait_line("workers.reload type=greeter workers=2 done=no reason=\"nothing was changed: whoever asked for it has gone", nil, "err")
    b:kill("sigcont")
    serves("version 1  code 1", a, b)
    assert.equal(0, (reload()))
  end)

  it("goes on with one that was lost in the midst of taking it, when it is back", function()
    start_host()
    local way = proxy.before(address)
    -- its migration takes as long as the connection is cut
    local a = worker("a", greeter(1, "one"), way.address, "--allow", "fs.read=" .. folder, "--allow", "fs.write=" .. folder)
    hi("k")
    process.write_file(folder .. "/go", "0")
    process.write_file(folder .. "/at", "0")
    write("a", ([[local troupe, at, go = require "troupe", "%s/at", "%s/go"
]]):format(folder, folder) .. greeter(2, "two", [[
      local n = tonumber(troupe.fs.read(at)) + 1
      troupe.fs.write(at, tostring(n))
      while n == 2 and troupe.fs.read(go) == "0" do end]], "limits = { instructions = 1e15 },"))
    local first = process.troupe { "reload", "--host", address, "--type", "greeter", "--timeout", "30" }
    assert.is_true(loop.poll(function() return process.read_file(folder .. "/at") == "2" end))
    way:cut()
    process.write_file(folder .. "/go", "1")
    first:wait_ok()
    assert.matches("reloaded  1 file", first.out)
    assert.equal(1, select(2, a.err:gsub("reload files=1 by=host", "")))
    serves("version 2  code 2", a)
  end)

  it("includes the host itself, workers with threads, and is for those who may operate", function()
    local text = greeter(1, "one"):gsub("shared = true,", "")
    sh { "mkdir", "-p", folder .. "/h" }
    host = process.troupe { "run", "--listen", "127.0.0.1:0", "--operators", "operate", "--threads", "2", write("h", text) }
    address = select(2, host:wait_line("^listening (.*)$"))
    hi("k")
    write("h", (greeter(2, "two"):gsub("shared = true,", "")))
    local status, out = reload()
    assert.equal(0, status)
    assert.matches("^the host itself %(.*pid " .. host.pid .. "%)  reloaded  1 file: .*%(code 2%)\n$", out)
    assert.equal('"two2"\n', hi("k"))
    assert.equal(0, (sh.troupe { "reload", "--pid", tostring(host.pid), "--type", "greeter" })) -- by its own socket
    local other = process.troupe { "host", "--listen", "127.0.0.1:0", "--operators", "observe" }
    address = select(2, other:wait_line("^listening (.*)$"))
    assert.matches("permission_denied: .*operate = yes", select(3, reload()))
    local threads = worker("t", text, nil, "--threads", "3")
    for i = 1, 6 do hi("k" .. i) end
    write("t", (greeter(2, "two"):gsub("shared = true,", "")))
    status, out = sh.troupe { "reload", "--pid", tostring(other.pid), "--type", "greeter" }
    assert.equal(0, status)
    assert.equal("reloaded", states(out)[threads.pid])
    for i = 1, 6 do assert.equal('"two2"\n', hi("k" .. i)) end
  end)

  it("refuses where a worker is not troupe's, unless such are to be left as they are", function()
    start_host()
    local bytes = process.read_file("spec/data/wire/captures/go-worker.client-to-server.bin")
    local go = tcp.connect(address)
    go:write(bytes:sub(1, bytes:find("application/json", 1, true) - 1))
    host:wait_line("client.joined client=%S+ stream=1 troupe=0", nil, "err")
    local function ask(...) return sh.troupe { "reload", "--host", address, "--type", "GoAgent", ... } end
    local status, out, err = ask()
    assert.equal(1, status)
    assert.matches("%(127.0.0.1%)  foreign\n$", out)
    assert.matches("1 of 1 worker cannot: %S+: it is not troupe's, and cannot reload %(%-%-skip%-foreign leaves such as they are%)\n$", err)
    status, out = ask("--skip-foreign")
    assert.equal(0, status)
    assert.matches("foreign\n$", out)
  end)

  it("says what does not go with --type", function()
    for _, words in ipairs { { "--to", "1" }, { "--errors", "3" }, { "--within", "3" }, { "--canary", "k" }, { "--promote" }, { "--drain", "1" } } do
      local status, _, err = sh.troupe { "reload", "--type", "a", table.unpack(words) }
      assert.equal(2, status)
      assert.matches(words[1] .. " goes with one process, not with --type", err, 1, true)
    end
    assert.matches("%-%-skip%-foreign goes with %-%-type", select(3, sh.troupe { "reload", "--skip-foreign" }))
  end)
end)
