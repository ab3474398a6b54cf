-- recorder: keeps the last events of the topics given behind -- (`chat`, or `home.*` for a prefix), for whoever comes late.
--   Last { n }  →  { events = { { topic, type, sender, body }, … } }, oldest first      Forget →  { forgotten }
--   troupe worker agents/recorder.lua -- chat
local KEEP, BYTES_MOST, BODY_MOST = 1000, 16 << 20, 4 << 20

local subscriptions = {}
for i, topic in ipairs { ... } do
  local prefix = topic:match("^(.*)%*$")
  subscriptions[i] = prefix and { prefix = prefix, key = "default" } or { topic, key = "default" }
end
if #subscriptions == 0 then subscriptions[1] = { "default", key = "default" } end

-- What a body takes, about; more than BODY_MOST is not looked at.
local function size_of(value)
  if type(value) == "string" or type(value) == "userdata" and value ~= troupe.null then return 32 + #value end
  local size = 32
  if type(value) ~= "table" then return size end
  for key, member in pairs(value) do
    size = size + (type(key) == "string" and #key or 0) + size_of(member)
    if size > BODY_MOST then break end
  end
  return size
end

local function forget_first(self)
  local key = tostring(self.first)
  self.bytes = self.bytes - (self.sizes[key] or 0)
  self.events[key], self.sizes[key], self.first = nil, nil, self.first + 1
end

---@type troupe.agent
return {
  type = "recorder",
  description = "Keeps the last " .. KEEP .. " events of its topics.",
  subscriptions = subscriptions,
  state = { first = 1, last = 0, events = {}, sizes = {}, bytes = 0 }, -- events[tostring(n)], n from first to last
  messages = { Last = { n = "integer?" } },
  on_event = {
    ["*"] = function(self, message, ctx)
      local size = size_of(message)
      local event = { topic = ctx.topic, type = ctx.type, sender = ctx.sender, body = message }
      if size > BODY_MOST then event.body, event.cut, size = nil, true, 0 end
      self.last, self.bytes = self.last + 1, self.bytes + size
      self.events[tostring(self.last)], self.sizes[tostring(self.last)] = event, size
      while self.last - self.first >= KEEP or self.bytes > BYTES_MOST do forget_first(self) end
    end,
  },
  on_request = {
    Last = function(self, message)
      local events = troupe.array {}
      local n = math.max(0, math.min(message.n or KEEP, KEEP))
      for at = math.max(self.first, self.last - n + 1), self.last do events[#events + 1] = self.events[tostring(at)] end
      return { events = events }
    end,
    Forget = function(self)
      local n = self.last - self.first + 1
      self.first, self.last, self.events, self.sizes, self.bytes = 1, 0, {}, {}, 0
      return { forgotten = n }
    end,
  },
}
