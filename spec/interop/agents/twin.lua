-- The twin of peers/agent.py in Lua. After `--`: its type, then the topics that it subscribes to.
local name = ...

local function answer(text, ctx)
  return { text = text, by = ctx.id, sender = ctx.sender or "" }, "Answer"
end

return {
  type = name,
  subscriptions = { select(2, ...) },
  on = {
    Note = function(_, message, ctx)
      print("note", ctx.id, ctx.topic, ctx.sender or "", message.text)
    end,

    Ask = function(_, message, ctx)
      return answer(("%s, says %s"):format(message.text, ctx.agent_type), ctx)
    end,

    -- What agent `to` answers, or the error that came back.
    Forward = function(_, message, ctx)
      local ok, reply, kind = ctx:pcall(message.to, message.type, { text = message.text })
      if ok then return reply, kind end
      return { code = reply.code, text = reply.message }, "Failed"
    end,

    Announce = function(_, message, ctx)
      ctx:publish(message.topic, "Note", { text = message.text })
      return answer("announced", ctx)
    end,

    Fail = function(_, message)
      error(message.text)
    end,

    Slow = function(_, message, ctx)
      print("slow", message.seconds)
      ctx:sleep(message.seconds)
      return answer("at last", ctx)
    end,

    Quiet = function() end,

    Text = function(_, message)
      return message.text
    end,

    -- What agent `from` says is passed on to agent `to`, and what that says is read here.
    Pass = function(_, message, ctx)
      local text = ctx:agent(message.from):Text { text = message.text }
      local last = ctx:agent(message.to):Ask { text = text }
      return { text = last.text, by = last.by, again = ctx:agent(message.from):Text(last) .. "" }
    end,

    Square = function(_, message, ctx)
      ctx:sleep(message.wait)
      return { number = message.number, square = message.number * message.number, caller = message.caller }, "Squared"
    end,
  },
}
