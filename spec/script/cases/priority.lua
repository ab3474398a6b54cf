-- Priority: of a message (opts), by the receiver's type table, by the sender's; high before normal before low.
-- luacheck: no max line length
local order = {}
local function note(_, m, ctx) order[#order + 1] = ctx.type .. (m.n or "") end
local function work(_, _, ctx) ctx:sleep(0.1) end
local plain = { type = "plain", mailbox = { limit = 10 }, on = { Work = work, ["*"] = note } }
local keen = { type = "keen", mailbox = { limit = 10 }, subscriptions = { "bells" }, priority = { Alarm = "high", Chat = "low", Note = "normal" },
  on = { Work = work, ["*"] = note } }
local chief = { type = "chief", priority = { Alarm = "high" }, on = { Go = function(_, _, ctx)
  for n = 1, 2 do ctx:send("plain", "Note", { n = n }) end
  ctx:send("plain", "Alarm", { n = 3 })
  ctx:send("plain", "Alarm", { n = 4 }, { priority = "normal" })
end } }
return { plain, keen, chief, function(ctx)
  local function expect(agent, text, send)
    order = {}
    ctx:send(agent, "Work")
    ctx:sleep(0.01)
    send()
    ctx:sleep(0.5)
    assert(table.concat(order, " ") == text, table.concat(order, " "))
  end
  expect("plain", "D B C A", function()
    ctx:send("plain", "A", {}, { priority = "low" })
    ctx:send("plain", "B")
    ctx:send("plain", "C", {}, { priority = "normal" })
    ctx:send("plain", "D", {}, { priority = "high" })
  end)
  expect("keen/x", "Alarm2 Note3 Chat1", function()
    ctx:send("keen/x", "Chat", { n = 1 })
    ctx:publish("bells/x", "Alarm", { n = 2 })
    ctx:send("keen/x", "Note", { n = 3 })
  end)
  -- What a message says of itself goes before the receiver's table.
  expect("keen", "Chat2 Other3 Alarm1", function()
    ctx:send("keen", "Alarm", { n = 1 }, { priority = "low" })
    ctx:send("keen", "Chat", { n = 2 }, { priority = "high" })
    ctx:send("keen", "Other", { n = 3 })
  end)
  expect("plain", "Alarm3 Note1 Note2 Alarm4", function() ctx:send("chief", "Go") end)
  return 0
end }
