-- A shared type: several workers have it, each id is with one of them, and the host knows with whom.
local worker = ...

return {
  type = "counter",
  shared = true,
  state = { n = 0 },
  on = {
    Add = function(self)
      self.n = self.n + 1
      return { worker = worker, n = self.n }
    end,
  },
}
