--! FILE:2: messages.Job: `$ref` "#" leads in a circle
return { messages = { Job = { schema = { ["$ref"] = "#" } } } }
