--! FILE:2: messages.Job.name: the JSON Schema keyword `pattern` is not supported
return { messages = { Job = { schema = { properties = { name = { pattern = "x" } } } } } }
