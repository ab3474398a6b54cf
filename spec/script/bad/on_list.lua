--! FILE:3: `on` must be a table of handlers by message type, not a function
return {
  on = print,
}
