--! FILE:2: on_event["E"] must be a function or a list of { match =, handle = }
return { on_event = { E = {} } }
