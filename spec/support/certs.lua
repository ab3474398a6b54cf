-- Certificates for specs, by `troupe cert`, in a folder of the test's own.
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local M = {}

--- A folder with a CA, `host` and clients of these names: certs.file("ca") is its certificate, certs.key("host") a key.
function M.new(...)
  local self = { folder = process.tmpdir() }
  local function make(...)
    local status, _, err = sh.troupe { "cert", "--folder", self.folder, ... }
    assert(status == 0, err)
  end
  make("host")
  for _, name in ipairs { ... } do make("client", name) end
  function self.file(name) return ("%s/%s.pem"):format(self.folder, name) end
  function self.key(name) return ("%s/%s.key"):format(self.folder, name) end
  --- The options of a host that shows `host`.
  function self.host_options(...)
    return { "--tls-cert", self.file "host", "--tls-key", self.key "host", ... }
  end
  --- The options of a client that shows this one (nil: none).
  function self.client_options(name)
    if not name then return { "--tls-ca", self.file "ca" } end
    return { "--tls-ca", self.file "ca", "--tls-cert", self.file(name), "--tls-key", self.key(name) }
  end
  return self
end

--- The words of several lists in one.
function M.join(...)
  local all = {}
  for _, list in ipairs { ... } do
    for _, word in ipairs(type(list) == "table" and list or { list }) do all[#all + 1] = word end
  end
  return all
end

return M
