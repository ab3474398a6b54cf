-- deadletters: what could not be delivered in this process or by this host: kept, counted, shown, and sent again.
--   Letters { n }  →  { letters = { { number, reason, error, agent | topic, type, body }, … } }, newest first
--   Counts         →  { counts = { ["overloaded Job"] = 3, … }, total }
--   Again { number }  →  { sent }      once more to where it was meant for
local KEEP, BYTES_MOST, BODY_MOST = 1000, 16 << 20, 4 << 20
local KINDS = 500 -- counted apart; the rest is "other"

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

local function forget(self, number)
  local key = tostring(number)
  self.bytes = self.bytes - (self.sizes[key] or 0)
  self.letters[key], self.sizes[key] = nil, nil
end

local function keep(self, letter)
  local size = size_of(letter.body)
  if size > BODY_MOST then letter.body, letter.cut, size = nil, true, 0 end
  self.last, self.bytes = self.last + 1, self.bytes + size
  self.letters[tostring(self.last)], self.sizes[tostring(self.last)] = letter, size
  while self.last - self.first >= KEEP or self.bytes > BYTES_MOST do
    forget(self, self.first)
    self.first = self.first + 1
  end
end

---@type troupe.agent
return {
  type = "deadletters",
  description = "Keeps the last " .. KEEP .. " dead letters.",
  subscriptions = { { "troupe.dead_letter", key = "default" } },
  state = { first = 1, last = 0, letters = {}, sizes = {}, bytes = 0, counts = {}, kinds = 0 },
  messages = { Letters = { n = "integer?" }, Again = { number = "integer" } },
  on_event = {
    DeadLetter = function(self, letter)
      local kind = letter.reason .. " " .. letter.type
      keep(self, letter)
      if not self.counts[kind] then
        self.kinds = self.kinds + 1
        if self.kinds > KINDS then kind = "other" end
      end
      self.counts[kind] = (self.counts[kind] or 0) + 1
    end,
  },
  on_request = {
    Letters = function(self, message)
      local letters, n = troupe.array {}, math.max(0, math.min(message.n or 20, KEEP))
      for number = self.last, self.first, -1 do
        if #letters == n then break end
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
      if letter.cut then error { code = "too_large", message = "the body of letter " .. message.number .. " was not kept" } end
      if letter.agent then ctx:send(letter.agent, letter.type, letter.body)
      else ctx:publish(letter.topic, letter.type, letter.body) end
      forget(self, message.number)
      return { sent = true }
    end,
  },
}
