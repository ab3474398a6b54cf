--! FILE:2: `messages` must be a table of schemas, not a string
return { messages = "Job" }
