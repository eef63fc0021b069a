-- SPDX-License-Identifier: Apache-2.0
-- The peer program; tests/interop/README.md says what it does.
local tachyon = require "tachyon"

local operation, path = arg[1], arg[2]
local key = { ["end"] = "connect", open = 20, capacity = 65536, schema = 0, role = 0,
  wait = 20, count = 1, size = "32", how = "single", seed = 0, finish = "close",
  outstanding = 1, order = "in", cancel = 0, types = "", required = 0 }
for i = 3, #arg do
  local name, value = arg[i]:match "^(%w+)=(.*)$"
  if key[name or ""] == nil then os.exit(2) end
  key[name] = tonumber(value) or value
end
local ticks = operation == "produce" or operation == "consume"
local batched, block, sizes, TICK = key.how == "batch", 100, {}, "<c8dI4I4I8"
for size in tostring(key.size):gmatch "%d+" do sizes[#sizes + 1] = tonumber(size) end
-- Every message is a piece of the same bytes: 7 * 183 is 1 modulo 256.
local cycle = {}
for j = 0, 255 do cycle[j + 1] = string.char(7 * j & 255) end
local bytes = table.concat(cycle):rep(math.max(table.unpack(sizes)) // 256 + 2)
local function size_of(i) return sizes[(batched and i // 100 or i) % #sizes + 1] end
local function type_of(i) return batched and 1 or i % 7 + 1 end
local function message(i)
  local from = (31 * i + key.seed) * 183 & 255
  return bytes:sub(from + 1, from + size_of(i))
end
if ticks then
  block, sizes, type_of = 1000, { 32 }, function() return 7 end
  function message(i) return TICK:pack("TCHY", 100 + i * 0.25, i % 1000, 0, i) end
end

local function say(...) print(string.format(...)) io.stdout:flush() end
local function stop(...) say(...) os.exit(1) end
local function try(object, method, ...) -- the value, or nil and the error's code
  local ok, value = pcall(object[method], object, ...)
  if ok then return value or true end
  if type(value) ~= "table" then error(value, 0) end
  return nil, value.code, value.message
end
local function finish(object)
  if key.finish == "kill" then os.execute "kill -KILL $PPID" end
  if key.finish ~= "leave" then object[key.finish](object) end
end
local function send(bus, i, count, wait) -- what comes next, and the error's code
  local sent, code
  while i < count and not code do
    if batched then
      local items, size, type_id = {}, size_of(i), type_of(i)
      for k = i, math.min(i - i % block + block, count) - 1 do
        items[#items + 1] = message(k)
      end
      sent, code = try(bus, "send_batch", table.concat(items), size, type_id, wait)
    else
      sent, code = try(bus, "send", message(i), type_of(i), wait)
    end
    i = i + (code and 0 or batched and sent or 1)
  end
  return i, code
end
local function receive(bus, i) -- messages, the size of each, or nil and the error's code
  if not batched then return try(bus, "recv", key.wait) end
  return try(bus, "recv_batch", size_of(i), block - i % block, key.wait)
end

local run = {}
function run.open(bus) say "opened" finish(bus) end
function run.send(bus)
  local sent, code = send(bus, 0, key.count, key.wait)
  try(bus, "flush")
  say(code and "sent %d\nerror %d" or "sent %d", sent, code)
  finish(bus)
end
function run.recv(bus)
  local i, data, code = 0, receive(bus, 0)
  while data do
    local size = batched and size_of(i) or #data
    for at = 1, math.max(#data, 1), math.max(size, 1) do
      local good = data:sub(at, at + size - 1) == message(i) and bus.type_id == type_of(i)
      if not good then stop("wrong %d", i) end
      i = i + 1
    end
    data, code = receive(bus, i)
  end
  say("received %d\nerror %d", i, code)
  bus:close()
end
function run.fill(bus)
  local sent, full = send(bus, 0, math.huge, 0)
  local _, late = send(bus, sent, sent + 1, key.wait)
  say("sent %d\nerror %d\nerror %d", sent, full, late)
  bus:flush()
  finish(bus)
end
function run.drain(bus)
  say "ready"
  for _, wait in ipairs { 0, key.wait } do
    say("error %d", select(2, try(bus, "recv", wait)))
  end
  bus:close()
end
function run.hold() say "ready" tachyon.Bus():listen(path .. "-", 4096) end
function run.misuse(bus)
  bus:close()
  bus:close()
  for _, object in ipairs { bus, tachyon.Bus() } do
    say("error %d", select(2, try(object, "send", "x")))
    say("error %d", select(2, try(object, "recv")))
    try(object, "flush")
  end
end
function run.serve(rpc)
  local served, code, data = 0
  while not code do
    local requests = {}
    while #requests < key.outstanding and not code do
      data, code = try(rpc, "serve", key.wait)
      local at = key.order == "in" and #requests + 1 or 1
      if data then
        table.insert(requests, at, { rpc.id, data:reverse(), rpc.type_id + 1, key.wait })
      end
    end
    for at = 1, code and 0 or #requests do
      if not code then data, code = try(rpc, "reply", table.unpack(requests[at])) end
      if not code then served = served + 1 end
    end
  end
  say("served %d\nerror %d", served, code)
  rpc:close()
end
function run.call(rpc)
  local answered, cancelled, code, data = 0, 0
  for i = 0, key.count - 1, key.outstanding do
    local ids, last = {}, math.min(i + key.outstanding, key.count) - 1
    for k = i, last do
      if not code then ids[k], code = try(rpc, "call", message(k), type_of(k), key.wait) end
    end
    for k = i, code and i - 1 or last do
      if key.cancel > 0 and (k + 1) % key.cancel == 0 then
        data, code = try(rpc, "cancel", ids[k])
        cancelled = cancelled + 1
      elseif not code then
        data, code = try(rpc, "wait_for", ids[k], key.wait)
        local good = data == message(k):reverse() and rpc.type_id == type_of(k) + 1
        if data and not good then stop("wrong %d", k) end
        answered = answered + (data and 1 or 0)
      end
    end
    if code then break end
  end
  say(code and "answered %d\nerror %d" or "answered %d\ncancelled %d", answered,
    code or cancelled)
  finish(rpc)
end
local function report(qty, price, seconds)
  say("count %d qty %d price %.2f ns %.1f", key.count, qty, price, seconds / key.count * 1e9)
end
function run.produce(bus)
  local start, qty, price = os.clock(), 0, 0 -- of the processor: Lua has no other
  local _, code
  if batched then
    _, code = send(bus, 0, key.count, key.wait)
  else -- as a program would
    _, code = try({ all = function()
      for i = 0, key.count - 1 do
        bus:send(TICK:pack("TCHY", 100 + i * 0.25, i % 1000, 0, i), 7, key.wait)
      end
    end }, "all")
  end
  bus:flush()
  local stopped = os.clock()
  if code then stop("error %d", code) end
  for i = 0, key.count - 1 do qty, price = qty + i % 1000, price + 100 + i * 0.25 end
  report(qty, price, stopped - start)
  bus:close()
end
function run.consume(bus)
  local count, qty, price, data, code = 0, 0, 0, receive(bus, 0)
  local start = os.clock()
  while data do
    for at = 1, #data, 32 do
      local symbol, p, q, pad, ts = TICK:unpack(data, at)
      if symbol:byte() ~= 84 or pad ~= 0 or ts ~= count then stop("wrong %d", count) end
      count, qty, price = count + 1, qty + q, price + p
    end
    data, code = receive(bus, count)
  end
  local stopped = os.clock()
  if code ~= tachyon.ERR_CLOSED then stop("error %d", code) end
  key.count = count
  report(qty, price, stopped - start)
  bus:close()
end
local function answered(data, last)
  if last ~= data then stop("wrong %d", key.count - 1) end
  say("answered %d", key.count)
end
function run.ping(bus, options)
  local back, data, last = tachyon.Bus(), message(0)
  back:connect(path .. "-back", options)
  for _ = 1, key.count do
    bus:send(data, 1, key.wait)
    last = back:recv(key.wait)
  end
  answered(data, last)
  bus:close()
end
function run.ask(rpc)
  local data, last = message(0)
  for _ = 1, key.count do
    last = rpc:wait_for(rpc:call(data, 1, key.wait), key.wait)
  end
  answered(data, last)
  rpc:close()
end

local rpc = operation == "serve" or operation == "call" or operation == "ask"
local options, object = tachyon.Options(), rpc and tachyon.RpcBus() or tachyon.Bus()
options.timeout, options.schema, options.role = key.open, key.schema, key.role
options.types_required = key.required
if key.types ~= "" then options:set_types(key.types) end
local how, at = "connect", { options }
if operation == "serve" or key["end"] == "listen" and not rpc then
  how, at = "listen", { key.capacity, options }
  if rpc then table.insert(at, 1, key.capacity) end
end
if operation == "meet" then say "ready" end
local _, failed, why = try(object, how, path, table.unpack(at))
if not failed then run[operation == "meet" and "open" or operation](object, options)
else say(operation == "meet" and "error %d\nwhy %s" or "error %d", failed, why) end
