-- Bodies in protobuf, for peers that speak nothing else (AutoGen's .NET workers; Python's with protobuf messages: ../python/orders.py).
--   troupe run examples/protobuf/orders.lua
troupe.protobuf "order.desc" -- beside this file; order.proto says how it is made

local clerk = {
  type = "clerk",
  subscriptions = { "orders" },
  replies = { ["shop.Order"] = "shop.Receipt" },
  on = {
    ["shop.Order"] = function(_, order, ctx)
      local items = 0
      for _, line in ipairs(order.lines) do items = items + line.count end
      print(("%s: %s, %d lines, %d items"):format(ctx.is_request and "asked" or "heard", order.id, #order.lines, items))
      if order.most and items > order.most then error("too many") end
      return { id = order.id, items = items, state = "SHIPPED" }
    end,
  },
}

local function program(ctx)
  local P = { encoding = "protobuf" }
  local order = { id = "o1", lines = { { item = "nut", count = 3 }, { item = "bolt", count = 4 } }, notes = { to = "Anna" } }
  local receipt, type = ctx:call("clerk", "shop.Order", order, P)
  print(type, receipt.id, receipt.items, receipt.state)
  ctx:publish("orders", "shop.Order", { id = "o2" }, P)
  -- What does not fit is said to the sender.
  for _, bad in ipairs { { id = 7 }, { lines = { { item = "nut" }, { item = "bolt", cuont = 1 } } }, { most = 2.5 } } do
    local _, problem = ctx:pcall("clerk", "shop.Order", bad, P)
    print(problem)
  end
  return 0
end

return { clerk, program }
