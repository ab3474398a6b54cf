--! FILE:3: require "shared.nothing": no such module (looked for spec/script/bad/shared/nothing.lua)
-- a module that is not there
local x = require "shared.nothing"
return x
