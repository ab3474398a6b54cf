-- lua5.4 spec/tools/descriptors.lua FILE  → C source with the bytes of a google.protobuf.FileDescriptorSet.
-- src/host/reflection.c declares what this defines.

local file = assert(io.open(arg[1], "rb"))
local text = file:read("a")
file:close()

print("#include <stddef.h>\n")
print("extern const unsigned char tr_descriptors[];\nextern const size_t tr_descriptors_size;\n")
print("const unsigned char tr_descriptors[] = {")
for i = 1, #text, 24 do print("  " .. table.concat({ text:byte(i, i + 23) }, ",") .. ",") end
print(("};\nconst size_t tr_descriptors_size = %d;"):format(#text))
