--! FILE:3: subscriptions[2]: either a topic, `prefix` or `match` expected
return {
  subscriptions = { "a", { all = true } },
}
