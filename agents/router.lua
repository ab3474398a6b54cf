-- router: passes events on by rules, the first that fits:
--   { type = "Reading", where = { room = "attic" }, to = "alarms", as = "Alert" }    to a topic
--   { prefix = "Log", agent = "archive/main" }                                       to one agent
--   { type = "Noise" }                                                               to nobody
-- Rules come with SetRules { rules }, events by the topics given behind -- (`logs`, or `home.*`
-- for a prefix; default: `route`); state keeps both.
--   troupe worker agents/router.lua -- readings logs
local subscriptions = {}
for i, topic in ipairs { ... } do
  local prefix = topic:match("^(.*)%*$")
  subscriptions[i] = prefix and { prefix = prefix, key = "default" } or { topic, key = "default" }
end
if #subscriptions == 0 then subscriptions[1] = { "route", key = "default" } end

local RULES_MOST = 1000

local function wrong(i, text, ...) error { code = "invalid", message = ("rules[%d]: "):format(i) .. text:format(...) } end

-- What would fail with each event is refused at once.
local function check(i, rule, own)
  local topic = rule.to and rule.to:match "^[^/]*"
  if topic and (topic:find "^troupe%." or not topic:find "^[%w_.:=\x80-\xff-]+$") then
    wrong(i, "`%s` is no topic to publish on", rule.to)
  end
  if rule.as == "" then wrong(i, "`as` is empty") end
  local good, type, key = pcall(troupe.split, rule.agent or "a")
  if not good then wrong(i, "agent: %s", type.message) end
  if rule.agent and type .. "/" .. key == own then wrong(i, "it would lead back to %s itself, without end", own) end
end

local function fits(rule, message, type_)
  if rule.type and rule.type ~= type_ then return false end
  if rule.prefix and type_:sub(1, #rule.prefix) ~= rule.prefix then return false end
  for field, value in pairs(rule.where or {}) do
    if type(message) ~= "table" or message[field] ~= value then return false end
  end
  return true
end

---@type troupe.agent
return {
  type = "router",
  description = "Passes events on by rules.",
  subscriptions = subscriptions,
  state = { rules = {}, passed = 0, dropped = 0, unmatched = 0 },
  messages = { SetRules = { rules = { {
    type = "string?", prefix = "string?", where = "table?", to = "string?", agent = "string?", as = "string?" } } } },
  on_request = {
    SetRules = function(self, message, ctx)
      if #message.rules > RULES_MOST then error { code = "too_large", message = "more than " .. RULES_MOST .. " rules" } end
      for i, rule in ipairs(message.rules) do check(i, rule, ctx.id) end
      self.rules = message.rules
      return { rules = #message.rules }
    end,
    Routed = function(self) return { passed = self.passed, dropped = self.dropped, unmatched = self.unmatched } end,
  },
  on_event = {
    ["*"] = function(self, message, ctx)
      for _, rule in ipairs(self.rules) do
        if fits(rule, message, ctx.type) then
          local as = rule.as or ctx.type
          if rule.to then ctx:publish(rule.to, as, message) end
          if rule.agent then ctx:send(rule.agent, as, message) end
          local what = (rule.to or rule.agent) and "passed" or "dropped"
          self[what] = self[what] + 1
          return
        end
      end
      self.unmatched = self.unmatched + 1
    end,
  },
}
