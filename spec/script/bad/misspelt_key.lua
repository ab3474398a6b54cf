--! FILE:4: `subscripton` is not a key of an agent; did you mean `subscriptions`?
return {
  -- subscripton = "in a comment"
  subscripton = { "default" },
  on = {},
}
