--! FILE:2: `idle` must be a number of seconds from 0.001
return { idle = 0, on = {} }
