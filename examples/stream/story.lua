-- An answer in parts, as they are made.   troupe run examples/stream/story.lua
local teller = {
  type = "teller",
  on = {
    Tell = function(_, request, ctx)
      local quiet <close> = setmetatable({}, { __close = function() print("(the teller is quiet)") end })
      assert(quiet)
      local count = 0
      for word in request.story:gmatch("%S+") do
        ctx:yield(word) -- waits when the listener lags; does nothing where nobody takes parts
        count = count + 1
        ctx:sleep(0.02)
      end
      return { words = count }
    end,
  },
}

local function program(ctx)
  local story = { story = "Once upon a time a host was told a very long story" }
  local stream = ctx:stream("teller", "Tell", story)
  local words = {}
  for word in stream do words[#words + 1] = word end
  print(table.concat(words, " ") .. ": " .. stream:result().words .. " words")

  for word in ctx:stream("teller", "Tell", story) do
    print(word)
    if word == "upon" then break end -- enough: the teller hears of it
  end
  ctx:sleep(0.1)
  print(ctx:call("teller", "Tell", story).words .. " words at once") -- a plain call: only the result
end

return { teller, program }
