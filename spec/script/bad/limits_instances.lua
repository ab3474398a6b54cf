--! FILE:2: limits.instances must be a whole number from 1
return { limits = { instances = 0 } }
