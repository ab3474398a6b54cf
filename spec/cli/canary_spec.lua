-- troupe reload --canary, --promote, --undo, --drain, and what is not loaded again: as an operator does it.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local code = [[return { { type = "shop", state = { n = 0 }, %s on = {
  Ask = function(self, m, ctx) self.n = self.n + 1 return "%s" .. self.n end,
  Fail = function() error "%s fault" end,
  Slow = function(self, m, ctx) while not self.go do ctx:sleep(0.01) end return "%s slow" end,
  Noise = function(self) self.noise = true end, Heard = function(self) return self.noise and "heard" or "-" end } },
  { type = "all", on = { ["*"] = function(_, m, ctx)
    local t = {}
    if ctx.type == "Heard" then ctx:publish("noise", "Noise") end
    for i = 1, 8 do t[i] = ctx:call("shop/" .. i, ctx.type) end
    return table.concat(t, " ")
  end } } }]]
local function text(name, more) return (code:format(more or "", name, name, name)) end

local folder, env, door, file

local function ask(...)
  local status, out, err = sh.troupe({ ... }, { env = env })
  return (out .. err):gsub("\n$", ""), status
end
local function all(what) return (ask("call", "--host", door, "all", what or "Ask")) end
local function call(id, what, body) return (ask("call", "--host", door, "shop/" .. id, what or "Ask", body or "{}")) end

local function start(...)
  folder = process.tmpdir()
  env, door, file = { XDG_RUNTIME_DIR = folder }, "unix:" .. folder .. "/door.sock", folder .. "/shop.lua"
  process.write_file(file, text "old")
  local p = process.troupe({ "run", "--listen", door, file, ... }, { env = env })
  p:wait_line("^listening")
  return p
end

local function stop(p)
  p:kill("sigterm")
  p:wait()
end

describe("troupe reload --canary", function()
  it("serves some keys in every thread, more of them, and then all", function()
    for _, threads in ipairs { "1", "4" } do
      local p = start("--threads", threads)
      assert.equal('"' .. ("old1 "):rep(7) .. 'old1"', all())
      process.write_file(file, text "new")
      local function would(...) return tonumber(((ask("reload", "--dry-run", ...)):match "^would .-shop +changed  (%d+) instances? ")) end
      local half = would("--canary", "50%")
      assert.equal(8, would())
      local out, status = ask("reload", "--canary", "50%", "--errors", "3")
      assert.equal(0, status)
      assert.matches("^reloaded 1 file: .*/shop%.lua %(code 2, a canary: 50%%; code 1 serves the others%)$", out)
      local said = all()
      local _, count = said:gsub("new2", "%0")
      assert.equal(8, count + select(2, said:gsub("old2", "%0")))
      assert.is_true(count > 0 and count < 8, said)
      assert.same({ count, 8 - count, 8 - count, count }, { half, would("--canary", "100%"), would "--promote", would "--undo" })
      assert.matches(("8 instances .*code 1  %%(canary, code 2: %d instances?, 0 turns, 0 failed; 0 of code 1%%)"):format(count), (ask("ps")))
      local first = said:match("^.new") ~= nil
      assert.matches(first and "  code 2 (canary)  " or "  code 1  ", (ask("inspect", "shop/1", "--window", "0.01")), 1, true)
      assert.matches("code 2 is a canary (50%): first promote it or undo it", (ask("reload")), 1, true)
      assert.equal(0, select(2, ask("reload", "--canary", "100%")))
      assert.equal('"' .. ("new3 "):rep(7) .. 'new3"', all())
      out = ask("reload", "--promote")
      assert.matches("^promoted 1 file: .*/shop%.lua %(code 2%)$", out)
      assert.matches('"code":{"serves":2,"oldest":1}', (ask("ps", "--json")), 1, true)
      assert.equal('"new1"', call("9"))
      stop(p)
    end
  end)

  it("gives what it subscribes to with `all` to its own keys, in every thread", function()
    for _, threads in ipairs { "1", "4" } do
      local p = start("--threads", threads)
      all()
      process.write_file(file, text("new", 'subscriptions = { { "noise", all = true } },'))
      assert.equal(0, select(2, ask("reload", "--canary", "50%")))
      local expected = all():gsub("new%d", "heard"):gsub("old%d", "-")
      assert.matches("heard", expected)
      assert.equal(expected, all "Heard")
      assert.equal(0, select(2, ask("reload", "--promote")))
      assert.equal('"' .. ("heard "):rep(7) .. 'heard"', all "Heard")
      stop(p)
    end
  end)

  it("is undone by itself when its own turns fail, not the others'", function()
    for _, threads in ipairs { "1", "4" } do
      local p = start("--threads", threads)
      process.write_file(file, text "new")
      assert.equal(0, select(2, ask("reload", "--canary", "anna", "--errors", "1")))
      for _ = 1, 3 do assert.matches("old fault", call("bert", "Fail")) end
      assert.equal('"new1"', call("anna"))
      assert.matches("new fault", call("anna", "Fail"))
      assert.matches("(canary, code 2: 1 instance, 0 turns, 1 failed; 3 of code 1)", (ask("ps")), 1, true)
      assert.matches("new fault", call("anna", "Fail"))
      p:wait_line("reload.undone code=2 failures=2 .more than 1: the canary is gone, code 1 serves all", nil, "err")
      assert.equal('"old2"', call("anna"))
      -- The file is what it was: not again by accident.
      local out, status = ask("reload")
      assert.equal(1, status)
      assert.matches("shop.lua is still what code 2 was, and that was taken back: change it, or insist (--again)", out, 1, true)
      assert.equal(0, select(2, ask("reload", "--canary", "anna", "--again")))
      assert.equal('"new3"', call("anna"))
      assert.matches("^undone 1 file: .* %(code 1%)$", (ask("reload", "--undo")))
      assert.equal('"old4"', call("anna"))
      process.write_file(file, text "newer")
      assert.equal(0, select(2, ask("reload")))
      assert.equal('"newer5"', call("anna"))
      stop(p)
    end
  end)

  it("is undone by going back, and then takes no other way", function()
    local p = start()
    process.write_file(file, text "second")
    assert.equal(0, select(2, ask("reload")))
    process.write_file(file, text "third")
    assert.equal(0, select(2, ask("reload", "--canary", "=1")))
    assert.equal('"third1"', call("1"))
    assert.equal('"second1"', call("2"))
    assert.matches("shop +changed  1 instance follow\n", (ask("reload", "--to", "2", "--dry-run")))
    assert.matches("there is no code 3 to go back to: 2 serves now", (ask("reload", "--to", "3")), 1, true)
    assert.equal(0, select(2, ask("reload", "--to", "2")))
    assert.equal('"second2"', call("1"))
    assert.equal(0, select(2, ask("reload", "--canary", "=1", "--again")))
    assert.matches("^reloaded 1 file.*%(code 5%)$", (ask("reload", "--to", "1")))
    assert.equal('"old3"', call("1"))
    assert.matches("there is no canary", (ask("reload", "--promote")))
    process.write_file(file, text "old")
    local out, status = ask("reload", "--canary", "10%", "--errors", "0")
    assert.equal("nothing has changed: there is nothing to try, so there is no canary", out)
    assert.equal(0, status)
    assert.equal(2, select(2, ask("reload", "--promote", "--undo")))
    assert.equal(2, select(2, ask("reload", "--undo", "--errors", "1")))
    assert.matches("a part of all keys is 10%, and this key is =10", (ask("reload", "--canary", "10")), 1, true)
    stop(p)
  end)
end)

describe("troupe reload --pin", function()
  it("keeps what serves until it is unpinned", function()
    local p = start()
    process.write_file(file, text "second")
    assert.equal(0, select(2, ask("reload")))
    assert.matches("^reloaded 1 file: .* %(code 3%)\ncode 3 is pinned$", (ask("reload", "--to", "1", "--pin")))
    process.write_file(file, text "third")
    for _, more in ipairs { "--again", "--to=2", "--canary=1%", "--undo", "--dry-run" } do
      local out, status = ask("reload", more)
      assert.equal(1, status, more)
      assert.matches("code 3 is pinned: nothing is reloaded before that is over (--unpin)", out, 1, true)
    end
    p:kill("sighup")
    p:wait_line("reload.failed code 3 is pinned", nil, "err")
    assert.matches("code 3 is pinned", (ask("ps")), 1, true)
    assert.equal('"old1"', call("x"))
    assert.equal(2, select(2, ask("reload", "--pin", "--dry-run")))
    assert.equal(1, select(2, ask("reload", "--pin", "--unpin")))
    assert.matches("^reloaded 1 file: .* %(code 4%)$", (ask("reload", "--unpin")))
    assert.equal('"third2"', call("x"))
    process.write_file(file, text "fourth")
    assert.equal(0, select(2, ask("reload", "--canary", "x")))
    assert.matches("a canary cannot be pinned", (ask("reload", "--pin")))
    assert.matches("code 4 is pinned$", (ask("reload", "--undo", "--pin")))
    stop(p)
  end)
end)

describe("troupe reload --drain", function()
  local function open(id)
    local p = process.troupe({ "call", "--host", door, "shop/" .. id, "Slow", "--timeout", "200" }, { env = env })
    repeat local out = ask("ps") until out:find("1 at work", 1, true)
    return p
  end

  it("waits for turns of older code, and cuts off those that stay", function()
    for _, threads in ipairs { "1", "4" } do
      local p = start("--threads", threads, "--drain", "0")
      local quick = open "quick"
      process.write_file(file, text "new")
      local drain = process.troupe({ "reload", "--drain", "100" }, { env = env })
      p:wait_line("reload files=1 by=operator", nil, "err")
      assert.equal('"new1"', call("other"))
      ask("repl", "shop/quick", "-e", "self.go = true")
      assert.equal(0, (quick:wait()))
      assert.equal('"old slow"\n', quick.out)
      assert.equal(0, (drain:wait()))
      assert.matches("^reloaded 1 file: .*/shop%.lua %(code 2%)\ndrained: 1 turn of older code ended, 0 were cut off\n$", drain.out)
      local long = open "long"
      process.write_file(file, text "newer")
      assert.matches("\ndrained: 0 turns of older code ended, 1 was cut off: shop/long Slow$", (ask("reload", "--drain", "0.1")))
      assert.equal(1, (long:wait()))
      assert.matches("cancelled: shop/long, Slow: its code was replaced, code 3 serves, and 0.1 s later it was still open (reload --drain)",
        long.err, 1, true)
      p:wait_line("reload.drained code=3 ended=0 cut=1 turns=\"shop/long Slow\"", nil, "err")
      assert.not_matches("on code", (ask("ps")), 1, true) -- it has come to the new code without a message
      assert.equal('"newer1"', call("long"))
      stop(p)
    end
  end)

  it("cuts off a turn that computes, too", function()
    local p = start("--drain", "0")
    local busy = text("busy", "limits = { instructions = 1e15, turn_ms = 3600e3 },")
    process.write_file(file, (busy:gsub("ctx:sleep%(0.01%)", "")))
    assert.equal(0, select(2, ask("reload")))
    busy = open "busy"
    process.write_file(file, text "new")
    assert.matches("0 turns of older code ended, 1 was cut off: shop/busy Slow$", (ask("reload", "--drain", "0")))
    assert.equal(1, (busy:wait()))
    assert.matches("cancelled: shop/busy, Slow: .*shop.lua:4: its code was replaced, code 3 serves", busy.err)
    stop(p)
  end)
end)
