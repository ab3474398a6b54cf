-- logger: one line in the log for each event, of the topics given behind -- (as `chat`, or `home.*` for a prefix), else
-- of all. Bodies are cut; at --log info they are left out.
--   troupe worker agents/logger.lua -- chat home.*
local BODY_MOST = 200

local subscriptions = {}
for i, topic in ipairs { ... } do
  local prefix = topic:match("^(.*)%*$")
  subscriptions[i] = prefix and { prefix = prefix, key = "log" } or { topic, key = "log" }
end
if #subscriptions == 0 then subscriptions[1] = { prefix = "", key = "log" } end

-- A body on one line: `{ n = 1, tags = { "a" } }`.
local function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") end
  if type(value) ~= "table" then return tostring(value) end
  if depth > 4 then return "{…}" end
  local parts, keys = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    if i > 20 then parts[i] = "…" break end
    local text = show(value[key], depth + 1)
    parts[i] = type(key) == "number" and text or key .. " = " .. text
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

return {
  type = "logger",
  description = "Writes a line for each event to the log.",
  subscriptions = subscriptions,
  state = { lines = 0 },
  on_event = {
    ["*"] = function(self, message, ctx)
      self.lines = self.lines + 1
      ctx:log("info", "event", { topic = ctx.topic, type = ctx.type, from = ctx.sender or "-" })
      ctx:log("debug", show(message, 1):sub(1, BODY_MOST))
    end,
  },
  on_request = { LoggerCount = function(self) return { lines = self.lines } end },
}
