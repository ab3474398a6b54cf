-- lua/troupe/meta.lua and meta_testing.lua name what there is, and all of it: the annotations are held to the objects of a running runtime.
local module = require "spec.support.troupe"
local process = require "spec.support.process"

local function annotations()
  return process.read_file("lua/troupe/meta.lua") .. process.read_file("lua/troupe/meta_testing.lua")
end

-- What the annotations say: fields and methods by class, sorted. The functions of `troupe` are those of the class troupelib.
local function annotated()
  local classes, class, variables = {}, nil, {}
  for line in annotations():gmatch("[^\n]+") do
    local name = line:match("^%-%-%-@class ([%w_.]+)")
    if name then
      class = {}
      classes[name] = class
    end
    local field = line:match("^%-%-%-@field ([%w_]+) ")
    if field then class[#class + 1] = field end
    local variable = line:match("^local ([%w_]+) = {}") or line:match("^(troupe) = {}")
    if variable then variables[variable] = class end
    local of, method = line:match("^function (%w+)[.:]([%w_]+)%(")
    if of then table.insert(assert(variables[of], line), method) end
  end
  for _, names in pairs(classes) do table.sort(names) end
  return classes
end

-- What a method gives first, as its annotation has it.
local function gives(method)
  local returns
  for line in annotations():gmatch "[^\n]*" do
    if line:find("function " .. method .. "(", 1, true) then return returns end
    if not line:find "^%-%-%-@[pr]" then returns = nil end
    returns = returns or line:match "^%-%-%-@return (%l+)"
  end
  error(method)
end

-- The names of a table, sorted, but for what Lua itself and the inside use.
local function names_of(t, inside)
  local names = {}
  for name in pairs(t) do
    if not name:find("^__") and not (inside or {})[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function methods(x) return debug.getmetatable(x).__index end

-- ctx hides its names behind a function, which has them in an upvalue.
local function names_of_ctx(ctx)
  local _, names = debug.getupvalue(methods(ctx), 1)
  return names_of(names)
end

-- What an agent's table may have is a list in C, a line each; the handlers' three are read by their own names.
local function keys_of_agents()
  local keys = {}
  for key in process.read_file("src/script/keys.c"):gmatch('\n  [%w_%[%] =]*{ "([%w_]+)", [A-Z |]+, "') do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

module.describe("lua/troupe/meta.lua", describe, function(mode)
  local known = annotated()

  it("has ctx, its futures, streams and tokens", function()
    local rt, found = module.open(nil, mode), {}
    rt:load { type = "a", on = {
      Ask = function(_, _, ctx)
        found.ctx = names_of_ctx(ctx)
        found.token = names_of(methods(module.troupe.token()))
        found.future = names_of(methods(ctx:async("a/b", "Other", {})))
        found.stream = names_of(methods(ctx:stream("a/b", "Other", {})))
      end,
      Other = function() end,
    } }
    rt:call("a", "Ask", {})
    for name, names in pairs(found) do assert.same(names, known["troupe." .. name], name) end
    assert.is_true(#found.ctx > 30)
    rt:close()
  end)

  it("has the library and its runtimes", function()
    local library, rt = names_of(module.troupe), module.open(nil, mode)
    -- of scripts only; a program has rt:protobuf, io and os
    for _, name in ipairs { "protobuf", "fs", "env", "exec", "http", "serve", "json" } do table.insert(library, name) end
    table.sort(library)
    assert.same(library, known.troupelib)
    assert.same(names_of(debug.getmetatable(rt)), known["troupe.runtime"])
    rt:close()
  end)

  it("says what ids and answers are", function()
    local rt, given = module.open(nil, mode), {}
    rt:load { type = "a", on = { Ask = function(_, _, ctx)
      given["ctx:after"], given["ctx:every"], given["ctx:subscribe"] = ctx:after(9, "T"), ctx:every(9, "T"), ctx:subscribe "t"
      given["ctx:cancel"], given["ctx:now"], given["ctx:yield"] = ctx:cancel(given["ctx:after"]), ctx:now(), ctx:yield(1)
      given["ctx:subscriptions"] = ctx:subscriptions()
      given["future:done"] = ctx:async("a", "Ask"):done()
    end } }
    rt:call("a", "Ask", {})
    given["rt:subscribe"], given["rt:dropped"], given["rt:poll"] = rt:subscribe("t", print), rt:dropped(), rt:poll()
    given["troupe.split"], given["rt:get"], given["rt:metadata"] = module.troupe.split "a/b", rt:get "a", rt:metadata "a"
    rt:close()
    for method, value in pairs(given) do
      local said, found = gives(method), math.type(value) == "integer" and "integer" or type(value)
      if method == "ctx:subscriptions" then said = "table" end -- (string|troupe.subscription)[]
      assert.equal(said, found, method)
    end
  end)

  it("has the tests of troupe.testing", function()
    assert.same(names_of(require "troupe.testing"), known["troupe.testing"])
    local t <close> = require("troupe.testing").new {}
    assert.same(names_of(debug.getmetatable(t)), known["troupe.test"])
    local net <close> = require("troupe.testing").network {}
    assert.same(names_of(debug.getmetatable(net)), known["troupe.network"])
  end)
end)

describe("lua/troupe/meta.lua", function()
  it("has the keys of an agent", function()
    local keys = keys_of_agents()
    assert.is_true(#keys > 25)
    assert.same(keys, annotated()["troupe.agent"])
  end)

  it("is Lua, and leaves no type of a field half optional", function()
    for _, name in ipairs { "meta", "meta_testing" } do assert(loadfile("lua/troupe/" .. name .. ".lua", "t")) end
    for line in annotations():gmatch "%-%-%-@field [^\n]+" do
      local type = line:match "^%-%-%-@field %S+ (fun%b():? ?%S*)" or line:match "^%-%-%-@field %S+ (%S+)"
      if not type:find "^%(" then assert.is_falsy(type:find "|.*%?$", line) end -- `a|b?` makes b optional
    end
  end)
end)
