--! FILE:2: messages.Job: it holds itself in a field that must be there
return { messages = { Job = { schema = { type = "object", required = { "next" }, properties = { next = { ["$ref"] = "#" } } } } } }
