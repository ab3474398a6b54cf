--! FILE:2: messages.Job: `$ref` must lead to a place in the same schema
return { messages = { Job = { schema = { ["$ref"] = "http://x/y" } } } }
