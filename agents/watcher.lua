-- watcher: tells of files in a folder that are new, changed or gone, by looking at it every so often.
--   publishes Changed { path, what = "new" | "changed" | "gone" } on the topic `files`
--   Look  →  { changes }      looks at once       Files  →  { paths }      what is there
--   troupe worker --allow fs.read=./inbox agents/watcher.lua -- ./inbox 2       -- every 2 seconds; default: 1
local folder, every = ...
local seconds = every == nil and 1 or tonumber(every)
if not seconds then error(("argument 2, `%s`: expected seconds"):format(every)) end

-- What is another text when a file was written to or replaced. Not what is in it: files may be large, and many.
local function mark_of(path)
  local good, found = pcall(troupe.fs.stat, path)
  if not good or found.kind ~= "file" then return nil end -- a folder, a link, gone meanwhile
  return ("%d %d %.6f"):format(found.inode, found.size, found.modified)
end

-- The names in the folder. One that is gone is empty: it may come back.
local function names_in(self, ctx)
  local good, names = pcall(troupe.fs.list, folder)
  if not good and (names.code ~= "not_found" or not self.looked) then error(names, 0) end
  if good == (self._lost or false) then
    self._lost = not good
    ctx:log("warn", good and "the folder is back" or "the folder is gone", { folder = folder })
  end
  return good and names or {}
end

local function look(self, ctx)
  local seen, changes = {}, 0
  local function tell(name, what)
    changes = changes + 1
    if self.looked then ctx:publish("files", "Changed", { path = folder .. "/" .. name, what = what }) end
  end
  for _, name in ipairs(names_in(self, ctx)) do
    local mark = mark_of(folder .. "/" .. name)
    if mark and utf8.len(name) then
      seen[name] = mark
      if self.files[name] ~= mark then tell(name, self.files[name] and "changed" or "new") end
    end
  end
  for name in pairs(self.files) do
    if not seen[name] then tell(name, "gone") end
  end
  self.files, self.looked = seen, true
  return changes
end

---@type troupe.agent
return {
  type = "watcher",
  description = "Tells of changed files in a folder, by the right fs.read=PATH.",
  autostart = true,
  state = { files = {}, looked = false }, -- by name; the first look only learns what is there
  timers = { LookAgain = seconds },
  init = function(self, ctx)
    if not folder then error { code = "invalid", message = "which folder? (troupe run agents/watcher.lua -- FOLDER)" } end
    look(self, ctx)
  end,
  on = { LookAgain = function(self, _, ctx) look(self, ctx) end },
  on_request = {
    Look = function(self, _, ctx) return { changes = look(self, ctx) } end,
    Files = function(self)
      local paths = troupe.array {}
      for name in pairs(self.files) do paths[#paths + 1] = folder .. "/" .. name end
      table.sort(paths)
      return { paths = paths }
    end,
  },
}
