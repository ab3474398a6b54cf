--! FILE:2: `messages` has a number as a key; expected message types
return { messages = { "Job" } }
