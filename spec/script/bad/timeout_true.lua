--! FILE:2: `timeout` must be a number of seconds, or false
return { timeout = true, on = {} }
