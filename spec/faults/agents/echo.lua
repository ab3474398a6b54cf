-- The callee. It answers with what it was asked, and notices whether what one sender sent comes in its order, and nothing twice. What
-- was damaged on the way is told by its sum; that is not counted.
local worker, agent_type, shared = ...

-- Over who sent it and what for; bytes of the padding may be damaged, its length not.
local function sum(m)
  local n = #tostring(m.pad) * 31 + m.seq * 7 + m.nonce
  for i, c in utf8.codes(m.from, true) do n = n + i * c end
  return n % 1000003
end

local function in_order(self, m, ctx, kind)
  local whole = type(m) == "table" and math.type(m.seq) and math.type(m.nonce) and type(m.from) == "string" and utf8.len(m.from)
  if not whole or m.sum ~= sum(m) then return false end
  local from, last = kind .. m.from, self.last[kind .. m.from]
  if last and m.seq <= last.seq then
    -- Known of events: what was sent again after a loss, for an id that has moved since (docs/wire.md 10.4). It is counted.
    local word = kind == "event " and last.by ~= worker and "MOVED" or "ORDER"
    print(("%s %s %s: %s %d came behind %d at %s"):format(word, worker, ctx.id, from, m.seq, last.seq, kind))
  end
  self.last[from] = { seq = m.seq, by = worker }
  return true
end

return {
  type = agent_type,
  shared = shared == "shared",
  subscriptions = { "note" },
  state = { last = {} },
  mailbox = { limit = 1000, overflow = "refuse" },
  on_request = {
    Ask = function(self, m, ctx)
      if not in_order(self, m, ctx, "request ") then return { bad = true } end
      if m.pause then ctx:sleep(m.pause) end
      return { from = m.from, seq = m.seq, nonce = m.nonce, pad = m.pad, sum = sum(m), worker = worker }
    end,
  },
  on_event = { Note = function(self, m, ctx) in_order(self, m, ctx, "event ") end },
}
