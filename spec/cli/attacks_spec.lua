-- The table of docs/lessons.md §7, row by row (a spec reads it): scripts that try to get out, to crash their host, or to keep it for
-- themselves. Each runs as an agent of a real process, which has to answer others meanwhile.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"

-- row = { name, … }: { code of a handler with (self, m, ctx), what its answer or error has to match }
local limit = "limit_exceeded: "
local rows = {
  ["binary chunks"] = {
    { "return tostring(select(2, load(bytecode))) .. tostring(select(2, load(bytecode, 'x', 'b')))", "attempt to load a binary chunk.*attempt to load a binary chunk" },
    { "local i = 0 return tostring(select(2, load(function() i = i + 1 return bytecode:sub(i, i) end, 'x', 'bt')))", "attempt to load a binary chunk" },
    { "return tostring(string.dump) .. tostring(('').dump)", "^nilnil$" },
  },
  ["libraries"] = {
    { "return tostring(io) .. tostring(debug) .. tostring(package) .. tostring(dofile) .. tostring(loadfile) .. tostring(os.execute) .. tostring(os.exit) .. tostring(os.getenv)", "^" .. ("nil"):rep(8) .. "$" },
    { "return require('../secret')", "is not a module's name" },
    { "return require('io')", "no such module" },
    { "return troupe.fs.read('/etc/passwd')", "%-%-allow fs.read=/etc/passwd grants it" },
    { "return troupe.fs.write('/tmp/x', '')", "%-%-allow fs.write=/tmp/x grants it" },
    { "return troupe.env('HOME')", "%-%-allow env=HOME grants it" },
    { "ctx:launch{ file = 'x.lua' }", "%-%-allow launch grants it" },
  },
  ["the metatable of strings"] = {
    { "return tostring(getmetatable(''))", "^false$" },
    { "string.upper = function() return 'mine' end return ('x'):upper()", "^X$" },
  },
  ["string.rep"] = {
    { "return #(''):rep(1 << 50)", "^0$" }, { "return ('x'):rep(1 << 50)", "would be larger" }, { "while true do local _ = ('x'):rep(1 << 20) end", limit },
  },
  ["table.move"] = { { "table.move({}, 1, 1 << 50, 2, {})", limit }, { "table.move({}, 1, math.maxinteger, 2)", limit }, { "table.move({}, math.mininteger, math.maxinteger, 2)", limit },
    { "for _ = 1, 100 do for _ = 1, 1e5 do end pcall(table.move, {}, math.mininteger, math.maxinteger - 85000, 1) end", limit }, -- bought back
  },
  ["table.sort, and other ranges"] = {
    { "table.sort(setmetatable({}, { __len = function() return (1 << 31) - 2 end }), rawequal)", "__len is not taken" },
    { "table.sort(many, function() while true do end end)", limit },
    { "while true do pcall(table.sort, many, function() return true end) end", limit },
    { "table.sort(many, function() return true end)", "invalid order function" },
    { "table.sort(many, function(a, b) return ctx:call('quick', 'Ping') < a + b end)", "invalid: cannot wait here: inside a function that C calls" },
    { "local n = 0 table.sort(many, function(a, b) n = n + 1 many[n] = nil return (a or 0) < (b or 0) end)", "" },
    { "while true do table.sort(many, rawequal) end", "invalid order function" }, { "while true do pcall(table.sort, many, rawequal) end", limit },
    { "return table.concat(setmetatable({}, { __index = function() return 'x' end }), '', 1, 1 << 50)", limit },
    { "return table.concat({}, '', 1, 1 << 60)", "invalid value" },
    { "return table.concat(setmetatable({}, { __index = table.concat }), '', math.mininteger, math.maxinteger)", limit },
    { "return #os.date(('%n'):rep(1000):rep(2000))", limit },
    { "return table.unpack({}, 1, 1e8)", "too many results" },
    { "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 'x')", "__len is not taken" },
  },
  ["patterns"] = {
    { "return ('a'):rep(200):find(('.-'):rep(12) .. 'b')", "the pattern takes too long" }, { "while true do pcall(string.gsub, ('a'):rep(200), ('.-'):rep(12) .. 'b', '') end", limit },
    { "for _ in ('a'):rep(200):gmatch(('.-'):rep(12) .. 'b') do end", "the pattern takes too long" }, { "return ('x'):find(('%('):rep(1e5) .. ('('):rep(1e5))", "" },
  },
  ["coroutines"] = {
    { "local co = coroutine.create(forever) return tostring(coroutine.resume(co))", limit },
    { "coroutine.resume(made_before)", limit }, { "while true do coroutine.wrap(function() pcall(forever) end)() end", limit },
    { "local function deep() return coroutine.wrap(deep)() end deep()", "handler_error" },
    { "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = forever }) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)", limit },
    { "local cos = {} for i = 1, 6000 do cos[i] = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() coroutine.close(cos[i + 1]) end }) coroutine.yield() end) coroutine.resume(cos[i]) end return tostring(coroutine.close(cos[1]))", "^true$" },
  },
  ["__call"] = {
    { "return self_calling()", limit .. ".*stack overflow within one instruction" }, { "for _ = 1, 1e6 do pcall(self_calling) end", limit .. ".*stack overflow within" },
    { "return coroutine.wrap(function() self_calling() end)()", limit }, { "local x <close> = setmetatable({}, { __close = self_calling })", limit },
    { "local function deep(n) return n > 0 and 1 + deep(n - 1) or self_calling() end deep(8000)", limit }, { "local function f(n) return n > 0 and 1 + f(n - 1) or 0 end return f(1e4)", "^10000$" },
    { "local function f() return 1 + f() end while true do pcall(f) end", limit },
  },
  ["one instruction on long strings"] = {
    { "local s = ('\\0'):rep(1 << 20) local t = s .. 'b' s = s .. 'a' while true do local _ = s < t end", limit }, { "local s = ('1'):rep(1 << 20) while true do local _ = s + 1 end", limit },
    { "local s = ('\\0'):rep(1e5) local t = s .. 'b' s = s .. 'a' for _ = 1, 1e5 do local _ = 1 end while true do local _ = s < t end", limit },
    { "local s = (' '):rep(3 << 20) while true do string.packsize(s) end", limit }, { "local s = ('1'):rep(3 << 20) while true do tonumber(s, 10) end", limit },
    { "local function f(...) while true do local _ = select(5, ...) end end f(table.unpack({}, 1, 32000))", limit }, { "return table.unpack({}, 1, 32001)", "too many results" },
    { "return ('x'):rep(1e5):byte(1, -1)", "string slice too long" }, { "return utf8.codepoint(('x'):rep(1e5), 1, -1)", "string slice too long" },
  },
  ["__gc"] = { { "setmetatable({}, { __gc = forever })", "__gc is not allowed" }, { "local m = {} setmetatable({}, m) m.__gc = forever for _ = 1, 1e5 do local _ = {} end return 'fine'", "^fine$" } },
  ["pcall eats the limit"] = {
    { "for _ = 1, 50 do pcall(forever) end return 'survived'", limit }, { "while true do xpcall(forever, forever) end", limit },
    { "local x <close> = setmetatable({}, { __close = forever }) forever()", limit }, { "while true do select(2, pcall(error, setmetatable({}, { __index = forever }))) end", limit },
  },
  ["error objects"] = {
    { "error(setmetatable({}, { __tostring = forever }))", "handler_error" }, { "error(setmetatable({}, { __index = forever, __name = 5 }))", "handler_error" },
    { "error { code = setmetatable({}, { __tostring = forever }), message = ('x'):rep(1 << 20) }", "handler_error" }, { "error(('x'):rep(1 << 18))", "handler_error" }, { "error()", "handler_error" },
  },
  ["result tables"] = {
    { "return setmetatable({}, { __index = error, __pairs = forever, __len = forever })", "" }, { "local t = {} t.t = t return t", "invalid" },
    { "local t = {} for _ = 1, 1e5 do t = { t } end return t", "invalid" }, { "return { [{}] = 1 }", "invalid" }, { "return print", "invalid" },
  },
  ["memory"] = {
    { "local s = 'x' while true do s = s .. s end", limit }, { "local t = {} while true do t[#t + 1] = {} end", limit }, { "local s = ('x'):rep(1 << 19) while true do local _ = s:rep(4):lower() end", limit },
    { "local s = ('x'):rep(1 << 20):rep(4) while true do local _ = s .. 'y' end", limit }, { "local s = ('x'):rep(1 << 20):rep(4) while true do local _ = s:upper() end", limit },
    { "local s = (' '):rep(1 << 20):rep(4) while true do local _ = tonumber(s) end", limit }, { "local s = ('x'):rep(1 << 20):rep(4) local t = s .. '' while true do local _ = s == t end", "" },
    { "local s = ('x'):rep(1 << 20):rep(4) while true do local _ = utf8.len(s) end", limit }, { "while true do local _ = table.unpack(many, 1, 32000) end", limit },
    { "local function f(...) return f(1, ...) end f()", "" }, { "local f = function() end while true do local g = f f = function() return g end end", limit },
  },
  ["collectgarbage"] = { { "collectgarbage('stop')", "only \"count\"" }, { "collectgarbage('step', 1 << 30)", "only \"count\"" }, { "collectgarbage('generational')", "only \"count\"" } },
  ["recursion and the parser"] = {
    { "local function f() return 1 + f() end f()", limit }, { "return tostring(select(2, load(('('):rep(1e5))))", "overflow" }, { "load(function() return 'x = 1 ' end)", limit },
    { "local t = {} for _ = 1, 1e4 do t = setmetatable({}, { __index = t }) end return t.x", "" },
    { "local function f(s) return (s:gsub('.', f)) end f('x')", "handler_error" }, { "return tostring(load('return ' .. ('x.'):rep(1e5) .. 'x'))", "" },
  },
  ["tables of the host"] = {
    { "return tostring(getmetatable(ctx))", "^false$" }, { "return tostring(getmetatable(troupe.null))", "^false$" }, { "ctx.id = 'other/1'", "ctx cannot be written to" },
    { "rawset(ctx, 'id', 1)", "handler_error" }, { "rawset(troupe, 'split', nil) rawset(_G, 'dofile', print) return 'own'", "^own$" }, { "local _ENV = nil x = 1", "handler_error" },
    { "return tostring(next({}, 'none'))", "handler_error" }, { "setmetatable(_G, { __index = forever }) return nothing", limit },
  },
  ["placeholders"] = { { "local after = pairs(ctx:agent('a/list'):List()) return tostring(pcall(after, 4096)) .. tostring(pcall(after, 'x'))", "^falsefalse$" } },
  ["determinism"] = {
    { "return tostring(pcall(os.time, { year = 1 << 60 })) .. tostring(os.setlocale) .. tostring(os.tmpname) .. tostring(os.remove) .. tostring(os.rename)", "^falsenilnilnilnil$" },
    { "string.random = math.random math.random = nil return (load 'return math.random' or 0)() == nil and 'its own' or 'shared'", "^its own$" },
  },
  ["floods"] = {
    { "local s, t = ('x'):rep(1 << 20), {} for i = 1, 10000 do t[i] = s end return troupe.json.encode(t)", "too_large: value: more than 4000000 values, or 256 MB of text" },
    { "local s, t = troupe.bytes(('x'):rep(1 << 20)), {} for i = 1, 10000 do t['a' .. i] = s end ctx:send('quick', 'Ping', t)", "too_large: body: more than 4000000 values, or 256 MB of text" },
    { "local t = {} for i = 1, 6e4 do t['k' .. i] = i end ctx:log('error', 'many fields', t)", "" },
    { "local t, many = {}, {} for i = 1, 50 do t['k' .. i] = i end for i = 1, 3000 do many[i] = t end for _ = 1, 100 do ctx:send('quick', 'Ping', many) end", limit },
    { "local t, many = {}, {} for i = 1, 50 do t['k' .. i] = i end for i = 1, 3000 do many[i] = t end many[3001] = print for _ = 1, 100 do pcall(ctx.send, ctx, 'quick', 'Ping', many) end", limit },
    { "while true do print(('x'):rep(50)) end", limit }, { "while true do ctx:log('warn', 'flood') end", limit }, { "while true do ctx:after(1000, 'Never') end", limit .. ".*timers" },
    { "for i = 1, math.huge do ctx:send('quick', 'Ping') end", limit .. ".*messages" }, { "for i = 1, math.huge do ctx:publish('t/' .. i, 'X') end", limit .. ".*messages" },
    { "print(('x'):rep(1 << 20)) return 'cut'", "^cut$" },
  },
}

-- With the hostile build's slices of 50 instructions these get a hundred thousand levels deep; the first is ended level by level, for minutes.
if not (os.getenv "TROUPE_BUILD" or ""):find "hostile" then
  table.insert(rows["recursion and the parser"], { "local function f() pcall(f) end f() return 'fine'", "" })
  table.insert(rows["recursion and the parser"], { "local m = {} m.__concat = function(a) return a .. a end return setmetatable({}, m) .. 'x'", "overflow" })
end

local main = [[
local forever = function() while true do end end
local bytecode = %q
local many = {}
local function fill() for k = 1, 300 do many[k] = k * 7 %% 300 end end -- here: with several threads each has its own
local made_before = coroutine.create(forever)
local calling = {}
local self_calling = setmetatable({}, calling)
calling.__call = self_calling
local on = { Fine = function() return "fine" end, List = function() return { 1 } end }
local attacks = { %s }
for i, attack in ipairs(attacks) do on["A" .. i] = attack.f end
local quick = { type = "quick", state = { n = 0 }, on = { Ping = function(self) self.n = self.n + 1 return self.n end } }
return { { type = "a", limits = { instructions = 3e6, turn_ms = 150, messages = 1000, memory = "16M" }, on = on }, quick, function(ctx)
  for i = 1, #attacks do
    local id, name, longest = "a/" .. i, "A" .. i, 0
    local under_way = ctx:async(id, name)
    repeat
      local from = os.clock()
      ctx:call("quick", "Ping")
      longest = math.max(longest, os.clock() - from)
    until under_way:done()
    local ok, r = pcall(under_way.await, under_way)
    assert(ctx:call(id, "Fine") == "fine", name)
    print("@" .. i, ok, longest, ((type(r) == "table" and not ok and tostring(r) or tostring(r)):gsub("\n", " "):sub(1, 300)))
  end
end }]]

-- What the row of the table begins with, and where its attack is.
local told = {
  ["binary chunks"] = "binary chunks", ["os, io, package"] = "libraries", ["string metatable"] = "the metatable of strings", ['`("").rep'] = "string.rep", ["`table.move"] = "table.move",
  ["`table.sort"] = "table.sort, and other ranges", ["patterns"] = "patterns", ["count hook"] = "coroutines", ["`__gc` |"] = "__gc", ["`__gc` by"] = "spec/script/cases/escapes.lua",
  ["`coroutine.close`"] = "coroutines", ["C functions that"] = "placeholders", ["ranges from"] = "table.sort, and other ranges", ["pcall eats"] = "pcall eats the limit", ["error objects"] = "error objects",
  ["result tables"] = "result tables", ["memory"] = "memory", ["loading takes"] = "loading", ["a `__call`"] = "__call", ["one instruction"] = "one instruction on long strings", ["collectgarbage"] = "collectgarbage",
  ["deep recursion"] = "recursion and the parser", ["setmetatable/rawset"] = "tables of the host", ["print/log"] = "floods", ["determinism"] = "determinism", ["old Lua"] = "spec/cli/usage_spec.lua",
  ["ephemerons"] = "not met",
}

describe("an attack by", function()
  it("each row of the table is here", function()
    local section = assert(process.read_file("docs/lessons.md"):match("\n## 7%. (.-)\nStrong advice"))
    for row in section:gmatch("\n| ([^\n]+)") do
      local where
      for begins, name in pairs(told) do where = row:sub(1, #begins) == begins and name or where end
      if row:sub(1, 4) ~= "hole" then assert.is_truthy(where and (rows[where] or where == "loading" or where == "not met" or process.read_file(where)), row) end
    end
  end)

  it("loading", function()
    local path = process.write_file(process.tmpdir() .. "/top.lua", "")
    for text, error in pairs { ["local s = 'x' while true do s = s .. s end"] = "256 MB of memory while loading",
      ["pcall(function() local s = 'x' while true do s = s .. s end end) while true do end"] = "256 MB of memory while loading",
      ["local m = {} local f = setmetatable({}, m) m.__call = f f()"] = "stack overflow within one instruction .* while loading" } do
      process.write_file(path, text)
      local status, _, err = sh.troupe { "run", path }
      assert.equal(1, status)
      assert.matches("top.lua:1: .*" .. error, err)
    end
  end)

  for name, list in pairs(rows) do
    it(name, function()
      local attacks = {}
      for i, row in ipairs(list) do attacks[i] = "{ f = function(self, m, ctx) fill() " .. row[1] .. " end }" end
      local text = main:format(string.dump(function() return 1 end, true), table.concat(attacks, ",\n"))
      local path = process.write_file(process.tmpdir() .. "/main.lua", text)
      local status, out, err = sh.troupe { "run", path }
      assert.equal(0, status, err)
      for i, row in ipairs(list) do
        local longest, said = out:match("@" .. i .. "\t%l+\t(%S+)\t([^\n]*)")
        assert.matches(row[2], said or "(nothing)", 1, false, row[1] .. "\n" .. err:sub(1, 2000))
        assert.is_true(tonumber(longest) < 2, row[1] .. ": others waited for " .. longest .. " s")
      end
    end)
  end
end)
