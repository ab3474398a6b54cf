-- Hears of sales. Its worker shows a token.
return {
  type = "ledger",
  subscriptions = { { "sales", key = "main" } },
  state = { entries = {} },
  on = {
    Sold = function(self, message) self.entries[#self.entries + 1] = message.what end,
    List = function(self) return self.entries end,
  },
}
