// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const {
  RpcBus,
  ErrorCode,
  State,
  isFull,
  path,
  rpcPair,
  pair,
  delay,
  code,
  bytes,
} = require('./support.js');

const aborted = { name: 'AbortError', code: 'ABORT_ERR' };
const upper = ({ data }) => bytes(String(data).toUpperCase());

/** Answers until the caller closes. */
async function answer(callee) {
  for await (const request of callee) {
    await callee.replyAsync(request.correlationId, upper(request), request.typeId + 1);
  }
  callee.close();
}

test('a call and its reply, without promises', async () => {
  const [callee, caller] = await rpcPair();
  const id = caller.call(bytes('one'), 7);
  assert.equal(typeof id, 'bigint');
  assert.equal(caller.wait(id, 100, { timeout: 10 }), null);
  const request = callee.serve();
  assert.deepEqual(
    [
      request.correlationId,
      request.typeId,
      request.msgType,
      request.actualSize,
      String(request.data()),
    ],
    [id, 7, 7, 3, 'one'],
  );
  callee.reply(request.correlationId, upper({ data: request.data() }), 8);
  request.commit();
  const reply = caller.wait(id);
  assert.deepEqual(
    [reply.correlationId, reply.typeId, String(reply.data())],
    [id, 8, 'ONE'],
  );
  reply.commit();
  assert.equal(callee.serve(1, { timeout: 0 }), null);
  assert.deepEqual(caller.stats(), {
    calls: 1,
    replies: 1,
    dropped: 0,
    kept: 0,
    outstanding: 0,
  });
  assert.equal(caller.state, State.Ready);
  assert.equal(caller.peer().pid, process.pid);
  caller.close();
  assert.throws(() => callee.serve(), code('Closed'));
  callee.close();
});

test('many calls at once, answered in order', async () => {
  const [callee, caller] = await rpcPair(4096);
  const serving = answer(callee);
  const replies = await Promise.all(
    Array.from({ length: 500 }, (_, i) => caller.callAsync(bytes(`call ${i}`), i)),
  );
  replies.forEach(({ data, typeId }, i) => {
    assert.equal(String(data), `CALL ${i}`);
    assert.equal(typeId, i + 1);
  });
  caller.close();
  await serving;
});

test('replies out of order go to their calls', async () => {
  const [callee, caller] = await rpcPair();
  const calls = ['a', 'b', 'c'].map((word) => caller.callAsync(bytes(word)));
  const requests = [];
  for (let i = 0; i < 3; i++) requests.push(await callee.serveAsync());
  for (const request of requests.reverse())
    callee.reply(request.correlationId, upper(request));
  assert.deepEqual(
    (await Promise.all(calls)).map(({ data }) => String(data)),
    ['A', 'B', 'C'],
  );
  caller.close();
  callee.close();
});

test('both ways of waiting together', async () => {
  const [callee, caller] = await rpcPair();
  const later = caller.callAsync(bytes('later'));
  const now = caller.call(bytes('now'));
  const never = caller.call(bytes('never'));
  for (let i = 0; i < 3; i++) {
    const request = callee.serve();
    callee.reply(request.correlationId, upper({ data: request.data() }));
  }
  assert.equal(String((await later).data), 'LATER');
  caller.cancel(never);
  assert.throws(() => caller.cancel(never), code('InvalidSz'));
  assert.equal(String(caller.wait(now).data()), 'NOW');
  assert.throws(() => caller.wait(now), code('InvalidSz'));
  await assert.rejects(caller.waitAsync(now), code('InvalidSz'));
  const again = caller.call(bytes('again'));
  const first = caller.waitAsync(again);
  await delay(5);
  callee.reply(callee.serve().correlationId, bytes('done'));
  assert.equal(String((await first).data), 'done');
  caller.close();
  callee.close();
});

test('a call that ends early is cancelled', async () => {
  const [callee, caller] = await rpcPair();
  await assert.rejects(
    caller.callAsync(bytes('x'), 0, { timeout: 20 }),
    code('Timeout'),
  );
  const controller = new AbortController();
  const call = caller.callAsync(bytes('y'), 0, { signal: controller.signal });
  await delay(5);
  controller.abort();
  await assert.rejects(call, aborted);
  assert.equal(caller.stats().outstanding, 0);
  const serving = answer(callee);
  assert.equal(String((await caller.callAsync(bytes('z'))).data), 'Z');
  caller.close();
  await serving;
});

test('calls and replies wait for room', async () => {
  const [callee, caller] = await rpcPair(4096);
  const calls = [];
  assert.throws(() => {
    for (;;) calls.push(caller.call(Buffer.alloc(64)));
  }, isFull);
  const waiting = caller.callAsync(Buffer.alloc(64));
  await delay(10);
  for (let i = 0; i <= calls.length; i++) {
    const { correlationId } = await callee.serveAsync();
    callee.replyAsync(correlationId, Buffer.alloc(150));
  }
  await waiting;
  for (const id of calls) {
    assert.equal((await caller.waitAsync(id)).data.length, 150);
  }
  caller.close();
  callee.close();
});

test('who waits for room uses no time, whatever comes meanwhile', async () => {
  const [callee, caller] = await rpcPair(4096);
  const calls = Array.from({ length: 30 }, () => caller.call(bytes('x')));
  const replies = calls.map((id) => {
    callee.serve().commit();
    return callee.replyAsync(id, Buffer.alloc(500));
  });
  const other = caller.call(bytes('a request that nobody takes yet'));
  const before = process.cpuUsage();
  await delay(500);
  const { user, system } = process.cpuUsage(before);
  assert.ok((user + system) / 1000 < 100, `${user + system} µs of 500 ms`);
  for (const id of calls) assert.equal((await caller.waitAsync(id)).data.length, 500);
  await Promise.all(replies);
  assert.equal((await callee.serveAsync()).correlationId, other);
  caller.close();
  callee.close();
});

test('close ends what is awaited, and the peer is told', async () => {
  const [callee, caller] = await rpcPair();
  const call = caller.callAsync(bytes('x'));
  await callee.serveAsync();
  const request = callee.serveAsync();
  await delay(5);
  caller.close();
  await assert.rejects(call, code('Closed'));
  await assert.rejects(request, code('Closed'));
  callee.close();
  const [other, third] = await rpcPair();
  const open = third.callAsync(bytes('x'));
  await delay(5);
  other.abort();
  await assert.rejects(open, code('Aborted'));
  third.close();
});

test('each end has its calls', async () => {
  const [callee, caller] = await rpcPair();
  assert.throws(() => callee.call(bytes('x')), code('Busy'));
  await assert.rejects(callee.callAsync(bytes('x')), code('Busy'));
  await assert.rejects(callee.waitAsync(1n), code('Busy'));
  assert.throws(() => caller.serve(), code('Busy'));
  await assert.rejects(caller.serveAsync(), code('Busy'));
  assert.throws(() => caller.reply(1n, bytes('x')), code('Busy'));
  assert.throws(() => callee.reply(1n, bytes('x')), code('InvalidSz'));
  caller.close();
  callee.close();
});

test('opening tells what is wrong', async () => {
  assert.throws(() => RpcBus.rpcConnect(path()), code('Network'));
  assert.throws(() => RpcBus.rpcListen(path(), 4096, 5000), code('InvalidSz'));
  await assert.rejects(
    RpcBus.rpcListenAsync(path(), 4096, 4096, { timeout: 10 }),
    code('Timeout'),
  );
  const at = path();
  const controller = new AbortController();
  const listening = require('./support.js').Bus.listenAsync(at, 4096, {
    signal: controller.signal,
  });
  await assert.rejects(RpcBus.rpcConnectAsync(at, { timeout: 5000 }), {
    name: 'AbiMismatchError',
    code: ErrorCode.AbiMismatch,
  });
  controller.abort();
  await assert.rejects(listening, aborted);
  const [a, b] = await pair();
  a.close();
  b.close();
});

test('0n waits for the reply to any call, also for one that came early', async () => {
  const [callee, caller] = await rpcPair();
  const [first, second, third] = ['1', '2', '3'].map((text) => caller.call(bytes(text)));
  for (let i = 0; i < 3; i++) callee.serve();
  const mine = caller.waitAsync(first);
  callee.reply(second, bytes('two'));
  await delay(20); // it has been taken, while another was awaited
  const any = [caller.waitAsync(0n), caller.waitAsync(0n)];
  assert.equal(String((await any[0]).data), 'two');
  callee.reply(first, bytes('one'));
  callee.reply(third, bytes('three'));
  assert.equal(String((await mine).data), 'one');
  assert.equal(String((await any[1]).data), 'three');
  const early = caller.call(bytes('4')), late = caller.call(bytes('5'));
  callee.serve();
  callee.serve();
  const awaited = caller.waitAsync(late);
  callee.reply(early, bytes('four'));
  await delay(20);
  assert.equal(String(caller.wait(0n, 1, { timeout: 1000 })?.data()), 'four');
  caller.close();
  await assert.rejects(awaited, code('Closed'));
  callee.close();
});
