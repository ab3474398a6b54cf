--! FILE:2: `version` must be a whole number from 1
return { version = 1.5, on = {} }
