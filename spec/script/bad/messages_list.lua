--! FILE:2: messages.Job.tags: a list has one kind, such as { "string" }
return { messages = { Job = { tags = { "string", "integer" } } } }
