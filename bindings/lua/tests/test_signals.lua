-- SPDX-License-Identifier: Apache-2.0
-- Ctrl-C ends a wait once; another signal does not. lua takes one Ctrl-C, the next ends it,
-- so each case is a process.
local tachyon = require "tachyon"

local path = "@tachyon-lua-signals-" .. tostring({}):match "0x(%x+)"
local a, b = tachyon.Bus(), tachyon.Bus()
a:listen_start(path, 4096)
b:connect_start(path)
while a:open_step() + b:open_step() < 2 do end
a:send "x"
assert(b:recv() == "x")

local function signal(name) -- as soon as this process, back from the shell, sleeps
  os.execute("(while [ -d /proc/$$ ]; do sleep 0.05; done;" ..
    "until grep -q ^State:.S /proc/$PPID/status; do sleep 0.05; done; kill -" .. name .. " $PPID) &")
end
local function interrupted(ok, error)
  assert(not ok and error.code == tachyon.ERR_INTERRUPTED, tostring(error))
end
local function late(ok, error)
  assert(not ok and error.code == tachyon.ERR_TIMEOUT, tostring(error))
end
local case = {}
function case.recv()
  signal "INT"
  interrupted(pcall(b.recv, b, 20))
end
function case.coroutine()
  signal "INT"
  interrupted(coroutine.wrap(pcall)(b.recv, b, 20))
end
function case.listen()
  signal "INT"
  interrupted(pcall(tachyon.Bus().listen, tachyon.Bus(), path .. "-nobody", 4096))
end
function case.send_batch()
  signal "INT"
  interrupted(pcall(a.send_batch, a, ("."):rep(10000), 1000))
  assert(a.count > 0 and #b:recv_batch(1000) == 1000 * a.count, a.count)
end
function case.other()
  signal "WINCH" -- ignored by default
  late(pcall(b.recv, b, 0.8))
end
if arg[1] then
  case[arg[1]]()
  late(pcall(b.recv, b, 0.05)) -- once
  a:send "y"
  assert(b:recv() == "y")
else
  for name in pairs(case) do assert(os.execute(("%s %s %s"):format(arg[-1], arg[0], name)), name) end
end
