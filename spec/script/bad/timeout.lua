--! FILE:2: `timeout` must be a positive number of seconds, or false
return { timeout = -1, on = {} }
