--! FILE:2: messages.Job: `enum` must be a list of values
return { messages = { Job = { schema = { enum = {} } } } }
