-- An agent with a state, for saving and loading it. After `--`: its type.
return {
  type = (...),
  version = 3,
  migrate = function(self, from) self.n = self.n + 100 * from end,
  state = { n = 0 },
  on = {
    Ask = function(self, _, ctx)
      self.n = self.n + 1
      return { text = tostring(self.n), by = ctx.id, sender = "" }, "Answer"
    end,
  },
}
