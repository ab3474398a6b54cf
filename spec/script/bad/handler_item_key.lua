--! FILE:2: `handler` is not a key of E; did you mean `handle`?
return { on = { E = { { match = print, handler = print } } } }
