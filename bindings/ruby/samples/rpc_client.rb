# SPDX-License-Identifier: Apache-2.0
# rpc_client.rb PATH WORD...: asks rpc_server.rb, or that of another language.
require "tachyon"

path, *words = ARGV
options = Tachyon::Options.new
options.timeout = 10 # seconds to keep trying: the server may start later
rpc = Tachyon::RpcBus.new
rpc.connect(path, options)
words.each do |word|
  id = rpc.call(word, 1)
  puts "#{word} -> #{rpc.wait_for(id)}"
end
rpc.close
