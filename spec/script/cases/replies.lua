-- The type and body of an answer; handlers by kind, lists, and what nothing takes.
-- luacheck: read globals troupe, no max line length
local log = {}
local agent = {
  type = "a",
  replies = { Declared = "Answer" },
  on = {
    Nothing = function() end,
    Nil = function() return nil, "T" end,
    Body = function() return { x = 1 } end,
    Typed = function() return { x = 1 }, "Typed.Reply" end,
    Declared = function() return { x = 1 } end,
    Override = function() return 7, "Other" end,
    Null = function() return troupe.null end,
    Bad = function() return { f = print } end,
    BadType = function() return {}, 5 end,
    EmptyType = function() return {}, "" end,
    Three = function() return 1, "T", 3, 4 end,
    Pass = function(_, _, ctx) return ctx:call("a/other", "Typed") end,
    Both = function() log[#log + 1] = "on" end,
    List = {
      { match = function(_, m) return m.n == 1 end, handle = function() return "first" end },
      { match = function(_, m, ctx) ctx:sleep(0.001) return m.n == 2 end, handle = function(_, _, ctx) ctx:sleep(0.001) return "second" end },
      { match = function(_, m) return m.n == 3 end, handle = function() error("third") end },
    },
    ["*"] = function(_, _, ctx) return "star " .. ctx.type end,
  },
  on_request = {
    Both = function() log[#log + 1] = "request" return "request" end,
    Guarded = { { match = function(_, m) return m.ok end, handle = function() return "guarded" end } },
  },
  on_event = { Both = function() log[#log + 1] = "event" end },
}
local bare = { type = "bare", on_event = { E = function() log[#log + 1] = "E" end }, on = {
  L = { { match = function() return false end, handle = error } },
} }

-- agents that share tables: all of them, only some, none
local on = { Who = function(_, _, ctx) return "on " .. ctx.id end }
local apart = { Who = function(_, _, ctx) return "apart " .. ctx.id end }
local sharing = {
  { type = "s1", on = on }, { type = "s2", on = on }, { type = "s3", on = on, on_request = apart }, { type = "s4", on = apart },
  { type = "s5" }, { type = "s6", on = on },
}

return { agent, bare, sharing[1], sharing[2], sharing[3], sharing[4], sharing[5], sharing[6], function(ctx)
  local function check(type, body, reply_type)
    local b, t = ctx:call("a", type, {})
    assert(b == body and t == reply_type, type .. ": " .. tostring(b) .. " " .. tostring(t))
  end
  check("Nothing", nil, "null")
  check("Nil", nil, "T")
  check("Override", 7, "Other")
  check("Null", nil, "Null")
  check("Three", 1, "T")
  check("Unknown", "star Unknown", "Unknown")
  check("Guarded", "star Guarded", "Guarded")
  assert(ctx:call("a", "Guarded", { ok = true }) == "guarded")
  for type, reply in pairs { Body = "Body", Typed = "Typed.Reply", Declared = "Answer", Pass = "Typed.Reply" } do
    local b, t = ctx:call("a", type)
    assert(b.x == 1 and t == reply, type)
  end
  for n, word in ipairs { "first", "second" } do assert(ctx:call("a", "List", { n = n }) == word) end
  assert(ctx:call("a", "List", { n = 4 }) == "star List")
  local ok, e = ctx:pcall("a", "List", { n = 3 })
  assert(not ok and e.code == "handler_error" and e.message:find("third"))
  ok, e = ctx:pcall("a", "Bad")
  assert(not ok and e.code == "invalid" and e.message == "reply.f: a body cannot hold a function", tostring(e))
  ok, e = ctx:pcall("a", "BadType")
  assert(not ok and e.message == "the reply's type (second value) must be a string, not a number", tostring(e))
  ok, e = ctx:pcall("a", "EmptyType")
  assert(not ok and e.message == "a message type must not be empty", tostring(e))

  for i, word in pairs { "on", "on", "apart", "apart", [6] = "on" } do
    assert(ctx:call("s" .. i, "Who") == word .. " s" .. i .. "/default", i)
  end
  assert(select(2, ctx:pcall("s5", "Who")).code == "cant_handle")

  assert(ctx:call("a", "Both") == "request")
  ctx:send("a", "Both")
  ctx:sleep(0.01)
  assert(table.concat(log, " ") == "request event")

  ok, e = ctx:pcall("bare", "E")
  assert(not ok and e.code == "cant_handle" and tostring(e) == "cant_handle: bare has no handler for `E`", tostring(e))
  assert(e.agent == "bare" and e.type == "E" and type(e.traceback) == "string")
  ok, e = ctx:pcall("bare", "L")
  assert(not ok and e.code == "cant_handle")
  for _ = 1, 3 do ctx:send("bare", "Nobody") end
  ctx:send("bare", "E")
  ctx:sleep(0.01)
  assert(log[#log] == "E")
  return 0
end }
--? warn message.unhandled agent_type=bare type=Nobody (told once)
--? error reply.failed agent=a/default type=Bad error="invalid: reply.f: a body cannot hold a function"
