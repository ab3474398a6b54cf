--! FILE:2: autostart[2] must be a key (a string), not a number
return { autostart = { "a", 2 }, on = {} }
