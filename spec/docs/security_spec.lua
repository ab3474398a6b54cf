-- docs/security.md: its commands are run, on addresses of here; its rights are read by a host.
local markdown = require "spec.support.markdown"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

describe("docs/security.md", function()
  local blocks, folder = markdown.blocks(process.read_file "docs/security.md"), nil
  local env = { TROUPE_HOST = false }

  before_each(function()
    folder = process.tmpdir()
    process.write_file(folder .. "/echo.lua", "return { on = { Hi = function(_, m) return m end } }")
    assert(sh { "mkdir", "-m", "700", folder .. "/run" } == 0)
    env.XDG_RUNTIME_DIR = folder .. "/run"
  end)

  -- The block that has this in it, a line each, without remarks.
  local function lines_with(text)
    for _, block in ipairs(blocks) do
      if block.body:find(text, 1, true) then
        local lines = {}
        for line in block.body:gsub("%s*·%s*", "\n"):gmatch "[^\n]+" do lines[#lines + 1] = line:gsub("%s+#.*", ""):gsub("^%s+", "") end
        return lines
      end
    end
    error("no block has " .. text)
  end

  local function command(line) return (line:gsub("^troupe", process.program)) end

  local function run(line)
    local status, out, err = sh(command(line), { cwd = folder, env = env })
    assert.equal(0, status, line .. "\n" .. out .. err)
    return out
  end

  local function start(line, ready)
    local started = process.start({ "/bin/sh", "-c", "exec " .. command(line) }, { cwd = folder, env = env })
    return select(2, started:wait_line(ready))
  end

  it("makes certificates with which a worker joins by TLS", function()
    local lines = lines_with "troupe cert host"
    run(lines[1])
    run(lines[2])
    local address = start(lines[3]:gsub("tls:0%.0%.0%.0:%d+", "tls:127.0.0.1:0"), "^listening (%S+)")
    start(lines[4]:gsub("tls:my%.host%.example:%d+", address):gsub("agents/$", "echo.lua"), "^joined ")
    local call = ("troupe call echo Hi --host %s --tls-ca certs/ca.pem"):format(address)
    assert.equal("{}\n", run(call .. " --tls-cert certs/anna.pem --tls-key certs/anna.key"))
    assert.is_true((sh(command(call .. " --timeout 2"), { cwd = folder, env = env })) ~= 0) -- who has no certificate
  end)

  it("shows rights that a host can read", function()
    process.write_file(folder .. "/rights", table.concat(lines_with "register  =", "\n") .. "\n")
    start("troupe host --listen 127.0.0.1:0 --rights rights", "^listening (%S+)")
  end)

  it("shows how messages are signed", function()
    local lines = lines_with "troupe cert sign"
    run(lines[1])
    run(lines[2])
    local address = start("troupe host --listen 127.0.0.1:0", "^listening (%S+)")
    start(lines[4] .. " --host " .. address, "^joined ")
    assert.equal("{}\n", run(lines[3] .. " --host " .. address))
    local status, _, err = sh(command("troupe call echo Hi --host " .. address), { cwd = folder, env = env })
    assert.equal(1, status)
    assert.matches("permission_denied", err)
  end)

  it("shows a tunnel that the program takes", function()
    run(lines_with("troupe tunnel")[1]:gsub("^.-troupe", "troupe") .. " --help")
  end)
end)
