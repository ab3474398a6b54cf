--! FILE: item 2 of the returned list must be an agent (a table) or a program (a function), not a number
return { { on = {} }, 5 }
