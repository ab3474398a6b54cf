--! FILE:2: limits.timers must be a whole number from 1
return { limits = { timers = 1.5 } }
