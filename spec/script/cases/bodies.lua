-- What a body may hold, how it arrives, and what is refused at the sender with the field named.
-- luacheck: read globals troupe, no max line length
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b and math.type(a) == math.type(b) end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

local function nested(depth)
  local t = {}
  for _ = 2, depth do t = { t } end
  return t
end

local echo = { type = "echo", on = { Echo = function(_, m) return m end, Shape = function(_, m) return { n = #m.list, e = m.e } end } }
local keeper = { type = "keeper", nulls = "keep", on = { Has = function(_, m) return { null = m.a == troupe.null } end } }
local plain = { type = "plain", on = {
  Has = function(_, m) return { null = m.a == troupe.null, absent = m.a == nil } end,
  Kind = function(_, m) return type(m) end,
  Change = function(_, m) m.list[1] = "changed" return {} end,
} }

local function program(ctx)
  local function round(value) return (ctx:call("echo", "Echo", value)) end
  for _, value in ipairs {
    true, 0, -1, math.maxinteger, math.mininteger, 1.5, 1e300, 2.0, "", "text", "\0", "ünï ☃ 😀", { 1, 2, 3 }, { a = 1 },
    { a = { b = { c = { 1, { d = "x" } } } } }, { ["a b"] = 1, [""] = 2 }, { { {} } },
  } do
    assert(same(round(value), value), tostring(value))
  end
  assert(round(nil) ~= nil and next(round(nil)) == nil, "no body is {}")
  assert(same(round({ b = false }), { b = false }))

  -- Many fields, long arrays, strings beyond eight bytes.
  local wide, long = {}, {}
  for i = 1, 1000 do wide["field" .. i] = i; long[i] = "item " .. i end
  assert(same(round(wide), wide))
  assert(same(round(long), long))
  for n = 38, 42 do
    local t = {}
    for i = 1, n do t["k" .. i] = { i } end
    assert(same(round(t), t))
  end

  -- Null: absent in maps unless asked for, kept in arrays.
  local back = round { a = troupe.null, b = 1, list = { 1, troupe.null, 3 } }
  assert(back.a == nil and back.b == 1 and #back.list == 3 and back.list[2] == troupe.null)
  assert(ctx:call("keeper", "Has", { a = troupe.null }).null)
  assert(ctx:call("plain", "Has", { a = troupe.null }).absent)
  assert(ctx:call("plain", "Kind", troupe.null) == "nil")
  assert(tostring(troupe.null) == "null")

  -- An empty array stays one; an empty map too.
  local empty = round { list = troupe.array {}, map = {} }
  assert(getmetatable(empty.list) == false and getmetatable(empty.map) == nil)
  assert(not pcall(setmetatable, empty.list, {}))

  -- A receiver's changes are its own.
  local mine = { list = { "mine" } }
  ctx:call("plain", "Change", mine)
  assert(mine.list[1] == "mine")
  local shared = { 1 }
  back = round { a = shared, b = shared }
  back.a[1] = 2
  assert(back.b[1] == 1)

  -- Bytes.
  local bytes = round(troupe.bytes("\xff\x00\xfe"))
  assert(tostring(bytes) == "\xff\x00\xfe" and #bytes == 3 and bytes == troupe.bytes("\xff\x00\xfe"))

  -- Metamethods of a body are not run.
  local noisy = setmetatable({ x = 1 }, { __index = function() error("run") end, __pairs = function() error("run") end, __len = error })
  assert(round(noisy).x == 1)

  -- Depth: 128 is taken, 129 not.
  assert(round(nested(128)))
  local cycle = { a = { b = {} } }
  cycle.a.b.c = cycle.a
  local sparse = { 1, 2, 3 }
  sparse[2] = nil
  local t = setmetatable({}, { __name = "T" })
  for _, case in ipairs {
    { { a = print }, "body.a: a body cannot hold a function" },
    { { items = { 1, 2, { name = "\xff" } } }, "body.items[3].name: a string that is not UTF-8 (send it as troupe.bytes(s))" },
    { { ["\xff"] = 1 }, "body: a key that is not UTF-8" },
    { { a = 0 / 0 }, "body.a: NaN is not a number that can be sent" },
    { { a = { -1 / 0 } }, "body.a[1]: infinity is not a number that can be sent" },
    { { list = sparse }, "body.list[2]: a hole in an array (use troupe.null)" },
    { { [1] = 1, [3] = 3 }, "body[2]: a hole in an array" },
    { { 1, 2, x = 3 }, "body.x: a table with both names and numbers" },
    { { [2 ^ 53 | 0] = 1 }, "body[1]: a hole in an array" },
    { { [0] = 1 }, "body[0]: an array begins at 1" },
    { { [1.5] = 1 }, "body: a table with both names and numbers" },
    { { [true] = 1 }, "body: a boolean as a key (only strings, or 1 to n)" },
    { { ["a b"] = { [t] = 1 } }, "body[\"a b\"]: a table as a key" },
    { cycle, "body.a.b.c: a table that holds itself" },
    { nested(129), ": deeper than 128 levels" },
    { { a = ctx }, "body.a: a body cannot hold an object such as ctx" },
    { { a = coroutine.create(print) }, "body.a: a body cannot hold a thread" },
    { "\xc0\x80", "body: a string that is not UTF-8" },
    { print, "body: a body cannot hold a function" },
    { setmetatable({ x = 1 }, getmetatable(troupe.array {}) or nil), nil },
  } do
    if case[2] then
      local ok, e = pcall(ctx.publish, ctx, "chat", "T", case[1])
      assert(not ok and e.code == "invalid" and e.message:find(case[2], 1, true), tostring(e))
      ok, e = ctx:pcall("echo", "Echo", case[1])
      assert(not ok and e.code == "invalid" and e.message:find(case[2], 1, true), tostring(e))
    end
  end
  local marked = troupe.array { 1 }
  marked.name = "x"
  marked[1] = nil
  local ok, e = pcall(ctx.publish, ctx, "chat", "T", marked)
  assert(not ok and e.message == "body.name: a troupe.array with a named field", tostring(e))

  -- A table that is reached by two ways at each of 40 levels is 2^40 values.
  local dag = {}
  for _ = 1, 40 do dag = { a = dag, b = dag } end
  ok, e = pcall(ctx.publish, ctx, "chat", "T", dag)
  assert(not ok and e.code == "too_large" and #e.message < 400, tostring(e))
  return 0
end

return { echo, keeper, plain, program }
