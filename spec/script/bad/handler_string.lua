--! FILE:5: on["Greeting"] must be a function or a list of { match =, handle = }, not a string
return {
  type = "Greeting",
  on = {
    Greeting = "hello",
  },
}
