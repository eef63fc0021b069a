-- SPDX-License-Identifier: Apache-2.0
-- send.lua PATH [COUNT=10]: sends messages to recv.lua, or to that of another language.
local tachyon = require "tachyon"

local path, count = arg[1], tonumber(arg[2] or 10)
local options = tachyon.Options()
options.timeout = 10 -- seconds to keep trying: recv may start later
local bus = tachyon.Bus()
bus:connect(path, options)
for i = 0, count - 1 do
  bus:send("tick " .. i, 1)
end
bus:close() -- everything sent still arrives
print("sent " .. count)
