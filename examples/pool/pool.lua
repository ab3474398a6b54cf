-- A plain Lua program that calls and publishes over five connections to a host, many calls at a time in coroutines:
-- LUA_CPATH='build/?.so;;' lua5.4 examples/pool/pool.lua [ADDRESS]; without an address it is its own host.
local uv = require "luv" -- loaded first: its loop is everybody's here
local troupe = require "troupe"

local address = arg[1]
local server <close> = not address and troupe.runtime {} or nil
if server then
  server:load "examples/pool/shop.lua"
  address = server:listen "127.0.0.1:0"
end

local pool <close> = troupe.pool { host = address, size = 5 }
for _ = 1, 10 do pool:publish("orders/today", "Order", { n = 2 }) end

local done, sum = 0, 0
for n = 1, 20 do
  coroutine.wrap(function()
    local total = pool:call("shop/" .. n, "Price", { n = n }, { timeout = 10 }).total -- others go on meanwhile
    done, sum = done + 1, sum + total
  end)()
end
print(pool:stats().open .. " calls are open")
while done < 20 do uv.run "once" end
print(done .. " answers, all together " .. sum)

local sold
repeat sold = pool:call("shop/today", "Sold").n until sold == 20 -- events and calls go by different connections
print(sold .. " sold today")
print(select(2, pcall(pool.call, pool, "nobody", "Hello")))
