-- examples/embed and examples/pool, built as their user would build it, against both libraries.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local build = os.getenv("TROUPE_BUILD") or "build"
local expected = "event Counted on news/front: total 42\nreply Twice: total 42\n"

-- The sanitizers' runtime must come first in a program that uses a library built with them.
local sanitize = os.getenv("TROUPE_SANITIZER") or ""
local flags = sanitize ~= "" and (" -fsanitize=" .. sanitize) or ""

local function lines_sorted(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines, "\n") .. "\n"
end

local function built(source, libraries)
  local out = process.tmpdir() .. "/program"
  local status, _, err = sh(("cc -std=c11 -Wall -Wextra -Werror%s -Iinclude %s %s -o %s"):format(flags, source, libraries, out))
  assert.equal("", err)
  assert.equal(0, status)
  return out
end

describe("examples/pool/pool.c", function()
  it("calls over five connections to a host, and is at most 40 lines", function()
    local host = process.troupe { "run", "examples/pool/shop.lua", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (.*)$")
    local status, out, err = sh { built("examples/pool/pool.c", "-L" .. build .. " -ltroupe -Wl,-rpath," .. build), address }
    assert.equal("", err)
    assert.equal("20 answers, all together 1050\n", out)
    assert.equal(0, status)
    local _, lines = process.read_file("examples/pool/pool.c"):gsub("\n", "")
    assert.is_true(lines <= 40, lines .. " lines")
  end)
end)

describe("examples/embed", function()
  for name, libraries in pairs {
    ["the static library"] = build .. "/libtroupe.a $(pkg-config --libs lua5.4 libuv libnghttp2 zlib yajl libssl libcrypto) -lm -pthread",
    ["the shared library"] = "-L" .. build .. " -ltroupe -Wl,-rpath," .. build,
  } do
    it("works with " .. name, function()
      local status, text, err = sh { built("examples/embed/main.c", libraries) }
      assert.equal("", err)
      assert.equal(0, status)
      assert.equal(lines_sorted(expected), lines_sorted(text))
    end)
  end

  it("has a header that C++ accepts and that stands alone", function()
    local status, _, err = sh("echo '#include <troupe.h>' | cc -std=c11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -xc -")
    assert.equal("", err)
    assert.equal(0, status)
    if sh("command -v c++") == 0 then
      assert.equal(0, (sh("echo '#include <troupe.h>' | c++ -Wall -Wextra -Werror -Iinclude -fsyntax-only -xc++ -")))
    end
  end)

  it("exports only troupe_ names", function()
    local _, out = sh("nm -D --defined-only " .. build .. "/libtroupe.so | awk '{print $3}' | grep -v '^troupe_' | grep -v -i san")
    assert.equal("", out)
  end)

  it("is at most 60 lines", function()
    local _, n = process.read_file("examples/embed/main.c"):gsub("\n", "")
    assert.is_true(n <= 60, n .. " lines")
  end)
end)
