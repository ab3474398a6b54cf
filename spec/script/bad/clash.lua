--! FILE:4: `count` is both a field of `state` and a method
return {
  state = { count = 0 },
  methods = { count = function() end },
}
