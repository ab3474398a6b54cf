-- lua5.4 spec/tools/embed.lua FILE…  → C source with the text of each file, under the name by which it is required:
-- lua/troupe/testing.lua is "troupe.testing", lua/troupe/init.lua is "troupe", agents/console.lua is "agents.console".
-- src/base/lua_bundle.h declares what this defines.

local function module_name(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function literal(text)
  local bytes = {}
  for i = 1, #text, 24 do
    bytes[#bytes + 1] = "  " .. table.concat({ text:byte(i, i + 23) }, ",") .. ","
  end
  return table.concat(bytes, "\n")
end

local entries = {}
print('#include "base/lua_bundle.h"\n')
for i, path in ipairs(arg) do
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  assert(load(text, "@" .. path, "t"))
  print(("static const unsigned char s%d[] = { /* %s */\n%s\n  0\n};\n"):format(i, path, literal(text)))
  entries[i] = ('  { "%s", (const char *)s%d, %d },'):format(module_name(path), i, #text)
end
entries[#entries + 1] = "  { 0, 0, 0 },"
print("const struct tr_lua_bundle_entry tr_lua_bundle[] = {\n" .. table.concat(entries, "\n") .. "\n};")
