-- SPDX-License-Identifier: Apache-2.0
-- recv.lua PATH: prints the messages of send.lua, or of that of another language.
local tachyon = require "tachyon"

local bus = tachyon.Bus()
bus:listen(arg[1], 65536)
local received = 0
while true do
  local ok, data = pcall(bus.recv, bus)
  if not ok then
    if data.code == tachyon.ERR_CLOSED then break end -- the end of the stream
    error(data)
  end
  received = received + 1
  print(("type %d: %s"):format(bus.type_id, data))
end
print("received " .. received)
