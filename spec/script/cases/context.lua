-- ctx: its fields, when it may be used, and names that do not exist.
-- luacheck: read globals troupe, no max line length
local kept, seen = {}, {}
local a = { type = "a", subscriptions = { "chat" }, on = {
  Look = function(_, _, ctx)
    kept.a = ctx
    seen = { id = ctx.id, key = ctx.key, agent_type = ctx.agent_type, type = ctx.type, sender = ctx.sender, topic = ctx.topic,
      message_id = ctx.message_id, is_request = ctx.is_request, deadline = ctx.deadline, cancelled = ctx.cancelled, metadata = ctx.metadata,
      trace = ctx.trace }
  end,
  Again = function(_, _, ctx) return rawequal(kept.a, ctx) and kept.a.id end,
  Names = function(_, _, ctx)
    for name, text in pairs {
      publsh = "ctx has no `publsh`; did you mean `publish`?", lunch = "ctx has no `lunch`; did you mean `launch`?", xyzzy = "ctx has no `xyzzy`",
    } do
      local ok, e = pcall(function() return ctx[name] end)
      assert(not ok and e.message == text, tostring(e))
    end
    local ok, e = pcall(function() ctx.x = 1 end)
    assert(not ok and e.message == "ctx cannot be written to: keep state in `self`")
    assert(getmetatable(ctx) == false and tostring(ctx) == "ctx (a/default)")
    ok, e = pcall(ctx.publish, "chat", "T")
    assert(not ok and e.message:find("call its methods with a colon"))
    ok, e = pcall(ctx.receive, ctx)
    assert(not ok and e.message == "ctx:receive is for programs; an agent has handlers")
    return true
  end,
} }
local b = { type = "b", on = { Steal = function()
  local ok, e = pcall(function() return kept.a.id end)
  assert(not ok and e.message == "ctx of another agent was used in a turn of b/default", tostring(e))
  ok, e = pcall(kept.a.publish, kept.a, "chat", "T")
  assert(not ok and e.code == "invalid")
  return true
end } }

return { a, b, function(ctx)
  ctx:publish("chat/here", "Look", {}, { metadata = { k = "v", traceparent = "00-abc" } })
  ctx:sleep(0.01)
  assert(seen.id == "a/here" and seen.key == "here" and seen.agent_type == "a" and seen.type == "Look")
  assert(seen.sender == "context/default" and seen.topic == "chat/here" and seen.is_request == false)
  assert(seen.deadline == nil and seen.cancelled == false and seen.metadata.k == "v" and seen.trace == "00-abc")
  assert(type(seen.message_id) == "string" and #seen.message_id > 4)
  ctx:call("a", "Look", {}, { timeout = 5, id = "given" })
  assert(seen.is_request and seen.topic == nil and seen.message_id == "given" and seen.trace == nil)
  assert(math.abs(seen.deadline - ctx:now() - 5) < 0.1)
  assert(ctx:call("a", "Again") == "a/default")
  assert(ctx:call("a", "Names"))
  assert(ctx:call("b", "Steal"))
  ctx:log("info", "hello\nthere", { n = 1 })
  for _, case in ipairs { { "loud", "x" }, { 5, "x" }, { "info", "x", 5 } } do assert(not pcall(ctx.log, ctx, table.unpack(case))) end
  local t, k = troupe.split("type/key/more")
  assert(t == "type" and k == "key/more" and select(2, troupe.split("x")) == "default")
  assert(not pcall(troupe.split, "a b/c") and not pcall(troupe.split, 5))
  assert(require "troupe" == troupe)
  return 0
end }
--? info agent.log agent=context/default text="hello | there" n="1"
