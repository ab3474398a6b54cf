--! FILE:2: autostart[1]: keys that begin with "troupe." are reserved
return { autostart = "troupe.x" }
