--! FILE:2: limits.subscriptions must be a whole number from 1
return { limits = { subscriptions = "many" } }
