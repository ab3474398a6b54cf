--! FILE:2: mailbox.limit must be a whole number from 1
return { mailbox = { limit = 0.5 } }
