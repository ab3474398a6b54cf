--! FILE:2: limits.instructions must be a whole number from 1
return { limits = { instructions = 0 } }
