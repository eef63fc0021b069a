-- SPDX-License-Identifier: Apache-2.0
-- What a caller may get wrong is an error, and never the end of the process.
local tachyon = require "tachyon"

local function pair(path)
  local a, b = tachyon.Bus(), tachyon.Bus()
  a:listen_start(path, 4096)
  b:connect_start(path)
  while a:open_step() + b:open_step() < 2 do end
  return a, b
end
local path = "@tachyon-lua-guards-" .. tostring({}):match "0x(%x+)"
local a, b = pair(path)
local closed, unopened = tachyon.Bus(), tachyon.Bus()
closed:close()
closed:close()
local rpc, HUGE, NAN = tachyon.RpcBus(), math.maxinteger, 0 / 0
local options = tachyon.Options()

-- { method, arguments..., code = the error's, none: Lua's own error }
local cases = {}
for _, bus in ipairs { closed, unopened } do
  for _, call in ipairs {
    { "send", "x" }, { "recv" }, { "send_batch", "xx", 1 }, { "recv_batch", 1 },
    { "flush" }, { "reserve", 1 }, { "commit", 1 }, { "rollback" }, { "acquire" },
    { "take" }, { "release" }, { "stats" }, { "peer" }, { "fileno" }, { "max_payload" },
    { "set_numa_node", 0 }, { "set_polling_mode", 1 }, { "open_step" },
  } do
    cases[#cases + 1] = { bus, code = 16, table.unpack(call) }
  end
end
for _, call in ipairs {
  { "call", "x" }, { "wait_for" }, { "serve" }, { "reply", 1, "x" }, { "cancel", 1 },
  { "stats" }, { "peer" }, { "fileno" },
} do
  cases[#cases + 1] = { rpc, code = 16, table.unpack(call) }
end
for _, case in ipairs {
  { closed, "listen", path, 4096, code = 16 }, { closed, "connect", path, code = 16 },
  { a, "listen", path, 4096, code = 18 }, { a, "connect", path, code = 18 },
  { unopened, "listen", path, 5000, code = 8 }, { unopened, "listen", path, HUGE, code = 8 },
  { unopened, "listen", path, -1, code = 8 }, { unopened, "listen", "", 4096, code = 8 },
  { unopened, "connect", path .. "-nobody", code = 11 },
  { unopened, "connect", ("x"):rep(200), code = 8 },
  { unopened, "connect", "a\0b", code = 8 }, { unopened, "listen", "a\0b", 4096, code = 8 },
  { options, "set_types", "a\0b", code = 8 }, { options, "set_name", "a\0", code = 8 },
  { options, "set_types", {} }, { a, "send", "x", 1, NAN, code = 8 },
  { a, "send", ("x"):rep(5000), 1, 0, code = 8 },
  { a, "send", "x", -1 }, { a, "send", "x", 1 << 32 }, { a, "send", "x", 1.5 },
  { a, "send", "x", "one" }, { a, "send" }, { a, "send", {} },
  { a, "send", a }, { a, "send", "x", 1, 0, 0 },
  { a, "send_batch", "xxx", 2, code = 8 }, { a, "send_batch", "xx", 0, code = 8 },
  { a, "send_batch", "xx", -1, code = 8 },
  { b, "recv", 0, code = 10 }, { b, "recv", 0.01, code = 17 }, { b, "recv", NAN, code = 8 },
  { b, "recv", "soon" }, { b, "recv", {} },
  { b, "recv_batch", 0, code = 8 }, { b, "recv_batch", HUGE, HUGE, code = 8 },
  { b, "recv_batch", -1, -1, code = 8 }, { b, "recv_batch", 8, 0, code = 8 },
  { a, "reserve", HUGE, 0, code = 8 }, { a, "commit", 1, code = 10 },
  { b, "release", 5, code = 10 }, { b, "send", "x", code = 18 },
  { a, "set_numa_node", -1, code = 8 }, { a, "set_numa_node", 1 << 40 },
  { a, "listen", {}, 4096 }, { a, "listen", path, "big" }, { a, "listen", path, 1, 2 },
  { a, "connect", path, a },
} do
  cases[#cases + 1] = case
end
assert(a:send("warm", 1) == 0 and b:recv() == "warm")
for number, case in ipairs(cases) do
  local object, method = case[1], case[2]
  local ok, error = pcall(object[method], object, table.unpack(case, 3))
  local what = ("%d: %s(%s)"):format(number, method, tostring(case[3]))
  assert(not ok, what .. " did not fail")
  if case.code then
    assert(type(error) == "table", what .. ": " .. tostring(error))
    assert(error.code == case.code, what .. ": " .. error.name .. " " .. error.message)
    assert(error.name == tachyon.error_name(case.code) and tostring(error) == error.message)
  end
end

-- A method without its object, or with another's.
for _, object in ipairs { 1, "x", {}, tachyon.Options(), rpc, io.stdout } do
  assert(not pcall(a.recv, object) and not pcall(a.send, object, "x"))
end
assert(not pcall(a.recv))
assert(not pcall(function() a.error = 1 end) and b.type_id == 1)

-- Every byte, and every bit of an integer.
local all = {}
for byte = 0, 255 do all[#all + 1] = string.char(byte) end
all = table.concat(all) .. "\0"
assert(a:send(all, 0xFFFFFFFF) == 0)
assert(b:recv() == all and b.type_id == 0xFFFFFFFF and math.type(b.type_id) == "integer")
assert(a:send("") == 0 and b:recv() == "" and b.type_id == 0)
local options = tachyon.Options()
for _, schema in ipairs { HUGE, math.mininteger, -1, 2 ^ 53 | 1 } do
  options.schema = schema
  assert(options.schema == schema and math.type(options.schema) == "integer")
end
assert(a:peer().pid > 0 and math.type(b:stats().messages) == "integer")

-- Collected in any order, with a message that waits.
for round = 1, 20 do
  local c, d = pair(path .. round)
  c:send "x"
  if round % 2 == 0 then c = nil else d = nil end
  collectgarbage()
  collectgarbage()
  if d then assert(d:recv() == "x") end
end
do
  local c, d, o = tachyon.Bus(), tachyon.Bus(), tachyon.Options()
  o:allow_uid(4294967295)
  c:listen_start(path, 4096, o)
  o = nil
  collectgarbage()
  d:connect_start(path)
  while c:open_step() + d:open_step() < 2 do end
  c:abort()
  assert(select(2, pcall(d.recv, d)).code == tachyon.ERR_ABORTED)
end
print "ok"
