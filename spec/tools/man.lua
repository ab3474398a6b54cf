-- lua5.4 spec/tools/man.lua PROGRAM VERSION → the manual page troupe(1), made of what the program itself says with --help: so a verb or an
-- option that is in the program is in the page, in the same words.
local program, version = assert(arg[1], "usage: man.lua PROGRAM VERSION"), arg[2] or ""

local function help(...)
  local pipe = assert(io.popen(table.concat({ program, ... }, " ") .. " --help", "r"))
  local text = pipe:read("a")
  assert(pipe:close(), "no help of " .. table.concat({ ... }, " "))
  return text
end

-- roff reads `\` as its own, a `.` or `'` at a line's beginning as a request, and `-` as a hyphen.
local function plain(text) return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1")) end

local function emit(...) print(table.concat({ ... }, " ")) end

-- An option: "  -l, --listen ADDRESS         what it does".
local function option(line)
  local left, right = line:match("^%s+(%-.-)%s%s+(.*)$")
  if not left then left, right = line:match("^%s+(%-%S+ ?%S*)%s(.*)$") end
  if not left then return false end
  emit(".TP\n.B", plain(left))
  emit(plain(right))
  return true
end

local function example(text)
  emit(".PP\n.EX")
  for line in text:gmatch("[^\n]+") do emit(plain(line)) end
  emit(".EE")
end

local function verb(name)
  local usage, summary, options, examples = help(name):match("^(.-)\n\n(.-)\n\n(.-)\nFor example:\n(.*)$")
  assert(usage, "the help of " .. name .. " looks different")
  emit(".SS", plain(usage))
  emit(plain(summary))
  for line in options:gmatch("[^\n]+") do
    if not line:find("%-%-help") then assert(option(line), line) end
  end
  example(examples)
end

local all = help()
emit('.\\" Made by spec/tools/man.lua from what the program says with --help.')
emit(('.TH TROUPE 1 "" "troupe %s" "User Commands"'):format(plain(version)))
emit(".SH NAME\ntroupe \\- " .. plain(all:match("^troupe: ([^\n]+)")))
emit(".SH SYNOPSIS\n.B troupe\n.I VERB\n[\\fIOPTION\\fR ...] [\\fIARGUMENT\\fR ...]")
emit(".SH DESCRIPTION")
emit(plain("Agents are Lua tables with handlers; troupe runs them, in one process or in many, alone or as host and workers on the wire of"
  .. " AutoGen's distributed runtime. Every verb takes --help. An address is host:port or unix:PATH."))
emit(".SH VERBS")
for name in all:gmatch("\n  (%l+)%s+%u[^\n]*") do verb(name) end
emit(".SH EXIT STATUS\n0: it did what it was asked to; 1: it failed (any error reply of \\fBcall\\fR); 2: the command line is wrong."
  .. "\nA program in Lua gives its own.")
emit(".SH SEE ALSO\nThe agents' and the libraries' interface: docs/api.md of the sources; in C, troupe.h.")
