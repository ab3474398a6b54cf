--! FILE:2: `handler` is not a key of on["E"][1]; did you mean `handle`?
return { on = { E = { { match = print, handler = print } } } }
