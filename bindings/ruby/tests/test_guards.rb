# SPDX-License-Identifier: Apache-2.0
# What a caller may get wrong is an exception, and never the end of the process.
require "tachyon"

PATH = "@tachyon-ruby-guards-#{Process.pid}"
HUGE = 2**63 - 1

def pair(path)
  ends = [Tachyon::Bus.new, Tachyon::Bus.new]
  ends[0].listen_start(path, 4096)
  ends[1].connect_start(path)
  nil while ends.sum(&:open_step) < 2
  ends
end

a, b = pair(PATH)
unopened, closed, rpc = Tachyon::Bus.new, Tachyon::Bus.new, Tachyon::RpcBus.new
options = Tachyon::Options.new
options.set_types(nil)
2.times { closed.close }
a.send("warm", 1)
raise unless b.recv == "warm"

# [object, method, arguments..., the error's code or Ruby's own class]
cases = [closed, unopened].flat_map do |bus|
  [[:send, "x"], [:recv], [:send_batch, "xx", 1], [:recv_batch, 1], [:flush], [:reserve, 1],
   [:commit, 1], [:rollback], [:acquire], [:take], [:release], [:stats], [:peer], [:fileno],
   [:max_payload], [:set_numa_node, 0], [:set_polling_mode, 1],
   [:open_step]].map { |call| [bus, *call, 16] }
end
cases += [[:call, "x"], [:wait_for], [:serve], [:reply, 1, "x"], [:cancel, 1], [:stats],
          [:peer], [:fileno]].map { |call| [rpc, *call, 16] }
cases += [
  [closed, :listen, PATH, 4096, 16], [closed, :connect, PATH, 16],
  [a, :listen, PATH, 4096, 18], [a, :connect, PATH, 18],
  [unopened, :listen, PATH, 5000, 8], [unopened, :listen, PATH, HUGE, 8],
  [unopened, :listen, "", 4096, 8], [unopened, :connect, "#{PATH}-nobody", 11],
  [unopened, :connect, "x" * 200, 8], [unopened, :connect, "a\0b", ArgumentError],
  [options, :set_types, "a\0b", ArgumentError], [options, :set_name, "a\0", ArgumentError],
  [options, :set_types, 5, TypeError],
  [unopened, :listen, PATH, -1, RangeError], [unopened, :listen, PATH, 2**64, TypeError],
  [unopened, :listen, nil, 4096, TypeError], [unopened, :listen, PATH, "big", TypeError],
  [unopened, :listen, PATH, 4096, a, TypeError], [unopened, :connect, PATH, 5, TypeError],
  [a, :send, "x" * 5000, 1, 0, 8], [a, :send, ArgumentError], [a, :send, nil, TypeError],
  [a, :send, 5, TypeError], [a, :send, a, TypeError], [a, :send, "x", -1, RangeError],
  [a, :send, "x", 2**32, RangeError], [a, :send, "x", "one", TypeError],
  [a, :send, "x", 1, "soon", TypeError], [a, :send, "x", 1, 0, 0, ArgumentError],
  [a, :send_batch, "xxx", 2, 8], [a, :send_batch, "xx", 0, 8],
  [a, :send_batch, "xx", -1, RangeError],
  [b, :recv, 0, 10], [b, :recv, 0.01, 17], [b, :recv, Float::NAN, 8],
  [b, :recv, nil, TypeError], [b, :recv, [], TypeError],
  [b, :recv_batch, 0, 8], [b, :recv_batch, HUGE, HUGE, 8], [b, :recv_batch, 8, 0, 8],
  [b, :recv_batch, -1, RangeError], [b, :take, -1, RangeError],
  [a, :reserve, HUGE, 0, 8], [a, :commit, 1, 10], [b, :release, 5, 10], [b, :send, "x", 18],
  [a, :set_numa_node, -1, 8], [a, :set_numa_node, 2**40, RangeError]
]
cases.each_with_index do |(object, method, *arguments, expected), number|
  object.public_send(method, *arguments)
  raise "#{number}: #{method}(#{arguments.inspect[0, 40]}) did not fail"
rescue Tachyon::Error => e
  good = e.code == expected && e.name == Tachyon.error_name(e.code) && !e.message.empty?
  raise "#{number}: #{method}: #{e.code} #{e.name} #{e.message}, not #{expected}" unless good
rescue ArgumentError, TypeError, RangeError => e
  raise "#{number}: #{method}: #{e.inspect}, not #{expected}" unless e.instance_of?(expected)
end

# Another object's method, and an object that has not been initialised.
begin
  Tachyon::Bus.instance_method(:recv).bind_call(Tachyon::Bus.allocate, 0)
  raise "not initialised"
rescue StandardError => e
  raise e if e.message == "not initialised"
end
raise if a.respond_to?(:error=) || a.respond_to?(:type_id=)

# Every byte, and every bit of an integer.
all = (0..255).to_a.pack("C*") + "\0"
a.send(all, 2**32 - 1)
raise unless b.recv == all && b.type_id == 2**32 - 1
a.send("")
empty = b.recv
raise unless empty == "" && empty.encoding == Encoding::BINARY
options = Tachyon::Options.new
[2**64 - 1, 2**63, 2**53 + 1].each do |schema|
  options.schema = schema
  raise unless options.schema == schema
end

# Collected in any order, with a message that waits, and never held twice.
20.times do |round|
  ends = pair("#{PATH}-#{round}")
  ends[0].send("x")
  kept = ends[round % 2]
  ends = nil
  GC.start
  raise unless round.even? || kept.recv == "x"
end
copies = [a.dup, a.clone] rescue TypeError
GC.start
a.send("still open")
raise unless b.recv == "still open"
