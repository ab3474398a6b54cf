--! FILE:2: `init` must be a function, not a table
return { init = {}, on = {} }
