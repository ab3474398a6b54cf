-- What pool.lua and pool.c ask: troupe run examples/pool/shop.lua --listen 127.0.0.1:50051
return {
  type = "shop",
  subscriptions = { "orders" },
  mailbox = { limit = 1000 }, -- so many orders may wait; more are refused
  state = { sold = 0 },
  on = {
    Order = function(self, message) self.sold = self.sold + message.n end,
    Price = function(_, message) return { total = message.n * 5 } end,
    Sold = function(self) return { n = self.sold } end,
  },
}
