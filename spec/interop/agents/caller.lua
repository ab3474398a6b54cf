-- Calls others in ways that AutoGen's protocol has no word for. After `--`: its type.
local name = ...

return {
  type = name,
  reentrant = true,
  on = {
    -- How many parts came, and the answer.
    Read = function(_, message, ctx)
      local parts, stream = 0, ctx:stream(message.to, message.type, message.body)
      for _ in stream do parts = parts + 1 end
      return { parts = parts, text = stream:result().text }
    end,

    -- Begin, give up after so many seconds; what was caught, and how soon.
    GiveUp = function(_, message, ctx)
      local call = ctx:async(message.to, message.type, message.body)
      ctx:sleep(message.after)
      local at = ctx:now()
      call:cancel()
      local _, problem = pcall(call.await, call)
      return { code = problem.code, seconds = ctx:now() - at }
    end,

    -- Parts before an answer that Python knows.
    Slow = function(_, message, ctx)
      print("began")
      local open <close> = setmetatable({}, { __close = function() print("closed") end })
      assert(open)
      for part = 1, 100 do
        if ctx:yield { part = part } then print("read") end
      end
      ctx:sleep(message.seconds)
      return { text = "at last", by = ctx.id, sender = ctx.sender or "" }, "Answer"
    end,
  },
}
