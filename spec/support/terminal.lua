-- A program in a terminal, by tmux: what a person would type and see.
--   local t = terminal.open({ "build/troupe", "dev", "a.lua" }, { cwd =, env = { NAME = "value" } })
--   t:type("call a Add")  t:key("Enter")  t:wait("= 1")  t:screen()  t:wait_end()
-- The server is the test's own, and ends with it.
local uv = require "luv"
local guard = require "spec.support.guard"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local M = {}

local Terminal = {}
Terminal.__index = Terminal

local function tmux(self, ...)
  local status, out, err = sh({ "tmux", "-f", "/dev/null", "-S", self.socket, ... }, { env = self.env })
  if status ~= 0 then error("tmux " .. table.concat({ ... }, " ") .. ": " .. err, 3) end
  return out
end

function M.open(command, options)
  options = options or {}
  local env = { TERM = "xterm", TMUX = false, LC_ALL = "C.UTF-8" }
  for name, value in pairs(options.env or {}) do env[name] = value end
  local self = setmetatable({ socket = process.tmpdir() .. "/tmux", env = env }, Terminal)
  guard.add(self)
  local columns, lines = tostring(options.columns or 120), tostring(options.lines or 50)
  tmux(self, "new-session", "-d", "-x", columns, "-y", lines, "-c", options.cwd or uv.cwd(), table.unpack(command))
  self.pid = math.tointeger(tmux(self, "display", "-p", "#{pane_pid}"))
  return self
end

--- Text as it is, then a key by its name ("Enter", "Tab", "C-o").
function Terminal:type(text) tmux(self, "send-keys", "-l", text) end

function Terminal:key(name) tmux(self, "send-keys", name) end

function Terminal:visible() return tmux(self, "capture-pane", "-p") end

--- With its colours.
function Terminal:coloured() return tmux(self, "capture-pane", "-p", "-e") end

--- With what has scrolled out of it.
function Terminal:screen() return tmux(self, "capture-pane", "-p", "-S", "-200") end

--- Until the text (plain) is on the screen `count` times.
function Terminal:wait(text, count)
  local deadline, screen = uv.hrtime() + 10e9
  repeat
    screen = self:screen()
    local at, seen = 1, 0
    while true do
      local _, stop = screen:find(text, at, true)
      if not stop then break end
      at, seen = stop + 1, seen + 1
    end
    if seen >= (count or 1) then return screen end
  until uv.hrtime() > deadline
  error(("not on the screen in time: %s\n%s"):format(text, screen), 2)
end

-- One that nobody has waited for yet is gone, too.
local function is_there(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local text = file and file:read("a") or ""
  if file then file:close() end
  return text:find("%) [^ZX]") ~= nil
end

--- Until the program has ended.
function Terminal:wait_end()
  local deadline = uv.hrtime() + 10e9
  while is_there(self.pid) do
    if uv.hrtime() > deadline then error("it has not ended in time", 2) end
  end
end

function Terminal:resize(columns, lines) tmux(self, "resize-window", "-x", tostring(columns), "-y", tostring(lines)) end

function Terminal:release() pcall(tmux, self, "kill-server") end

return M
