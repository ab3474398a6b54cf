--! FILE:2: `subscriptions` must be a list, not a string
return { subscriptions = "chat" }
