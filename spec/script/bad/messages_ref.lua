--! FILE:2: messages.Job: `$ref` "#/$defs/x" leads nowhere
return { messages = { Job = { schema = { ["$ref"] = "#/$defs/x" } } } }
