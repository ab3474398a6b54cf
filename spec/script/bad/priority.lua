--! FILE:2: priority.Alarm must be "high", "normal" or "low"
return { priority = { Alarm = "urgent" } }
