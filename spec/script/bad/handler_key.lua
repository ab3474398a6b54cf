--! FILE:2: `on` has a number as a key; expected message types
return { on = { print } }
