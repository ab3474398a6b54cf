-- Code blocks of a document, and a way to do what it says: files are written, commands run, and what they print is compared.
--   ```lua with `-- NAME.lua` in its first line: the file NAME.lua
--   ```sh: commands, a line each; one that ends with & runs on until the document's end
--   ``` without a language: what the commands before it print, standard error behind standard output
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local M = {}

--- The blocks of a text, in order: { { language, body }, … }
function M.blocks(text)
  local found = {}
  for language, body in ("\n" .. text):gmatch("\n```(%w*)\n(.-)\n```") do found[#found + 1] = { language = language, body = body } end
  return found
end

local Session = {}
Session.__index = Session

-- A folder with the program in it, found first by name, and a run-time folder of its own so that verbs without --pid find what runs here.
local function open()
  local folder = process.tmpdir()
  assert(sh("mkdir -m 700 bin run", { cwd = folder }) == 0)
  process.write_file(folder .. "/bin/troupe", ('#!/bin/sh\nexec %s %s "$@"\n'):format(table.concat(process.wrap, " "), process.program))
  assert(sh("chmod +x bin/troupe", { cwd = folder }) == 0)
  local env = { PATH = folder .. "/bin:" .. os.getenv("PATH"), XDG_RUNTIME_DIR = folder .. "/run", TROUPE_HOST = false }
  return setmetatable({ folder = folder, env = env, running = {}, addresses = {} }, Session)
end

-- The document's fixed ports are free ones here.
function Session:translate(command)
  return (command:gsub("127%.0%.0%.1:(%d+)", function(port) return self.addresses[port] or "127.0.0.1:0" end))
end

function Session:start(command)
  local port = command:match("%-%-listen 127%.0%.0%.1:(%d+)")
  if port then self.addresses[port] = nil end
  local started = process.start({ "/bin/sh", "-c", "exec " .. self:translate(command) }, { cwd = self.folder, env = self.env })
  local _, address = started:wait_line(port and "^listening (%S+)" or "^joined ")
  if not port then return end
  self.addresses[port] = address
  self.env.TROUPE_HOST = address
end

function Session:run(command)
  if command:find("&$") then
    self:start(command:gsub("%s*&$", ""))
    return ""
  end
  local status, out, err = sh(self:translate(command), { cwd = self.folder, env = self.env })
  if status ~= 0 then error(("%s: status %d\n%s%s"):format(command, status, out, err), 0) end
  return out .. err
end

--- Does what a document says. check(expected, printed, commands) is called for each block of output.
function M.follow(text, check)
  local session, printed, commands = open(), "", ""
  -- A file may be shown behind the command that uses it.
  for _, block in ipairs(M.blocks(text)) do
    local name = block.language == "lua" and block.body:match("^%-%- (%w+%.lua)")
    if name then process.write_file(session.folder .. "/" .. name, block.body) end
  end
  for _, block in ipairs(M.blocks(text)) do
    if block.language == "sh" then
      printed, commands = "", block.body
      for command in block.body:gmatch("[^\n]+") do printed = printed .. session:run(command) end
    elseif block.language == "" then
      check(block.body .. "\n", printed, commands)
    end
  end
end

return M
