// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const core = require('./support.js');

const { Bus, RpcBus, TxGuard, RxGuard, RxBatch, RpcRxGuard, ErrorCode, Role, State } =
  core;
const { pair, path, code, bytes } = core;

test('every name of 0.5 is there', () => {
  const names = new Map([
    [Bus, 'listen connect'],
    [
      Bus.prototype,
      'close setNumaNode setPollingMode send acquireTx flush recv acquireRx drainBatch',
    ],
    [TxGuard.prototype, 'bytes commit commitUnflushed rollback'],
    [RxGuard.prototype, 'data commit'],
    [RxBatch.prototype, 'at commit'],
    [RpcBus, 'rpcListen rpcConnect'],
    [RpcBus.prototype, 'call wait serve reply'],
    [RpcRxGuard.prototype, 'data commit'],
    [
      core,
      'TachyonError PeerDeadError AbiMismatchError isFull isPeerDead isAbiMismatch ' +
        'isTachyonError makeTypeId routeId msgType',
    ],
  ]);
  for (const [where, words] of names) {
    for (const word of words.split(' '))
      assert.equal(typeof where[word], 'function', word);
  }
  assert.equal(typeof ErrorCode, 'object');
});

test('a message arrives as it was sent', async () => {
  const [a, b] = await pair();
  for (const data of [
    bytes('hello'),
    new Uint8Array([1, 2, 3]),
    new Float64Array([0.5]),
    new DataView(new ArrayBuffer(3)),
    Buffer.alloc(0),
    Buffer.alloc(60_000, 'x'),
    new Uint8Array(new SharedArrayBuffer(8)).fill(7),
    Buffer.from('part of more').subarray(5, 7),
  ]) {
    a.send(data, 4294967295);
    const got = b.recv();
    assert.ok(Buffer.isBuffer(got.data));
    assert.deepEqual(got, {
      typeId: 4294967295,
      data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    });
  }
  a.send(bytes('without a type'));
  assert.equal(b.recv().typeId, 0);
  a.close();
  assert.throws(() => b.recv(), code('Closed'));
  b.close();
});

test('a message longer than the reader has room for at first', async () => {
  const [a, b] = await pair(1 << 20);
  for (const length of [65536 - 1, 65536, 65536 + 1, a.maxPayload]) {
    const data = Buffer.alloc(length, 'long');
    a.send(data, 3);
    assert.deepEqual(b.recv(), { data, typeId: 3 });
  }
  a.close();
  b.close();
});

test('what recv gave is not changed by the next', async () => {
  const [a, b] = await pair();
  a.send(bytes('first'), 1);
  a.send(bytes('second'), 2);
  const first = b.recv();
  b.recv();
  assert.equal(String(first.data), 'first');
  a.close();
  b.close();
});

test('a message is written in place', async () => {
  const [a, b] = await pair();
  const guard = a.acquireTx(100);
  assert.equal(guard.bytes().length, 100);
  assert.equal(guard.bytes(), guard.bytes());
  guard.bytes().write('in place');
  guard.commitUnflushed(8, 9);
  assert.equal(b.acquireRx(0, { timeout: 0 }), null);
  a.flush();
  assert.deepEqual(b.recv(), { data: bytes('in place'), typeId: 9 });

  a.acquireTx(10).rollback();
  const next = a.acquireTx(10);
  next.bytes().fill('b');
  next.commit(3, 1);
  assert.equal(String(b.recv().data), 'bbb');
  a.close();
  b.close();
});

test('a message is read in place, and stays until it is committed', async () => {
  const [a, b] = await pair();
  a.send(bytes('one'), 1);
  a.send(bytes('two'), 2);
  assert.equal(String(b.acquireRx().data()), 'one');
  const guard = b.acquireRx();
  assert.equal(String(guard.data()), 'one');
  assert.equal(guard.typeId, 1);
  assert.equal(guard.actualSize, 3);
  guard.commit();
  assert.equal(String(b.recv().data), 'two');
  assert.equal(b.acquireRx(100, { timeout: 20 }), null);
  a.close();
  assert.throws(() => b.acquireRx(), code('Closed'));
  b.close();
});

test('a batch is read in place', async () => {
  const [a, b] = await pair(8192);
  for (let round = 0; round < 5; round++) {
    // the ring wraps
    for (let i = 0; i < 30; i++) a.send(Buffer.alloc(i, i), i);
    const batch = b.drainBatch(25);
    assert.equal(batch.length, 25);
    [...batch].forEach((message, i) =>
      assert.deepEqual(message, { data: Buffer.alloc(i, i), typeId: i, size: i }),
    );
    for (let i = 0; i < batch.length; i++) {
      const at = batch.offset(i);
      assert.deepEqual(
        batch.memory.subarray(at, at + batch.size(i)),
        Buffer.alloc(i, i),
      );
      assert.equal(batch.typeId(i), i);
    }
    batch.commit();
    const rest = b.drainBatch(1000);
    assert.deepEqual(
      [...rest].map((message) => message.typeId),
      [25, 26, 27, 28, 29],
    );
    rest.commit();
  }
  const none = b.drainBatch(10, 100, { timeout: 0 });
  assert.equal(none.length, 0);
  assert.deepEqual([...none], []);
  none.commit();
  a.close();
  b.close();
});

test('a batch is copied', async () => {
  const [a, b] = await pair(4096);
  const items = Buffer.alloc(32 * 200, 'items');
  const sent = a.sendBatch(items, 32, 5);
  assert.ok(sent > 0 && sent < 200, 'as many as there is room for');
  let got = b.recvBatch(32);
  assert.equal(got.count, sent);
  assert.equal(got.typeId, 5);
  assert.deepEqual(got.data, items.subarray(0, 32 * sent));
  a.sendBatch(items.subarray(0, 96), 32, 6);
  got = b.recvBatch(32, 2);
  assert.equal(got.count, 2);
  assert.equal(b.recvBatch(32, 2).count, 1);
  assert.throws(() => b.recvBatch(32, 2, { timeout: 0 }), code('Empty'));
  a.close();
  b.close();
});

test('a batch is written in place', async () => {
  const [a, b] = await pair(4096);
  for (const size of [1, 32, 33, 100]) {
    const batch = a.acquireTxBatch(size, 10);
    assert.equal(batch.length, 10);
    assert.equal(batch.bytes().length, 10 * batch.stride);
    for (let i = 0; i < batch.length; i++) batch.at(i).fill(i);
    assert.throws(() => batch.at(10), RangeError);
    assert.throws(() => batch.commit(11), RangeError);
    batch.commit(9, 5);
    assert.throws(() => batch.at(0), code('Empty'));
    for (let i = 0; i < 9; i++) {
      assert.deepEqual(b.recv(), { data: Buffer.alloc(size, i), typeId: 5 });
    }
    assert.throws(() => b.recv(1, { timeout: 0 }), code('Empty'));
  }
  const all = a.acquireTxBatch(32, 1000);
  assert.ok(all.length > 0 && all.length < 1000, 'as many as there is room for');
  all.rollback();
  for (let i = 0; i < all.length; i++) a.send(Buffer.alloc(32));
  assert.throws(() => a.acquireTxBatch(32, 1), core.isFull);
  a.close();
  b.close();
});

test('a full ring: at once without a time-out, later with one', async () => {
  const [a, b] = await pair(4096);
  assert.throws(() => {
    for (;;) a.send(Buffer.alloc(64));
  }, core.isFull);
  assert.throws(() => a.acquireTx(64), core.isFull);
  const start = performance.now();
  assert.throws(() => a.send(Buffer.alloc(64), 0, { timeout: 50 }), code('Timeout'));
  assert.ok(performance.now() - start >= 49);
  b.recv();
  b.recv();
  a.send(Buffer.alloc(64), 0, { timeout: Infinity });
  a.close();
  b.close();
});

test('times of receiving are milliseconds', async () => {
  const [a, b] = await pair();
  assert.throws(() => b.recv(1, { timeout: 0 }), code('Empty'));
  const start = performance.now();
  assert.throws(() => b.recv(1, { timeout: 60 }), code('Timeout'));
  const took = performance.now() - start;
  assert.ok(took >= 59 && took < 5000, `${took}`);
  a.close();
  b.close();
});

test('opening tells what is wrong', async () => {
  assert.throws(() => Bus.connect(path()), code('Network'));
  assert.throws(() => Bus.connect(path(), { timeout: 20 }), code('Timeout'));
  assert.throws(() => Bus.listen(path(), 5000), code('InvalidSz'));
  assert.throws(() => Bus.listen(path(), 65536, { timeout: 20 }), code('Timeout'));
  assert.throws(() => Bus.listen('x'.repeat(200), 65536), code('InvalidSz'));
  const at = path();
  const listening = Bus.listenAsync(at, 4096, { schema: 1n });
  await assert.rejects(Bus.connectAsync(at, { timeout: 5000, schema: 2n }), {
    name: 'AbiMismatchError',
    code: ErrorCode.AbiMismatch,
  });
  const b = await Bus.connectAsync(at, { schema: 1n });
  (await listening).close();
  b.close();
});

test('roles are kept', async () => {
  const at = path();
  const [a, b] = await Promise.all([
    Bus.listenAsync(at, 4096, { role: Role.Consumer }),
    Bus.connectAsync(at, { timeout: 5000, role: Role.Producer }),
  ]);
  assert.throws(() => a.send(bytes('x')), code('Busy'));
  b.send(bytes('x'), 1);
  assert.equal(a.recv().typeId, 1);
  a.close();
  b.close();
});

test('state, statistics, peer and the ends', async () => {
  const [a, b] = await pair(4096);
  assert.equal(a.state, State.Ready);
  a.send(bytes('x'));
  b.recv();
  assert.equal(b.stats().messages, 1);
  assert.equal(a.stats().capacity, 4096);
  assert.deepEqual(a.peer(), {
    pid: process.pid,
    uid: process.getuid(),
    gid: process.getgid(),
  });
  assert.equal(a.maxPayload, 4096 - 128);
  a.setPollingMode(1);
  a.setPollingMode(0);
  try {
    a.setNumaNode(0);
  } catch (error) {
    // a kernel, or a container, without
    assert.equal(error.code, ErrorCode.System);
  }
  assert.equal(a.closed, false);
  a.abort();
  assert.equal(a.closed, true);
  assert.equal(a.state, State.Disconnected);
  assert.throws(() => b.recv(), code('Aborted'));
  assert.equal(b.state, State.FatalError);
  b.close();
});

test('a scope closes', async () => {
  const [a, b] = await pair();
  if (Symbol.dispose) {
    const guard = a.acquireTx(3);
    guard[Symbol.dispose]();
    guard[Symbol.dispose]();
    assert.throws(() => guard.commit(1), code('Empty'));
    a.send(bytes('x'));
    b.acquireRx()[Symbol.dispose]();
    assert.throws(() => b.recv(1, { timeout: 0 }), code('Empty'));
    a[Symbol.dispose]();
    assert.throws(() => b.recv(), code('Closed'));
    await b[Symbol.asyncDispose]();
    assert.ok(b.closed);
  }
  a.close();
  b.close();
});

test('a type is a route and a message type', () => {
  assert.equal(core.makeTypeId(0xffff, 0xfffe), 0xfffffffe);
  assert.equal(core.routeId(0xfffffffe), 0xffff);
  assert.equal(core.msgType(0xfffffffe), 0xfffe);
});

test('errors have their classes', () => {
  const dead = new core.PeerDeadError('x', ErrorCode.PeerDead);
  assert.ok(core.isPeerDead(dead) && core.isTachyonError(dead) && !core.isFull(dead));
  assert.equal(dead.name, 'PeerDeadError');
  assert.ok(!core.isTachyonError(new Error('x')) && !core.isAbiMismatch(null));
  assert.match(core.version(), /^\d+\.\d+\.\d+$/);
});
