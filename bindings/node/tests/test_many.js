// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Worker } = require('node:worker_threads');
const {
  Bus,
  RpcBus,
  ErrorCode,
  EventKind,
  Role,
  SlowPeer,
  Start,
  WithoutPeers,
  isFull,
  path,
  delay,
  code,
  bytes,
} = require('./support.js');

const { Joined, Left } = EventKind;
const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
const soon = { timeout: 10_000 };

const collect = (at, options) =>
  Bus.listenAsync(at, 4096, { role: Role.Consumer, maxPeers: 4, ...options });
const broadcast = (at, options) =>
  Bus.listenAsync(at, 4096, { role: Role.Producer, maxPeers: 4, ...options });

/** A peer that is let in, and its event. */
async function join(bus, at, options, Kind = Bus) {
  const call = Kind === Bus ? 'connectAsync' : 'rpcConnectAsync';
  const [event, peer] = await Promise.all([
    bus.acceptAsync(soon),
    Kind[call](at, { ...soon, ...options }),
  ]);
  assert.equal(event.kind, Joined);
  return { event, peer, number: event.peer };
}

test('a collector lets producers in while it receives', async () => {
  const at = path();
  const bus = await collect(at);
  const sending = ['left', 'right'].map(async (name) => {
    const peer = await Bus.connectAsync(at, { ...soon, name });
    for (let i = 0; i < 500; i++) await peer.sendAsync(bytes(name), i);
    if (name === 'left') peer.close();
    else peer.abort();
  });
  const next = new Map(), names = new Map();
  for (let i = 0; i < 1000; i++) {
    const { data, typeId } = await bus.recvAsync(soon);
    const { sender } = bus;
    assert.equal(typeId, next.get(sender) ?? 0);
    next.set(sender, typeId + 1);
    names.set(sender, String(data));
  }
  await Promise.all(sending);
  const receiving = assert.rejects(bus.recvAsync(), code('Closed')); // lets them out
  const reasons = new Map();
  for await (const { kind, peer, name, who, reason } of bus.events()) {
    assert.equal(name, names.get(peer));
    assert.deepEqual(who, me);
    if (kind === Joined) assert.equal(reason, 0);
    else if (reasons.set(name, reason).size === 2) break;
  }
  assert.equal(reasons.get('left'), ErrorCode.Closed);
  assert.equal(reasons.get('right'), ErrorCode.Aborted);
  assert.deepEqual(bus.peers(), []);
  bus.close();
  await receiving;
});

test('what copies works on a collector, and what is in place says why not', async () => {
  const at = path();
  const bus = await collect(at);
  const { peer, number } = await join(bus, at, { name: 'one' });
  for (let i = 0; i < 8; i++) peer.send(bytes('four'), 1);
  assert.equal(String(bus.recv().data), 'four');
  assert.equal(String((await bus.recvAsync()).data), 'four');
  assert.equal(bus.recvBatch(4, 2).count, 2);
  assert.throws(() => bus.acquireRx(), code('InvalidSz'));
  assert.throws(() => bus.drainBatch(9), code('InvalidSz'));
  for await (const { data } of bus) {
    assert.equal(String(data), 'four');
    break;
  }
  const [info] = bus.peers();
  assert.deepEqual(
    [info.peer, info.name, info.who, info.messages, info.behind],
    [number, 'one', me, 5, 0],
  );
  assert.equal(bus.sender, number);
  peer.close();
  bus.close();
});

test('events are awaited while nobody takes the messages', async () => {
  const at = path();
  const bus = await collect(at);
  const first = await join(bus, at);
  first.peer.send(bytes('nobody takes this one'));
  const before = process.cpuUsage();
  await assert.rejects(bus.acceptAsync({ timeout: 500 }), code('Timeout'));
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 250_000, `${user + system} us of half a second`);
  const second = await join(bus, at);
  assert.ok(second.number > first.number);
  assert.equal(bus.peers().length, 2);
  for (const end of [bus, first.peer, second.peer]) end.close();
});

test('a broadcast reaches all, also who comes late', async () => {
  const at = path();
  const bus = await broadcast(at, { withoutPeers: WithoutPeers.FreeRun });
  const early = await join(bus, at);
  for (let i = 0; i < 3; i++) await bus.sendAsync(bytes('x'), i);
  const late = await join(bus, at, { start: Start.Oldest, name: 'late' });
  for (const { peer } of [early, late]) {
    for (let i = 0; i < 3; i++) assert.equal((await peer.recvAsync(soon)).typeId, i);
  }
  const start = late.peer.position();
  assert.equal(typeof start.epoch, 'bigint');
  bus.dropPeer(late.number);
  const left = await bus.acceptAsync(soon);
  assert.deepEqual(
    [left.kind, left.peer, left.name, left.reason],
    [Left, late.number, 'late', ErrorCode.Closed],
  );
  bus.send(bytes('x'), 3);
  await assert.rejects(late.peer.recvAsync(soon), ({ code: found }) =>
    [ErrorCode.Closed, ErrorCode.Lagged].includes(found));
  const again = await join(bus, at, { start });
  assert.equal((await again.peer.recvAsync(soon)).typeId, 3);
  const guard = bus.acquireTx(1); // all read the one ring
  guard.commit(1, 4);
  assert.equal(again.peer.recv(0, soon).typeId, 4);
  early.peer.close();
  assert.equal((await bus.acceptAsync(soon)).peer, early.number);
  bus.close();
  await assert.rejects(again.peer.recvAsync(soon), code('Closed'));
  for (const { peer } of [late, again]) peer.close();
});

test('one that is slow is let go', async () => {
  const at = path();
  const bus = await broadcast(at, { slowPeer: SlowPeer.Disconnect, slowAfter: 50 });
  const slow = await join(bus, at);
  const fast = await join(bus, at);
  for (let i = 0; i < 1000; i++) {
    await bus.sendAsync(bytes('x'), i, soon);
    assert.equal((await fast.peer.recvAsync(soon)).typeId, i); // never in the way
  }
  const { kind, peer, reason } = await bus.acceptAsync(soon);
  assert.deepEqual([kind, peer, reason], [Left, slow.number, ErrorCode.Lagged]);
  await assert.rejects(async () => {
    for (;;) await slow.peer.recvAsync(soon);
  }, code('Lagged'));
  for (const end of [bus, slow.peer, fast.peer]) end.close();
});

test('a sender that waits for room lets a peer in', async () => {
  const at = path();
  const bus = await broadcast(at);
  assert.throws(() => {
    for (;;) bus.send(Buffer.alloc(64));
  }, isFull);
  const sending = bus.sendAsync(Buffer.alloc(64), 7);
  const peer = await Bus.connectAsync(at, { ...soon, start: Start.Oldest });
  while ((await peer.recvAsync(soon)).typeId !== 7);
  await sending;
  peer.close();
  bus.close();
});

test('what is awaited of peers ends by time, by abort and by close', async () => {
  const at = path();
  const bus = await collect(at);
  const message = bus.recvAsync();
  assert.throws(() => bus.accept({ timeout: 0 }), code('Empty'));
  assert.throws(() => bus.accept({ timeout: 20 }), code('Timeout'));
  await assert.rejects(bus.acceptAsync({ timeout: 0 }), code('Empty'));
  await assert.rejects(bus.acceptAsync({ timeout: 20 }), code('Timeout'));
  const controller = new AbortController();
  const { signal } = controller;
  setTimeout(() => controller.abort(), 20);
  const aborted = { name: 'AbortError', code: 'ABORT_ERR' };
  await assert.rejects(bus.acceptAsync({ signal }), aborted);
  await assert.rejects(async () => {
    for await (const _ of bus.events({ signal }));
  }, aborted);
  const { peer } = await join(bus, at); // the one that receives is still there
  peer.send(bytes('x'), 7);
  assert.equal((await message).typeId, 7);
  const over = assert.rejects(bus.acceptAsync(), code('Closed'));
  const events = (async () => {
    for await (const _ of bus.events());
  })();
  bus.close();
  await over;
  await events;
  for (const call of ['accept', 'peers', 'position']) {
    assert.throws(() => bus[call](), code('Closed'), call);
  }
  assert.throws(() => bus.sender, code('Closed'));
  assert.throws(() => bus.dropPeer(1), code('Closed'));
  await assert.rejects(bus.acceptAsync(), code('Closed'));
  peer.close();
});

test('a callee serves two callers', async () => {
  const at = path();
  const callee = await RpcBus.rpcListenAsync(at, 4096, 4096, { maxPeers: 2 });
  const callers = [
    await join(callee, at, { name: 'a' }, RpcBus),
    await join(callee, at, { name: 'b' }, RpcBus),
  ];
  const serving = (async () => {
    for await (const { data, correlationId } of callee.requests()) {
      const reply = Buffer.concat([data, bytes(`${callee.sender}`)]);
      await callee.replyAsync(correlationId, reply);
    }
  })();
  for (let i = 0; i < 100; i++) {
    const replies = await Promise.all(
      callers.map(({ peer }) => peer.callAsync(bytes('by '), 0, soon)),
    );
    callers.forEach(({ number }, n) =>
      assert.equal(String(replies[n].data), `by ${number}`));
  }
  assert.deepEqual(
    callee.peers().map(({ name, messages }) => [name, messages]).sort(),
    [['a', 100], ['b', 100]],
  );
  callee.dropPeer(callers[0].number);
  const left = await callee.acceptAsync(soon);
  assert.deepEqual([left.kind, left.name, left.reason], [Left, 'a', ErrorCode.Closed]);
  await assert.rejects(callers[0].peer.callAsync(bytes('x'), 0, soon), code('Closed'));
  callee.close();
  await assert.rejects(serving, code('Closed'));
  for (const { peer } of callers) peer.close();
});

test('wrong options are refused', async () => {
  const at = path();
  const many = { role: Role.Producer, maxPeers: 2 };
  for (const [options, how] of [
    [{ maxPeers: 2 }, code('InvalidSz')], // without a role
    [{ ...many, maxPeers: 1e6 }, code('InvalidSz')],
    [{ ...many, maxPeers: -1 }, RangeError],
    [{ ...many, maxPeers: '2' }, TypeError],
    [{ ...many, slowPeer: 2 }, RangeError],
    [{ ...many, slowPeer: SlowPeer.Disconnect }, code('InvalidSz')],
    [{ ...many, slowAfter: 5 }, code('InvalidSz')],
    [{ ...many, slowAfter: -1 }, RangeError],
    [{ ...many, withoutPeers: 2 }, RangeError],
    [{ ...many, keepPlace: NaN }, RangeError],
    [{ ...many, keepPlace: Infinity }, code('InvalidSz')],
    [{ role: Role.Consumer, maxPeers: 2, keepPlace: 5 }, code('InvalidSz')],
    [{ ...many, name: 'x' }, code('InvalidSz')],
    [{ ...many, role: 3 }, RangeError],
  ]) {
    await assert.rejects(Bus.listenAsync(at, 4096, options), how, `${how}`);
  }
  for (const [options, how] of [
    [{ maxPeers: 2, role: Role.Consumer }, code('InvalidSz')],
    [{ start: 2 }, RangeError],
    [{ start: 'oldest' }, TypeError],
    [{ start: { position: 1, epoch: 1n } }, TypeError],
    [{ start: { position: 1n, epoch: 1n } }, code('InvalidSz')], // not a multiple of 64
    [{ start: Start.Oldest, role: Role.Producer }, code('InvalidSz')],
    [{ name: 'x'.repeat(32) }, code('InvalidSz')],
    [{ name: 'a\0b' }, RangeError],
    [{ name: 1 }, TypeError],
  ]) {
    await assert.rejects(Bus.connectAsync(at, options), how, `${how}`);
  }
  const bus = await broadcast(at);
  assert.throws(() => bus.dropPeer(7), code('InvalidSz'));
  assert.throws(() => bus.dropPeer('7'), TypeError);
  bus.close();
  const [a, b] = await Promise.all([
    Bus.listenAsync(at, 4096),
    Bus.connectAsync(at, soon),
  ]);
  assert.throws(() => a.peers(), code('InvalidSz'));
  assert.throws(() => a.accept(), code('InvalidSz'));
  assert.equal(a.sender, 0);
  a.close();
  b.close();
});

test('a worker accepts, and can be terminated in it', { timeout: 20_000 }, async () => {
  const at = path();
  const thread = new Worker(
    `
    const { parentPort, workerData } = require('node:worker_threads');
    const { Bus, Role } = require('@tachyon-ipc/core');
    const bus = Bus.listen(workerData, 4096, { role: Role.Consumer, maxPeers: 2 });
    for (;;) parentPort.postMessage(bus.accept().kind);`,
    { eval: true, workerData: at },
  );
  const joined = once(thread, 'message');
  const peer = await Bus.connectAsync(at, soon);
  assert.deepEqual(await joined, [Joined]);
  await delay(20);
  await thread.terminate();
  peer.close();
});
