// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const { dirname, join } = require('node:path');
const { Worker } = require('node:worker_threads');
const { once } = require('node:events');
const { Bus, path, delay, bytes } = require('./support.js');

const support = JSON.stringify(require.resolve('./support.js'));
function worker(body, workerData) {
  return new Worker(
    `
    const { parentPort, workerData } = require('node:worker_threads');
    const { Bus, RpcBus, pair, rpcPair, bytes, path } = require(${support});
    (async () => { ${body} })();`,
    { eval: true, workerData },
  );
}
async function ended(thread) {
  const [status] = await once(thread, 'exit');
  return status;
}

test('several workers talk at once', async () => {
  const workers = Array.from({ length: 4 }, () =>
    worker(`
    const [a, b] = await pair(4096);
    (async () => { for (let i = 0; i < 2000; i++) await a.sendAsync(bytes(String(i)), i); a.close(); })();
    let n = 0;
    for await (const { data } of b) if (String(data) !== String(n++)) throw new Error('wrong');
    b.close();
    if (n !== 2000) throw new Error(n);`),
  );
  assert.deepEqual(await Promise.all(workers.map(ended)), [0, 0, 0, 0]);
});

test('one end in a worker, which blocks', async () => {
  const at = path();
  const thread = worker(
    `
    const bus = Bus.listen(workerData, 4096);
    let n = 0;
    try { for (;;) { bus.recv(); n++; } } catch (error) { parentPort.postMessage([n, error.code]); }
    bus.close();`,
    at,
  );
  const done = Promise.all([once(thread, 'message'), ended(thread)]);
  const bus = await Bus.connectAsync(at, { timeout: 10_000 });
  for (let i = 0; i < 1000; i++) await bus.sendAsync(bytes('x'));
  await delay(250); // more than a slice
  await bus.sendAsync(bytes('x'));
  bus.close();
  assert.deepEqual(await done, [[[1001, 16]], 0]);
});

test('a batch waits for its whole time-out in a worker', async () => {
  const at = path();
  const thread = worker(
    `
    const bus = Bus.listen(workerData, 4096);
    const all = bus.sendBatch(Buffer.alloc(64 * 200), 64, 1, { timeout: 60_000 });
    const start = performance.now();
    const some = bus.sendBatch(new Uint32Array(1600), 64, 2, { timeout: 250 });
    parentPort.postMessage([all, some, performance.now() - start]);
    bus.close();`,
    at,
  );
  const done = Promise.all([once(thread, 'message'), ended(thread)]);
  const bus = await Bus.connectAsync(at, { timeout: 10_000 });
  await delay(250); // more than a slice
  for (let i = 0; i < 200; i++) assert.equal((await bus.recvAsync()).typeId, 1);
  const [[[all, some, took]], status] = await done;
  assert.deepEqual([all, status], [200, 0]);
  assert.ok(took >= 240, `${took}`);
  for (let i = 0; i < some; i++) assert.equal((await bus.recvAsync()).typeId, 2);
  await assert.rejects(bus.recvAsync(), { code: 16 });
  bus.close();
});

test('an opening in a worker goes on when the peer does', async () => {
  const at = path();
  const thread = worker(
    `
    const took = [];
    for (let i = 0; i < 50; i++) {
      const start = performance.now();
      const bus = Bus.connect(workerData, { timeout: 10_000 });
      took.push(performance.now() - start);
      bus.recv();
      bus.close();
    }
    parentPort.postMessage(Math.min(...took));`,
    at,
  );
  const done = Promise.all([once(thread, 'message'), ended(thread)]);
  for (let i = 0; i < 50; i++) {
    const bus = await Bus.listenAsync(at, 4096);
    bus.send(bytes('x'));
    bus.close();
  }
  const [[quickest]] = await done;
  assert.ok(quickest < 5, `${quickest} ms`);
});

const waits = {
  'recvAsync()':
    'const [a, b] = await pair(); setTimeout(() => parentPort.postMessage(1), 5); await b.recvAsync(); a.close();',
  iteration:
    'const [a, b] = await pair(); parentPort.postMessage(1); for await (const _ of b); a.close();',
  'views in hand': `const [a, b] = await pair(); a.send(bytes('x')); const view = b.acquireRx().data();
    a.acquireTx(9).bytes(); parentPort.postMessage(1); b.recv(); await b.recvAsync(); view[0] = a.closed;`,
  'listenAsync()': 'parentPort.postMessage(1); await Bus.listenAsync(path(), 4096);',
  'connectAsync()':
    'parentPort.postMessage(1); await Bus.connectAsync(path(), { timeout: Infinity });',
  'callAsync()': `const [callee, caller] = await rpcPair(); setTimeout(() => parentPort.postMessage(1), 5);
    await caller.callAsync(bytes('x')); callee.close();`,
  'listen()': 'parentPort.postMessage(1); Bus.listen(path(), 4096);',
  'recv()':
    'const [a, b] = await pair(); parentPort.postMessage(1); b.recv(); a.close();',
  'send()': `const [a] = await pair(4096); globalThis.pair = a; parentPort.postMessage(1);
    for (;;) a.send(Buffer.alloc(64), 0, { timeout: Infinity });`,
  'serve()':
    'const [callee] = await rpcPair(); parentPort.postMessage(1); callee.serve();',
};
for (const [name, body] of Object.entries(waits)) {
  test(`a worker is terminated in ${name}`, { timeout: 20_000 }, async () => {
    for (let i = 0; i < 5; i++) {
      const thread = worker(body);
      await once(thread, 'message');
      await delay(10 * (i % 3));
      await thread.terminate();
    }
  });
}

test('a process that exits while its workers wait', () => {
  execFileSync(
    process.execPath,
    [
      '-e',
      `
    const { Worker } = require('node:worker_threads');
    for (const body of ${JSON.stringify([waits['recv()'], waits['recvAsync()'], waits['listen()']])}) {
      new Worker(\`
        const { parentPort } = require('node:worker_threads');
        const { Bus, pair, path } = require(${support});
        (async () => { \${body} })();\`, { eval: true });
    }
    setTimeout(() => process.exit(0), 300);`,
    ],
    { timeout: 20_000 },
  );
});

test('workers that load the module at the same time, first', () => {
  execFileSync(
    process.execPath,
    [
      '-e',
      `
    const { Worker } = require('node:worker_threads');
    const { resolve } = require;
    for (let i = 0; i < 16; i++) {
      new Worker(\`
        const { Bus } = require('@tachyon-ipc/core');
        try { Bus.connect('@nobody'); } catch (error) { if (error.code !== 11) process.exit(1); }
      \`, { eval: true }).on('exit', (status) => { if (status) process.exit(1); });
    }`,
    ],
    { timeout: 30_000 },
  );
});

test('two copies of the package in one process', async () => {
  const from = dirname(require.resolve('@tachyon-ipc/core'));
  const to = fs.mkdtempSync(join(os.tmpdir(), 'tachyon-'));
  fs.cpSync(from, to, { recursive: true });
  try {
    const other = require(to);
    assert.notEqual(other.Bus, Bus);
    const at = path();
    const [a, b] = await Promise.all([
      Bus.listenAsync(at, 4096),
      other.Bus.connectAsync(at, { timeout: 5000 }),
    ]);
    a.send(bytes('across'), 1);
    assert.equal(String((await b.recvAsync()).data), 'across');
    assert.throws(() => Bus.prototype.send.call(b, bytes('x')), TypeError);
    assert.throws(() => Bus.prototype.recv.call(b), TypeError);
    a.close();
    await assert.rejects(b.recvAsync(), (error) => error instanceof other.TachyonError);
    b.close();
    for (const name of Object.keys(require.cache))
      if (name.startsWith(from)) delete require.cache[name];
    const again = require('@tachyon-ipc/core'); // the same addon, loaded twice
    assert.throws(() => again.Bus.connect(path()), { code: 11 });
  } finally {
    fs.rmSync(to, { recursive: true });
  }
});
