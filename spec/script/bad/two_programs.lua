--! FILE: two programs in one file; a list may hold one
return { function() end, function() end }
