--! FILE:2: failures.limit must be a whole number from 1 to 10000
return { failures = { limit = 0 }, on = {} }
