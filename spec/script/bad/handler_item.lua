--! FILE:3: on["E"][2] must be { match = function, handle = function }, not a function
return {
  on = { E = { { handle = print }, print } },
}
