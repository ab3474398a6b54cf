--! FILE:2: `state` must be a table or a function, not a number
return { state = 5, on = {} }
