-- troupe dev: in a terminal, and line by line.
-- luacheck: no max line length
local sh = require "spec.support.sh"
local process = require "spec.support.process"
local terminal = require "spec.support.terminal"

local folder, env
local function write(name, text) return process.write_file(folder .. "/" .. name, text) end
-- As editors save: another file, renamed over the old one, and something beside it.
local function save(name, text)
  write("." .. name .. ".swp", "swap")
  write(name .. "~new", text)
  assert(os.rename(folder .. "/" .. name .. "~new", folder .. "/" .. name))
  os.remove(folder .. "/." .. name .. ".swp")
end

local greeter = [[
return {
  type = "greeter",
  state = { count = 0 },
  subscriptions = { "news" },
  on = {
    Greeting = function(self, message)
      self.count = self.count + 1
      return { content = "hello " .. message.name }
    end,
    Fail = function(_, message) return message.x.y end,
    News = function() end,
  },
}
]]

local function dev(input, ...)
  return sh.troupe({ "dev", ... }, { env = env, cwd = folder, stdin = input })
end

describe("troupe dev", function()
  before_each(function()
    folder = process.tmpdir()
    env = { XDG_RUNTIME_DIR = folder, XDG_STATE_HOME = folder, HOME = folder }
    write("greeter.lua", greeter)
  end)

  it("in a terminal: a file is edited, broken and mended while messages go on", function()
    local t = terminal.open({ process.program, "dev", "greeter.lua" }, { cwd = folder, env = env })
    t:wait "\ntroupe>"
    t:type "cal"
    t:key "Tab"
    t:wait "troupe> call"
    t:type "greet"
    t:key "Tab" -- a key is to follow here, words after the others
    t:wait "call greeter/"
    t:type "desk Gree"
    t:key "Tab"
    t:wait "call greeter/desk Greeting"
    t:type '{"name": "Anna"}'
    t:key "Enter"
    t:wait '= {"content":"hello Anna"}'
    -- the new answer, by one keystroke, and what is being typed stays
    t:type "state greeter/de"
    t:wait "troupe> state greeter/de"
    save("greeter.lua", (greeter:gsub("hello ", "good day, ")))
    t:wait "reloaded 1 file"
    t:key "C-o"
    t:wait '= {"content":"good day, Anna"}'
    t:wait "troupe> state greeter/de"
    -- broken: the line, the caret, and the old one goes on
    save("greeter.lua", (greeter:gsub("self%.count %+ 1", "self.count +* 1")))
    t:wait "the old version goes on"
    t:wait("error greeter.lua:7: unexpected symbol near '*'\n    7 |       self.count = self.count +* 1\n      |                                ^\n")
    t:key "C-o"
    t:wait('= {"content":"good day, Anna"}', 2)
    t:type "sk"
    t:key "Enter"
    t:wait '\n{"count":3}'
    -- mended: state was kept; history brings the call back
    save("greeter.lua", (greeter:gsub("hello ", "bye, ")))
    t:wait("reloaded 1 file", 2)
    t:key "Up"
    t:key "Up"
    t:key "Enter"
    t:wait '= {"content":"bye, Anna"}'
    t:type "state greeter/desk"
    t:key "Enter"
    t:wait '\n{"count":4}'
    t:key "C-d"
    local history = folder .. "/troupe/dev_history"
    local deadline = os.time() + 10
    local kept
    repeat
      local file = io.open(history)
      kept = file and file:read("a") or ""
      if file then file:close() end
    until kept ~= "" or os.time() > deadline
    assert.matches("Greeting", kept)
  end)

  it("Ctrl-C drops what is typed, ends what the prompt waits for, and twice in a row ends it; so does a closed window", function()
    write("greeter.lua", (greeter:gsub("News = ", [[Slow = function(_, _, ctx)
      ctx:publish("slow", "Begun")
      local done <close> = setmetatable({}, { __close = function() print("given up") end })
      ctx:sleep(1000)
    end, %0]])))
    local t = terminal.open({ process.program, "dev", "greeter.lua" }, { cwd = folder, env = env })
    t:wait "\ntroupe>"
    t:type "call greeter/desk Slow"
    t:key "Enter"
    t:wait "slow/desk  Begun"
    t:type "bogus"
    t:wait "troupe> bogus"
    t:key "C-c"
    t:wait "troupe> bogus^C\ntroupe>"
    t:key "C-c"
    t:wait "troupe> ^C\n"
    t:wait "cancelled: interrupted"
    t:wait "given up"
    t:type "lua greeter/desk while true do end"
    t:key "Enter"
    t:wait "while true do end\ntroupe>"
    t:key "C-c"
    t:wait "\ninterrupted\n"
    t:key "C-c"
    t:wait "^C\n(Ctrl-C once more, or Ctrl-D, ends it)\ntroupe>"
    t:type 'call greeter/desk Greeting {"name": "Änne"}' -- it serves on, and asks again
    t:key "Enter"
    t:wait '= {"content":"hello Änne"}'
    t:key "C-c"
    t:wait("(Ctrl-C once more, or Ctrl-D, ends it)", 2)
    t:key "C-c"
    t:wait_end()
    t = terminal.open({ process.program, "dev", "greeter.lua" }, { cwd = folder, env = env })
    t:wait "\ntroupe>"
    local other = terminal.open({ process.program, "dev", "greeter.lua" }, { cwd = folder, env = env })
    other:wait "\ntroupe>"
    other:type "# another's \\n"
    other:key "Enter"
    other:wait "troupe> # another's \\n\ntroupe>"
    t:key "Up" -- what the first had
    t:wait 'troupe> call greeter/desk Greeting {"name": "Änne"}'
    t:key "Enter"
    t:wait '= {"content":"hello Änne"}'
    t:release()
    t:wait_end()
    other:release()
    other:wait_end()
    assert.matches("\ncall\\040greeter/desk[^\n]+\n#\\040another's\\040\\134n\n$", process.read_file(folder .. "/troupe/dev_history"))
  end)

  it("puts a typed line away and back again, over however many rows it goes", function()
    local t = terminal.open({ process.program, "dev", "greeter.lua" }, { cwd = folder, env = env })
    t:wait "\ntroupe>"
    for i, more in ipairs { ("x"):rep(111), "y", "z", ("世"):rep(70) } do -- the window has 120 columns
      t:type(more)
      t:wait(more:sub(-3))
      save("greeter.lua", greeter .. "--" .. i)
      local screen = t:wait("reloaded 1 file", i)
      local _, prompts = screen:gsub("troupe>", "")
      assert.equal(1, prompts, screen)
    end
    t:wait(("reloaded 1 file\n"):rep(4) .. "troupe> xxx")
  end)

  it("line by line: each command when the one before it is answered, uncoloured", function()
    local status, out, err = dev('call greeter/desk Greeting {"name":"Anna"}\nstate greeter/desk\nlua greeter/desk self.count + 1\nhelp\nbogus\ncal x\ncall\nreplay\nstate greeter/desk', "greeter.lua")
    assert.equal("", err)
    assert.equal(0, status)
    assert.is_nil(out:find("\27", 1, true))
    assert.matches("^loaded greeter.lua\n%d%d:%d%d:%d%d%.%d%d%d · → greeter/desk  Greeting {\"name\":\"Anna\"}\n", out)
    assert.matches('← greeter/desk  Greeting {"content":"hello Anna"}\n= {"content":"hello Anna"}\n{"count":1}\n2\n', out, 1, true)
    assert.matches("\n  filter   [PATTERN…|off|*]       show only messages", out, 1, true)
    assert.matches("\n  reload                          look for changed", out, 1, true)
    assert.matches("no such command: cal (did you mean call? help lists them)", out, 1, true)
    assert.matches("usage: call AGENT TYPE [JSON]", out, 1, true)
    assert.matches('{"count":2}\n$', out)
  end)

  it("shows errors with their line and a caret, whatever the filter says", function()
    local _, out = dev('call greeter/desk Fail\ncall greeter/desk Greeting {"name":"A"}\nsend greeter/desk Fail {"a":1}\ncall nobody Ask\ncall greeter/desk Greeting {', "greeter.lua", "--filter", "off")
    assert.matches("← greeter/desk  Fail handler_error: greeter.lua:10: attempt to index a nil value (field 'x')\n   10 |     Fail = function(_, message) return message.x.y end,\n      |                                                ^\n", out, 1, true)
    assert.matches("← nobody/default  Ask not_found: no agent type", out, 1, true)
    assert.matches("the body is not JSON", out, 1, true)
    assert.is_nil(out:find("→", 1, true))
    _, out = dev('call greeter/desk Greeting {"name":"A"}\npublish news News\nstate greeter/desk', "greeter.lua", "--filter", "Greet*")
    assert.matches("→ greeter/desk  Greeting", out, 1, true)
    assert.is_nil(out:find("⇒", 1, true))
  end)

  it("finds the place in long lines, among wide characters and behind words like it", function()
    write("long.lua", "return { on = { -- " .. ("x"):rep(5000) .. [[

  Wide = function(_, m) local max, s = m, "日本語\t" return max.x.y end,
  Far = function(_, m) local s = "]] .. ("é"):rep(300) .. '" return m.p.q, "' .. ("z"):rep(200) .. [["
  end } }]])
    local _, out = dev("call long Wide\ncall long Far", "long.lua", "--filter", "off")
    local before, caret = out:match("\n    2 |(   Wide = [^\n]+ max%.)x%.y end,\n      |( +)%^\n")
    assert.equal(utf8.len(before) + 3, #caret, out)
    before, caret = out:match('\n    3 |( …[^"]+" return m%.)p%.q, "z+…\n      |( +)%^\n')
    assert.equal(utf8.len(before), #caret, out)
    write("long.lua", "return {\n  世 = 1 }")
    _, out = dev("", "long.lua")
    assert.matches("\n    2 |   世 = 1 }\n      |   ^\n", out, 1, true)
  end)

  it("tells of each file that cannot be loaded once, and is coloured only where colours are wanted", function()
    write("one.lua", "return {")
    write("two.lua", "return }")
    local p = process.troupe({ "dev", folder }, { env = env, cwd = folder })
    p:wait_line "^error .*one.lua:1"
    p:wait_line "^error .*two.lua:1"
    for i = 1, 3 do
      save("greeter.lua", greeter .. "--" .. i)
      p:wait_line "^reloaded 1 file"
    end
    p:close_stdin()
    assert.equal(0, (p:wait()))
    local _, errors = table.concat(p:lines(), "\n"):gsub("error ", "")
    assert.equal(2, errors)
    for i, setting in ipairs { "A=1", "NO_COLOR=1", "TERM=dumb" } do -- tmux has a TERM of its own
      local t = terminal.open({ "env", setting, process.program, "dev", "greeter.lua" }, { cwd = folder, env = env })
      t:wait "loaded greeter.lua"
      t:type "call greeter/desk Greeting {\"name\": \"A\"}"
      t:key "Enter"
      t:wait '= {"content":"hello A"}'
      assert.equal(i == 1, t:coloured():find("\27[", 1, true) ~= nil)
    end
  end)

  it("waits for a file that cannot be loaded, and for one that is not there yet", function()
    write("greeter.lua", "return { on = { A = functio() end } }")
    local p = process.troupe({ "dev", folder }, { env = env, cwd = folder })
    p:wait_line "error .*greeter.lua:1: '}' expected near 'end'"
    p:wait_line "^      |  *%^$"
    save("greeter.lua", greeter)
    p:wait_line "^loaded .*greeter.lua"
    save("other.lua", "return { on = { Ask = function() return 7 end } }")
    p:wait_line "^loaded .*other.lua"
    p:write("call other Ask\n")
    p:wait_line "^= 7$"
    p:close_stdin()
    assert.equal(0, (p:wait()))
  end)

  it("runs a program again when its file or its module has changed, and does not end with it", function()
    process.tmpdir()
    assert(os.execute("mkdir " .. folder .. "/shared"))
    write("shared/words.lua", 'return "one"')
    write("main.lua", 'local word = require "shared.words" return function(ctx) print(word, ctx:call("greeter/p", "Greeting", { name = "P" }).content) end')
    local p = process.troupe({ "dev", "main.lua", "greeter.lua" }, { env = env, cwd = folder })
    p:wait_line "^one\thello P$"
    p:wait_line "the program has ended, status 0"
    process.write_file(folder .. "/shared/words.lua", 'return "two"')
    p:wait_line "^two\thello P$"
    save("greeter.lua", (greeter:gsub("hello ", "bye "))) -- not its own: what it sent can be replayed
    p:wait_line "^reloaded 1 file"
    p:write("replay\n")
    p:wait_line '= {"content":"bye P"}'
    p:write("run\n")
    p:wait_line "^two\tbye P$"
    -- one that never ends is ended, and begins anew
    save("main.lua", 'return function(ctx) print "stays" ctx:sleep(1000) end')
    p:wait_line "^stays$"
    save("main.lua", 'return function(ctx) print "again" return 3 end')
    p:wait_line "^again$"
    p:wait_line "the program has ended, status 3"
    p:write("quit\n")
    assert.equal(0, (p:wait()))
  end)

  it("sends the last messages again after each reload, if it is asked to", function()
    local p = process.troupe({ "dev", "greeter.lua", "--again", "1" }, { env = env, cwd = folder })
    p:write('call greeter/desk Greeting {"name":"Anna"}\n')
    p:wait_line '= {"content":"hello Anna"}'
    save("greeter.lua", (greeter:gsub("hello ", "bye ")))
    p:wait_line '= {"content":"bye Anna"}'
    p:kill()
    assert.equal(0, (p:wait()))
  end)

  it("goes on watching where a folder was replaced by another", function()
    assert(os.execute("mkdir " .. folder .. "/agents"))
    write("agents/greeter.lua", greeter)
    local p = process.troupe({ "dev", "agents" }, { env = env, cwd = folder })
    p:wait_line "^loaded agents/greeter.lua"
    assert(os.rename(folder .. "/agents", folder .. "/old"))
    p:wait_line "^error agents/greeter.lua: No such file"
    assert(os.execute("mkdir " .. folder .. "/agents"))
    write("agents/greeter.lua", (greeter:gsub("hello ", "bye ")))
    p:wait_line "^reloaded 1 file"
    write("agents/greeter.lua", (greeter:gsub("hello ", "well ")))
    p:wait_line "^reloaded 1 file"
    p:write('call greeter/desk Greeting {"name":"Anna"}\n')
    p:wait_line '= {"content":"well Anna"}'
    p:close_stdin()
    assert.equal(0, (p:wait()))
  end)
end)
