std = "lua54"
max_line_length = 140
cache = false
exclude_files = { "build", "spec/data" }
files["spec"] = { std = "+busted" }
-- Scripts of agents: the table `troupe` is there without require.
files["examples"] = { read_globals = { "troupe" } }
files["examples/**/*_spec.lua"] = { std = "+busted" }
files["agents"] = { read_globals = { "troupe" } }
-- Annotations only: functions without bodies.
for _, name in ipairs { "meta", "meta_testing" } do
  files["lua/troupe/" .. name .. ".lua"] = { globals = { "troupe" }, unused_args = false, ignore = { "241" } }
end
