-- http: asks web servers for others: those that were granted, many at a time.
--   Request { url, method, headers, body | json, timeout, most, redirects }  →  { status, headers, body | json, url }
--   Get { url, headers, timeout }                                            →  the same
--   Requests                                                                 →  { requests, failed, open }
-- json: a value, sent as application/json; an answer of that type comes as one. What is no text comes as bytes.
--   troupe worker --allow net=api.example.com:443 agents/http.lua
local function is_json(headers)
  local kind = (headers["content-type"] or ""):lower():match("^[^;]*")
  return kind:find("^application/json%s*$") or kind:find("+json%s*$")
end

-- Its answer as a message.
---@param answer table
local function shown(answer)
  if #answer.body > 0 and is_json(answer.headers) then
    local good, value = pcall(troupe.json.decode, answer.body)
    if good then answer.json, answer.body = value, nil end
  end
  local body = answer.body
  if body and not utf8.len(body) then answer.body = troupe.bytes(body) end
  for name, value in pairs(answer.headers) do
    if not utf8.len(value) then answer.headers[name] = value:gsub("[\x80-\xff]", "?") end
  end
  return answer
end

-- Names of headers are the same in capitals and in small letters.
local function has(headers, wanted)
  for name in pairs(headers) do
    if type(name) == "string" and name:lower() == wanted then return true end
  end
end

local function ask(self, message)
  if message.json ~= nil then
    if message.body then error { code = "invalid", message = "body and json: one of them" } end
    message.body, message.json = troupe.json.encode(message.json), nil
    message.headers = message.headers or {}
    if not has(message.headers, "content-type") then message.headers["Content-Type"] = "application/json" end
  end
  if message.body and not message.method then message.method = "POST" end
  self.requests, self._open = self.requests + 1, (self._open or 0) + 1
  local _ <close> = setmetatable({}, { __close = function() self._open = self._open - 1 end }) -- also when it is given up
  local good, answer = pcall(troupe.http, message)
  if good then return shown(answer) end
  self.failed = self.failed + 1
  error(answer)
end

---@type troupe.agent
return {
  type = "http",
  description = "Asks web servers, by the right net=HOST:PORT.",
  reentrant = true, -- one waits, others go on
  state = { requests = 0, failed = 0 },
  messages = {
    Request = { url = "string", method = "string?", headers = "table?", body = "any?", json = "any?", timeout = "number?",
      most = "integer?", redirects = "integer?" },
    Get = { url = "string", headers = "table?", timeout = "number?" },
  },
  on_request = {
    Request = ask,
    Get = ask,
    Requests = function(self) return { requests = self.requests, failed = self.failed, open = self._open or 0 } end,
  },
}
