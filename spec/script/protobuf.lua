-- Protobuf bodies: run by spec/c/script_protobuf.c, as if it lay beside the descriptor sets of spec/data/proto.
-- luacheck: read globals troupe, no max line length
troupe.protobuf "demo.desc"
local got, letters = nil, {}
local echo = { type = "echo", subscriptions = { "e" }, replies = { ["demo.Item"] = "demo.OldOrder" }, on = {
  ["*"] = function(_, m) got = m return m end,
  ["demo.Item"] = function(_, m) got = m return { id = m.name, far = m.count } end,
  Plain = function(_, m) got = m return m end,
  Bad = function() return { id = 5 }, "demo.Order" end,
  ["demo.Empty"] = function() return { id = 5 }, "demo.Order" end,
} }
local relay = { type = "relay", on = { ["demo.Item"] = function(_, m, ctx)
  local x = ctx:agent("echo"):Plain { m.name }
  return { name = x[1], count = m.count }
end,
Later = function(_, _, ctx) return ctx:agent("echo"):Plain { name = "late", count = 3 } end,
["demo.Tree"] = function(_, _, ctx) return { left = ctx:agent("slow"):Plain {} } end } }
local slow = { type = "slow", on = { Plain = function(_, _, ctx) ctx:sleep(0.1) return {} end } }
local dead = { type = "dead", subscriptions = { "troupe.dead_letter" }, on = { DeadLetter = function(_, m) letters[#letters + 1] = m end } }
local checked = { type = "checked", messages = { ["demo.Item"] = { name = "string", count = "integer?", unit_price = "number?" } },
  on = { ["demo.Item"] = function(_, m) return m.name end } }
local P = { encoding = "protobuf" }

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b or (type(a) == "userdata" and tostring(a) == tostring(b)) end
  for k, v in pairs(a) do if not same(v, b[k]) then return false, k end end
  for k in pairs(b) do if a[k] == nil then return false, k end end
  return true
end

return { echo, relay, slow, dead, checked, function(ctx)
  local function there_and_back(type, body, expected)
    local back = ctx:call("echo", type, body, P)
    local good, where = same(back, expected or body)
    assert(good, where)
    assert(same(got, expected or body))
    return back
  end
  -- Nested, repeated, oneof, proto3 optional, Any, defaults that are always there.
  local order = { id = "o1", lines = { { item = { name = "nut", count = 3, unit_price = 0.5 }, notes = { "a", "ü" } } }, cash = 2^53|0, priority = 0,
    at = { seconds = 5, nanos = 1 }, extra = { ["@type"] = "type.googleapis.com/demo.Item", name = "x", count = 1, unit_price = 0 }, more = {}, alias = "SECOND", far = -1 }
  there_and_back("demo.Order", order)
  local empty = ctx:call("echo", "demo.Order", nil, P)
  assert(empty.id == "" and empty.alias == "FIRST" and empty.far == 0 and #empty.lines == 0 and empty.priority == nil and empty.cash == nil)
  -- Every kind of number, bytes, enums by name and by number, also one that nobody knows.
  local s = ctx:call("echo", "demo.Scalars", { d = 1.5, f = 0.25, i64 = math.mininteger, u64 = "18446744073709551615", i32 = -2^31|0, f64 = 7, f32 = 2^32-1|0, b = true, s = "grüß",
    raw = troupe.bytes "\0\xff", u32 = 1, color = 2, sf32 = -1, sf64 = -2, si32 = -3, si64 = math.maxinteger }, P)
  assert(s.i64 == math.mininteger and s.u64 == "18446744073709551615" and s.f32 == 4294967295 and tostring(s.raw) == "\0\xff" and s.color == "GREEN" and s.si64 == math.maxinteger)
  assert(ctx:call("echo", "demo.Scalars", { color = "BELOW" }, P).color == "BELOW" and ctx:call("echo", "demo.Scalars", { color = 77 }, P).color == 77)
  -- Maps: keys are strings.
  there_and_back("demo.Maps", { labels = { a = "b" }, by_number = { ["-5"] = { name = "n", count = 0, unit_price = 0 } }, by_bool = { ["true"] = "RED" }, by_u64 = { ["18446744073709551615"] = 1.5 },
    by_s64 = { ["-1"] = troupe.bytes "x" }, by_f32 = {}, by_sf64 = {}, by_s32 = {}, by_i64 = {} })
  -- What the receiver's type has no field for is kept, and sent on.
  local old = ctx:call("echo", "demo.Item", { name = "nut", count = 9 }, P)
  assert(old.id == "nut" and old.far == 9)
  local unknown = troupe.bytes "\x9a\x06\x02hi" -- field 99, "hi"
  local kept = ctx:call("echo", "demo.Tree", { _unknown = unknown }, P)
  assert(tostring(kept._unknown) == tostring(unknown))
  -- A reply goes in protobuf if its type is known; one whose type is not, as it was, does not; null is null.
  assert(select(2, ctx:call("echo", "demo.Item", {}, P)) == "demo.OldOrder")
  local body = ctx:call("relay", "demo.Item", { name = "by a placeholder", count = 4 }, P)
  assert(body.name == "by a placeholder" and body.count == 4 and body.unit_price == 0)
  local tree = ctx:call("relay", "demo.Tree", nil, P)
  assert(type(tree.left) == "table" and #tree.children == 0 and #tree.left.children == 0) -- encoded when it was there
  -- Arguments that are not there yet; retries.
  local late = ctx:agent("slow"):Plain { }
  local future = ctx:async("echo", "demo.Tree", { left = late }, { encoding = "protobuf", retry = 2 })
  assert(type(future:await().left) == "table")
  ctx:publish("e", "demo.Item", { name = "event" }, P)
  ctx:send("echo", "demo.Item", { name = "sent", count = 1 }, P)
  ctx:sleep(0.01)
  assert(got.name == "sent" and got.unit_price == 0)
  assert(ctx:call("checked", "demo.Item", { name = "n" }, P) == "n")
  -- What cannot be encoded is said to the sender, with the field.
  for _, case in ipairs {
    { "demo.Order", { lines = { { item = { name = "a" } }, { item = { unit_price = "much" } } } }, 'demo.Order: lines[2].item.unit_price: expected a double, got the string "much"' },
    { "demo.Order", { idd = 1 }, 'demo.Order: demo.Order has no field "idd" (did you mean "id"?)' },
    { "demo.Order", { card = "x", cash = 5 }, "only one member of the oneof payment may be set" },
    { "demo.Order", { alias = "THIRD" }, 'demo.Order: alias: demo.Alias has no value "THIRD"' },
    { "demo.Maps", { by_number = { x = {} } }, "by_number" }, { "demo.Maps", { by_bool = { yes = "RED" } }, "by_bool" },
    { "demo.Scalars", { i32 = 2^31|0 }, "demo.Scalars: i32: expected an int32 (-2^31 to 2^31-1), got the integer 2147483648" },
    { "demo.Scalars", { u64 = -1 }, "u64: expected a uint64 (0 to 2^64-1), got the integer -1" },
    { "demo.Order", troupe.null, "body: null is no protobuf message" }, { "demo.Order", "text", "expected" },
    { "Order", {}, 'body: protobuf has no message type "Order" (did you mean "demo.Order"?)' },
    { "Nothing", {}, 'body: no descriptor of the message type "Nothing" is loaded (see troupe.protobuf)' },
  } do
    local ok, e = pcall(ctx.call, ctx, "echo", case[1], case[2], P)
    assert(not ok and e.code == "invalid" and e.message:find(case[3], 1, true), tostring(e))
  end
  local ok, e = ctx:pcall("echo", "demo.Empty", nil, P)
  assert(not ok and e.code == "invalid" and e.message:find("demo.Order: id: expected a string", 1, true), tostring(e))
  -- As deep as bodies go, and deeper.
  local deep = {}
  for _ = 1, 120 do deep = { left = deep } end
  assert(ctx:call("echo", "demo.Tree", deep, P).left.left)
  for _ = 1, 10 do deep = { left = deep } end
  ok, e = ctx:pcall("echo", "demo.Tree", deep, P)
  assert(not ok and e.code == "invalid" and e.message:find("128", 1, true), tostring(e))
  -- Files: only what is below the script, and what is a descriptor set.
  for _, case in ipairs {
    { "../wire/golden/x", "permission_denied", 'troupe.protobuf "../wire/golden/x": only files below' }, { "/etc/passwd", "permission_denied", "only files below" },
    { "a/../demo.desc", "permission_denied", "only files" }, { "", "permission_denied", "only files" }, { ".", "permission_denied", "only files" },
    { "none.desc", "not_found", "spec/data/proto/none.desc" }, { "demo.proto", "invalid", "spec/data/proto/demo.proto: descriptor set: " },
    { "group.desc", "invalid", "group" },
  } do
    ok, e = pcall(troupe.protobuf, case[1])
    assert(not ok and e.code == case[2] and e.message:find(case[3], 1, true), case[1] .. ": " .. tostring(e))
  end
  assert(not pcall(troupe.protobuf, 5))
  troupe.protobuf "demo.desc" -- again: nothing happens
  assert(#letters == 0)
  return 0
end }
