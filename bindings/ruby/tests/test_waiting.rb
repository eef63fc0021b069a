# SPDX-License-Identifier: Apache-2.0
# While a call waits, other threads run, and what they or signals raise arrives.
require "tachyon"
require "timeout"

PATH = "@tachyon-ruby-waiting-#{Process.pid}"
listener = Tachyon::Bus.new
b = Tachyon::Bus.new
opening = Thread.new { listener.listen(PATH, 4096) } # another thread connects meanwhile
options = Tachyon::Options.new
options.timeout = 10
b.connect(PATH, options)
opening.join
a = listener
a.send("x")
raise unless b.recv == "x"

def code(expected)
  yield
  raise "no error #{expected}"
rescue Tachyon::Error => e
  raise unless e.code == expected
end

def asleep(thread)
  sleep 0.01 until thread.status == "sleep"
end

def soon
  main = Thread.current
  Thread.new do
    asleep(main)
    yield
  end
end

# Other threads run.
ticking = Thread.new { 10.times { sleep 0.01 } and a.send("ticked") }
raise unless b.recv(60) == "ticked"
ticking.join

# Ctrl-C once, Thread#raise, Thread#kill and Timeout end a wait.
soon { Process.kill(:INT, Process.pid) }
begin
  b.recv
  raise "not interrupted"
rescue Interrupt
  code(Tachyon::ERR_TIMEOUT) { b.recv(0.05) }
end
soon { Process.kill(:INT, Process.pid) }
begin
  a.send_batch("." * 10_000, 1000)
  raise "not interrupted"
rescue Interrupt
  raise "#{a.count} sent" unless a.count.positive? && b.recv_batch(1000).size == 1000 * a.count
end
waiting = Thread.new { b.recv }
waiting.report_on_exception = false
asleep(waiting)
waiting.raise(KeyError, "from outside")
begin
  waiting.join
  raise "not raised"
rescue KeyError
  code(Tachyon::ERR_TIMEOUT) { b.recv(0.05) }
end
waiting = Thread.new { b.recv }
asleep(waiting)
raise "not killed" unless waiting.kill.join(60)
begin
  Timeout.timeout(0.1) { b.recv }
  raise "not timed out"
rescue Timeout::Error
  code(Tachyon::ERR_TIMEOUT) { b.recv(0.05) }
end

# A trap that raises nothing runs, and the wait goes on: in time, and to the message.
# They go on for ever: a wait that began anew at each would never end.
trapped = 0
trap(:USR1) { trapped += 1 }
signals = Thread.new { loop { sleep 0.05 and Process.kill(:USR1, Process.pid) } }
until trapped.positive?
  start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  code(Tachyon::ERR_TIMEOUT) { b.recv(0.5) }
  taken = Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  raise "#{trapped} traps in #{taken} s" unless taken >= 0.5
end
sending = Thread.new { sleep(0.4) and a.send("late") }
raise unless b.recv == "late"
[signals.kill, sending].each(&:join)

# An interrupt from another thread ends it once, a close for good.
soon { b.interrupt }
code(Tachyon::ERR_INTERRUPTED) { b.recv }
code(Tachyon::ERR_TIMEOUT) { b.recv(0.05) }
soon { b.close }
code(Tachyon::ERR_CLOSED) { b.recv }

# Also of what is being opened, whose address is free then; so it is after a time-out.
options.timeout = -1
[[:listen, 4096], [:connect, options]].each do |call, argument|
  opening = Tachyon::Bus.new
  soon { opening.close }
  code(Tachyon::ERR_CLOSED) { opening.public_send(call, "#{PATH}-opening", argument) }
end
begin
  Timeout.timeout(0.1) { (listener = Tachyon::Bus.new).listen("#{PATH}-opening", 4096) }
  raise "not timed out"
rescue Timeout::Error
  listener.close
end
Tachyon::Bus.new.listen_start("#{PATH}-opening", 4096)
