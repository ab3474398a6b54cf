--! FILE:2: failures.within must be a positive number of seconds
return { failures = { within = "long" }, on = {} }
