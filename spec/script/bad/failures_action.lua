--! FILE:2: failures.action must be "continue", "restart" or "stop"
return { failures = { action = "again" }, on = {} }
