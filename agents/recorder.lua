-- recorder: keeps the last events of the topics given behind -- (`chat`, or `home.*` for a prefix), for whoever comes late.
--   Last { n }  →  { events = { { topic, type, sender, body }, … } }, oldest first      Forget →  { forgotten }
--   troupe worker agents/recorder.lua -- chat
local KEEP = 1000

local subscriptions = {}
for i, topic in ipairs { ... } do
  local prefix = topic:match("^(.*)%*$")
  subscriptions[i] = prefix and { prefix = prefix, key = "default" } or { topic, key = "default" }
end
if #subscriptions == 0 then subscriptions[1] = { "default", key = "default" } end

return {
  type = "recorder",
  description = "Keeps the last " .. KEEP .. " events of its topics.",
  subscriptions = subscriptions,
  state = { first = 1, last = 0, events = {} }, -- events[tostring(n)], n from first to last
  messages = { Last = { n = "integer?" } },
  on_event = {
    ["*"] = function(self, message, ctx)
      self.last = self.last + 1
      self.events[tostring(self.last)] = { topic = ctx.topic, type = ctx.type, sender = ctx.sender, body = message }
      if self.last - self.first >= KEEP then
        self.events[tostring(self.first)] = nil
        self.first = self.first + 1
      end
    end,
  },
  on_request = {
    Last = function(self, message)
      local events = troupe.array {}
      local from = math.max(self.first, self.last - (message.n or KEEP) + 1)
      for n = from, self.last do events[#events + 1] = self.events[tostring(n)] end
      return { events = events }
    end,
    Forget = function(self)
      local n = self.last - self.first + 1
      self.first, self.last, self.events = 1, 0, {}
      return { forgotten = n }
    end,
  },
}
