# SPDX-License-Identifier: Apache-2.0
# rpc_server.rb PATH: answers each request with its text in upper case.
require "tachyon"

rpc = Tachyon::RpcBus.new
rpc.listen(ARGV[0], 65_536, 65_536) # one ring for requests, one for replies
served = 0
begin
  loop do
    request = rpc.serve
    rpc.reply(rpc.id, request.upcase, rpc.type_id)
    served += 1
  end
rescue Tachyon::Error => e
  raise unless e.code == Tachyon::ERR_CLOSED # the client has finished
end
puts "served #{served}"
