--! FILE:2: `limits` is not a key of mailbox; did you mean `limit`?
return { mailbox = { limits = 5 } }
