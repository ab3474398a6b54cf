--! FILE:2: `close` must be a function, not a string
return { close = "now", on = {} }
