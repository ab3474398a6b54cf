--! FILE:2: `nulls` must be "keep"
return { nulls = "drop", on = {} }
