-- Many runs of the same test, each by a seed of its own, until one fails. Part of troupe.testing.
local fail = ...

-- The next of a sequence of 64 bits, and its mixture (splitmix64): close seeds give runs that have nothing in common.
local function mix(state)
  local z = state
  z = (z ~ z >> 30) * 0xbf58476d1ce4e5b9
  z = (z ~ z >> 27) * 0x94d049bb133111eb
  return z ~ z >> 31
end

--- testing.random(seed) → random: as math.random, but for nobody else, and the same for the same seed in every process: random() a
--- fraction, random(n) 1 to n, random(m, n).
local function random_of(seed)
  if math.type(seed) ~= "integer" then fail("invalid", "testing.random takes an integer, the seed") end
  local state = mix(seed ~ 0x7f4a7c15)
  return function(m, n)
    state = state + 0x9e3779b97f4a7c15
    local bits = mix(state) >> 11
    if not m then return bits * 2.0 ^ -53 end
    local low, high = n and m or 1, n or m
    if math.type(low) ~= "integer" or math.type(high) ~= "integer" or high < low then fail("invalid", "random: the interval is empty") end
    return low + bits % (high - low + 1)
  end
end

-- What `troupe test --seed N` or `--seeds N` asked for, or nil.
local function asked(name)
  local text = os.getenv(name)
  local number = text and math.tointeger(tonumber(text))
  if text and text ~= "" and not number then fail("invalid", "%s must be a whole number, not %s", name, text) end
  return number
end

--- testing.explore([count,] run) → how many runs: run(seed, random) for the seeds 1 to count (100); or for those that `troupe test
--- --seeds N` or `--seed N` names. The first run that fails ends it, with its seed in the error.
local function explore(count, run)
  if type(count) == "function" then count, run = 100, count end
  if type(run) ~= "function" or math.type(count) ~= "integer" or count < 1 then
    fail("invalid", "testing.explore takes how many runs (a whole number above 0; 100 if left out) and a function of a seed")
  end
  local seed = asked "TROUPE_SEED"
  local first, last = seed or 1, seed or asked "TROUPE_SEEDS" or count
  for i = first, last do
    local ok, err = pcall(run, i, random_of(i))
    if not ok then error(("seed %d: %s\nrepeat it by: troupe test --seed %d"):format(i, tostring(err), i), 0) end
  end
  return last - first + 1
end

return random_of, explore
