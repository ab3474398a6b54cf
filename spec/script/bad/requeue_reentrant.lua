--! FILE:4: `requeue` does not go with `reentrant`: turns that interleave cannot be begun again
return {
  reentrant = true,
  requeue = true,
  on = {},
}
