% SPDX-License-Identifier: Apache-2.0
% What a caller may get wrong is an error, and never the end of the process; Ctrl-C ends a
% wait.
1;
tachyon;
function check(right, varargin)
  if ! right
    error(varargin{:});
  end
end
function [a, b] = pair(path)
  global tachyon
  a = tachyon_bus();
  b = tachyon_bus();
  a.listen_start(path, 4096);
  b.connect_start(path);
  while a.open_step() + b.open_step() < 2
  end
end
function bus = tachyon_bus()
  tachyon;
  bus = tachyon.Bus();
end
function fails(id, call) % with the error's identifier; "": not one of ours
  try
    call();
  catch e
    ours = strncmp(e.identifier, "Tachyon:", 8);
    check(ours == ! isempty(id) && (! ours || strcmp(e.identifier, ["Tachyon:" id])), ...
      "%s: %s %s, not %s", func2str(call), e.identifier, e.message, id);
    return;
  end
  error("%s did not fail", func2str(call));
end

path = sprintf("@tachyon-octave-guards-%d", getpid());
[a, b] = pair(path);
unopened = tachyon.Bus();
closed = tachyon.Bus();
closed.close();
closed.close();
rpc = tachyon.RpcBus();
a.send("warm", 1);
check(strcmp(char(b.recv()), "warm"), "warm");
for bus = {closed, unopened}
  bus = bus{1};
  for call = {@() bus.send("x"), @() bus.recv(), @() bus.send_batch("xx", 1), ...
      @() bus.recv_batch(1), @() bus.flush(), @() bus.reserve(1), @() bus.commit(1), ...
      @() bus.rollback(), @() bus.acquire(), @() bus.take(), @() bus.release(), ...
      @() bus.stats(), @() bus.peer(), @() bus.fileno(), @() bus.max_payload(), ...
      @() bus.set_numa_node(0), @() bus.open_step(), @() rpc.call("x"), ...
      @() rpc.wait_for(), @() rpc.serve(), @() rpc.reply(1, "x"), @() rpc.cancel(1)}
    fails("ERR_CLOSED", call{1});
  end
end
check(unopened.error == 16, "error");
fails("ERR_BUSY", @() a.connect(path));
fails("ERR_INVALID_SZ", @() unopened.connect("a\0b"));
fails("ERR_INVALID_SZ", @() unopened.listen("a\0b", 4096));
options = tachyon.Options();
fails("ERR_INVALID_SZ", @() options.set_types("a\0b"));
fails("ERR_INVALID_SZ", @() options.set_name("a\0"));
fails("ERR_INVALID_SZ", @() a.send("x", 1, NaN));
fails("ERR_INVALID_SZ", @() unopened.listen(path, 5000));
fails("ERR_NETWORK", @() unopened.connect([path "-nobody"]));
fails("ERR_INVALID_SZ", @() a.send(zeros(1, 5000, "uint8"), 1, 0));
fails("ERR_INVALID_SZ", @() a.send_batch("xxx", 2));
fails("ERR_INVALID_SZ", @() a.send_batch("xx", 0));
fails("ERR_EMPTY", @() b.recv(0));
fails("ERR_TIMEOUT", @() b.recv(0.01));
fails("ERR_INVALID_SZ", @() b.recv(NaN));
fails("ERR_INVALID_SZ", @() b.recv_batch(0));
fails("ERR_INVALID_SZ", @() b.recv_batch(2 ^ 50, 2 ^ 50));
fails("ERR_EMPTY", @() a.commit(1));
for call = {@() a.send(), @() a.send(5), @() a.send({}), @() a.send(a), ...
    @() a.send("x", -1), @() a.send("x", 2 ^ 32), @() a.send("x", "one"), ...
    @() a.send("x", 1, {}), @() a.send("x", 1, 0, 0), @() unopened.listen(path, -1), ...
    @() unopened.listen({}, 4096), @() unopened.listen(path, 4096, a), @() a.nonsense(), ...
    @() b.recv(struct())}
  fails("", call{1});
end

% Every byte, and every bit of an integer.
all = uint8([0:255 0]);
a.send(all, 2 ^ 32 - 1);
check(isequal(b.recv(), all) && b.type_id == 2 ^ 32 - 1, "bytes");
a.send("");
check(isempty(b.recv()), "empty");
options = tachyon.Options();
for schema = [intmax("uint64"), bitshift(uint64(1), 63), bitshift(uint64(1), 53) + 1]
  options.schema = schema;
  check(options.schema == schema, "schema");
end

% An id of the 33rd caller is beyond what a double has.
options = tachyon.Options();
options.max_peers = 33;
callee = tachyon.RpcBus();
callee.listen([path "-ids"], 4096, 4096, options);
callers = cell(1, 33);
for i = 1:33
  callers{i} = tachyon.RpcBus();
  callers{i}.connect_start([path "-ids"]);
  while ! callers{i}.open_step()
    try
      callee.accept(0);
    catch e
      check(strcmp(e.identifier, "Tachyon:ERR_EMPTY"), e.message);
    end
  end
end
ids = zeros(1, 2, "uint64");
for i = 1:2
  callers{33}.call(sprintf("%d", i));
  check(strcmp(char(callee.serve(5)), sprintf("%d", i)), "served");
  ids(i) = callee.id;
end
check(ids(1) > bitshift(uint64(1), 53) && ids(2) == ids(1) + 1, "ids");
fails("", @() callee.reply(double(ids(1)), "x"));
fails("", @() callee.reply(double(ids(2)), "x"));
callee.reply(ids(2), "two");
callee.reply(ids(1), "one");
check(strcmp(char(callers{33}.wait_for(1, 5)), "one"), "first");
check(strcmp(char(callers{33}.wait_for(2, 5)), "two"), "second");

% Destroyed in any order, with a message that waits.
for round = 1:20
  [c, d] = pair(sprintf("%s-%d", path, round));
  c.send("x");
  if mod(round, 2)
    clear c
    check(strcmp(char(d.recv()), "x"), "destroyed");
  else
    clear d
  end
end

% 124: it has ended by itself at the SIGINT, not by the SIGKILL behind.
command = sprintf("tachyon; tachyon.Bus().listen(\"%s-c\", 4096)", path);
octave = fullfile(OCTAVE_HOME(), "bin", "octave-cli");
[status, ~] = system(sprintf("timeout -k 10 -s INT 3 %s --norc --no-history --eval '%s' 2>&1", ...
  octave, command));
check(status == 124, "status %d", status);
% Of a batch that it ends, `count` were sent. It comes as soon as the process sleeps.
command = sprintf(strjoin({"tachyon; a = tachyon.Bus(); b = tachyon.Bus();", ...
  "a.listen_start(\"%s-d\", 4096); b.connect_start(\"%s-d\");", ...
  "while a.open_step() + b.open_step() < 2, end;", ...
  "system(\"(while [ -d /proc/$$ ]; do sleep 0.05; done;", ...
  "until grep -q ^State:.S /proc/$PPID/status; do sleep 0.05; done; kill -INT $PPID) &\");", ...
  "unwind_protect, a.send_batch(zeros(1, 10000, \"uint8\"), 1000);", ...
  "unwind_protect_cleanup, printf(\"%%d sent\", a.count); end"}), path, path);
[~, shown] = system(sprintf("timeout 60 %s --norc --no-history --eval '%s' 2>&1", ...
  octave, command));
check(! isempty(regexp(shown, "[1-9] sent")), "%s", shown);
