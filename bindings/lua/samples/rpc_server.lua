-- SPDX-License-Identifier: Apache-2.0
-- rpc_server.lua PATH: answers each request with its text in upper case.
local tachyon = require "tachyon"

local rpc = tachyon.RpcBus()
rpc:listen(arg[1], 65536, 65536) -- one ring for requests, one for replies
local served = 0
while true do
  local ok, request = pcall(rpc.serve, rpc)
  if not ok then
    if request.code == tachyon.ERR_CLOSED then break end -- the client has finished
    error(request)
  end
  rpc:reply(rpc.id, request:upper(), rpc.type_id)
  served = served + 1
end
print("served " .. served)
