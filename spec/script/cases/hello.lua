-- Agents are made at the first message; the key is the topic's source; state is each instance's own.
-- luacheck: read globals troupe, no max line length
local said = {}
return {
  {
    type = "greeter",
    subscriptions = { "chat" },
    state = { count = 0, list = {} },
    on = {
      Greeting = function(self, message, ctx)
        self.count = self.count + 1
        table.insert(self.list, message.content)
        said[#said + 1] = ctx.id .. " " .. self.count .. " " .. message.content
        if self.count <= 2 then ctx:publish("chat", "Greeting", { content = "again" }) end
        return { content = "hello", count = self.count }, "Answer"
      end,
    },
  },
  function(ctx, args)
    assert(#args == 0)
    assert(ctx.id == "hello/default" and ctx.key == "default" and ctx.agent_type == "hello")
    ctx:publish("chat", "Greeting", { content = "one" })
    ctx:publish("chat/other", "Greeting", { content = "two" })
    ctx:sleep(1)
    assert(#said == 2)
    assert(said[1] == "greeter/default 1 one", said[1])
    assert(said[2] == "greeter/other 1 two", said[2])
    local body, type = ctx:call("greeter", "Greeting", { content = "three" })
    assert(body.content == "hello" and body.count == 2 and type == "Answer")
    assert(troupe.version)
    return 0
  end,
}
