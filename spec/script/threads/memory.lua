-- What comes from elsewhere is charged to who keeps it, wherever it lives: messages, replies, what a stream gives.
-- luacheck: read globals troupe, no max line length
--? agent.memory agent=keeper/
--? handler.failed agent=keeper/
--? agent.memory agent=asker/
--? handler.failed agent=asker/
local list = {}
for i = 1, 5000 do list[i] = i end
local keeper = { type = "keeper", limits = { memory = "300K" }, state = { kept = {} }, on = {
  Keep = function(self, m) self.kept[#self.kept + 1] = m return #self.kept end,
  Clear = function(self) self.kept = {} collectgarbage() return 0 end,
} }
local asker = { type = "asker", limits = { memory = "300K" }, state = { kept = {} }, on = {
  Ask = function(self, m, ctx) self.kept[#self.kept + 1] = ctx:call("giver/" .. m.of, "Give") return #self.kept end,
} }
local giver = { type = "giver", on = { Give = function() return list end } }
local function until_full(ctx, to, type, message)
  local ok, e
  for n = 1, 8 do
    ok, e = ctx:pcall(to, type, message)
    if not ok then
      assert(e.code == "limit_exceeded" and n == 4, ("%s: %d %s"):format(to, n, tostring(e)))
      return
    end
  end
  error(to .. " keeps as much as it likes")
end
return { keeper, asker, giver, function(ctx)
  for i = 1, 4 do
    until_full(ctx, "keeper/" .. i, "Keep", list)
    until_full(ctx, "asker/" .. i, "Ask", { of = i + 4 })
  end
  return 0
end }
