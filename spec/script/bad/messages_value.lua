--! FILE:2: messages.Job.n: expected a kind or a table, not a number
return { messages = { Job = { n = 5 } } }
