-- console: talks to agents from a terminal, or from a pipe, line by line.
--   call AGENT TYPE [JSON]      asks, and shows the answer           send AGENT TYPE [JSON]
--   publish TOPIC TYPE [JSON]                                        listen TOPIC | PREFIX*      shows its events      hush TOPIC
--   chat AGENT TYPE [FIELD]     each line is asked as { FIELD = line } from then on (default: content), until a line with a dot alone
--   help   quit
--   troupe worker --allow luv agents/console.lua        (luv has the terminal)
local uv = require "luv"
local LINE_MOST, QUEUE_MOST, SHOWN_MOST = 65536, 1000, 60000

local HELP = [[
call AGENT TYPE [JSON]     send AGENT TYPE [JSON]     publish TOPIC TYPE [JSON]
listen TOPIC | PREFIX*     hush TOPIC                 chat AGENT TYPE [FIELD]
help                       quit]]

---@return any -- it does not return
local function wrong(text) error { code = "invalid", message = text } end

local function say(self, text)
  if #text > SHOWN_MOST then text = ("%s… (%d bytes)"):format(text:sub(1, utf8.offset(text, 0, SHOWN_MOST) - 1), #text) end
  text = text:gsub("[%z\1-\8\11-\31\127]", "?"):gsub("\xC2[\x80-\x9F]", "?") -- what agents say must not drive the terminal
  if self._out then self._out:write("\r" .. text .. "\n") else print(text) end
end

local function shown(body, type)
  local good, text = pcall(troupe.json.encode, body)
  return type .. " " .. (good and text or tostring(body))
end

-- The words of a line: so many, and what is left as JSON.
local function words(rest, usage)
  local first, second, json = rest:match "^(%S+)%s+(%S+)%s*(.*)$"
  if not first then wrong(usage) end
  if json == "" then return first, second, nil end
  return first, second, troupe.json.decode(json)
end

local commands = {}

function commands.call(self, ctx, rest)
  local agent, type, body = words(rest, "call AGENT TYPE [JSON]")
  say(self, shown(ctx:call(agent, type, body)))
end

function commands.send(_, ctx, rest)
  ctx:send(words(rest, "send AGENT TYPE [JSON]"))
  ctx:sleep(0)
end

function commands.publish(_, ctx, rest)
  ctx:publish(words(rest, "publish TOPIC TYPE [JSON]"))
  ctx:sleep(0)
end

function commands.listen(self, ctx, rest)
  local topic = rest:match "^%S+$" or wrong "listen TOPIC | PREFIX*"
  local prefix = topic:match "^(.*)%*$"
  if self._heard[topic] then return end
  self._heard[topic] = ctx:subscribe(prefix and { prefix = prefix, key = ctx.key } or { topic, key = ctx.key })
end

function commands.hush(self, ctx, rest)
  ctx:unsubscribe(self._heard[rest] or wrong("`" .. rest .. "` is not listened to"))
  self._heard[rest] = nil
end

function commands.chat(self, _, rest)
  local agent, type, field = rest:match "^(%S+)%s+(%S+)%s*(%S*)$"
  self._chat = agent and { agent, type, field ~= "" and field or "content" } or wrong "chat AGENT TYPE [FIELD]"
end

function commands.help(self) for line in HELP:gmatch "[^\n]+" do say(self, line) end end
function commands.quit(self) self._ended = true end

local function chat(self, ctx, line)
  local agent, type, field = table.unpack(self._chat)
  if line == "." then self._chat = nil return end
  say(self, shown(ctx:call(agent, type, { [field] = line })))
end

local function obey(self, ctx, line)
  if not utf8.len(line) then wrong "a line must be UTF-8" end
  if self._chat then return chat(self, ctx, line) end
  local name, rest = line:match "^%s*(%S+)%s*(.-)%s*$"
  if not name or name:sub(1, 1) == "#" then return end
  local command = commands[name] or wrong(("there is no `%s` (help lists what there is)"):format(name:sub(1, 100)))
  command(self, ctx, rest)
end

local function prompt(self)
  if self._out and not self._ended then self._out:write(self._chat and self._chat[1] .. "> " or "> ") end
end

-- ---- input: lines wait in a queue, and reading waits while that is long ----

local function take(self, data)
  local rest, at = self._rest .. data, 1
  for stop in function() return rest:find("\n", at, true) end do
    local line = rest:sub(at, stop - 1)
    self._queue[#self._queue + 1] = not self._long and (line:sub(-1) == "\r" and line:sub(1, -2) or line) or nil
    at, self._long = stop + 1, false
  end
  rest = rest:sub(at)
  if #rest > LINE_MOST then
    if not self._long then self._queue[#self._queue + 1] = ("?"):rep(80) end -- in its place
    self._long, rest = true, ""
  end
  self._rest = rest
end

local function read(self, wake)
  local function got(err, data)
    if data then take(self, data)
    else
      if self._rest ~= "" then take(self, "\n") end
      self._eof = not err or err
    end
    if #self._queue > QUEUE_MOST and self._in then
      self._paused = true
      self._in:read_stop()
    end
    wake()
  end
  local kind = uv.guess_handle(0)
  if kind == "tty" then
    self._in, self._out = assert(uv.new_tty(0, true)), uv.new_tty(1, false)
  elseif kind == "pipe" then
    self._in = uv.new_pipe(false)
    assert(self._in:open(0))
  else -- a file
    local function some()
      uv.fs_read(0, LINE_MOST, -1, function(err, data)
        got(err, data ~= "" and data or nil)
        if not self._eof then some() end
      end)
    end
    return some()
  end
  self._again = function() self._in:read_start(got) end
  self._again()
end

---@type troupe.agent
return {
  type = "console",
  description = "Talks to agents from a terminal, by the right luv.",
  autostart = true,
  reentrant = true, -- events are shown while an answer is awaited
  init = function(self, ctx)
    self._queue, self._rest, self._heard, self._busy = {}, "", {}, false
    local post = ctx:callback "Input"
    self._wake = function() -- one is enough, however much comes before it is handled
      if not self._woken then post() end
      self._woken = true
    end
    read(self, self._wake)
    prompt(self)
  end,
  on_event = {
    -- There are lines, or the input has ended. What it is sent by others does no more than look.
    Input = function(self, _, ctx)
      self._woken = false
      if self._busy then return end
      self._busy = true
      local _ <close> = setmetatable({}, { __close = function() -- also when a limit ends this turn
        self._busy = false
        if not self._ended and (self._eof or #self._queue > 0) then self._wake() end
      end })
      for _ = 1, 100 do
        local line = not self._ended and table.remove(self._queue, 1)
        if not line then break end
        local good, why = pcall(obey, self, ctx, line)
        if not good then say(self, type(why) == "table" and ("%s: %s"):format(why.code, why.message) or tostring(why)) end
        prompt(self)
      end
      if self._paused and #self._queue < QUEUE_MOST / 10 then
        self._paused = false
        self._again()
      end
      self._ended = self._ended or (self._eof and #self._queue == 0)
      if self._ended then ctx:exit(0) end
    end,
    ["*"] = function(self, message, ctx)
      say(self, ("%s: %s"):format(ctx.topic or ctx.sender or "-", shown(message, ctx.type)))
    end,
  },
}
