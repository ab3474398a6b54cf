-- lua5.4 spec/tools/manual.lua lua|c|program [PROGRAM] → a page of docs/reference, made of the sources: of the annotations in
-- lua/troupe/meta*.lua, of include/troupe.h, of what PROGRAM says with --help. `make docs` writes all three; a spec holds them to that.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local page = {}
local function emit(...) page[#page + 1] = table.concat { ... } end

local function title(text, source, more)
  emit("# ", text, "\n")
  emit("Made by `make docs` of ", source, ": what is wrong here is mended there. ", more, "\n")
end

-- the Lua API: what stands above a name describes it ----------------------------------------------------------------------------

-- "opts? troupe.options what it is" → name, type, remark. A type ends at a blank that is outside of brackets and behind no colon.
local function field(text)
  local name, rest = text:match "^(%S+) (.*)$"
  local depth, at = 0, 1
  while at <= #rest do
    local c = rest:sub(at, at)
    if c:find "[%(%{<%[]" then depth = depth + 1 elseif c:find "[%)%}>%]]" then depth = depth - 1 end
    if c == " " and depth == 0 and not rest:sub(at - 1, at - 1):find "[:,]" then break end
    at = at + 1
  end
  return name, rest:sub(1, at - 1), rest:sub(at + 1)
end

local function behind(remark) return remark ~= "" and ": " .. remark or "" end

-- The annotations above something, apart.
local function annotation(lines)
  local a = { said = {}, params = {}, returns = {}, fields = {}, aliases = {} }
  for _, line in ipairs(lines) do
    local tag, rest = line:match "^@(%S+) ?(.*)$"
    if not tag then a.said[#a.said + 1] = line
    elseif tag == "class" or tag == "alias" or tag == "meta" then a[tag] = rest
    elseif a[tag .. "s"] then table.insert(a[tag .. "s"], rest)
    end
  end
  return a
end

local function show_function(name, a)
  local params = {}
  for _, text in ipairs(a.params) do
    local param, type = field(text)
    params[#params + 1] = param .. ": " .. type
  end
  emit(("- `%s(%s)%s`%s"):format(name, table.concat(params, ", "), #a.returns > 0 and " → " .. table.concat(a.returns, "; ") or "",
    #a.said > 0 and "  " or ""))
  for _, line in ipairs(a.said) do emit("  ", line) end
end

local function show_class(a)
  local name, said = a.class:match "^(%S+) ?(.*)$"
  if said ~= "" and not name:find ":$" then table.insert(a.said, said) end
  emit("\n### ", (a.class:match "^(%S+: %S+)$" or name), "\n")
  for _, line in ipairs(a.said) do emit(line) end
  if #a.said > 0 and #a.fields > 0 then emit "" end
  for _, text in ipairs(a.fields) do
    local key, type, remark = field(text)
    emit(("- `%s`: `%s`%s"):format(key, type, behind(remark)))
  end
  if #a.fields > 0 then emit "" end
end

local function show_alias(a)
  local name, type, remark = field(a.alias)
  table.insert(a.said, remark ~= "" and remark or nil)
  emit("\n### ", name, "\n\n`", type, "`  ")
  for _, line in ipairs(a.said) do emit(line) end
end

local function annotations(path)
  local lines = {}
  for line in (read(path) .. "\n"):gmatch "([^\n]*)\n" do
    local section, above = line:match "^%-%- (.-) %-%-%-%-+$", line:match "^%-%-%-(.*)$"
    local name, params = line:match "^function ([%w_.:]+)(%b())"
    if section then emit("\n## ", section) end
    if above then lines[#lines + 1] = above
    else
      local a = annotation(lines)
      if a.class then
        show_class(a)
        if line ~= "" and not line:find "^local" then a = annotation {} end
      elseif a.alias then show_alias(a) end
      if name then
        if params:find("...", 1, true) and #a.params == 0 then a.params = { "... any" } end
        show_function(name, a)
      end
      lines = {}
    end
  end
end

local function lua_api()
  title("The Lua API", "`lua/troupe/meta.lua` and `meta_testing.lua`",
    "[api.md](../api.md) says what things mean, and how they go together.\n"
      .. "A type that ends with `?` may be left out; `a|b` is one of both.")
  annotations "lua/troupe/meta.lua"
  emit '\n## tests: `require "troupe.testing"`'
  annotations "lua/troupe/meta_testing.lua"
end

-- the C API: comments become text, what they are about blocks of code ------------------------------------------------------------

local function comment_text(lines)
  local text = table.concat(lines, "\n"):gsub("^%s*/%*+%s?", ""):gsub("%s*%*/%s*$", "")
  return (text:gsub("\n%s*%*%s?", "\n"):gsub("\n +", "\n"))
end

local function c_api()
  title("The C API", "`include/troupe.h`", "[examples/embed/main.c](../../examples/embed/main.c) is a whole program.")
  local head, body = read("include/troupe.h"):match "^/%* SPDX[^\n]*\n(.-)#ifndef.-(typedef struct troupe troupe_t;.-)\n#ifdef __cplusplus"
  for line in head:gsub(" %*/%s*$", ""):gmatch "[^\n]+" do
    line = line:gsub("^ %* ?", "")
    emit(line:find "^  " and "  " .. line or line)
  end
  local code, comment = {}, nil
  local function flush()
    while #code > 0 and code[#code] == "" do code[#code] = nil end
    if #code > 0 then emit("\n```c\n", table.concat(code, "\n"), "\n```") end
    code = {}
  end
  for line in (body .. "\n"):gmatch "([^\n]*)\n" do
    local section = line:match "^/%* %-%-%- (.-) %-%-%- %*/$"
    if section then
      flush()
      emit("\n## ", (section:gsub("^%l", string.upper)))
    elseif comment or line:find "^/%*" then
      if not comment then flush() end
      comment = comment or {}
      comment[#comment + 1] = line
      if line:find "%*/%s*$" then
        emit("\n", comment_text(comment))
        comment = nil
      end
    elseif line ~= "" or #code > 0 then
      code[#code + 1] = line:gsub("^TROUPE_API ", "")
    end
  end
  flush()
end

-- the program: what it says of itself -------------------------------------------------------------------------------------------

local function help(program, verb)
  local pipe = assert(io.popen(("%s %s --help"):format(program, verb), "r"))
  local text = pipe:read("a")
  assert(pipe:close(), "no help of " .. verb)
  return text
end

-- Words that markdown would take for something else.
local function plain(text) return (text:gsub("[*<]", "\\%0")) end

local function program_page(program)
  title("The program", "what it says with `--help`",
    "`man troupe` has the same. [operations.md](../operations.md) shows the verbs at work.")
  for verb in help(program, ""):gmatch "\n  (%l+)%s+%u[^\n]*" do
    local usage, summary, options, examples = help(program, verb):match "^(.-)\n\n(.-)\n\n(.-)\nFor example:\n(.*)$"
    emit("\n## ", verb, "\n\n`", usage, "`\n\n", plain(summary), "\n")
    for line in options:gmatch "[^\n]+" do
      local left, right = line:match "^%s+(%-.-)%s%s+(.*)$"
      if not left then left, right = line:match "^%s+(%-%S+ ?%S*)%s(.*)$" end
      if not left:find "%-%-help" then emit("- `", left, "`: ", plain(right)) end
    end
    emit("\n```sh\n", examples:gsub("^  ", ""):gsub("\n  ", "\n"):gsub("\n+$", ""), "\n```")
  end
  emit("\nEvery verb takes `--help`. Exit status: 0, it did what it was asked to; 1, it failed (any error reply of `call`); ",
    "2, the command line is wrong.")
end

local pages = { lua = lua_api, c = c_api, program = program_page }
assert(pages[arg[1]], "usage: manual.lua lua|c|program [PROGRAM]")(arg[2])
io.write((table.concat(page, "\n"):gsub("\n\n\n+", "\n\n"):gsub("\n*$", "\n")))
