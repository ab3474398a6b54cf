-- What cannot be delivered is told to whoever subscribes.   troupe run examples/messages/dead_letters.lua
local undertaker = {
  type = "undertaker",
  subscriptions = { "troupe.dead_letter" },
  on = {
    DeadLetter = function(_, letter)
      print(("%s to %s: %s"):format(letter.type, letter.agent or letter.topic, letter.error))
      if letter.body.text then print("  it said: " .. letter.body.text) end
    end,
  },
}

local clerk = {
  type = "clerk",
  subscriptions = { "desk" },
  messages = { Form = { number = "integer" } },
  mailbox = { limit = 1, overflow = "refuse" },
  on = { Form = function(_, _, ctx) ctx:sleep(0.5) end },
}

local function program(ctx)
  ctx:send("nobody", "Hello", { text = "is anybody there?" })
  ctx:sleep(0.05)
  ctx:publish("desk", "Form", { number = "seven" })
  ctx:sleep(0.05)
  for number = 1, 3 do
    ctx:send("clerk", "Form", { number = number })
    ctx:sleep(0.05)
  end
end

return { undertaker, clerk, program }
