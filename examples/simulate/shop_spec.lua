-- Fifty networks, each by a seed: slow, torn, with a host that is restarted. Whatever happens, the shop gets its money, once:
--   troupe test examples/simulate                 (--seeds 1000: more of them, --seed 17: the seventeenth again)
local testing = require "troupe.testing"
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""

it("the shop is paid each sum once, whatever the network does", function()
  testing.explore(50, function(seed, random)
    local net <close> = testing.network { seed = seed, shuffle = true, delay = { 0.001, 0.2 }, cut = 30 }
    net:host("hub")
    local bank = net:worker("bank", "hub", { here .. "account.lua" })
    local tills = net:worker("tills", "hub", { here .. "till.lua" })
    for id = 1, 10 do
      tills:send("till/" .. random(3), "Sell", { id = id, sum = id })
      if random(5) == 1 then net:cut("tills", "hub") end
      if random(8) == 1 then net:restart("hub") end
      net:advance(3 * random())
    end
    net:weather {} -- fair from now on
    net:advance(120)
    assert.equal(55, bank:state("account/shop").balance)
    assert.equal(0, tills:stats().open_turns)
  end)
end)
