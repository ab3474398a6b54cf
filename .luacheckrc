std = "lua54"
max_line_length = 140
cache = false
exclude_files = { "build", "spec/data" }
files["spec"] = { std = "+busted" }
-- Scripts of agents: the table `troupe` is there without require.
files["examples"] = { read_globals = { "troupe" } }
files["agents"] = { read_globals = { "troupe" } }
