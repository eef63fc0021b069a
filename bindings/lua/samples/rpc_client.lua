-- SPDX-License-Identifier: Apache-2.0
-- rpc_client.lua PATH WORD...: asks rpc_server.lua, or that of another language.
local tachyon = require "tachyon"

local options = tachyon.Options()
options.timeout = 10 -- seconds to keep trying: the server may start later
local rpc = tachyon.RpcBus()
rpc:connect(arg[1], options)
for i = 2, #arg do
  local id = rpc:call(arg[i], 1)
  print(arg[i] .. " -> " .. rpc:wait_for(id))
end
rpc:close()
