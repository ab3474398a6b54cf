-- What a test opened is closed when it ends, also when it failed: processes killed, sockets closed, folders removed.
-- spec/support/helper.lua calls enter and leave around each file, describe and test, so what `setup` starts lives as
-- long as its describe, and what `before_each` starts as long as the test (it is gone in `after_each`).
local M = {}

local scopes = { {} }
local before_test = {} -- made in before_each: busted runs it ahead of the test's start

--- Is a before_each running? helper.lua knows.
function M.in_before_each() return false end

function M.enter(kind)
  local is_test = kind == "test"
  scopes[#scopes + 1] = is_test and before_test or {}
  if is_test then before_test = {} end
end

--- object:release() will be called at the end of the innermost scope, the newest first; what it returns (a text) fails
--- the test. object:dump(), where there is one, is called before that when the test failed.
function M.add(object)
  local scope = M.in_before_each() and before_test or scopes[#scopes]
  scope[#scope + 1] = object
  return object
end

function M.leave(failed)
  local scope = #scopes > 1 and table.remove(scopes) or scopes[1]
  -- A failing test shows what the processes around it, too, have said.
  if failed then
    for _, outer in ipairs(scopes) do
      for _, object in ipairs(outer) do
        if object.dump then object:dump() end
      end
    end
  end
  local complaints = {}
  while #scope > 0 do
    local object = table.remove(scope)
    if failed and object.dump then object:dump() end
    local complaint = object:release()
    if type(complaint) == "string" then complaints[#complaints + 1] = complaint end
  end
  if #complaints > 0 then error(table.concat(complaints, "\n"), 0) end
end

return M
