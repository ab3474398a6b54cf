--! FILE:2: `xyzzy` is not a key of an agent
return { xyzzy = 1 }
