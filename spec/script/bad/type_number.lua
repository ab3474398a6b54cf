--! FILE:3: `type` must be a string, not a number
return {
  type = 5,
}
