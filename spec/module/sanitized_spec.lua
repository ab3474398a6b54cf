-- A library that is built with a sanitizer needs its runtime first in the program: the other specs of this folder, in such a program.
local module = require "spec.support.troupe"
local sh = require "spec.support.sh"

if module.sanitized and os.getenv("TROUPE_SANITIZER"):find("address", 1, true) then
  describe("the module", function()
    it("passes its specs under AddressSanitizer", function()
      local files = "spec/module/agents_spec.lua spec/module/messages_spec.lua spec/module/life_spec.lua spec/module/luv_spec.lua "
        .. "spec/module/network_spec.lua spec/sim/sim_spec.lua"
      local status, out, err = sh("LD_PRELOAD=$(cc -print-file-name=libasan.so):$(cc -print-file-name=libubsan.so) TROUPE_SANITIZER= "
        .. "lua5.4 /usr/bin/busted " .. files)
      assert.equal("", err)
      assert.match("%d+ passed, 0 failed", out)
      assert.equal(0, status)
    end)
  end)
end
