-- lua5.4 spec/tools/layers.lua [FOLDER]: every #include below FOLDER/src against the table of rooms in its README.md.
-- Prints a line for each that the table does not allow, and fails.
local top = arg[1] or "."

-- A library's name in the table → the headers that are its.
local libraries = {
  lua = { "^lua%.h$", "^lauxlib%.h$", "^lualib%.h$", "^luaconf%.h$", "^lua5%.4/" },
  luv = { "^luv/", "^luv%.h$" },
  uv = { "^uv%.h$", "^uv/" },
  nghttp2 = { "^nghttp2/" },
  zlib = { "^zlib%.h$" },
  nanopb = { "^pb%.h$", "^pb_.*%.h$", "%.pb%.h$" },
  openssl = { "^openssl/" },
  yajl = { "^yajl/" },
  curl = { "^curl/" },
  edit = { "^editline/" },
  posix = { "^sys/", "^netinet/", "^arpa/", "^net/", "^unistd%.h$", "^pthread%.h$", "^fcntl%.h$", "^dirent%.h$",
    "^poll%.h$", "^dlfcn%.h$", "^pwd%.h$", "^netdb%.h$", "^sched%.h$", "^semaphore%.h$", "^spawn%.h$", "^strings%.h$",
    "^termios%.h$" },
}

local c_headers = {}
for name in ([[assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
  stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
  wchar wctype]]):gmatch("%w+") do
  c_headers[name .. ".h"] = true
end

local function words(cell)
  local set = {}
  for word in cell:gmatch("[%w_.]+") do set[word] = true end
  return set
end

local function read_table()
  local rooms = {}
  for line in io.lines(top .. "/src/README.md") do
    local room, may_use, libs = line:match("^| `(%w+)` |.*| ([^|]*) | ([^|]*) |$")
    if room then rooms[room] = { rooms = words(may_use), libraries = words(libs) } end
  end
  assert(next(rooms), "no table of rooms in src/README.md")
  for name, room in pairs(rooms) do
    for other in pairs(room.rooms) do
      assert(rooms[other] or other == "troupe.h", ("the table's row of %s: no room %s"):format(name, other))
    end
    for library in pairs(room.libraries) do
      assert(libraries[library], ("the table's row of %s: no library %s"):format(name, library))
    end
  end
  return rooms
end

local function library_of(header)
  for library, patterns in pairs(libraries) do
    for _, pattern in ipairs(patterns) do
      if header:find(pattern) then return library end
    end
  end
end

local rooms = read_table()

--- Why `room` may not include `header`, or nil.
local function refused(room, header, quoted)
  local may = rooms[room]
  if header == "troupe.h" then
    return not may.rooms["troupe.h"] and "troupe.h is for those who stand outside" or nil
  end
  local other = header:match("^(%w+)/[^/]+%.h$")
  if other == room then return nil end
  if other and rooms[other] then
    return not may.rooms[other] and ("%s may not use %s"):format(room, other) or nil
  end
  local library = library_of(header)
  if library then return not may.libraries[library] and ("%s may not use %s"):format(room, library) or nil end
  if quoted then return "is written as \"room/file.h\"" end
  if not c_headers[header] then return "a library that spec/tools/layers.lua does not know" end
end

local wrong, seen = 0, 0
for path in io.popen(("find '%s/src' -name '*.[ch]' | sort"):format(top)):lines() do
  local inside = path:sub(#top + 2)
  local room = inside:match("^src/(%w+)/[^/]+$")
  local number = 0
  if not rooms[room] then
    print(("%s: is in no room of src/README.md"):format(inside))
    wrong = wrong + 1
  else
    for line in io.lines(path) do
      number = number + 1
      local mark, header = line:match('^%s*#%s*include%s+([<"])([^>"]+)[>"]')
      if header then
        seen = seen + 1
        local why = refused(room, header, mark == '"')
        if why then
          print(("%s:%d: %s: %s"):format(inside, number, header, why))
          wrong = wrong + 1
        end
      end
    end
  end
end
if wrong > 0 then
  print(("%d of %d includes are against the table in src/README.md"):format(wrong, seen))
  os.exit(1)
end
