--! FILE:2: limits.messages must be a whole number from 1
return { limits = { messages = 'x' } }
