-- Knows shop.Order, by the descriptors that the program was given (--protobuf). After `--`: its type, then its topics.
local name = ...
local P = { encoding = "protobuf" }
local function order(id)
  return { id = id, lines = { { item = "nut", count = 3 }, { item = "bolt", count = 4 } }, notes = { to = "Anna ü" } }
end

local function heard(_, message, ctx)
  local first, items = (message.lines or {})[1] or {}, 0
  for _, line in ipairs(message.lines or {}) do items = items + line.count end
  print("order", ctx.id, ctx.type, message.id, items, first.item, (message.notes or {}).to)
  return { id = message.id, items = items }, "shop.Receipt"
end

return {
  type = name,
  subscriptions = { select(2, ...) },
  on = {
    ["shop.Order"] = heard,
    Order = heard,
    Announce = function(_, message, ctx)
      ctx:publish(message.topic, "shop.Order", order(message.text), P)
      return { text = "announced", by = ctx.id, sender = "" }, "Answer"
    end,
    Forward = function(_, message, ctx)
      local body, type = ctx:call(message.to, "shop.Order", order(message.text), P)
      return { text = ("%s %s %d"):format(type, body.id, body.items), by = ctx.id, sender = "" }, "Answer"
    end,
  },
}
