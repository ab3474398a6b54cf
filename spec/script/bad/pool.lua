--! FILE:2: `pool` must be a whole number from 1 to 10000
return { pool = 1.5, on = {} }
