--! FILE:2: mailbox.bytes must be bytes, as a number or as "64M", from 1K to 32G
return { mailbox = { bytes = "64" } }
