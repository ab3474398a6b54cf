--! FILE:2: `limt` is not a key of failures; did you mean `limit`?
return { failures = { limt = 1 } }
