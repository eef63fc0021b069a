// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const {
  Bus,
  RpcBus,
  TxGuard,
  TxBatch,
  RxGuard,
  RxBatch,
  RpcRxGuard,
  path,
  pair,
  rpcPair,
  code,
  bytes,
} = require('./support.js');

const NUMBERS = [
  [-1, RangeError],
  [NaN, RangeError],
  [1.5, RangeError],
  [Infinity, RangeError],
  [2 ** 53, RangeError],
  ['1', TypeError],
  [null, TypeError],
  [{}, TypeError],
  [1n, TypeError],
  [Symbol('x'), TypeError],
  [true, TypeError],
];
const DATA = [undefined, null, 1, 'text', {}, [1, 2], new ArrayBuffer(8), 1n, () => {}];
const TIMES = [
  [-1, RangeError],
  [NaN, RangeError],
  ['1', TypeError],
  [1n, TypeError],
  [null, TypeError],
  [{}, TypeError],
];
const IDS = [1, '1', null, undefined, -1n, 1n << 64n, {}];

function detached() {
  const data = new Uint8Array(8);
  structuredClone(data, { transfer: [data.buffer] });
  return data;
}
/** Both ways in which a call may fail. */
async function refused(call, error, what) {
  await assert.rejects(
    async () => {
      await call();
    },
    error,
    what,
  );
}
const show = (value) => require('node:util').inspect(value);

test('numbers that are none, or out of range', async () => {
  const [a, b] = await pair();
  const calls = {
    send: (n) => a.send(bytes('x'), n),
    sendAsync: (n) => a.sendAsync(bytes('x'), n),
    'sendBatch size': (n) => a.sendBatch(bytes('x'), n),
    'sendBatch type': (n) => a.sendBatch(bytes('x'), 1, n),
    acquireTx: (n) => a.acquireTx(n),
    'commit size': (n) => a.acquireTx(10).commit(n, 1),
    'commit type': (n) => a.acquireTx(10).commit(1, n),
    'acquireTxBatch size': (n) => a.acquireTxBatch(n, 1),
    'acquireTxBatch count': (n) => a.acquireTxBatch(1, n),
    'TxBatch.at': (n) => a.acquireTxBatch(1, 1).at(n),
    'TxBatch.commit': (n) => a.acquireTxBatch(1, 1).commit(n),
    commitUnflushed: (n) => a.acquireTx(10).commitUnflushed(n, 1),
    recv: (n) => b.recv(n, { timeout: 0 }),
    'recvBatch size': (n) => b.recvBatch(n, 1, { timeout: 0 }),
    'recvBatch count': (n) => b.recvBatch(1, n, { timeout: 0 }),
    acquireRx: (n) => b.acquireRx(n, { timeout: 0 }),
    'drainBatch max': (n) => b.drainBatch(n, 1, { timeout: 0 }),
    'drainBatch spin': (n) => b.drainBatch(1, n, { timeout: 0 }),
    setNumaNode: (n) => a.setNumaNode(n),
    setPollingMode: (n) => a.setPollingMode(n),
    listen: (n) => Bus.listen(path(), n, { timeout: 1 }),
    listenAsync: (n) => Bus.listenAsync(path(), n, { timeout: 1 }),
    rpcListen: (n) => RpcBus.rpcListen(path(), n, 4096, { timeout: 1 }),
    'rpcListen back': (n) => RpcBus.rpcListen(path(), 4096, n, { timeout: 1 }),
    mode: (n) => Bus.listen(path(), 4096, { timeout: 1, mode: n ?? 'null' }),
    role: (n) => Bus.listen(path(), 4096, { timeout: 1, role: n ?? 'null' }),
    allowedUids: (n) => Bus.listen(path(), 4096, { timeout: 1, allowedUids: [n] }),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const [n, error] of NUMBERS)
      await refused(() => call(n), error, `${name}(${show(n)})`);
  }
  await refused(() => a.acquireTx(10).commit(11), RangeError);
  await refused(() => a.acquireTx(2 ** 32 - 1), code('InvalidSz'));
  await refused(() => a.sendBatch(bytes('abc'), 2), code('InvalidSz'));
  await refused(() => a.sendBatch(bytes('abc'), 0), code('InvalidSz'));
  await refused(() => b.recvBatch(0), code('InvalidSz'));
  await refused(() => b.recvBatch(1, 0), code('InvalidSz'));
  await refused(() => b.recvBatch(2 ** 32 - 1), code('InvalidSz'));
  await refused(() => Bus.listen(path(), 2 ** 52), code('InvalidSz'));
  a.send(bytes('still whole'), 1);
  assert.equal(String(b.recv().data), 'still whole');
  a.close();
  b.close();
});

test('data that are none', async () => {
  const [a, b] = await pair();
  const [callee, caller] = await rpcPair();
  const id = caller.call(bytes('x'));
  callee.serve();
  const calls = {
    send: (data) => a.send(data),
    sendAsync: (data) => a.sendAsync(data),
    sendBatch: (data) => a.sendBatch(data, 1),
    call: (data) => caller.call(data),
    callAsync: (data) => caller.callAsync(data),
    reply: (data) => callee.reply(id, data),
    replyAsync: (data) => callee.replyAsync(id, data),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const data of [...DATA, detached()]) {
      await refused(() => call(data), TypeError, `${name}(${show(data)})`);
    }
  }
  assert.throws(() => b.recv(1, { timeout: 0 }), code('Empty'));
  for (const bus of [a, b, callee, caller]) bus.close();
});

test('a buffer that is detached while it waits for room', async () => {
  const [a, b] = await pair(4096);
  while (a.stats().full === 0)
    try {
      a.send(Buffer.alloc(64));
    } catch {
      /* full */
    }
  const data = new Uint8Array(64);
  const sending = a.sendAsync(data);
  structuredClone(data, { transfer: [data.buffer] });
  for (let i = 0; i < 10; i++) b.recv();
  await assert.rejects(sending, TypeError);
  a.close();
  b.close();
});

test('times and options that are none', async () => {
  const [a, b] = await pair();
  const [callee, caller] = await rpcPair();
  const calls = {
    send: (options) => a.send(bytes('x'), 0, options),
    sendAsync: (options) => a.sendAsync(bytes('x'), 0, options),
    acquireTx: (options) => a.acquireTx(1, options),
    acquireTxBatch: (options) => a.acquireTxBatch(1, 1, options),
    recv: (options) => b.recv(1, options),
    recvAsync: (options) => b.recvAsync(options),
    recvBatch: (options) => b.recvBatch(1, 1, options),
    acquireRx: (options) => b.acquireRx(1, options),
    drainBatch: (options) => b.drainBatch(1, 1, options),
    messages: (options) => b.messages(options).next(),
    listen: (options) => Bus.listen(path(), 4096, options),
    connect: (options) => Bus.connect(path(), options),
    connectAsync: (options) => Bus.connectAsync(path(), options),
    callAsync: (options) => caller.callAsync(bytes('x'), 0, options),
    serve: (options) => callee.serve(1, options),
    serveAsync: (options) => callee.serveAsync(options),
    requests: (options) => callee.requests(options).next(),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const [timeout, error] of TIMES) {
      await refused(
        () => call({ timeout }),
        error,
        `${name}({ timeout: ${show(timeout)} })`,
      );
    }
  }
  for (const signal of [1, {}, 'x', null, new EventTarget()]) {
    await refused(() => b.recvAsync({ signal }), TypeError, show(signal));
    await refused(
      () => Bus.listenAsync(path(), 4096, { signal }),
      TypeError,
      show(signal),
    );
  }
  for (const schema of [1, '1', {}, -1n, 1n << 64n]) {
    await refused(
      () => Bus.listen(path(), 4096, { schema, timeout: 1 }),
      TypeError,
      show(schema),
    );
  }
  await refused(() => Bus.listen(path(), 4096, { allowedUids: 5 }), TypeError);
  await refused(() => Bus.listen(path(), 4096, { types: null }), TypeError);
  await refused(() => Bus.listen(path(), 4096, { types: 'a\0' }), RangeError);
  await refused(() => Bus.listen(path(), 4096, { typesRequired: 1 }), TypeError);
  for (const bus of [a, b, callee, caller]) bus.close();
});

test('paths that are none', async () => {
  for (const open of [
    (at) => Bus.listen(at, 4096),
    (at) => Bus.connect(at),
    (at) => Bus.listenAsync(at, 4096),
    (at) => Bus.connectAsync(at),
    (at) => RpcBus.rpcListen(at, 4096, 4096),
    (at) => RpcBus.rpcConnectAsync(at),
  ]) {
    for (const at of [undefined, null, 1, {}, Buffer.from('x')]) {
      await refused(() => open(at), TypeError, show(at));
    }
    await refused(() => open('a\0b'), RangeError);
    await refused(() => open(''), code('InvalidSz'));
    await refused(() => open('/nowhere/at/all'), code('Network'));
  }
});

test('correlation ids that are none', async () => {
  const [callee, caller] = await rpcPair();
  for (const id of IDS) {
    for (const call of [
      () => caller.wait(id),
      () => caller.waitAsync(id),
      () => caller.cancel(id),
      () => callee.reply(id, bytes('x')),
      () => callee.replyAsync(id, bytes('x')),
    ]) {
      await refused(call, TypeError, show(id));
    }
  }
  await refused(() => caller.wait(77n), code('InvalidSz'));
  await refused(() => caller.waitAsync(77n), code('InvalidSz'));
  callee.close();
  caller.close();
});

test('everything on a closed bus', async () => {
  const [a, b] = await pair();
  const [callee, caller] = await rpcPair();
  const id = caller.call(bytes('x'));
  for (const bus of [a, b, callee, caller]) {
    bus.close();
    bus.close();
    bus.abort();
    assert.equal(bus.closed, true);
    assert.equal(typeof bus.state, 'number');
    for (const call of [
      () => bus.maxPayload,
      () => bus.stats(),
      () => bus.peer(),
      () => bus.setPollingMode(1),
    ])
      await refused(call, code('Closed'));
  }
  for (const call of [
    () => a.send(bytes('x')),
    () => a.sendAsync(bytes('x')),
    () => a.flush(),
    () => a.sendBatch(bytes('x'), 1),
    () => a.acquireTx(1),
    () => a.acquireTxBatch(1, 1),
    () => a.setNumaNode(0),
    () => b.recv(),
    () => b.recvAsync(),
    () => b.recvBatch(1),
    () => b.acquireRx(),
    () => b.drainBatch(1),
    () => b.messages().next(),
    () => b.recvAsync({ timeout: 5 }),
    () => caller.call(bytes('x')),
    () => caller.callAsync(bytes('x')),
    () => caller.wait(id),
    () => caller.waitAsync(id),
    () => caller.cancel(id),
    () => callee.serve(),
    () => callee.serveAsync(),
    () => callee.reply(id, bytes('x')),
    () => callee.replyAsync(id, bytes('x')),
    () => callee.requests().next(),
  ]) {
    await refused(call, code('Closed'), String(call));
  }
});

test('objects that no bus has made', async () => {
  for (const Kind of [Bus, RpcBus]) {
    assert.throws(() => new Kind(), TypeError);
    assert.throws(() => new Kind(Symbol('inside'), {}), TypeError);
    assert.throws(() => Kind(), TypeError);
    assert.throws(() => Kind.prototype.close.call({}), TypeError);
    assert.throws(() => Kind.prototype.stats.call(null), TypeError);
  }
  const [a, b] = await pair();
  assert.throws(() => RpcBus.prototype.call.call(a, bytes('x')), TypeError);
  assert.throws(() => RpcBus.prototype.wait.call(a, 1n), TypeError);
  for (const [Kind, name] of [
    [TxGuard, 'bytes'],
    [TxBatch, 'bytes'],
    [RxGuard, 'data'],
    [RpcRxGuard, 'data'],
    [RxBatch, 'commit'],
  ])
    assert.throws(() => Kind.prototype[name].call({}), TypeError);
  assert.throws(() => Bus.prototype.send.call({}, bytes('x')), TypeError);
  assert.throws(() => require('@tachyon-ipc/core/lib/native.js'), {
    code: 'ERR_PACKAGE_PATH_NOT_EXPORTED',
  });
  a.close();
  b.close();
});

test('guards that are over', async () => {
  const [a, b] = await pair();
  const over = code('Empty');
  const finished = [];
  for (const finish of [
    (g) => g.commit(1, 1),
    (g) => g.commitUnflushed(1, 1),
    (g) => g.rollback(),
    () => a.acquireTx(1),
    () => a.acquireTxBatch(1, 1),
    () => a.send(bytes('x')),
    () => a.sendBatch(bytes('x'), 1),
  ]) {
    const guard = a.acquireTx(4);
    guard.bytes()[0] = 1;
    finish(guard);
    finished.push(guard);
  }
  const never = a.acquireTx(4);
  for (const guard of finished) {
    for (const call of [
      () => guard.bytes(),
      () => guard.commit(1),
      () => guard.rollback(),
      () => guard.commitUnflushed(1),
    ])
      assert.throws(call, over);
  }
  never.commit(0);
  a.flush();

  const old = [];
  for (const next of [
    (g) => g.commit(),
    () => b.acquireRx(),
    () => b.drainBatch(1),
    () => b.recv(),
  ]) {
    const guard = b.acquireRx();
    next(guard);
    old.push(guard);
    for (const call of [() => guard.data(), () => guard.commit()])
      assert.throws(call, over);
  }
  const batch = b.drainBatch(10);
  for (const index of [-1, batch.length, NaN, 'x', 2 ** 40]) {
    for (const name of ['at', 'offset', 'size', 'typeId']) {
      assert.throws(() => batch[name](index), RangeError, `${name} ${index}`);
    }
  }
  const view = batch.at(0).data;
  const memory = batch.memory;
  batch.commit();
  for (const call of [
    () => batch.at(0),
    () => batch.memory,
    () => batch.offset(0),
    () => [...batch],
    () => batch.commit(),
  ])
    assert.throws(call, over);
  try {
    structuredClone(view, { transfer: [view.buffer] });
  } catch (error) {
    // an error from Node 21 on, ignored before
    assert.equal(error.name, 'DataCloneError');
  }
  if (process.env.TACHYON_NODE_COPY !== '1')
    assert.ok(memory.length > 0, 'still attached');

  const tx = a.acquireTx(4);
  a.close();
  for (const call of [() => tx.bytes(), () => tx.commit(1), () => tx.rollback()]) {
    assert.throws(call, code('Closed'));
  }
  b.close();
  for (const guard of old) assert.throws(() => guard.data(), code('Closed'));
});

test('an object that is no options, and callbacks that throw', async () => {
  const [a, b] = await pair();
  const boom = new Error('boom');
  const bad = {
    get timeout() {
      throw boom;
    },
  };
  await refused(() => a.send(bytes('x'), 0, bad), boom);
  await refused(() => b.recvAsync(bad), boom);
  await refused(() => Bus.listenAsync(path(), 4096, bad), boom);
  await refused(
    () =>
      Bus.listen(path(), 4096, {
        allowedUids: {
          *[Symbol.iterator]() {
            throw boom;
          },
        },
      }),
    boom,
  );
  a.send(bytes('x'), 1);
  assert.equal(b.recv().typeId, 1);
  a.close();
  b.close();
});
