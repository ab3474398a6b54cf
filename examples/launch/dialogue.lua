-- Two agents, each in a process of its own, and a loop that knows nothing of it: what makes them so is one line each.
-- troupe run --allow launch examples/launch/dialogue.lua
return function(ctx)
  local ann = ctx:launch { file = "speaker.lua", key = "Ann", args = { "good morning", "how are you" } }
  local ben = ctx:launch { file = "speaker.lua", key = "Ben", args = { "hello", "well, and you" }, lazy = true }

  local x = { content = "start" }
  while x.content ~= "exit" do
    x = ann:Reply(x)
    x = ben:Reply(x)
  end

  ctx:stop(ann) -- it would end with this process, too
  print(ctx:pcall("speaker/Ann", "Reply"))
end
