-- watcher: tells of files in a folder that are new, changed or gone, by looking at it every so often.
--   publishes Changed { path, what = "new" | "changed" | "gone" } on the topic `files`
--   Look  →  { changes }      looks at once       Files  →  { paths }      what is there
--   troupe worker --allow fs.read=./inbox agents/watcher.lua -- ./inbox 2       -- every 2 seconds; default: 1
local folder, seconds = ...
local FILES_MOST, BYTES_MOST = 1000, 1 << 20

-- A number for a text; of large files only the length and both ends count.
local function sum_of(text)
  if #text > BYTES_MOST then text = #text .. text:sub(1, BYTES_MOST // 2) .. text:sub(-BYTES_MOST // 2) end
  local sum = #text
  for i = 1, #text - 7, 8 do sum = (sum * 31 ~ ("<i8"):unpack(text, i)) + (sum >> 33) end
  return ("%x%s"):format(sum, text:sub(-(#text % 8)))
end

local function look(self, ctx)
  local seen, changes = {}, 0
  local function tell(name, what)
    changes = changes + 1
    if self.looked then ctx:publish("files", "Changed", { path = folder .. "/" .. name, what = what }) end
  end
  local names = troupe.fs.list(folder)
  for i = 1, math.min(#names, FILES_MOST) do
    local ok, text = pcall(troupe.fs.read, folder .. "/" .. names[i])
    if ok then -- else it is a folder or a link, too large, or gone meanwhile
      seen[names[i]] = sum_of(text)
      local before = self.files[names[i]]
      if before ~= seen[names[i]] then tell(names[i], before and "changed" or "new") end
    end
  end
  for name in pairs(self.files) do
    if not seen[name] then tell(name, "gone") end
  end
  self.files, self.looked = seen, true
  return changes
end

return {
  type = "watcher",
  description = "Tells of changed files in a folder, by the right fs.read=PATH.",
  autostart = true,
  state = { files = {}, looked = false }, -- by name; the first look only learns what is there
  timers = { LookAgain = tonumber(seconds) or 1 },
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
