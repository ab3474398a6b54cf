--! FILE: returned a table that is both an agent (named keys) and a list; expected one of them
return { { on = {} }, type = "x" }
