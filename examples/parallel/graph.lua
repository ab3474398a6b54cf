-- Six agents that need each other's results: A→B, A→C, B→D, C→D, D→F, E→F, a second each. Nothing says what runs beside
-- what: a call starts when what it was given is there, so it takes the longest path, four seconds.
-- troupe run examples/parallel/graph.lua
-- Over two workers of one host: troupe worker --host HOST examples/parallel/graph.lua -- a c e, another with -- b d f, and then
-- troupe run --host HOST examples/parallel/graph.lua -- call. What a gives goes from its process to those of b and c, not by
-- the caller.
local function node(name)
  return {
    type = name,
    on = {
      Work = function(_, _, ctx)
        ctx:sleep(1)
        return { done = name }
      end,
    },
  }
end

local function program(ctx)
  local began = ctx:now()
  local a = ctx:agent("a"):Work()
  local b = ctx:agent("b"):Work(a)
  local c = ctx:agent("c"):Work(a)
  local d = ctx:agent("d"):Work { b, c }
  local e = ctx:agent("e"):Work()
  local f = ctx:agent("f"):Work { d, e }
  print(("%s is done after %.1f s"):format(f.done, ctx:now() - began))
end

local here, wanted = {}, { ... } -- those named on the command line; without any, all
for _, name in ipairs(#wanted > 0 and wanted or { "a", "b", "c", "d", "e", "f", "call" }) do
  here[#here + 1] = name == "call" and program or node(name)
end
return here
