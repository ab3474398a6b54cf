-- Bodies that are checked: bad ones never leave their sender.   troupe run examples/messages/schemas.lua
local part = { name = "string", weight = "number?" }
part.parts = { part } -- parts have parts

local shop = {
  type = "shop",
  messages = {
    Order = { n = "integer", tags = { "string" }, note = "string?" },
    Machine = part,
    Rating = { schema = { -- JSON Schema does as well
      type = "object", required = { "stars" }, additionalProperties = false,
      properties = { stars = { type = "integer", minimum = 1, maximum = 5 } },
    } },
  },
  on = {
    Order = function(_, order) return ("%d ordered"):format(order.n), "Taken" end,
    Machine = function(_, machine) return machine.name .. " built", "Taken" end,
    Rating = function(_, rating) return ("*"):rep(rating.stars), "Taken" end,
  },
}

local function program(ctx)
  local function try(type, body)
    local ok, result = ctx:pcall("shop", type, body)
    print(ok and result or tostring(result))
  end
  try("Order", { n = 3, tags = { "red", "small" } })
  try("Order", { n = 3, tags = { "red", 5 } })
  try("Order", { n = "three", tags = {} })
  try("Order", { n = 3, tags = {}, notes = "soon" })
  try("Machine", { name = "clock", parts = { { name = "hand", parts = {} } } })
  try("Machine", { name = "clock", parts = { { name = "hand" } } })
  try("Rating", { stars = 4 })
  try("Rating", { stars = 6 })
end

return { shop, program }
