-- Faults in a row, by chance from a seed or each once; after each all must be well again, and at the end as it was.
--   soak.run { seed =, seconds = | once = true, folder =, say = print, only = { pattern, … } } → violations, table of what callers saw
local loop = require "spec.support.loop"
local uv = require "luv"
local worlds = require "spec.faults.world"
local faults = require "spec.faults.list"

local M = {}

-- A generator of our own: the same faults from the same seed, whatever else asks for numbers.
local function generator(seed)
  local x = seed
  return function(low, high)
    if not high then low, high = 1, low end
    x = (x * 6364136223846793005 + 1442695040888963407)
    return low + ((x >> 33) % (high - low + 1))
  end
end

local function text_of(saw)
  local words, codes = {}, {}
  for what, n in pairs(saw) do
    if what ~= "worst" and what ~= "gap" and what ~= "ok" then codes[#codes + 1] = ("%s %d"):format(what, n) end
  end
  table.sort(codes)
  words[1] = ("%d answered"):format(saw.ok or 0)
  table.move(codes, 1, #codes, 2, words)
  return ("%s; the slowest %.2f s, no answer for %.2f s"):format(table.concat(words, ", "), saw.worst, saw.gap)
end

local function happen(world, fault, say, rows)
  local before, count, began = world:begin(), #world.violations, uv.now()
  fault.act(world)
  local acted = uv.now()
  local well = world:is_well(fault.within or 10)
  if not well then
    world:violated(("after \"%s\" callers did not get good answers again within %d s"):format(fault.name, fault.within or 10))
  end
  local saw = world:since(before)
  for _, code in ipairs(fault.never or {}) do
    if saw[code] then world:violated(("\"%s\": callers saw %s %d times"):format(fault.name, code, saw[code])) end
  end
  local row = rows[fault.name] or { times = 0, worst = 0, gap = 0, back = 0 }
  rows[fault.name] = row
  row.times = row.times + 1
  for what, n in pairs(saw) do
    if what == "worst" or what == "gap" then row[what] = math.max(row[what], n)
    else row[what] = (row[what] or 0) + n end
  end
  row.back = math.max(row.back, (uv.now() - acted) / 1000)
  say(("%-46s %5.1f s  %s"):format(fault.name, (uv.now() - began) / 1000, text_of(saw)))
  for i = count + 1, #world.violations do say("  VIOLATED: " .. world.violations[i]) end
end

-- Freed memory is kept for a while, so that its use is found.
local sanitized = (os.getenv("TROUPE_SANITIZER") or "") ~= "" or os.getenv("TROUPE_WRAP")

-- The others are younger than the warm-up, mostly.
local function look_at_workers(world)
  for name, p in pairs(world.processes) do
    local now = worlds.uses(p.pid)
    if not now then
      world:violated(name .. " is gone")
    elseif now.fds > 60 or (now.rss > 128 << 20 and not sanitized) then
      world:violated(("%s has %d descriptors and %d MB"):format(name, now.fds, now.rss >> 20))
    end
  end
end

-- Back to what it was: the host's memory and descriptors, once nobody but the five is there.
local function settle(world, level, say)
  look_at_workers(world)
  local now
  local good = world:run(15, function()
    now = worlds.uses(world.processes.host.pid)
    return now and now.fds <= level.fds + 2 and (now.rss <= level.rss * 1.25 + (16 << 20) or sanitized)
  end)
  if not now then return world:violated "the host is gone" end
  say(("host: %.1f MB and %d descriptors, after warm-up %.1f MB and %d"):format(now.rss / 2 ^ 20, now.fds, level.rss / 2 ^ 20, level.fds))
  if not good then world:violated "the host's memory or descriptors did not go back" end
end

local function print_table(rows, say)
  local names = {}
  for name in pairs(rows) do names[#names + 1] = name end
  table.sort(names)
  say "\n| fault | times | what callers saw | well again after |\n|---|---|---|---|"
  for _, name in ipairs(names) do
    local row = rows[name]
    local saw = {}
    for what, n in pairs(row) do saw[what] = n end
    saw.times, saw.back = nil, nil
    say(("| %s | %d | %s | %.1f s |"):format(name, row.times, text_of(saw), row.back))
  end
end

local function wanted(options, fault)
  if not options.only then return not fault.long or not options.once end
  for _, pattern in ipairs(options.only) do
    if fault.name:find(pattern) then return true end
  end
end

local function chosen(options)
  local list = {}
  for _, fault in ipairs(faults) do
    if wanted(options, fault) then list[#list + 1] = fault end
  end
  return list
end

function M.run(options)
  local say, random = options.say or print, generator(options.seed or 1)
  local world = worlds.new { folder = options.folder, random = random, lanes = options.lanes }
  local list, rows = chosen(options), {}
  if not world:is_well(15) then world:violated "it was never well to begin with" end
  world:run(options.once and 0.3 or 3)
  local level = worlds.uses(world.processes.host.pid)
  local finish = uv.now() + (options.seconds or 0) * 1000
  local i = 0
  repeat
    i = i + 1
    local fault = options.once and list[i] or list[random(#list)]
    local left = (finish - uv.now()) / 1000
    if options.once or not fault.long or fault.long < left then happen(world, fault, say, rows) end
    if #world.violations > 20 then break end
  until options.once and i == #list or not options.once and uv.now() >= finish
  settle(world, level, say)
  if world.moved then say(("%d events came again or late behind a move (known)"):format(world.moved)) end
  if not options.once then print_table(rows, say) end
  return world.violations, rows
end

M.slow = loop.slow
return M
