-- The agents of a simulated run. They are given as tables, so they share the book's variables: that is how what happened is known
-- without asking them. Each process has one of a type of its own, and one of a type that all workers share.
local M = {}

local function options_of(message)
  return { timeout = message.timeout, retry = message.retry, priority = message.priority }
end

-- Asks: a request, or a stream of parts.
local function ask(book, name, life, message, ctx)
  local request = book:asks(name, life, message, ctx:now())
  local key = message.to == name and "/y" or "/x"
  local body = { id = request.id, n = request.id, from = name, sleep = message.sleep, parts = message.parts, priority = message.priority,
    again = message.retry ~= nil }
  local ok, answer
  if message.parts then
    local options = options_of(message)
    options.retry = nil
    ok, answer = pcall(function()
      local stream <close> = ctx:stream(message.to .. key, "Tell", body, options)
      for part in stream do book:has_part(request, part) end
      return (stream:result())
    end)
  elseif message.give_up then
    local future = ctx:async(message.to .. key, "Ask", body, options_of(message))
    ctx:sleep(message.give_up)
    future:cancel()
    ok, answer = pcall(future.await, future)
  else
    ok, answer = ctx:pcall(message.to .. key, "Ask", body, options_of(message))
  end
  book.world:note("request %d of %s to %s ended: %s", request.id, name, message.to, ok and "answered" or tostring(answer))
  book:ends(request, ok, answer, ctx:now())
  if ok and message.parts then book:streamed(request, answer) end
end

local function mail(book, name, life, message, ctx)
  for _ = 1, message.count do
    local one = book:mails_to(name, life, message.to)
    ctx:send(message.to .. (message.to == name and "/y" or "/x"), "Mail", { from = name, n = one.n, priority = message.priority },
      { priority = message.priority })
  end
end

local function publish(book, name, life, message, ctx)
  local one = message.job and book:gives_job(name, life) or book:publishes(name, life)
  book.world:note("%s publishes %s %d", name, message.job or "note", one.n)
  ctx:publish(message.job or "notes/x", message.job and "Job" or "Note", { from = name, n = one.n })
end

-- What a process knows is lost when it crashes; `life` tells one from the next under the same name.
function M.one(book, name, life, flaws)
  local last, born = {}, book.number -- by receiver: instances have orders of their own
  local function comes(ctx, message, again)
    book.world:note("%s gets %s %d of %s", ctx.id, ctx.type, message.n, message.from)
    last[ctx.id] = last[ctx.id] or {}
    return book:comes(ctx.id, last[ctx.id], message, again)
  end
  local function work(message, ctx)
    local request = book:does(name, life, message.id)
    if flaws.twice then book:does(name, life, message.id) end
    if message.sleep then
      ctx:sleep(message.sleep)
      book:finishes(request, ctx:now())
    end
    return { id = flaws.crossed and message.id + 1 or message.id, parts = message.parts }
  end
  return {
    type = name, subscriptions = { { "notes", key = "x" }, { "troupe.dead_letter", key = "x" } }, mailbox = { limit = 100000 },
    reentrant = true,
    on = {
      Go = function(_, message, ctx) ask(book, name, life, message, ctx) end,
      Write = function(_, message, ctx) mail(book, name, life, message, ctx) end,
      Publish = function(_, message, ctx) publish(book, name, life, message, ctx) end,
      Ask = function(_, message, ctx)
        if not message.again then comes(ctx, message, false) end
        return work(message, ctx)
      end,
      Tell = function(_, message, ctx)
        comes(ctx, message, false)
        for i = 1, message.parts do ctx:yield { i = i } end
        return work(message, ctx)
      end,
      Mail = function(_, message, ctx)
        comes(ctx, message, false)
        book:mail_comes(message.n)
      end,
      -- Known to come again: from before this process began (docs/wire.md 10.4).
      Note = function(_, message, ctx)
        if comes(ctx, message, message.n <= born) then book:note_comes(name, life, message.n) end
      end,
      DeadLetter = function(_, letter) book:dead_letter(name, letter) end,
    },
  }
end

-- One of the type that all workers share: the host says who has which key. It moves with what it has heard; one whose process crashed
-- begins anew. Known to come again, or late: what was sent again after a connection or a host was lost, for an id that has moved
-- since: the process that has it now does not know what the other one had (docs/wire.md 10.4).
function M.crew(book, name)
  local function job(agent, message, ctx)
    local before = agent.heard[message.from]
    book.world:note("%s at %s hears job %d of %s after %d", ctx.id, name, message.n, message.from, before and before.n or 0)
    local last = { [message.from] = before and before.n }
    book:job_comes(message.n)
    if not book:comes(ctx.id .. " at " .. name, last, message, before and before.by ~= name) then return end
    agent.heard[message.from] = { n = message.n, by = name }
  end
  return {
    type = "crew", shared = true, subscriptions = { "jobs" }, state = { heard = {} }, mailbox = { limit = 100000 }, on = { Job = job },
  }
end

return M
