--! FILE:4: more than 256 MB of memory while loading
local t = {}
for i = 1, 10 do
  t[i] = ("x"):rep(2 ^ 26) .. i
end
return { on = {} }
