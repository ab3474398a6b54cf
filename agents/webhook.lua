-- webhook: turns what is posted to it over HTTP into messages, and answers with their replies.
--   behind --: where to listen, then for each path what becomes of it:
--     /orders=shop/main:Order      a request to that agent: its reply is the answer
--     /push=@builds:Pushed         an event on that topic: the answer is 202
--   Bodies are JSON; the variable WEBHOOK_SECRET, if it is granted, is what they must be signed with (X-Hub-Signature-256).
--   Hooks  →  { address, hooks = { { path, agent | topic, type }, … }, taken, refused }
--   troupe worker --allow listen=127.0.0.1:8080 --allow env=WEBHOOK_SECRET agents/webhook.lua -- 127.0.0.1:8080 /push=@builds:Pushed
local address = ...
local STATUS = { invalid = 400, permission_denied = 403, not_found = 404, cant_handle = 404, too_large = 413, overloaded = 503,
  unavailable = 503, timeout = 504 }

local hooks = {} -- by path
for i, text in ipairs { select(2, ...) } do
  local path, at, target, kind = text:match "^(/[^=]*)=(@?)([^:]+):(%S+)$"
  local function wrong(what) error(("argument %d, `%s`: %s"):format(i + 1, text, what), 0) end
  if not path then wrong "expected /PATH=AGENT:TYPE or /PATH=@TOPIC:TYPE" end
  if hooks[path] then wrong(path .. " is there already") end
  local name = target:match "^[^/]*"
  if at == "@" and (name:find "^troupe%." or not name:find "^[%w_.:=\x80-\xff-]+$") then wrong "this is no topic to publish on" end
  local good, why = pcall(troupe.split, at == "@" and "a" or target)
  if not good then wrong(why.message) end
  hooks[path] = { path = path, type = kind, [at == "@" and "topic" or "agent"] = target }
end

local function answer(status, value, headers)
  headers = headers or {}
  headers["Content-Type"] = value ~= nil and "application/json" or nil
  return { status = status, headers = headers, body = value ~= nil and troupe.json.encode(value) .. "\n" or nil }
end

local function refused(self, status, code, headers)
  self.refused = self.refused + 1
  return answer(status, { error = code }, headers)
end

local function pass_on(self, hook, body, ctx)
  if hook.topic then
    ctx:publish(hook.topic, hook.type, body)
    self.taken = self.taken + 1
    return answer(202)
  end
  local good, reply = ctx:pcall(hook.agent, hook.type, body)
  if not good then return refused(self, STATUS[reply.code] or 502, reply.code) end -- no more than the code: the text is for us
  self.taken = self.taken + 1
  if reply == nil then return answer(204) end
  return answer(200, reply)
end

---@type troupe.agent
return {
  type = "webhook",
  description = "Turns posts into messages, by the right listen=ADDRESS.",
  autostart = true,
  reentrant = true, -- one waits for its reply, others go on
  state = { taken = 0, refused = 0 },
  init = function(self, ctx)
    if not address then error { code = "invalid", message = "where to listen? (… -- 127.0.0.1:8080 /PATH=AGENT:TYPE)" } end
    local good, secret = pcall(troupe.env, "WEBHOOK_SECRET")
    self._address = troupe.serve { address = address, type = "Http", secret = good and secret or nil }
    ctx:log("info", "listening", { address = self._address, signed = good and secret ~= nil })
  end,
  on_request = {
    Http = function(self, request, ctx)
      local hook = hooks[request.path]
      if not hook then return refused(self, 404, "not_found") end
      if request.method ~= "POST" then return refused(self, 405, "invalid", { Allow = "POST" }) end
      local kind = (request.headers["content-type"] or "application/json"):lower():match "^[^;]*"
      if not kind:find "^application/json%s*$" and not kind:find "^[%w./-]*%+json%s*$" then return refused(self, 415, "invalid") end
      local body = {}
      if request.body ~= "" then
        local good
        good, body = pcall(troupe.json.decode, tostring(request.body))
        if not good then return refused(self, 400, "invalid") end
      end
      return pass_on(self, hook, body, ctx)
    end,
    Hooks = function(self)
      local list = troupe.array {}
      for _, hook in pairs(hooks) do list[#list + 1] = hook end
      table.sort(list, function(a, b) return a.path < b.path end)
      return { address = self._address, hooks = list, taken = self.taken, refused = self.refused }
    end,
  },
}
