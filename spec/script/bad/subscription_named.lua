--! FILE:2: `subscriptions` must be a list, such as
return { subscriptions = { chat = true } }
