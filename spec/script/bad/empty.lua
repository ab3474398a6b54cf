--! FILE: returned an empty table; expected an agent with handlers in `on`, or a list of agents
return {}
