--! FILE:4: on_request["my type"] must be a function or a list of { match =, handle = }, not a boolean
return {
  on_request = {
    ["my type"] = true,
  },
}
