-- logger: one line in the log for each event, of the topics given behind -- (as `chat`, or `home.*` for a prefix), else
-- of all. Bodies are cut; at --log info they are left out.
--   troupe worker agents/logger.lua -- chat home.*
local BODY_MOST, KEYS_MOST = 200, 1000

local subscriptions = {}
for i, topic in ipairs { ... } do
  local prefix = topic:match("^(.*)%*$")
  subscriptions[i] = prefix and { prefix = prefix, key = "log" } or { topic, key = "log" }
end
if #subscriptions == 0 then subscriptions[1] = { prefix = "", key = "log" } end

-- A body on one line: `{ n = 1, tags = { "a" } }`. Of a large one no more is looked at than is shown.
local function show(value, depth, left)
  if type(value) == "string" then return (("%q"):format(value:sub(1, left)):gsub("\\\n", "\\n")) end
  if type(value) == "userdata" and value ~= troupe.null then return ("(%d bytes)"):format(#value) end
  if type(value) ~= "table" then return tostring(value) end
  if next(value) == nil then return "{}" end
  if depth > 4 then return "{…}" end
  local parts, keys = {}, {}
  for key in pairs(value) do
    if #keys == KEYS_MOST then break end
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return type(a) == type(b) and a < b or type(a) == "number" and type(b) ~= "number" end)
  for i, key in ipairs(keys) do
    if left < 0 then break end
    local text = show(value[key], depth + 1, left)
    parts[i] = type(key) == "number" and text or key:sub(1, math.max(0, left)) .. " = " .. text
    left = left - #parts[i]
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function cut(text)
  if #text <= BODY_MOST then return text end
  return text:sub(1, utf8.offset(text, 0, BODY_MOST + 1) - 1) .. "…" -- between two characters
end

---@type troupe.agent
return {
  type = "logger",
  description = "Writes a line for each event to the log.",
  subscriptions = subscriptions,
  state = { lines = 0 },
  on_event = {
    ["*"] = function(self, message, ctx)
      self.lines = self.lines + 1
      ctx:log("info", "event", { topic = ctx.topic, type = ctx.type, from = ctx.sender or "-" })
      ctx:log("debug", cut(show(message, 1, BODY_MOST)))
    end,
  },
  on_request = { LoggerCount = function(self) return { lines = self.lines } end },
}
