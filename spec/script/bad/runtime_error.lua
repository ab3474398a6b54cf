--! FILE:3: wrong at load
local function f()
  error("wrong at load")
end
f()
