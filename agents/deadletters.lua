-- deadletters: what could not be delivered in this process or by this host: kept, counted, shown, and sent again.
--   Letters { n }  →  { letters = { { number, reason, error, agent | topic, type, body }, … } }, newest first
--   Counts         →  { counts = { ["overloaded Job"] = 3, … }, total }
--   Again { number }  →  { sent }      once more to where it was meant for
local KEEP = 1000
local KINDS = 500 -- counted apart; the rest is "other"

return {
  type = "deadletters",
  description = "Keeps the last " .. KEEP .. " dead letters.",
  subscriptions = { { "troupe.dead_letter", key = "default" } },
  state = { last = 0, letters = {}, counts = {}, kinds = 0 },
  messages = { Letters = { n = "integer?" }, Again = { number = "integer" } },
  on_event = {
    DeadLetter = function(self, letter)
      local kind = letter.reason .. " " .. letter.type
      self.last = self.last + 1
      self.letters[tostring(self.last)] = letter
      self.letters[tostring(self.last - KEEP)] = nil
      if not self.counts[kind] then
        self.kinds = self.kinds + 1
        if self.kinds > KINDS then kind = "other" end
      end
      self.counts[kind] = (self.counts[kind] or 0) + 1
    end,
  },
  on_request = {
    Letters = function(self, message)
      local letters = troupe.array {}
      for number = self.last, math.max(1, self.last - math.min(message.n or 20, KEEP) + 1), -1 do
        local letter = self.letters[tostring(number)]
        if letter then
          letter.number = number
          letters[#letters + 1] = letter
        end
      end
      return { letters = letters }
    end,
    Counts = function(self) return { counts = self.counts, total = self.last } end,
    Again = function(self, message, ctx)
      local letter = self.letters[tostring(message.number)]
      if not letter then error { code = "not_found", message = "there is no letter " .. message.number .. " (any more)" } end
      if letter.agent then ctx:send(letter.agent, letter.type, letter.body)
      else ctx:publish(letter.topic, letter.type, letter.body) end
      self.letters[tostring(message.number)] = nil
      return { sent = true }
    end,
  },
}
