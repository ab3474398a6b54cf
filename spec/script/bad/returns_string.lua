--! FILE: returned a string; a script returns an agent (a table), a list of agents, or a program (a function)
return "agent"
