--! FILE:2: messages.Job: both a kind in a list and named fields
return { messages = { Job = { "string", n = "integer" } } }
