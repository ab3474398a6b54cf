-- Error objects: codes, texts, tracebacks, and what reaches a caller.
-- luacheck: read globals troupe, no max line length
local function deep() error("boom") end
local agent = { type = "a", on = {
  String = function() deep() end,
  Number = function() error(42) end,
  Nil = function() error() end,
  Known = function() error { code = "not_found", message = "no such book" } end,
  Code = function() error { code = "overloaded" } end,
  Unknown = function() error { code = "no_money", message = "poor" } end,
  Message = function() error { message = "only text" } end,
  Table = function() error {} end,
  Tricky = function() error(setmetatable({}, { __tostring = function() while true do end end, __index = error })) end,
  Utf8 = function() error("\xff\xfe", 0) end,
  Runtime = function() local t = nil return t.x end,
  Downstream = function(_, _, ctx) return ctx:call("nobody", "T") end,
  Sent = function(_, _, ctx) ctx:publish("seen", "Before") ctx:sleep(0.001) ctx:publish("seen", "After") error("late") end,
  State = function(self) self.n = (self.n or 0) + 1 error("keeps") end,
  Read = function(self) return self.n end,
  Close = function(_, _, ctx)
    local guard <close> = setmetatable({}, { __close = function() ctx:publish("seen", "Closing") end })
    error("with " .. tostring(guard ~= nil))
  end,
} }
local seen = {}
local watcher = { type = "watcher", subscriptions = { "seen" }, on = { ["*"] = function(_, _, ctx) seen[#seen + 1] = ctx.type end } }
local slow = { type = "slow", on = { Wait = function(_, _, ctx) ctx:sleep(100) return "late" end, Own = function(_, _, ctx) return ctx.id end } }

return { agent, watcher, slow, function(ctx)
  local function check(type, code, text)
    local ok, e = ctx:pcall("a", type)
    assert(not ok and e.code == code and e.message:find(text, 1, true), tostring(e))
    assert(tostring(e) == code .. ": " .. e.message)
    assert(e.agent == "a" and e.type == type)
  end
  check("String", "handler_error", "spec/script/cases/errors.lua:3: boom")
  check("Number", "handler_error", "42")
  check("Nil", "handler_error", "the handler raised a nil")
  check("Known", "not_found", "no such book")
  check("Code", "overloaded", "the receiver's queue is full")
  check("Unknown", "handler_error", "no_money: poor")
  check("Message", "handler_error", "only text")
  check("Table", "handler_error", "the handler raised a table without code or message")
  check("Tricky", "handler_error", "the handler raised a table without code or message")
  check("Utf8", "handler_error", "??")
  check("Runtime", "handler_error", "attempt to index a nil value")
  check("Downstream", "not_found", "nobody")
  check("Sent", "handler_error", "late")
  check("State", "handler_error", "keeps")
  check("Close", "handler_error", "with true")
  assert(ctx:call("a", "Read") == 1)
  assert(table.concat(seen, " ") == "Before", table.concat(seen, " "))

  -- ctx:call raises the same object.
  local ok, e = pcall(ctx.call, ctx, "a", "Known")
  assert(not ok and e.code == "not_found" and getmetatable(e) == false)

  -- Time runs out: the option, else `timeout` (30 s), and never beyond the caller's own deadline.
  local t = ctx:now()
  ok, e = ctx:pcall("slow", "Wait", nil, { timeout = 2 })
  assert(not ok and e.code == "timeout" and math.abs(ctx:now() - t - 2) < 0.01, tostring(e))
  t = ctx:now()
  ok, e = ctx:pcall("slow/2", "Wait")
  assert(not ok and e.code == "timeout" and math.abs(ctx:now() - t - 30) < 0.01, tostring(e))
  assert(ctx:call("slow/3", "Wait", nil, { timeout = false }) == "late")

  -- Bad arguments.
  for _, case in ipairs {
    { { 5, "T" }, "agent must be a string, not a number" },
    { { nil, "T" }, "agent must be a string, not nil" },
    { { "", "T" }, "" },
    { { "a b", "T" }, "a b" },
    { { "a/troupe.x", "T" }, "reserved" },
    { { "a" }, "message type must be a string, not nil" },
    { { "a", "" }, "a message type must not be empty" },
    { { "a", "\xff" }, "not UTF-8" },
    { { "a", "T", {}, 5 }, "options must be a table, not a number" },
    { { "a", "T", {}, { 1 } }, "options must have names" },
    { { "a", "T", {}, { timout = 1 } }, "`timout` is not an option; did you mean `timeout`?" },
    { { "a", "T", {}, { xyzzy = 1 } }, "`xyzzy` is not an option" },
    { { "a", "T", {}, { timeout = "1" } }, "timeout must be a number of seconds, not a string" },
    { { "a", "T", {}, { timeout = -1 } }, "timeout must not be negative" },
    { { "a", "T", {}, { timeout = 0 / 0 } }, "timeout must not be negative" },
    { { "a", "T", {}, { timeout = 1e10 } }, "thirty years" },
    { { "a", "T", {}, { priority = "urgent" } }, "priority must be" },
    { { "a", "T", {}, { metadata = { a = 1 } } }, "metadata must have strings" },
    { { "a", "T", {}, { metadata = { ["troupe-x"] = "1" } } }, "reserved" },
    { { "a", "T", {}, { id = "" } }, "id must be" },
    { { "a", "T", {}, { encoding = "xml" } }, "encoding" },
    { { "a", "T", {}, { retry = 1 } }, "is an option of calls" },
    { { "a", "T", {}, {}, 1 }, "too many arguments", n = 5 },
  } do
    ok, e = pcall(ctx.send, ctx, table.unpack(case[1], 1, case.n or 4))
    assert(not ok and e.code == "invalid" and e.message:find(case[2], 1, true), case[2] .. ": " .. tostring(e))
  end
  ok, e = pcall(ctx.publish, ctx, "troupe.dead_letter", "T")
  assert(not ok and e.code == "invalid" and e.message:find("reserved"))
  ok, e = pcall(ctx.publish, ctx, "chat room", "T")
  assert(not ok and e.code == "invalid")
  return 0
end }
--? error handler.failed agent=a/default type=String error="handler_error: spec/script/cases/errors.lua:3: boom" traceback="[C]: in function 'error' | spec/script/cases/errors.lua:3: in upvalue 'deep' | spec/script/cases/errors.lua:5: in function
