--! FILE:2: more than 100000000 instructions while loading
while true do end
