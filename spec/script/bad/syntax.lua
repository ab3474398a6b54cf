--! FILE:4: unexpected symbol near '='
return {
  type = "x",
  on = = {},
}
