-- Asks ninety counters once, and says how many of them each worker has, and how often they were asked in all.
return function(ctx)
  local asked, spread, total = {}, {}, 0
  for i = 1, 90 do asked[i] = ctx:async("counter/visitor" .. i, "Add") end
  for _, answer in ipairs(asked) do
    local body = answer:await()
    spread[body.worker] = (spread[body.worker] or 0) + 1
    total = total + body.n
  end
  local line = {}
  for worker, count in pairs(spread) do line[#line + 1] = worker .. " has " .. count end
  table.sort(line)
  print(table.concat(line, ", ") .. "; asked " .. total .. " times in all")
end
