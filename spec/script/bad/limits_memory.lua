--! FILE:2: limits.memory must be bytes
return { limits = { memory = '64X' } }
