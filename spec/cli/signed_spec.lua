-- Signed messages between real processes: over a host that knows nothing of it.
-- luacheck: no max line length
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local echo = [[return { type = "echo", subscriptions = { { "news", key = "main" } }, state = { n = 0 }, on = {
  Say = function(_, message) return message end,
  News = function(self) self.n = self.n + 1 end,
  Count = function(self) return { self.n } end,
} }]]

describe("signed messages", function()
  local folder, host, address, worker

  local function call(key, agent, type, ...)
    return sh.troupe { "call", agent or "echo", type or "Say", '{"a":1}', "--host", address, "--wait", "echo", table.unpack(key and { "--sign-key", key, ... } or {}) }
  end
  local function publish(key)
    return sh.troupe { "publish", "news", "News", "--host", address, table.unpack(key and { "--sign-key", key } or {}) }
  end

  before_each(function()
    folder = process.tmpdir()
    for _, name in ipairs { "anna", "eve" } do assert.equal(0, (sh.troupe { "cert", "--folder", folder, "sign", name })) end
    process.write_file(folder .. "/believed", "# those\n" .. process.read_file(folder .. "/anna.verify") .. "shop hmac 0123456789abcdef\n")
    process.write_file(folder .. "/shop.sign", "shop hmac 0123456789abcdef\n")
    host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
    worker = process.troupe { "worker", "--host", address, "--verify-keys", folder .. "/believed", process.write_file(folder .. "/echo.lua", echo) }
    worker:wait_line("^joined ")
  end)

  it("are taken where they are signed by one who is believed, and only there", function()
    assert.equal('{"a":1}\n', select(2, call(folder .. "/anna.sign")))
    assert.equal('{"a":1}\n', select(2, call(folder .. "/shop.sign")))
    for key, why in pairs { [folder .. "/eve.sign"] = "its signature is not eve's", [false] = "it is not signed %(%-%-sign%-key%)" } do
      local status, _, err = call(key)
      assert.equal(1, status)
      assert.matches("^troupe: call: permission_denied: " .. why, err)
    end
    for _, key in ipairs { folder .. "/eve.sign", false, folder .. "/anna.sign" } do assert.equal(0, (publish(key))) end
    repeat local _, out = call(folder .. "/anna.sign", "echo/main", "Count") until out == "[1]\n"
    assert.matches("600", select(2, sh("stat -c %a " .. folder .. "/anna.sign")))
  end)

  it("pass a host that has agents of its own, and a change of the keys", function()
    local own = process.troupe { "run", "--listen", "127.0.0.1:0", "--verify-keys", folder .. "/believed", folder .. "/echo.lua" }
    address = select(2, own:wait_line("^listening (.*)$"))
    assert.equal(0, (call(folder .. "/anna.sign")))
    assert.matches("permission_denied: its signature is not eve's", select(3, call(folder .. "/eve.sign")))
    process.write_file(folder .. "/believed", process.read_file(folder .. "/eve.verify"))
    own:kill("sighup")
    own:wait_line("secure.reloaded", nil, "err")
    assert.equal(0, (call(folder .. "/eve.sign")))
    assert.matches("permission_denied", select(3, call(folder .. "/anna.sign")))
  end)
end)
