-- SPDX-License-Identifier: Apache-2.0
-- package.lua ROCKSPEC: what luarocks does with a rockspec of this kind, in this folder.
local spec = {}
assert(loadfile(arg[1], "t", spec))()
local function run(...)
  local command = table.concat({ ... }, " ")
  print(command)
  assert(os.execute(command))
end
assert(spec.version == os.getenv("VERSION") .. "-1", spec.version)
assert(spec.build.type == "builtin")
local archive = spec.source.url:match("[^/]+$")
run("tar xzf", archive, "--strip-components 1")
local cc, flags = os.getenv("CC"), "-O2 -fPIC " .. (os.getenv("LUA_CFLAGS"):gsub(";", " "))
for name, module in pairs(spec.build.modules) do
  local objects = {}
  for _, folder in ipairs(module.incdirs) do flags = flags .. " -I" .. folder end
  for _, source in ipairs(module.sources) do
    objects[#objects + 1] = source:gsub("c$", "o")
    run(cc, flags, "-c", source, "-o", objects[#objects])
  end
  run(cc, "-shared -o", name .. ".so", table.concat(objects, " "),
    "-l" .. table.concat(module.libraries, " -l"))
end
