% SPDX-License-Identifier: Apache-2.0
% The peer program; tests/interop/README.md says what it does.
1;
tachyon;
global key ticks batch sizes

function n = size_of(i)
  global batch sizes
  if batch
    i = floor(i / 100);
  end
  n = sizes(mod(i, numel(sizes)) + 1);
end
function type = type_of(i)
  global ticks batch
  type = mod(i, 7) + 1;
  if ticks
    type = 7;
  elseif batch
    type = 1;
  end
end
function data = message(i)
  global key ticks
  if ticks
    data = [uint8("TCHY") zeros(1, 4, "uint8") typecast(100 + i * 0.25, "uint8") ...
      typecast(uint32([mod(i, 1000) 0]), "uint8") typecast(uint64(i), "uint8")];
  else
    data = uint8(mod(31 * i + 7 * (0:size_of(i) - 1) + key.seed, 256));
  end
end
function say(varargin)
  printf(varargin{:});
  fflush(stdout);
end
function stop(varargin)
  say(varargin{:});
  exit(1);
end
function [code, varargout] = failure(object, method, varargin) % the error's code, or 0
  global why
  varargout = {[]};
  code = 0;
  try
    varargout{1} = feval(method, object, varargin{:});
  catch e
    code = object.error;
    why = e.message;
    if ! strncmp(e.identifier, "Tachyon:", 8)
      rethrow(e);
    end
  end
end
function finish(bus)
  global key
  switch key.finish
    case "kill"
      system(sprintf("kill -KILL %d", getpid()));
    case "close"
      bus.close();
    case "abort"
      bus.abort();
  end
end
function [i, code] = send_from(bus, i, count, wait) % what comes next, and the error's code
  global batch
  code = 0;
  while i < count && ! code
    if batch
      items = cell2mat(arrayfun(@message, i:min(i - mod(i, batch) + batch, count) - 1, ...
        "UniformOutput", false));
      [code, sent] = failure(bus, @(b) b.send_batch(items, size_of(i), type_of(i), wait));
    else
      [code, sent] = failure(bus, @(b) b.send(message(i), type_of(i), wait) + 1);
    end
    if ! code
      i += double(sent);
    end
  end
end
function [code, data] = receive(bus, i)
  global batch key
  if batch
    [code, data] = failure(bus, ...
      @(b) b.recv_batch(size_of(i), batch - mod(i, batch), key.wait));
  else
    [code, data] = failure(bus, @(b) b.recv(key.wait));
  end
end
function report(count, qty, price, seconds)
  say("count %d qty %d price %.2f ns %.1f\n", count, qty, price, seconds / count * 1e9);
end

function run_open(bus)
  say("opened\n");
  finish(bus);
end
function run_send(bus)
  global key
  [sent, code] = send_from(bus, 0, key.count, key.wait);
  failure(bus, @(b) b.flush());
  say("sent %d\n", sent);
  if code
    say("error %d\n", code);
  end
  finish(bus);
end
function run_recv(bus)
  global batch
  i = 0;
  [code, data] = receive(bus, i);
  while ! code
    size = numel(data);
    if batch
      size = size_of(i);
    end
    for at = 0:max(size, 1):numel(data) - size
      if ! isequal(data(at + 1:at + size), message(i)) && size || bus.type_id != type_of(i)
        stop("wrong %d\n", i);
      end
      i++;
    end
    [code, data] = receive(bus, i);
  end
  say("received %d\nerror %d\n", i, code);
  bus.close();
end
function run_fill(bus)
  global key
  [sent, full] = send_from(bus, 0, 1e9, 0);
  [~, late] = send_from(bus, sent, sent + 1, key.wait);
  say("sent %d\nerror %d\nerror %d\n", sent, full, late);
  bus.flush();
  finish(bus);
end
function run_drain(bus)
  global key
  say("ready\n");
  for wait = [0 key.wait]
    say("error %d\n", failure(bus, @(b) b.recv(wait)));
  end
  bus.close();
end
function run_hold(bus)
  say("ready\n");
  pause(1000);
end
function run_misuse(bus)
  global tachyon
  bus.close();
  bus.close();
  say("error %d\n", failure(bus, @(b) b.send("x")));
  say("error %d\n", failure(bus, @(b) b.recv()));
  failure(bus, @(b) b.flush());
end
function run_serve(rpc)
  global key
  served = code = 0;
  while ! code
    requests = {};
    while numel(requests) < key.outstanding && ! code
      [code, data] = failure(rpc, @(r) r.serve(key.wait));
      requests{end + 1} = {rpc.id, fliplr(data), rpc.type_id + 1, key.wait};
    end
    if strcmp(key.order, "reverse")
      requests = fliplr(requests);
    end
    for k = 1:numel(requests) * ! code
      code = failure(rpc, @(r) r.reply(requests{k}{:}));
      if code
        break;
      end
      served++;
    end
  end
  say("served %d\nerror %d\n", served, code);
  rpc.close();
end
function run_call(rpc)
  global key
  answered = cancelled = code = 0;
  for from = 0:key.outstanding:key.count - 1
    some = from:min(from + key.outstanding, key.count) - 1;
    ids = cell(1, numel(some));
    for k = 1:numel(some)
      [code, ids{k}] = failure(rpc, @(r) r.call(message(some(k)), type_of(some(k)), key.wait));
      if code
        break;
      end
    end
    for k = 1:numel(some) * ! code
      i = some(k);
      if key.cancel && mod(i + 1, key.cancel) == 0
        rpc.cancel(ids{k});
        cancelled++;
        continue;
      end
      [code, reply] = failure(rpc, @(r) r.wait_for(ids{k}, key.wait));
      if code
        break;
      elseif numel(reply) && ! isequal(reply, fliplr(message(i))) ...
          || rpc.type_id != type_of(i) + 1
        stop("wrong %d\n", i);
      end
      answered++;
    end
    if code
      break;
    end
  end
  say("answered %d\n", answered);
  if code
    say("error %d\n", code);
  else
    say("cancelled %d\n", cancelled);
  end
  finish(rpc);
end
function run_produce(bus)
  global key
  start = time();
  [~, code] = send_from(bus, 0, key.count, key.wait);
  if code
    stop("error %d\n", code);
  end
  bus.flush();
  seconds = time() - start;
  all = 0:key.count - 1;
  report(key.count, sum(mod(all, 1000)), sum(100 + all * 0.25), seconds);
  bus.close();
end
function run_consume(bus)
  count = qty = price = start = 0;
  [code, data] = receive(bus, 0);
  start = time();
  while ! code
    items = reshape(data, 32, []);
    n = columns(items);
    ts = typecast(items(25:32, :)(:), "uint64");
    if any(items(1:4, :)(:) != repmat(uint8("TCHY"), 1, n)(:)) ...
        || any(typecast(items(21:24, :)(:), "uint32")) || any(ts != (count:count + n - 1)')
      stop("wrong %d\n", count);
    end
    count += n;
    qty += sum(double(typecast(items(17:20, :)(:), "uint32")));
    price += sum(typecast(items(9:16, :)(:), "double"));
    [code, data] = receive(bus, count);
  end
  seconds = time() - start;
  if code != 16
    stop("error %d\n", code);
  end
  report(count, qty, price, seconds);
  bus.close();
end
function answered(bus, last)
  global key
  if ! isequal(last, message(0))
    stop("wrong %d\n", key.count - 1);
  end
  say("answered %d\n", key.count);
  bus.close();
end
function run_ping(bus, path, options)
  global key tachyon
  back = tachyon.Bus();
  back.connect([path "-back"], options);
  data = message(0);
  for i = 1:key.count
    bus.send(data, 1, key.wait);
    last = back.recv(key.wait);
  end
  answered(bus, last);
end
function run_ask(rpc)
  global key
  data = message(0);
  for i = 1:key.count
    last = rpc.wait_for(rpc.call(data, 1, key.wait), key.wait);
  end
  answered(rpc, last);
end

words = argv();
operation = words{1};
key = struct("end", "connect", "open", 20, "capacity", 65536, "schema", uint64(0), ...
  "role", 0, "wait", 20, "count", 1, "size", "32", "how", "single", "seed", 0, ...
  "finish", "close", "outstanding", 1, "order", "in", "cancel", 0, ...
  "types", "", "required", 0);
for i = 3:numel(words)
  [name, value] = strtok(words{i}, "=");
  value(1) = [];
  if ! isfield(key, name)
    exit(2);
  elseif strcmp(name, "schema")
    for digit = value - "0"
      key.schema = key.schema * 10 + uint64(digit);
    end
  elseif ischar(key.(name))
    key.(name) = value;
  else
    key.(name) = str2double(value);
  end
end
ticks = any(strcmp(operation, {"produce", "consume"}));
batch = strcmp(key.how, "batch") * (100 + 900 * ticks);
sizes = 32;
if ! ticks
  sizes = str2num(["[" key.size "]"]);
end
options = tachyon.Options();
options.timeout = key.open;
options.schema = key.schema;
options.role = key.role;
options.types_required = key.required;
if ! isempty(key.types)
  options.set_types(key.types);
end
meets = strcmp(operation, "meet");
if meets
  say("ready\n");
  operation = "open";
end
switch operation
  case "serve"
    bus = tachyon.RpcBus();
    code = failure(bus, @(b) b.listen(words{2}, key.capacity, key.capacity, options));
  case {"call", "ask"}
    bus = tachyon.RpcBus();
    code = failure(bus, @(b) b.connect(words{2}, options));
  otherwise
    bus = tachyon.Bus();
    if strcmp(key.end, "listen")
      code = failure(bus, @(b) b.listen(words{2}, key.capacity, options));
    else
      code = failure(bus, @(b) b.connect(words{2}, options));
    end
end
if code
  say("error %d\n", code);
  if meets
    global why
    say("why %s\n", why);
  end
elseif strcmp(operation, "ping")
  run_ping(bus, words{2}, options);
else
  feval(["run_" operation], bus);
end
