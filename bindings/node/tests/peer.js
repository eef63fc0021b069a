// SPDX-License-Identifier: Apache-2.0
'use strict';
// The Node peer of the conformance tests; tests/interop/README.md has its rules.

const { Bus, RpcBus, TachyonError, ErrorCode } = require('@tachyon-ipc/core');

const [operation, path, ...pairs] = process.argv.slice(2);
const keys = { end: 'connect', open: 20, capacity: 65536, schema: 0, role: 0, wait: 20,
  count: 1, size: '32', how: 'single', seed: 0, finish: 'close', outstanding: 1,
  order: 'in', cancel: 0, types: '', required: 0 };
for (const pair of pairs) {
  const [key, ...rest] = pair.split('=');
  if (!(key in keys)) {
    console.error(`peer OPERATION PATH [key=value ...]: ${pair}?`);
    process.exit(2);
  }
  keys[key] = rest.join('=');
}
const { how } = keys;
const count = Number(keys.count);
const sizes = keys.size.split(',').map(Number);
const wait = { timeout: keys.wait * 1000 };
const options = {
  timeout: keys.open * 1000, schema: BigInt(keys.schema), role: Number(keys.role),
  types: keys.types || undefined, typesRequired: keys.required === '1',
};
const batch = how === 'batch';
const print = (line) => require('node:fs').writeSync(1, `${line}\n`);
const none = ErrorCode[Number(keys.wait) ? 'Timeout' : 'Empty']; // what null stands for

const sizeOf = (i) => sizes[(batch ? Math.floor(i / 100) : i) % sizes.length];
const typeOf = (i) => (batch ? 1 : (i % 7) + 1);
const item = (data, i, k) => data.subarray(k * sizeOf(i), (k + 1) * sizeOf(i));
function message(i, data = Buffer.alloc(sizeOf(i))) {
  for (let j = 0; j < data.length; j++) data[j] = 31 * i + 7 * j + Number(keys.seed);
  return data;
}
function check(i, data, type) {
  if (type === typeOf(i) && data.equals(message(i))) return;
  print(`wrong ${i}`);
  process.exit(1);
}

function finish(bus) {
  if (keys.finish === 'kill') process.kill(process.pid, 'SIGKILL');
  if (keys.finish === 'close') bus.close();
  if (keys.finish === 'abort') bus.abort();
}
/** How often step(done) can add to `done`, up to most; then the error. */
function repeat(most, step) {
  let done = 0;
  try {
    while (done < most) done += step(done);
  } catch (error) {
    if (!(error instanceof TachyonError)) throw error;
    return [done, `error ${error.code}`, error.message];
  }
  return [done];
}
function send(bus, i, waiting = wait) {
  if (batch) {
    const items = Math.min(100 - (i % 100), Math.max(count - i, 1));
    const data = Buffer.alloc(items * sizeOf(i));
    for (let k = 0; k < items; k++) message(i + k, item(data, i, k));
    return bus.sendBatch(data, sizeOf(i), typeOf(i), waiting);
  }
  if (how === 'single') bus.send(message(i), typeOf(i), waiting);
  else {
    const guard = bus.acquireTx(sizeOf(i), waiting);
    message(i, guard.bytes());
    guard.commitUnflushed(sizeOf(i), typeOf(i));
  }
  return 1;
}
function recv(bus, i) {
  if (batch) {
    const got = bus.recvBatch(sizeOf(i), 100, wait);
    for (let k = 0; k < got.count; k++) check(i + k, item(got.data, i, k), got.typeId);
    return got.count;
  }
  if (how === 'single') {
    const { data, typeId } = bus.recv(10_000, wait);
    check(i, data, typeId);
    return 1;
  }
  const guard = bus.acquireRx(10_000, wait);
  if (guard === null) throw new TachyonError('nothing came', none);
  check(i, guard.data(), guard.typeId);
  guard.commit();
  return 1;
}
function tell(word, [done, error], always) {
  print(`${word} ${done}`);
  if (error || always) print(error);
}

/** Round trips with promises, as a program makes them. */
async function asking(buses, ask) {
  const data = message(0);
  let last;
  for (let i = 0; i < count; i++) last = await ask(data);
  check(0, last.data, last.typeId);
  print(`answered ${count}`);
  for (const bus of buses) bus.close();
}

const operations = {
  open(bus) { print('opened'); finish(bus); },
  meet(bus) { operations.open(bus); },
  hold() { print('ready'); setInterval(() => {}, 1e6); },
  send(bus) {
    const result = repeat(count, (i) => send(bus, i));
    repeat(1, () => { bus.flush(); return 1; });
    tell('sent', result);
    finish(bus);
  },
  recv(bus) { tell('received', repeat(Infinity, (i) => recv(bus, i))); bus.close(); },
  fill(bus) {
    const result = repeat(Infinity, (i) => send(bus, i, { timeout: 0 }));
    tell('sent', result);
    print(repeat(1, () => send(bus, result[0]))[1]);
    bus.flush();
    finish(bus);
  },
  drain(bus) {
    print('ready');
    for (const timeout of [0, wait.timeout]) {
      const empty = { timeout };
      print(repeat(1, () => {
        if (batch) return bus.recvBatch(32, 100, empty).count;
        if (how === 'single') return bus.recv(10_000, empty) && 1;
        if (bus.acquireRx(10_000, empty)) return 1;
        const code = timeout ? ErrorCode.Timeout : ErrorCode.Empty;
        throw new TachyonError('nothing came', code);
      })[1]);
    }
    bus.close();
  },
  misuse(bus) {
    bus.close();
    bus.close();
    print(repeat(1, () => bus.send(Buffer.alloc(1)))[1]);
    print(repeat(1, () => bus.recv())[1]);
    repeat(1, () => bus.flush());
  },
  serve(rpc) {
    const most = Number(keys.outstanding);
    tell('served', repeat(Infinity, () => {
      const requests = [];
      while (requests.length < most) {
        const guard = rpc.serve(10_000, wait);
        if (guard === null) throw new TachyonError('nothing came', none);
        const { correlationId: id, typeId } = guard;
        requests.push([id, Buffer.from(guard.data()).reverse(), typeId + 1]);
        guard.commit();
      }
      if (keys.order === 'reverse') requests.reverse();
      for (const [id, data, type] of requests) rpc.reply(id, data, type, wait);
      return most;
    }));
    rpc.close();
  },
  call(rpc) {
    const every = Number(keys.cancel);
    let answered = 0, cancelled = 0;
    const [, error] = repeat(count, (first) => {
      const calls = Math.min(Number(keys.outstanding), count - first);
      const ids = Array.from({ length: calls }, (_, k) =>
        rpc.call(message(first + k), typeOf(first + k), wait));
      ids.forEach((id, k) => {
        const i = first + k;
        if (every && (i + 1) % every === 0) {
          rpc.cancel(id);
          cancelled++;
          return;
        }
        const guard = rpc.wait(id, 10_000, wait);
        if (guard === null) throw new TachyonError('nothing came', none);
        check(i, Buffer.from(guard.data()).reverse(), guard.typeId - 1);
        guard.commit();
        answered++;
      });
      return calls;
    });
    print(`answered ${answered}`);
    print(error ?? `cancelled ${cancelled}`);
    finish(rpc);
  },
  ping(bus) {
    const back = Bus.connect(`${path}-back`, options);
    return asking([bus, back], async (data) => {
      await bus.sendAsync(data, 1);
      return back.recvAsync();
    });
  },
  ask(rpc) { return asking([rpc], (data) => rpc.callAsync(data, 1)); },
};

function open() {
  const capacity = Number(keys.capacity);
  if (operation === 'serve') return RpcBus.rpcListen(path, capacity, capacity, options);
  if (operation === 'call' || operation === 'ask') return RpcBus.rpcConnect(path, options);
  return keys.end === 'listen' ? Bus.listen(path, capacity, options)
    : Bus.connect(path, options);
}

let bus;
if (operation === 'meet') print('ready');
const [, refused, why] = repeat(1, () => { bus = open(); return 1; });
if (refused) {
  print(refused);
  if (operation === 'meet') print(`why ${why}`);
} else if (operation in operations) operations[operation](bus);
else require('./ticks.js')[operation](bus, { count, how, wait, print });
