--! FILE:2: `instruction` is not a key of limits; did you mean `instructions`?
return { limits = { instruction = 5 } }
