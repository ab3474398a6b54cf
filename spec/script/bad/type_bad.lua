--! FILE:3: `type`:
return {
  type = "a b",
  on = {},
}
