-- agents/console.lua: from a pipe, from a file, from a terminal.
local process = require "spec.support.process"
local sh = require "spec.support.sh"
local terminal = require "spec.support.terminal"

describe("agents/console", function()
  local lines = [[
# a comment
call echo Hi {"n": [1, null]}
nonsense
call echo
call nobody X
call echo Hi {"n":
listen news*
publish ask Ask {"text": "hello"}
call echo Then
hush news*
hush news*
publish ask Ask {"text": "unheard"}
send echo Event
call echo EchoCount
chat echo Say text
hello there
.
help
call echo Last]]
  local told = [[
Hi {"n":[1,null]}
invalid: there is no `nonsense` (help lists what there is)
invalid: call AGENT TYPE [JSON]
not_found: no agent type "nobody" here (3 types are known)
invalid: JSON, line 1, column 6: premature EOF
news.today/main: Said {"text":"hello \u001b[31m"}
Then {}
invalid: `news*` is not listened to
EchoCount {...}
Say {"text":"hello there"}
call AGENT TYPE [JSON]     send AGENT TYPE [JSON]     publish TOPIC TYPE [JSON]
listen TOPIC | PREFIX*     hush TOPIC                 chat AGENT TYPE [FIELD]
help                       quit
Last {}
]]
  local teller

  before_each(function()
    teller = process.write_file(process.tmpdir() .. "/teller.lua", [[return { type = "teller", subscriptions = { { "ask", key = "main" } },
      on = { Ask = function(_, m, ctx) ctx:publish("news.today", "Said", { text = m.text .. " \27[31m" }) end } }]])
  end)

  it("obeys line by line, from a pipe or a file, to its end", function()
    -- One thread: what the teller says to the topic and what echo answers come from two, in any order.
    local args = { "run", "--threads", "1", "--allow", "luv", "agents/echo.lua", teller, "agents/console.lua" }
    local status, out, err = sh.troupe(args, { stdin = lines })
    assert.equal(0, status, err)
    assert.equal(told, (out:gsub('{"[^}]*"events":1[^}]*}', "{...}"):gsub('{"events":1[^}]*}', "{...}")))
    local file = process.write_file(process.tmpdir() .. "/lines", lines .. "\nquit\ncall echo Unsaid\n")
    status, out, err = sh(("exec %s run --threads 1 --allow luv agents/echo.lua %s agents/console.lua < %s")
      :format(process.program, teller, file))
    assert.equal(0, status, err)
    assert.equal(told, (out:gsub('{"[^}]*"events":1[^}]*}', "{...}"):gsub('{"events":1[^}]*}', "{...}")))
  end)

  it("reads no more than it can hold, and cuts no line", function()
    local many = ('call echo Hi {"n":1}\n'):rep(3000) .. ("x"):rep(200000) .. "\ncall echo Last\n"
    local file = process.write_file(process.tmpdir() .. "/lines", many)
    local _, out, err = sh(("cat %s | %s run --allow luv agents/echo.lua agents/console.lua"):format(file, process.program))
    assert.equal("", err)
    assert.equal(3000, select(2, out:gsub('Hi {"n":1}\n', "")))
    assert.matches("invalid: there is no `%?+.*Last {}\n$", out)
  end)

  it("cuts answers that are too large to show, and goes on", function()
    local large = process.write_file(process.tmpdir() .. "/large.lua", [[
      return { on = { Get = function() return ("x"):rep(20 << 20) end } }]])
    local status, out, err = sh.troupe({ "run", "--allow", "luv", "agents/echo.lua", large, "agents/console.lua" },
      { stdin = "call large Get\ncall echo Last\n" })
    assert.equal(0, status, err)
    assert.matches('^Get "x+… %(20971526 bytes%)\nLast {}\n$', out)
  end)

  it("ends where there is no input at all", function()
    assert.equal(0, (sh(("exec %s run --allow luv agents/console.lua <&-"):format(process.program))))
  end)

  it("has a prompt in a terminal, behind a host", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local address = select(2, host:wait_line "^listening (.*)$")
    process.troupe({ "worker", "--host", address, "agents/echo.lua" }):wait_line "^joined "
    local t = terminal.open { process.program, "worker", "--allow", "luv", "--host", address, "agents/console.lua" }
    t:wait ">"
    t:type 'chat echo Say'
    t:key "Enter"
    t:wait "echo>"
    t:type "hello"
    t:key "Enter"
    t:wait 'Say {"content":"hello"}'
    t:type "."
    t:key "Enter"
    t:type "quit"
    t:key "Enter"
  end)
end)
