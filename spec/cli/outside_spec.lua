-- troupe.fs and troupe.env: what a script may reach outside, by the rights that it was given, and the ways out that are closed.
-- luacheck: no max line length
local uv = require "luv"
local module = require "spec.support.troupe"
local process = require "spec.support.process"
local sh = require "spec.support.sh"

local folder
local function write(name, text) return process.write_file(folder .. "/" .. name, text) end

-- Runs a program with these rights; each of its lines is what an expression gave, or its error.
local function try(rights, expressions, options)
  local args = { "run" }
  for _, right in ipairs(rights) do args[#args + 1] = "--allow" args[#args + 1] = right end
  local text = { ("local at, fs = %q, troupe.fs\nreturn function(ctx)\n  local _ = ctx\n"):format(folder) }
  for _, e in ipairs(expressions) do text[#text + 1] = ("  print(pcall(function() return %s end))\n"):format(e) end
  text[#text + 1] = "end\n"
  args[#args + 1] = write("main.lua", table.concat(text))
  local status, out, err = sh.troupe(args, options)
  assert.equal(0, status, err)
  local lines = {}
  for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

describe("the right", function()
  before_each(function()
    folder = uv.fs_realpath(process.tmpdir())
    uv.fs_mkdir(folder .. "/in", 493)
    uv.fs_mkdir(folder .. "/in/deep", 493)
    write("in/a.txt", "text\0of a")
    write("in/deep/b.txt", "of b")
    write("secret", "secret")
    write("insecure", "secret too")
  end)

  it("fs.read reads and lists below its path", function()
    local lines = try({ "fs.read=" .. folder .. "/in" }, {
      "fs.read(at .. '/in/a.txt') == 'text\\0of a'", "fs.read(at .. '/in/./deep//b.txt')", "fs.read(at .. '/x/../in/deep/b.txt')",
      "table.concat(fs.list(at .. '/in'), ' ')", "table.concat(fs.list(at .. '/in/deep/'), ' ')", "fs.read(at .. '/in/none')", "fs.read(at .. '/in')",
      "fs.list(at .. '/in/a.txt')", "fs.write(at .. '/in/a.txt', 'x')", "fs.read()", "fs.read('')", "fs.read(at .. '/in/a.txt\\0')",
    })
    assert.same({ "true\ttrue", "true\tof b", "true\tof b", "true\ta.txt deep/", "true\tb.txt" }, { table.unpack(lines, 1, 5) })
    assert.matches("^false\tnot_found: .*/in/none: No such file", lines[6])
    assert.matches("^false\tinvalid: .*/in: only plain files are read", lines[7])
    assert.matches("Not a directory", lines[8])
    assert.equal("false\tpermission_denied: scripts may not write " .. folder .. "/in/a.txt here (--allow fs.write=" .. folder .. "/in/a.txt grants it)", lines[9])
    assert.matches("string expected", lines[10])
    for i = 11, 12 do assert.matches("^false\tinvalid: a path has 1 to", lines[i]) end
  end)

  it("fs.read tells of files, and of links that they are neither file nor folder", function()
    uv.fs_symlink(folder .. "/secret", folder .. "/in/link")
    uv.fs_utime(folder .. "/in/a.txt", 1.5, 1234567.5)
    local lines = try({ "fs.read=" .. folder .. "/in" }, {
      "(function() local s = fs.stat(at .. '/in/a.txt') return s.kind, s.size, s.modified end)()", "fs.stat(at .. '/in').kind", "fs.stat(at .. '/in/link').kind",
      "fs.stat(at .. '/in/a.txt').inode == fs.stat(at .. '/in/deep/../a.txt').inode", "fs.stat(at .. '/in/none')", "fs.stat(at .. '/secret')", "fs.stat()",
    })
    assert.same({ "true\tfile\t9\t1234567.5", "true\tfolder", "true\tother", "true\ttrue" }, { table.unpack(lines, 1, 4) })
    assert.matches("^false\tnot_found: .*/in/none", lines[5])
    assert.matches("^false\tpermission_denied: scripts may not read ", lines[6])
    assert.matches("string expected", lines[7])
  end)

  it("fs.read has no way out: no .., no neighbour with a longer name, no link", function()
    uv.fs_symlink(folder .. "/secret", folder .. "/in/link")
    uv.fs_symlink(folder, folder .. "/in/up")
    uv.fs_symlink("deep", folder .. "/in/beside")
    local lines = try({ "fs.read=" .. folder .. "/in" }, {
      "fs.read(at .. '/secret')", "fs.read(at .. '/in/../secret')", "fs.read(at .. '/in/deep/../../secret')", "fs.read(at .. '/insecure')", "fs.list(at)", "fs.read('/etc/passwd')",
      "fs.read(at .. '/in/link')", "fs.read(at .. '/in/up/secret')", "fs.list(at .. '/in/up')", "fs.read(at .. '/in/beside/b.txt')", "fs.read('/' .. ('x'):rep(5000))",
    })
    for i = 1, 6 do assert.matches("^false\tpermission_denied: scripts may not read ", lines[i]) end
    for i = 7, 10 do assert.matches("^false\tio_error: ", lines[i]) end
    assert.matches("it is a link, and those are not followed", lines[7], 1, true)
    assert.matches("^false\tinvalid: a path has", lines[11])
  end)

  it("fs.read waits for no pipe, and takes files up to a size", function()
    local data = assert(io.open(folder .. "/in/large", "w"))
    data:seek("set", 17 * 1024 * 1024)
    data:write("x")
    data:close()
    os.execute("mkfifo " .. folder .. "/in/pipe")
    local lines = try({ "fs.read=" .. folder .. "/in" }, { "fs.read(at .. '/in/pipe')", "fs.read(at .. '/in/large')" })
    assert.matches("only plain files are read", lines[1], 1, true)
    assert.matches("^false\ttoo_large: .*larger than 16 MiB", lines[2])
  end)

  it("fs.write replaces files whole, below its path, and no link leads it out", function()
    uv.fs_symlink(folder .. "/secret", folder .. "/in/link")
    uv.fs_symlink(folder, folder .. "/in/up")
    local lines = try({ "fs.write=" .. folder .. "/in" }, {
      "fs.write(at .. '/in/new', 'a\\0b')", "fs.write(at .. '/in/a.txt', '')", "fs.write(at .. '/in/link', 'x')", "fs.write(at .. '/in/up/secret', 'x')",
      "fs.write(at .. '/in/deep', 'x')", "fs.write(at .. '/in/none/x', 'x')", "fs.write(at .. '/secret', 'x')", "fs.write(at .. '/in/large', ('x'):rep(17 << 20))", "fs.read(at .. '/in/new')",
    })
    assert.same({ "true", "true" }, { lines[1], lines[2] })
    assert.equal("a\0b", process.read_file(folder .. "/in/new"))
    assert.equal("", process.read_file(folder .. "/in/a.txt"))
    assert.equal("secret", process.read_file(folder .. "/secret"))
    for i, why in ipairs { "only plain files are replaced", "io_error: ", "only plain files are replaced", "not_found", "fs.write=", "too_large", "fs.read=" } do assert.matches(why, lines[i + 2], 1, true) end
    local names = {}
    for name in uv.fs_scandir_next, uv.fs_scandir(folder .. "/in") do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "a.txt", "deep", "link", "new", "up" }, names) -- and no draft of a write
  end)

  it("fs takes paths relative to where the program was started, and a single file", function()
    local lines = try({ "fs.read=in/deep/../deep", "fs.write=./out.txt" }, { "fs.read('in/deep/b.txt')", "fs.read('in/a.txt')", "fs.write('out.txt', 'x')", "fs.write('out.txt2', 'x')" }, { cwd = folder })
    assert.same({ "true\tof b", "true" }, { lines[1], lines[3] })
    assert.matches("--allow fs.read=in/a.txt grants it", lines[2], 1, true)
    assert.matches("--allow fs.write=out.txt2 grants it", lines[4], 1, true)
  end)

  it("takes a path and a program word for word, with blanks in them, and hands them on so", function()
    local odd = folder .. "/a b\\ c"
    uv.fs_mkdir(odd, 493)
    write("a b\\ c/x y.txt", "odd")
    write("a b\\ c/say it", "#!/bin/sh\necho said")
    uv.fs_chmod(odd .. "/say it", 493)
    local rights = { "fs.read=" .. odd, "exec=" .. odd .. "/say it" }
    local expressions = { ("fs.read(%q)"):format(odd .. "/x y.txt"), ("troupe.exec{ %q }.out"):format(odd .. "/say it"), "fs.read(at .. '/a')" }
    local lines = try(rights, expressions)
    assert.same({ "true\todd", "true\tsaid" }, { lines[1], lines[2] })
    assert.matches("permission_denied", lines[3])
    local far = write("far.lua", ("return { type = 'far', on = { Try = function() return { a = troupe.fs.read(%q), b = troupe.exec{ %q }.out } end } }")
      :format(odd .. "/x y.txt", odd .. "/say it"))
    table.insert(rights, "launch")
    local call = ("(function() local r = _:launch{ file = %q }:Try{} return r.a .. r.b end)()"):format(far)
    assert.equal("true\toddsaid", (try(rights, { call }))[1])
    if module.sanitized then return end
    local troupe = require "troupe"
    table.remove(rights)
    local good = troupe.runtime { allow = rights }
    good:close()
    troupe.runtime({ allow = "launch fs.read=a\\ b" }):close()
    assert.has_error(function() troupe.runtime { allow = "fs.read=a b" } end)
    assert.has_error(function() troupe.runtime { allow = { "fs.read=a", "fs.raed=" .. odd } } end)
  end)

  it("env shows a variable, and no other", function()
    local lines = try({ "env=SHOWN", "env=UNSET" }, { "troupe.env('SHOWN')", "troupe.env('UNSET')", "troupe.env('HOME')", "troupe.env('')", "troupe.env('SHOWN=')" }, { env = { SHOWN = "x y" } })
    assert.same({ "true\tx y", "true" }, { lines[1], lines[2] })
    assert.matches("permission_denied: scripts may not see the variable HOME here (--allow env=HOME grants it)", lines[3], 1, true)
    for i = 4, 5 do assert.matches("is no variable's name", lines[i], 1, true) end
  end)

  it("that is none, or says too little, is refused", function()
    for right, why in pairs { ["fs.read"] = "needs a value: fs.read=PATH", ["fs.write="] = "needs a value", env = "needs a value: env=NAME", ["fs.rea=x"] = "did you mean `fs.read`" } do
      local status, _, err = sh.troupe { "run", "--allow", right, write("main.lua", "return function() end") }
      assert.matches(why, err, 1, true)
      assert.equal(2, status)
    end
  end)

  it("goes on to launched processes, no wider than it is; troupe ps shows it", function()
    local env = { XDG_RUNTIME_DIR = folder }
    uv.fs_symlink(folder, folder .. "/in/out")
    write("w.lua", [[return { type = "w", on = { Read = function(_, m) local ok, r = pcall(troupe.fs.read, m.path) return { ok = ok, text = tostring(r) } end } }]])
    write("main.lua", ("local at = %q\n"):format(folder) .. [[return function(ctx)
      local w = ctx:launch{ file = "w.lua", allow = { "fs.read=" .. at .. "/in/deep" } }
      print(w:Read{ path = at .. "/in/deep/b.txt" }.text)
      print(w:Read{ path = at .. "/in/a.txt" }.text)
      print(pcall(ctx.launch, ctx, { file = "w.lua", key = "2", allow = { "fs.read=" .. at } }))
      for _, way in ipairs { "/in/out", "/in/out/secret", "/in/deep/../out" } do
        print((select(2, pcall(ctx.launch, ctx, { file = "w.lua", key = "3", allow = { "fs.read=" .. at .. way } }))))
      end
      ctx:receive()
    end]])
    local p = process.troupe({ "run", "--allow", "launch", "--allow", "fs.read=" .. folder .. "/in", folder .. "/main.lua" }, { env = env })
    p:wait_line("^of b$")
    p:wait_line("^permission_denied: scripts may not read .*/in/a.txt here %(%-%-allow fs.read=.*/in/a.txt grants it%)$")
    p:wait_line("^false\tpermission_denied: a right that this process has not cannot be handed on")
    for _ = 1, 3 do p:wait_line("^permission_denied: a right that this process has not") end -- what a link leads to
    local _, out, err = sh.troupe({ "ps", "--pid", tostring(p.pid) }, { env = env })
    assert.matches("\n  allowed  launch\n  allowed  fs.read=" .. folder .. "/in\n", out, 1, true, err)
    p:kill("sigkill")
    p:wait()
  end)
end)
