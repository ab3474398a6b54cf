--! FILE:4: methods.add must be a function, not a string
return {
  methods = {
    add = "x",
  },
}
