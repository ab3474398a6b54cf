--! FILE:2: replies.Ask must be a message type (a string), not a table
return { replies = { Ask = {} } }
