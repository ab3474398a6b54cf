-- opts.encoding, opts.metadata, the trace that goes on, and the list of subscriptions.
-- luacheck: read globals troupe, no max line length
local got, listed
local function keep(_, m, ctx) got = { body = m, metadata = ctx.metadata, trace = ctx.trace } return m end
local function match(topic) return topic == "m/x" end
local echo = { type = "echo", subscriptions = { "e", { "fixed", key = "k" }, { "noise", all = true }, { prefix = "home." }, { match = match } },
  on = { ["*"] = keep, List = function(_, _, ctx)
    listed = ctx:subscriptions()
  end } }
local relay = { type = "relay", on = {
  Send = function(_, m, ctx) ctx:send("echo", "Plain", {}, m.opts) end,
  Publish = function(_, _, ctx) ctx:publish("e", "Plain") end,
  Call = function(_, _, ctx) return ctx:call("echo", "Plain") end,
  Relay = function(_, m, ctx) ctx:call("relay/2", m.what) end,
} }

return { echo, relay, function(ctx)
  -- Text stays a string; bytes come as troupe.bytes, given as a string or not.
  assert(ctx:call("echo", "T", "grüß", { encoding = "text" }) == "grüß")
  for _, value in ipairs { "\0\xff", troupe.bytes "\0\xff" } do
    local back = ctx:call("echo", "B", value, { encoding = "bytes" })
    assert(type(back) == "userdata" and tostring(back) == "\0\xff" and #back == 2 and back == troupe.bytes "\0\xff")
    assert(tostring(got.body) == "\0\xff")
  end
  assert(tostring(ctx:call("echo", "B", troupe.bytes "")) == "")
  assert(ctx:call("echo", "J", { 1 }, { encoding = "json" })[1] == 1)
  for _, case in ipairs {
    { {}, "text", 'body: the encoding "text" takes a string, not a table' }, { nil, "text", 'body: the encoding "text" takes a string, not nil' },
    { troupe.bytes "x", "text", 'body: the encoding "text" takes a string, not an object' }, { "\xff", "text", "body: a string that is not UTF-8 (send it as troupe.bytes(s))" },
    { 5, "bytes", 'body: the encoding "bytes" takes a string or troupe.bytes, not a number' },
    { "x", "xml", 'encoding must be "json", "protobuf", "text", "bytes" or the content type of a serializer' }, { "x", 5, 'encoding must be "json", "protobuf", "text", "bytes" or the content type of a serializer' },
    { {}, "protobuf", 'body: no descriptor of the message type "X" is loaded (see troupe.protobuf)' },
    { {}, "application/cbor", 'encoding: there is no serializer of X for application/cbor' },
  } do
    local ok, e = pcall(ctx.send, ctx, "echo", "X", case[1], { encoding = case[2] })
    assert(not ok and e.code == "invalid" and e.message == case[3], tostring(e))
  end

  ctx:call("echo", "M", {}, { metadata = { a = "1", ["b c"] = "ü" } })
  assert(got.metadata.a == "1" and got.metadata["b c"] == "ü" and got.trace == nil)
  for _, case in ipairs {
    { { priority = "high" }, "metadata.priority is reserved (give the option `priority`)" }, { { dataschema = "x" }, "metadata.dataschema is reserved" },
    { { ["troupe-x"] = "x" }, 'metadata.troupe-x: names that begin with "troupe-" are reserved' }, { { a = 5 }, "metadata must have strings as keys and values" },
    { "x", "metadata must be a table of strings, not a string" },
  } do
    local ok, e = pcall(ctx.send, ctx, "echo", "X", {}, { metadata = case[1] })
    assert(not ok and e.code == "invalid" and e.message == case[2], tostring(e))
  end

  local trace = { traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate = "k=v", other = "x" }
  for _, what in ipairs { "Send", "Publish", "Call" } do
    got = nil
    ctx:call("relay/1", "Relay", { what = what }, { metadata = trace })
    ctx:sleep(0.01)
    assert(got.trace == trace.traceparent and got.metadata.tracestate == "k=v" and got.metadata.other == nil, what)
  end
  -- One of its own goes before it, whole; without tracestate there is none.
  ctx:call("relay", "Send", { opts = { metadata = { traceparent = "00-own", mine = "y" } } }, { metadata = trace })
  ctx:sleep(0.01)
  assert(got.trace == "00-own" and got.metadata.tracestate == nil and got.metadata.mine == "y")
  ctx:call("relay", "Send", {}, { metadata = { traceparent = "00-alone" } })
  ctx:sleep(0.01)
  assert(got.trace == "00-alone" and got.metadata.tracestate == nil)
  ctx:call("relay", "Send", {}, { metadata = { tracestate = "k=v" } })
  ctx:sleep(0.01)
  assert(got.trace == nil and next(got.metadata) == nil)

  ctx:call("echo", "List")
  local list = listed
  assert(#list == 5 and list[5].match == match and list[5].agent == nil)
  assert( list[1][1] == "e" and list[2][1] == "fixed" and list[2].key == "k" and list[3][1] == "noise" and list[3].all and list[4].prefix == "home.")
  for _, item in ipairs(list) do assert(item.id == nil) end
  assert(#ctx:subscriptions() == 0)
  local forms = { "a", { "b", key = "k" }, { "c", all = true }, { prefix = "d." }, { match = match, agent = function() return "options/default" end } }
  local ids = {}
  for i, form in ipairs(forms) do ids[i] = ctx:subscribe(form) end
  list = ctx:subscriptions()
  assert(#list == 5)
  for i, item in ipairs(list) do assert(item.id == ids[i]) end
  assert(list[1][1] == "a" and list[1].key == "default" and list[2].key == "k" and list[3].all and list[4].prefix == "d." and list[5].match == match and list[5].agent)
  ctx:unsubscribe(ids[3])
  assert(#ctx:subscriptions() == 4)
  -- What was listed can be subscribed again.
  ctx:unsubscribe(ids[4])
  list[4].id = nil
  ids[4] = ctx:subscribe(list[4])
  local ok, e = pcall(ctx.subscribe, ctx, list[4])
  assert(not ok and e.code == "already_exists")
  for _, i in ipairs { 1, 2, 4, 5 } do ctx:unsubscribe(ids[i]) end
  assert(#ctx:subscriptions() == 0)
  return 0
end }
