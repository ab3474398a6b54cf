--! FILE:2: messages.Job: `type` must be string, integer,
return { messages = { Job = { schema = { type = "text" } } } }
