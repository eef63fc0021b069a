# SPDX-License-Identifier: Apache-2.0
# recv.rb PATH: prints the messages of send.rb, or of that of another language.
require "tachyon"

bus = Tachyon::Bus.new
bus.listen(ARGV[0], 65_536)
received = 0
begin
  loop do
    data = bus.recv
    received += 1
    puts "type #{bus.type_id}: #{data}"
  end
rescue Tachyon::Error => e
  raise unless e.code == Tachyon::ERR_CLOSED # the end of the stream
end
puts "received #{received}"
