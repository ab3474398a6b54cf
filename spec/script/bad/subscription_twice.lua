--! FILE:2: subscriptions[2] is there twice
return { subscriptions = { "a", { "a" } } }
