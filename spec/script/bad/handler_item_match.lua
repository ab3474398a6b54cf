--! FILE:2: on["E"][1]: `match` and `handle` must be functions
return { on = { E = { { match = true, handle = print } } } }
