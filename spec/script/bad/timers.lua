--! FILE:2: timers.Tick must be a number of seconds from 0.001, not 0
return { timers = { Tick = 0 } }
