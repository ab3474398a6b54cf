--! FILE:2: timers.Tick must be a number of seconds from 0.001, not a string
return { timers = { Tick = "5" } }
