-- runner: runs programs for others: those that were granted, one after the other for each id, so many ids at a time as one likes.
--   Run { program, args?, stdin?, timeout? }  →  { status | signal, out, err }
--   Runs                                      →  { runs }      how many it has begun
--   troupe worker --allow exec=git agents/runner.lua
---@type troupe.agent
return {
  type = "runner",
  description = "Runs programs, by the right exec=PROGRAM.",
  state = { runs = 0 },
  messages = { Run = { schema = { type = "object", required = { "program" }, additionalProperties = false, properties = {
    program = { type = "string" }, args = { type = "array", items = { type = "string" } }, stdin = {},
    timeout = { type = "number" } } } } },
  on_request = {
    Run = function(self, message)
      self.runs = self.runs + 1
      local words = table.move(message.args or {}, 1, #(message.args or {}), 2, { message.program })
      words.stdin, words.timeout = message.stdin, message.timeout
      if type(words.stdin) == "userdata" then words.stdin = tostring(words.stdin) end -- bytes
      local result = troupe.exec(words)
      -- What is no text goes as bytes: a program may write anything.
      for _, name in ipairs { "out", "err" } do
        if not utf8.len(result[name]) then result[name] = troupe.bytes(result[name]) end
      end
      return result
    end,
    Runs = function(self) return { runs = self.runs } end,
  },
}
