# SPDX-License-Identifier: Apache-2.0
# send.rb PATH [COUNT=10]: sends messages to recv.rb, or to that of another language.
require "tachyon"

path, count = ARGV[0], Integer(ARGV[1] || 10)
options = Tachyon::Options.new
options.timeout = 10 # seconds to keep trying: recv may start later
bus = Tachyon::Bus.new
bus.connect(path, options)
count.times { |i| bus.send("tick #{i}", 1) }
bus.close # everything sent still arrives
puts "sent #{count}"
