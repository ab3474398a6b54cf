--! FILE:4: more than 256 MB of memory while loading
local t = { ("0123456789abcdef"):rep(2 ^ 22), ("0123456789abcdeF"):rep(2 ^ 22) }
while true do
  pcall(string.rep, t[1], 4) -- whatever it catches
end
