--! FILE:2: messages.Job.n: `interger` is not a kind; did you mean `integer`? (string,
return { messages = { Job = { n = "interger" } } }
