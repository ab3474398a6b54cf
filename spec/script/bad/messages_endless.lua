--! FILE:3: messages.Job: it holds itself in a field that must be there: no body would ever end
local job = {}
job.next = { job = job } return { messages = { Job = job } }
