// SPDX-License-Identifier: Apache-2.0
// A program that uses all of the types; test_package.js has it checked, never run.
import * as core from '@tachyon-ipc/core';
import {
  Bus,
  RpcBus,
  TachyonError,
  ErrorCode,
  Role,
  State,
  isFull,
} from '@tachyon-ipc/core';
import type {
  Message,
  RpcMessage,
  Stats,
  RpcStats,
  Peer,
  OpenOptions,
} from '@tachyon-ipc/core';

async function stream(signal: AbortSignal): Promise<void> {
  const options: OpenOptions = {
    timeout: 10,
    mode: 0o600,
    role: Role.Producer,
    schema: 1n,
    types: 'tachyon-types 1 little\n',
    typesRequired: false,
    allowedUids: [0],
  };
  using bus = Bus.listen('x', 4096, options);
  await using other = await Bus.connectAsync('x', { timeout: 10, signal });
  bus.send(new Float64Array(3), 7, { timeout: Infinity });
  await bus.sendAsync(Buffer.from('x'), 7, { signal });
  const went: number = bus.sendBatch(Buffer.alloc(64), 32, 7);
  const room: core.TxGuard = bus.acquireTx(10);
  room.bytes().writeUInt8(1);
  room.commit(1);
  room.commitUnflushed(1, 2);
  room.rollback();
  const rooms: core.TxBatch = bus.acquireTxBatch(32, 10);
  for (let i = 0; i < rooms.length; i++) rooms.at(i).fill(i);
  console.log(rooms.bytes().length / rooms.stride);
  rooms.commit(2, 7);
  rooms.rollback();
  bus.flush();
  const { data, typeId }: Message = other.recv(10_000, { timeout: 5 });
  const guard: core.RxGuard | null = other.acquireRx();
  if (guard !== null) console.log(guard.data(), guard.typeId, guard.actualSize);
  const batch: core.RxBatch = other.drainBatch(10);
  for (const message of batch) console.log(message.data, message.size);
  console.log(
    batch.memory,
    batch.offset(0),
    batch.size(0),
    batch.typeId(0),
    batch.at(0).typeId,
  );
  batch.commit();
  console.log(other.recvBatch(32).count, await other.recvAsync({ timeout: 1, signal }));
  for await (const message of other) console.log(message.data.length);
  for await (const message of other.messages({ signal })) console.log(message.typeId);
  const stats: Stats = bus.stats();
  const peer: Peer = bus.peer();
  bus.setNumaNode(0);
  bus.setPollingMode(1);
  console.log(
    went,
    data,
    typeId,
    stats.ringBytes,
    peer.pid,
    bus.maxPayload,
    bus.closed,
    bus.state === State.Ready,
    core.routeId(core.makeTypeId(1, 2)),
    core.msgType(3),
    core.version(),
  );
  bus.abort();
}

function wrong(bus: Bus): void {
  // @ts-expect-error
  bus.send('text');
  // @ts-expect-error
  bus.send(Buffer.alloc(1), 1n);
  // @ts-expect-error
  bus.recv({});
  // @ts-expect-error: it may be null
  bus.acquireRx().data();
  // @ts-expect-error
  new Bus();
  // @ts-expect-error
  const text: string = bus.recv().data;
  // @ts-expect-error
  bus.setPollingMode(2);
  // @ts-expect-error
  Bus.listen('x');
  console.log(text);
}

async function many(signal: AbortSignal): Promise<void> {
  const bus = Bus.listen('x', 4096, {
    role: Role.Producer,
    maxPeers: 4,
    slowPeer: core.SlowPeer.Disconnect,
    slowAfter: 100,
    withoutPeers: core.WithoutPeers.FreeRun,
    keepPlace: 1000,
  });
  const start: core.Position = bus.position();
  const late = await Bus.connectAsync('x', { start, name: 'late' });
  await Bus.connectAsync('x', { start: core.Start.Oldest });
  const event: core.PeerEvent = await bus.acceptAsync({ timeout: 5, signal });
  console.log(event.kind === core.EventKind.Left, event.reason, event.who.pid);
  for await (const { peer, name } of bus.events({ signal })) {
    if (name === '') bus.dropPeer(peer);
  }
  const peers: core.PeerInfo[] = bus.peers();
  console.log(bus.accept({ timeout: 5 }).peer, peers.length, late.sender);
  // @ts-expect-error
  bus.dropPeer('late');
}

async function calls(signal: AbortSignal): Promise<void> {
  const caller = await RpcBus.rpcConnectAsync('x', { signal });
  const callee = await RpcBus.rpcListenAsync('x', 4096, 4096);
  const id: bigint = caller.call(Buffer.from('x'), 1);
  const reply: core.RpcRxGuard | null = caller.wait(id, 100, { timeout: 1 });
  reply?.commit();
  const { correlationId, data, typeId }: RpcMessage = await callee.serveAsync({
    signal,
  });
  callee.reply(correlationId, data, typeId);
  for await (const request of callee.requests()) {
    await callee.replyAsync(request.correlationId, request.data);
  }
  const request = callee.serve();
  if (request) console.log(request.correlationId, request.msgType, request.data());
  caller.cancel(id);
  console.log(
    await caller.callAsync(Buffer.from('x'), 1, { timeout: 5 }),
    await caller.waitAsync(id),
  );
  const stats: RpcStats = caller.stats();
  console.log(stats.outstanding, RpcBus.rpcListen, RpcBus.rpcConnect);
  caller.close();
}

try {
  wrong(Bus.connect('x'));
  stream(AbortSignal.timeout(5))
    .then(() => many(AbortSignal.timeout(5)))
    .then(() => calls(new AbortController().signal));
} catch (error) {
  if (isFull(error) || core.isPeerDead(error) || core.isAbiMismatch(error))
    console.log(error.code);
  if (error instanceof TachyonError && error.code === ErrorCode.Timeout)
    console.log(error.message);
}
