--! FILE: an agent has a boolean as a key; expected names such as `type`
return { [true] = 1 }
