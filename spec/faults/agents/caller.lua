-- The caller. Each lane has four requests open, publishes now and then, and looks at every answer: it is for the request that asked.
-- Ten times a second it says what it saw, as one line: name=number …
local name, lanes, timeout = ...
local run = tostring(math.random(1 << 40)) -- order and doubles are those of one life of this process
local seen = { ok = 0, crossed = 0, damaged = 0, open = 0 }
local begun, worst, last_ok, gap = {}, 0, nil, 0

local function count(what) seen[what] = (seen[what] or 0) + 1 end
-- Over who sent it and what for; bytes of the padding may be damaged, its length not.
local function sum(m)
  local n = #tostring(m.pad) * 31 + m.seq * 7 + m.nonce
  for i, c in utf8.codes(m.from, true) do n = n + i * c end
  return n % 1000003
end

local function message(self, ctx)
  self.seq = self.seq + 1
  local m = { from = ctx.id .. "/" .. run, seq = self.seq, nonce = math.random(1000000), pad = ("x"):rep(math.random(0, 300)) }
  if math.random(2000) == 1 then m.pad = ("y"):rep(200000) end
  if math.random(50) == 1 then m.pause = 0.02 end
  m.sum = sum(m)
  return m
end

local function judge(ctx, call, good, answer)
  local took = ctx:now() - call.at
  begun[call] = nil
  seen.open = seen.open - 1
  if took > worst then worst = took end
  if not good then return count(type(answer) == "table" and answer.code or "strange") end
  if type(answer) ~= "table" or answer.bad then return count "damaged" end
  local whole = math.type(answer.seq) and math.type(answer.nonce) and type(answer.from) == "string"
  if not whole or not utf8.len(answer.from) or answer.sum ~= sum(answer) then return count "damaged" end
  if answer.from ~= call.m.from or answer.seq ~= call.m.seq or answer.nonce ~= call.m.nonce then
    print(("CROSSED %s got the answer to %s %d"):format(call.m.from, tostring(answer.from), answer.seq))
    return count "crossed"
  end
  local now = ctx:now()
  if last_ok and now - last_ok > gap then gap = now - last_ok end
  last_ok = now
  count "ok"
end

local function ask(self, ctx, target)
  local m = message(self, ctx)
  local call = { m = m, at = ctx:now() }
  begun[call] = true
  seen.open = seen.open + 1
  call.future = ctx:async(target, "Ask", m, { timeout = tonumber(timeout) })
  return call
end

local lane = {
  type = "lane" .. name,
  state = { seq = 0, round = 0 },
  timeout = false,
  on = {
    Go = function(self, _, ctx)
      self.round = self.round + 1
      local target = (self.round % 2 == 0 and "echo/" or "spread/") .. "k" .. math.random(12)
      local calls, failed = {}, false
      for i = 1, 4 do calls[i] = ask(self, ctx, target) end
      if self.round % 5 == 0 then ctx:publish("note/k" .. math.random(12), "Note", message(self, ctx)) end
      for _, call in ipairs(calls) do
        local good, answer = pcall(call.future.await, call.future)
        failed = failed or not good
        judge(ctx, call, good, answer)
      end
      if failed then ctx:sleep(0.02) end
      ctx:after(0.002, "Go")
    end,
  },
}

local clock = {
  type = "clock" .. name,
  autostart = true,
  timers = { Say = 0.1 },
  init = function(_, ctx)
    for i = 1, tonumber(lanes) do ctx:send(lane.type .. "/" .. i, "Go") end
  end,
  on = {
    Say = function(_, _, ctx)
      local now, oldest, line = ctx:now(), 0, {}
      for call in pairs(begun) do oldest = math.max(oldest, now - call.at) end
      for what, n in pairs(seen) do line[#line + 1] = what .. "=" .. n end
      gap = math.max(gap, last_ok and now - last_ok or 0)
      print(("%s worst=%.3f oldest=%.3f gap=%.3f"):format(table.concat(line, " "), worst, oldest, gap))
      worst, gap = 0, 0
    end,
  },
}

return { lane, clock }
