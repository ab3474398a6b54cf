--! FILE: returned nil; a script returns an agent (a table), a list of agents, or a program (a function)
local x = 1 -- luacheck: ignore
