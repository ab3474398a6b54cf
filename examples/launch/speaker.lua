-- Says what it was given as arguments, one line a turn, and then "exit". What it prints appears where the launching process prints.
local lines = { ... }

return {
  type = "speaker",
  state = { turn = 0 },
  on = {
    Reply = function(self, _, ctx)
      self.turn = self.turn + 1
      local content = lines[self.turn] or "exit"
      if content ~= "exit" then print(ctx.key .. ": " .. content) end
      return { content = content }
    end,
  },
}
