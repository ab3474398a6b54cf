-- `messages`: bad bodies are refused at the sender, at delivery and in replies, naming the field.
-- luacheck: read globals troupe, no max line length
local node = { name = "string" }
node.children = { node }
local letters, taken = {}, {}
local function take(_, m, ctx) taken[#taken + 1] = ctx.id .. ":" .. ctx.type return m end
local clerk = { type = "clerk", subscriptions = { "jobs" }, on = { ["*"] = take }, messages = {
  Job = { n = "integer", tags = { "string" }, note = "string?" },
  Kinds = { s = "string?", i = "integer?", f = "number?", b = "boolean?", raw = "bytes?", t = "table?", x = "any?" },
  Nested = { a = { b = { c = { "integer" } } }, list = { { k = "string" } } },
  Tree = node, Word = "string", Maybe = "string?", Empty = {}, Numbers = { "number" }, Holes = { "integer?" }, ["A B"] = { ["x y"] = "any" },
  Order = { schema = { type = "object", required = { "id", "lines" }, additionalProperties = false, title = "an order", properties = {
    id = { type = { "string", "integer" } }, state = { enum = { "new", "done", 3, true, troupe.null } },
    lines = { type = "array", items = { ["$ref"] = "#/$defs/line" } }, rate = { type = "number", minimum = 0, maximum = 1 },
    parent = { ["$ref"] = "#" }, extra = true, counts = { type = "object", additionalProperties = { type = "integer" } },
  }, ["$defs"] = { line = { type = "object", required = { "sku" }, properties = { sku = { type = "string" }, n = { type = "integer", minimum = 1 } } } } } },
} }
local other = { type = "other", subscriptions = { "jobs" }, on = { Job = take } }
local sender = { type = "sender", messages = { Out = { n = "integer" }, Job = { n = "string" }, Answer = { ok = "boolean" } }, on = {
  Go = function(_, m, ctx)
    local ok, e = pcall(ctx[m.how], ctx, m.to, m.type, m.body)
    return { ok = ok, text = ok and "" or tostring(e) }, "Told"
  end,
  Wrong = function() return { ok = "yes" }, "Answer" end,
  Right = function() return { ok = true }, "Answer" end,
  Ask = function(_, m, ctx) return ctx:call("liar", "Ask", m) end,
} }
local liar = { type = "liar", on = { Ask = function(_, m) return m.body, "Answer" end } }
local desk = { type = "desk", subscriptions = { "troupe.dead_letter" }, on = { DeadLetter = function(_, m) letters[#letters + 1] = m end } }

return { clerk, other, sender, liar, desk, function(ctx)
  local function good(type, body) assert(ctx:pcall("clerk", type, body)) end
  local function bad(type, body, text)
    local ok, e = pcall(ctx.send, ctx, "clerk", type, body)
    assert(not ok and e.code == "invalid" and e.message == text, ("%s: %s\n  got %s"):format(type, text, tostring(e)))
    ok, e = ctx:pcall("clerk", type, body)
    assert(not ok and e.message == text)
  end
  good("Job", { n = 1, tags = { "a" } })
  good("Job", { n = 2.0, tags = {}, note = "x" })
  good("Job", { n = 1, tags = troupe.array {}, note = troupe.null })
  bad("Job", { n = 1, tags = { "a", 5 } }, "body.tags[2]: expected string, got integer")
  bad("Job", { n = 1.5, tags = {} }, "body.n: expected integer, got number")
  bad("Job", { tags = {} }, "body.n: missing (expected integer)")
  bad("Job", { n = troupe.null, tags = {} }, "body.n: missing (expected integer)")
  bad("Job", nil, "body.n: missing (expected integer)")
  bad("Job", { n = 1, tags = {}, notes = "x" }, "body.notes: the schema has no such field (did you mean `note`?)")
  bad("Job", { n = 1, tags = {}, quite_else = 1 }, "body.quite_else: the schema has no such field")
  bad("Job", { n = 1, tags = { a = 1 } }, "body.tags: expected list, got map")
  bad("Job", { 1 }, "body: expected map, got list")
  bad("Job", "text", "body: expected map, got string")
  bad("Job", troupe.null, "body: expected map, got null")
  good("Kinds", {})
  good("Kinds", { s = "ä", i = -1, f = 0.5, b = false, raw = troupe.bytes "\0\xff", t = { 1 }, x = { a = { troupe.null } } })
  good("Kinds", { f = 1, raw = "as text", t = { a = 1 }, x = 5 })
  bad("Kinds", { s = true }, "body.s: expected string, got boolean")
  bad("Kinds", { s = troupe.bytes "x" }, "body.s: expected string, got bytes")
  bad("Kinds", { f = "1" }, "body.f: expected number, got string")
  bad("Kinds", { b = 0 }, "body.b: expected boolean, got integer")
  bad("Kinds", { raw = 5 }, "body.raw: expected bytes, got integer")
  bad("Kinds", { t = "t" }, "body.t: expected table, got string")
  good("Nested", { a = { b = { c = { 1, 2 } } }, list = { { k = "v" } } })
  bad("Nested", { a = { b = { c = { 1, "2" } } }, list = {} }, "body.a.b.c[2]: expected integer, got string")
  bad("Nested", { a = { b = { c = {} } }, list = { { k = "v" }, {} } }, "body.list[2].k: missing (expected string)")
  good("Tree", { name = "root", children = { { name = "leaf", children = {} } } })
  bad("Tree", { name = "root", children = { { name = "leaf", children = { { name = 5, children = {} } } } } },
    "body.children[1].children[1].name: expected string, got integer")
  good("Word", "w")
  bad("Word", {}, "body: expected string, got map")
  good("Maybe", "w") good("Maybe", troupe.null)
  good("Empty") good("Empty", {})
  bad("Empty", { a = 1 }, "body.a: the schema has no such field")
  good("Numbers", { 1, 2.5 }) good("Numbers", {})
  bad("Numbers", { 1, troupe.null }, "body[2]: expected number, got null")
  good("Holes", { 1, troupe.null })
  good("A B", { ["x y"] = 1 })
  good("Undeclared", { anything = 1 })

  good("Order", { id = 5, lines = {} })
  good("Order", { id = "a", lines = { { sku = "s", n = 1, more = 1 } }, state = 3, rate = 0, extra = { 1 }, parent = { id = 1, lines = {} }, counts = { a = 1 } })
  good("Order", { id = "a", lines = {}, state = troupe.null })
  bad("Order", { id = 5.5, lines = {} }, "body.id: expected string or integer, got number")
  bad("Order", { id = 5 }, "body.lines: missing (expected list)")
  bad("Order", { id = 5, lines = { { n = 1 } } }, "body.lines[1].sku: missing (expected string)")
  bad("Order", { id = 5, lines = { { sku = "s", n = 0 } } }, "body.lines[1].n: 0 is less than the minimum of 1")
  bad("Order", { id = 5, lines = {}, rate = 1.25 }, "body.rate: 1.25 is more than the maximum of 1")
  bad("Order", { id = 5, lines = {}, state = "old" }, "body.state: not one of the 5 values that are allowed")
  bad("Order", { id = 5, lines = {}, state = false }, "body.state: not one of the 5 values that are allowed")
  bad("Order", { id = 5, lines = {}, parent = { id = 1 } }, "body.parent.lines: missing (expected list)")
  bad("Order", { id = 5, lines = {}, counts = { a = "x" } }, "body.counts.a: expected integer, got string")
  bad("Order", { id = 5, lines = {}, colour = 1 }, "body.colour: the schema has no such field")

  -- An event: each receiver checks it; for the one that refuses, it is a dead letter.
  taken, letters = {}, {}
  ctx:publish("jobs/k", "Job", { n = "not a number", tags = { "a" } })
  ctx:sleep(0.01)
  assert(table.concat(taken, " ") == "other/k:Job", table.concat(taken, " "))
  assert(#letters == 1 and letters[1].reason == "invalid" and letters[1].topic == "jobs/k" and letters[1].body.n == "not a number")
  assert(letters[1].error == "body.n: expected integer, got string (refused by clerk/k)", letters[1].error)

  -- The target's schema goes before the sender's own; to a topic and to others the sender's own counts.
  local function from_sender(how, to, type, body) return ctx:call("sender", "Go", { how = how, to = to, type = type, body = body }).text end
  assert(from_sender("send", "clerk", "Job", { n = 1, tags = {} }) == "")
  assert(from_sender("send", "other", "Job", { n = 1 }) == "invalid: body.n: expected string, got integer")
  assert(from_sender("publish", "jobs", "Job", { n = 1 }) == "invalid: body.n: expected string, got integer")
  assert(from_sender("publish", "elsewhere", "Out", { n = "x" }) == "invalid: body.n: expected integer, got string")
  assert(from_sender("send", "far.away", "Out", { n = "x" }) == "invalid: body.n: expected integer, got string")
  assert(from_sender("send", "other", "Out", { n = 1 }) == "")

  -- Replies: at the one who gives them, and at the one who gets them.
  assert(ctx:call("sender", "Right").ok)
  local ok, e = ctx:pcall("sender", "Wrong")
  assert(not ok and tostring(e) == "invalid: reply.ok: expected boolean, got string", tostring(e))
  assert(ctx:call("sender", "Ask", { body = { ok = false } }).ok == false)
  ok, e = ctx:pcall("sender", "Ask", { body = { ok = 1 } })
  assert(not ok and e.code == "invalid" and e.message == "reply.ok: expected boolean, got integer", tostring(e))
  return 0
end }
--? error reply.failed agent=sender/default type=Wrong error="invalid: reply.ok: expected boolean, got string"
