--! FILE:4: more than 256 MB of memory while loading
local t = {}
for i = 1, 10 do
  t[i] = ("0123456789abcdef"):rep(2 ^ 22) .. i
end
return { on = {} }
