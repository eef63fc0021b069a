# SPDX-License-Identifier: Apache-2.0
# The peer program; tests/interop/README.md says what it does.
require "tachyon"

$stdout.sync = true
OPERATION, PATH, *words = ARGV
KEY = { end: "connect", open: 20, capacity: 65_536, schema: 0, role: 0, wait: 20, count: 1,
        size: "32", how: "single", seed: 0, finish: "close", outstanding: 1, order: "in",
        cancel: 0, types: "", required: 0 }
words.each do |word|
  name, value = word.split("=", 2)
  exit 2 unless KEY.key?(name.to_sym)
  KEY[name.to_sym] = Integer(value, exception: false) || Float(value, exception: false) || value
end
TICKS = %w[produce consume].include?(OPERATION)
BATCH = KEY[:how] == "batch" && (TICKS ? 1000 : 100)
SIZES = TICKS ? [32] : KEY[:size].to_s.split(",").map(&:to_i)
TICK = "a8dLLQ"
# Every message is a piece of the same bytes: 7 * 183 is 1 modulo 256.
BYTES = (0..255).map { |j| 7 * j & 255 }.pack("C*") * (SIZES.max / 256 + 2)

def size_of(i) = SIZES[(BATCH ? i / 100 : i) % SIZES.size]

def type_of(i) = TICKS ? 7 : BATCH ? 1 : i % 7 + 1

def message(i)
  return ["TCHY", 100 + i * 0.25, i % 1000, 0, i].pack(TICK) if TICKS

  BYTES.byteslice((31 * i + KEY[:seed]) * 183 & 255, size_of(i))
end

def stop(line)
  puts line
  exit 1
end

def failure # of the block: the error's code
  yield
  nil
rescue Tachyon::Error => e
  $why = e.message
  e.code
end

def finish(bus)
  Process.kill(:KILL, Process.pid) if KEY[:finish] == "kill"
  bus.public_send(KEY[:finish]) unless KEY[:finish] == "leave"
end

def send_from(bus, i, count, wait) # what comes next, and the error's code
  code = failure do
    while i < count
      if BATCH
        items = (i...[i - i % BATCH + BATCH, count].min).map { |k| message(k) }.join
        i += bus.send_batch(items, size_of(i), type_of(i), wait)
      else
        bus.send(message(i), type_of(i), wait)
        i += 1
      end
    end
  end
  [i, code]
end

def receive(bus, i)
  BATCH ? bus.recv_batch(size_of(i), BATCH - i % BATCH, KEY[:wait]) : bus.recv(KEY[:wait])
end

def report(count, qty, price, seconds)
  puts format("count %d qty %d price %.2f ns %.1f", count, qty, price, seconds / count * 1e9)
end

def asking(bus)
  data, wait = message(0), KEY[:wait]
  last = nil
  KEY[:count].times { last = yield data, wait }
  stop "wrong #{KEY[:count] - 1}" unless last == data
  puts "answered #{KEY[:count]}"
  bus.close
end

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

RUN = {
  open: lambda { |bus|
    puts "opened"
    finish(bus)
  },
  send: lambda { |bus|
    sent, code = send_from(bus, 0, KEY[:count], KEY[:wait])
    failure { bus.flush }
    puts "sent #{sent}"
    puts "error #{code}" if code
    finish(bus)
  },
  recv: lambda { |bus|
    i = 0
    code = failure do
      loop do
        data = receive(bus, i)
        (BATCH ? data.bytesize / size_of(i) : 1).times do |k|
          item = BATCH ? data.byteslice(k * size_of(i), size_of(i)) : data
          stop "wrong #{i}" unless item == message(i) && bus.type_id == type_of(i)
          i += 1
        end
      end
    end
    puts "received #{i}", "error #{code}"
    bus.close
  },
  fill: lambda { |bus|
    sent, full = send_from(bus, 0, Float::INFINITY, 0)
    puts "sent #{sent}", "error #{full}"
    puts "error #{send_from(bus, sent, sent + 1, KEY[:wait])[1]}"
    bus.flush
    finish(bus)
  },
  drain: lambda { |bus|
    puts "ready"
    [0, KEY[:wait]].each { |wait| puts "error #{failure { bus.recv(wait) }}" }
    bus.close
  },
  hold: lambda { |_bus|
    puts "ready"
    sleep
  },
  misuse: lambda { |bus|
    2.times { bus.close }
    [bus, Tachyon::Bus.new].each do |object|
      puts "error #{failure { object.send("x") }}", "error #{failure { object.recv }}"
      failure { object.flush }
    end
  },
  serve: lambda { |rpc|
    served = 0
    code = failure do
      loop do
        requests = Array.new(KEY[:outstanding]) do
          data = rpc.serve(KEY[:wait])
          [rpc.id, data.reverse, rpc.type_id + 1]
        end
        requests.reverse! if KEY[:order] == "reverse"
        requests.each do |request|
          rpc.reply(*request, KEY[:wait])
          served += 1
        end
      end
    end
    puts "served #{served}", "error #{code}"
    rpc.close
  },
  call: lambda { |rpc|
    answered = cancelled = 0
    code = failure do
      (0...KEY[:count]).each_slice(KEY[:outstanding]) do |some|
        ids = some.map { |i| rpc.call(message(i), type_of(i), KEY[:wait]) }
        some.zip(ids) do |i, id|
          if KEY[:cancel].positive? && (i + 1) % KEY[:cancel] == 0
            rpc.cancel(id)
            cancelled += 1
          else
            right = rpc.wait_for(id, KEY[:wait]) == message(i).reverse
            stop "wrong #{i}" unless right && rpc.type_id == type_of(i) + 1
            answered += 1
          end
        end
      end
    end
    puts "answered #{answered}", code ? "error #{code}" : "cancelled #{cancelled}"
    finish(rpc)
  },
  produce: lambda { |bus|
    start = now
    if BATCH
      _, code = send_from(bus, 0, KEY[:count], KEY[:wait])
    else # as a program would
      count, wait = KEY.values_at(:count, :wait)
      code = failure do
        count.times { |i| bus.send(["TCHY", 100 + i * 0.25, i % 1000, 0, i].pack(TICK), 7, wait) }
      end
    end
    stop "error #{code}" if code
    bus.flush
    stopped = now
    all = 0...KEY[:count]
    price = all.sum(0.0) { |i| 100 + i * 0.25 }
    report(KEY[:count], all.sum { |i| i % 1000 }, price, stopped - start)
    bus.close
  },
  consume: lambda { |bus|
    count = qty = 0
    price = 0.0
    start = nil
    code = failure do
      loop do
        data = receive(bus, count)
        start ||= now
        fields = data.unpack(BATCH ? TICK * (data.bytesize / 32) : TICK)
        (0...fields.size).step(5) do |at|
          good = fields[at].start_with?("TCHY") && fields[at + 4] == count
          stop "wrong #{count}" unless good && fields[at + 3].zero?
          count += 1
          qty += fields[at + 2]
          price += fields[at + 1]
        end
      end
    end
    stopped = now
    stop "error #{code}" unless code == Tachyon::ERR_CLOSED
    report(count, qty, price, stopped - start)
    bus.close
  },
  ping: lambda { |bus|
    back = Tachyon::Bus.new
    back.connect("#{PATH}-back", OPTIONS)
    asking(bus) do |data, wait|
      bus.send(data, 1, wait)
      back.recv(wait)
    end
  },
  ask: lambda { |rpc|
    asking(rpc) { |data, wait| rpc.wait_for(rpc.call(data, 1, wait), wait) }
  }
}.freeze

rpc = %w[serve call ask].include?(OPERATION)
bus = rpc ? Tachyon::RpcBus.new : Tachyon::Bus.new
OPTIONS = Tachyon::Options.new
OPTIONS.timeout, OPTIONS.schema, OPTIONS.role = KEY.values_at(:open, :schema, :role)
OPTIONS.types_required = KEY[:required]
OPTIONS.set_types(KEY[:types]) unless KEY[:types].empty?
meets = OPERATION == "meet"
puts "ready" if meets
code = failure do
  if OPERATION == "serve" || !rpc && KEY[:end] == "listen"
    bus.listen(PATH, *[KEY[:capacity]] * (rpc ? 2 : 1), OPTIONS)
  else
    bus.connect(PATH, OPTIONS)
  end
end
if code
  puts "error #{code}", *("why #{$why}" if meets)
else
  RUN.fetch(meets ? :open : OPERATION.to_sym).call(bus)
end
