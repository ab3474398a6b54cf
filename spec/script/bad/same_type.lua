--! FILE:2: two agents of type `a` in one file
return { { type = "a", on = {} }, { type = "a", on = {} } }
