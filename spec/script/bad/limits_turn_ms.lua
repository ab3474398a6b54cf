--! FILE:2: limits.turn_ms must be a whole number from 1
return { limits = { turn_ms = 0 } }
