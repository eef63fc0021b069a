// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
const {
  Bus,
  ErrorCode,
  isFull,
  path,
  pair,
  delay,
  code,
  bytes,
} = require('./support.js');

const run = promisify(execFile);
const aborted = { name: 'AbortError', code: 'ABORT_ERR' };

test('the event loop turns while a bus is opened and read', async () => {
  const at = path();
  // A loop that is held up does not come to what ends the wait that holds it up.
  const turns = async () => {
    for (let i = 0; i < 10; i++) await delay(1);
  };
  const listening = Bus.listenAsync(at, 4096);
  await turns();
  const b = await Bus.connectAsync(at);
  const a = await listening;
  const message = b.recvAsync();
  await turns();
  a.send(bytes('late'), 1);
  assert.deepEqual(await message, { data: bytes('late'), typeId: 1 });
  a.close();
  b.close();
});

test('a stream is iterated to its end', async () => {
  const [a, b] = await pair(4096);
  const sending = (async () => {
    for (let i = 0; i < 5000; i++) await a.sendAsync(bytes(`${i}`), i);
    a.close();
  })();
  let next = 0;
  for await (const { data, typeId } of b) {
    assert.equal(String(data), `${next}`);
    assert.equal(typeId, next++);
  }
  assert.equal(next, 5000);
  await sending;
  b.close();
});

test('leaving an iteration loses nothing', async () => {
  const [a, b] = await pair();
  for (let i = 0; i < 10; i++) a.send(bytes('x'), i);
  for await (const { typeId } of b) if (typeId === 4) break;
  assert.equal((await b.recvAsync()).typeId, 5);
  const error = new Error('mine');
  await assert.rejects(async () => {
    for await (const _ of b) throw error;
  }, error);
  assert.equal(b.recv().typeId, 7);
  a.close();
  b.close();
});

test('who awaits first is served first', async () => {
  const [a, b] = await pair();
  const order = [];
  const waiting = Array.from({ length: 20 }, (_, i) =>
    b.recvAsync().then(({ typeId }) => order.push([i, typeId])),
  );
  await delay(10);
  for (let i = 0; i < 20; i++) a.send(bytes('x'), i);
  await Promise.all(waiting);
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, i) => [i, i]),
  );
  const before = b.recvAsync();
  a.send(bytes('x'), 1);
  a.send(bytes('x'), 2);
  const after = b.recvAsync(); // finds one, but it is not the next
  assert.equal((await after).typeId, 2);
  assert.equal((await before).typeId, 1);
  a.close();
  b.close();
});

test('a time-out is in milliseconds and takes nothing', async () => {
  const [a, b] = await pair();
  const start = performance.now();
  await assert.rejects(b.recvAsync({ timeout: 50 }), code('Timeout'));
  const took = performance.now() - start;
  assert.ok(took >= 45 && took < 5000, `${took}`);
  await assert.rejects(b.recvAsync({ timeout: 0 }), code('Empty'));
  a.send(bytes('x'), 1);
  assert.equal((await b.recvAsync({ timeout: 0 })).typeId, 1);
  a.close();
  b.close();
});

test('abort ends one wait and loses nothing', async () => {
  const [a, b] = await pair();
  const controller = new AbortController();
  const first = b.recvAsync({ signal: controller.signal });
  const second = b.recvAsync();
  controller.abort(new Error('why'));
  await assert.rejects(first, { ...aborted, cause: new Error('why') });
  a.send(bytes('x'), 1);
  assert.equal((await second).typeId, 1);
  await assert.rejects(b.recvAsync({ signal: controller.signal }), aborted);
  a.send(bytes('x'), 2);
  await assert.rejects(b.recvAsync({ signal: AbortSignal.abort() }), aborted);
  assert.equal(b.recv().typeId, 2);
  const later = new AbortController();
  setTimeout(() => later.abort(), 10);
  await assert.rejects(async () => {
    for await (const _ of b.messages({ signal: later.signal }));
  }, aborted);
  a.close();
  b.close();
});

test('abort ends an opening, and the path is free again', async () => {
  const at = path();
  for (const open of [
    (signal) => Bus.listenAsync(at, 4096, { signal }),
    (signal) => Bus.connectAsync(at, { timeout: 60_000, signal }),
  ]) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(open(controller.signal), aborted);
    await assert.rejects(open(controller.signal), aborted);
  }
  const [a, b] = await Promise.all([
    Bus.listenAsync(at, 4096),
    Bus.connectAsync(at, { timeout: 5000 }),
  ]);
  a.close();
  b.close();
  await assert.rejects(Bus.listenAsync(at, 4096, { timeout: 20 }), code('Timeout'));
  await assert.rejects(Bus.connectAsync(at), code('Network'));
});

test('sending waits for room, in order', async () => {
  const [a, b] = await pair(4096);
  assert.throws(() => {
    for (;;) a.send(Buffer.alloc(64), 1);
  }, isFull);
  const sent = [];
  const sending = [2, 3, 4].map((type) =>
    a.sendAsync(Buffer.alloc(64), type).then(() => sent.push(type)),
  );
  const controller = new AbortController();
  const given = a.sendAsync(Buffer.alloc(64), 99, { signal: controller.signal });
  await assert.rejects(
    a.sendAsync(Buffer.alloc(64), 98, { timeout: 20 }),
    code('Timeout'),
  );
  controller.abort();
  await assert.rejects(given, aborted);
  assert.deepEqual(sent, []);
  const types = [];
  while (types.at(-1) !== 4) types.push((await b.recvAsync({ timeout: 5000 })).typeId);
  await Promise.all(sending);
  assert.deepEqual(sent, [2, 3, 4]);
  assert.deepEqual(
    types.filter((type) => type !== 1),
    [2, 3, 4],
  );
  await assert.rejects(a.sendAsync(Buffer.alloc(5000)), code('InvalidSz'));
  a.close();
  b.close();
});

test('a send that aborts itself takes no other along', { timeout: 20_000 }, async () => {
  const [a, b] = await pair(4096);
  assert.throws(() => {
    for (;;) a.send(bytes(''));
  }, isFull);
  const controller = new AbortController();
  const data = new Uint8Array(0);
  const first = assert.rejects(
    a.sendAsync(data, 1, { signal: controller.signal }),
    aborted,
  );
  const second = a.sendAsync(bytes('x'), 2);
  Object.defineProperty(data, 'buffer', { get: () => controller.abort() });
  while ((await b.recvAsync()).typeId !== 2);
  await first;
  await second;
  a.close();
  b.close();
});

test('a wait without a descriptor fails, and takes no message later', async () => {
  const script = `
    const fs = require('node:fs');
    const { Bus, path, pair, code, bytes } = require(${JSON.stringify(require.resolve('./support.js'))});
    const assert = require('node:assert/strict');
    pair().then(async ([a, b]) => {
      const files = [], at = path();
      try { for (;;) files.push(fs.openSync('/dev/null')); } catch { /* no more */ }
      await assert.rejects(b.recvAsync(), code('System'));
      files.splice(0).forEach((file) => fs.closeSync(file));
      a.send(bytes('x'), 1);
      assert.equal((await b.recvAsync()).typeId, 1);
      a.close();
      b.close();
      console.log('done');
    });`;
  const { stdout } = await run(
    'sh',
    ['-c', 'ulimit -n 100; exec "$0" -e "$1"', process.execPath, script],
    { timeout: 20_000 },
  );
  assert.equal(stdout, 'done\n');
});

test('a burst of messages leaves room for others', async () => {
  const [a, b] = await pair(1 << 20);
  for (let i = 0; i < 3000; i++) a.send(bytes('x'));
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  for (let i = 0; i < 3000; i++) await b.recvAsync();
  assert.ok(turned);
  turned = false;
  setImmediate(() => {
    turned = true;
  });
  for (let i = 0; i < 3000; i++) await a.sendAsync(bytes('x'));
  assert.ok(turned);
  a.close();
  b.close();
});

test('close ends all that is awaited with an error', async () => {
  const [a, b] = await pair(4096);
  assert.throws(() => {
    for (;;) a.send(Buffer.alloc(64));
  }, isFull);
  const results = Promise.allSettled([
    a.sendAsync(Buffer.alloc(64)),
    a.sendAsync(Buffer.alloc(64)),
  ]);
  a.close();
  while (b.recv(1, { timeout: 1000 })) if (b.stats().used === 0) break;
  for (const { reason } of await results) assert.equal(reason.code, ErrorCode.Closed);
  const [c, d] = await pair();
  const waiting = [
    d.recvAsync(),
    d.recvAsync(),
    (async () => {
      for await (const _ of d);
    })(),
  ];
  await delay(10);
  d.close();
  for (const { reason } of await Promise.allSettled(waiting)) {
    assert.equal(reason?.code, ErrorCode.Closed);
  }
  await assert.rejects(d.recvAsync(), code('Closed'));
  b.close();
  c.close();
});

test('the end of the peer wakes who awaits', async () => {
  for (const end of ['close', 'abort']) {
    const [a, b] = await pair();
    const waiting = b.recvAsync();
    await delay(10);
    a[end]();
    await assert.rejects(waiting, code(end === 'close' ? 'Closed' : 'Aborted'));
    b.close();
  }
});

test('a killed peer is an error of its own', async () => {
  const at = path();
  const child = execFile(process.execPath, [
    '-e',
    `
    const { Bus } = require('@tachyon-ipc/core');
    const bus = Bus.connect('${at}', { timeout: 10000 });
    bus.send(Buffer.from('last words'), 1);
    process.kill(process.pid, 'SIGKILL');`,
  ]);
  const b = await Bus.listenAsync(at, 4096);
  assert.equal(String((await b.recvAsync()).data), 'last words');
  await assert.rejects(b.recvAsync(), {
    name: 'PeerDeadError',
    code: ErrorCode.PeerDead,
  });
  b.close();
  child.kill();
});

test('an exception in the code of the user is not swallowed', async () => {
  const { stdout } = await run(process.execPath, [
    '-e',
    `
    const { pair, bytes } = require(${JSON.stringify(require.resolve('./support.js'))});
    process.on('uncaughtException', (error) => { console.log('caught', error.message); process.exit(); });
    pair().then(([a, b]) => {
      b.recvAsync().then(() => { throw new Error('mine'); });
      setTimeout(() => a.send(bytes('x')), 10);
    });`,
  ]);
  assert.equal(stdout, 'caught mine\n');
});

test('a process ends when nobody awaits, and uses no time while somebody does', async () => {
  const script = (body) => [
    process.execPath,
    [
      '-e',
      `
    const { pair, bytes } = require(${JSON.stringify(require.resolve('./support.js'))});
    pair().then(async ([a, b]) => { ${body} });`,
    ],
  ];
  const open = await run(
    ...script(`
    const first = b.recvAsync();
    setTimeout(() => a.send(bytes('x')), 5);
    await first;
    a.send(bytes('nobody takes this one'));
    globalThis.kept = [a, b];
    console.log('done');`),
    { timeout: 20_000 },
  );
  assert.equal(open.stdout, 'done\n');
  const idle = await run(
    ...script(`
    b.recvAsync().catch(() => {});
    const before = process.cpuUsage();
    setTimeout(() => {
      const { user, system } = process.cpuUsage(before);
      console.log((user + system) / 1000);
      b.close();
    }, 1000);`),
    { timeout: 20_000 },
  );
  assert.ok(Number(idle.stdout) < 100, `${idle.stdout} ms of a second`);
});
