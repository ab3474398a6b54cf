--! FILE:2: `vm` must be "own"
return { vm = "shared", on = {} }
