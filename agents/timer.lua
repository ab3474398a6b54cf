-- timer: a clock for those who cannot wait themselves: publishes a message after some seconds, or every so many.
--   After { seconds, topic, type, body }  →  { id }      once
--   Every { seconds, topic, type, body }  →  { id }      until Cancel { id } →  { cancelled }
--   Timers                                →  { list }    what is set
local TIMERS_MOST = 1000

-- What would fail when it is due is refused at once.
local function check(message)
  local topic = message.topic:match "^[^/]*"
  if topic:find "^troupe%." or not topic:find "^[%w_.:=\x80-\xff-]+$" then
    error { code = "invalid", message = ("`%s` is no topic to publish on"):format(message.topic) }
  end
  if message.type == "" then error { code = "invalid", message = "the type is empty" } end
end

local function set(self, message, ctx, every)
  check(message)
  local n = 0
  for _ in pairs(self.set) do n = n + 1 end
  if n >= TIMERS_MOST then error { code = "overloaded", message = "there are " .. n .. " timers already" } end
  self.last = self.last + 1
  local key = tostring(self.last)
  local job = { topic = message.topic, type = message.type, body = message.body, seconds = message.seconds, every = every }
  job.timer = (every and ctx.every or ctx.after)(ctx, message.seconds, "Due", { key = key })
  self.set[key] = job
  return { id = key }
end

local job = { seconds = "number", topic = "string", type = "string", body = "any?" }

---@type troupe.agent
return {
  type = "timer",
  description = "Publishes messages later, or again and again.",
  state = { last = 0, set = {} },
  messages = { After = job, Every = job, Cancel = { id = "string" } },
  on_request = {
    After = function(self, message, ctx) return set(self, message, ctx, false) end,
    Every = function(self, message, ctx) return set(self, message, ctx, true) end,
    Cancel = function(self, message, ctx)
      local found = self.set[message.id]
      self.set[message.id] = nil
      return { cancelled = found ~= nil and ctx:cancel(found.timer) }
    end,
    Timers = function(self)
      local list = troupe.array {}
      for id, j in pairs(self.set) do
        list[#list + 1] = { id = id, topic = j.topic, type = j.type, seconds = j.seconds, every = j.every }
      end
      table.sort(list, function(a, b) return tonumber(a.id) < tonumber(b.id) end)
      return { list = list }
    end,
  },
  on = {
    Due = function(self, message, ctx)
      local due = self.set[message.key]
      if not due then return end -- cancelled while it lay in the mailbox
      if not due.every then self.set[message.key] = nil end
      ctx:publish(due.topic, due.type, due.body)
    end,
  },
}
