-- An agent like any other: nothing in it knows that it may be moved.
return {
  type = "counter",
  state = { n = 0 },
  init = function(self, ctx, restored) print(ctx.id .. (restored and " is here, at " .. self.n or " begins")) end,
  close = function(self, ctx, why) print(ctx.id .. " leaves (" .. why .. "), at " .. self.n) end,
  on = {
    Add = function(self, message)
      self.n = self.n + message.by
      return self.n
    end,
  },
}
