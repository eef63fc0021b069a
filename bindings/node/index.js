// SPDX-License-Identifier: Apache-2.0
'use strict';
// What is public; index.d.ts has the types and says what each does.

const {
  native, ErrorCode, Role, State, EventKind, SlowPeer, WithoutPeers, Start,
} = require('./lib/native.js');
const errors = require('./lib/errors.js');
const { End } = require('./lib/end.js');
const guards = require('./lib/guards.js');

const { TxGuard, TxBatch, RxGuard, RpcRxGuard, RxBatch, dispose } = guards;

const {
  TachyonError, PeerDeadError, AbiMismatchError, isTachyonError, isFull, isPeerDead,
  isAbiMismatch, uint, seconds,
} = errors;
const SPIN = native.TACHYON_DEFAULT_SPIN;
const inside = Symbol('inside');

function endOf(Kind, call) {
  const Raw = Kind === Bus ? native.RawBus : native.RawRpcBus;
  return new End(new Raw(), Kind === RpcBus && call === 'connect');
}

function open(Kind, call, path, sizes, options) {
  const end = endOf(Kind, call);
  end.open(call, path, sizes, options);
  return new Kind(inside, end);
}

async function openLater(Kind, call, path, sizes, options) {
  const end = endOf(Kind, call);
  await end.openLater(call, path, sizes, options);
  return new Kind(inside, end);
}

class Both {
  #end;

  constructor(key, end) {
    const name = new.target.name;
    if (key !== inside) throw new TypeError(`${name} is opened by its static methods`);
    this.#end = end;
  }

  static end(bus) { return bus.#end; }

  get closed() { return this.#end.closed; }
  get state() { return this.#end.raw.state(); }
  get maxPayload() { return this.#end.check(this.#end.raw.maxPayload()); }
  stats() { return this.#end.struct(this.#end.raw.stats()); }
  peer() { return this.#end.struct(this.#end.raw.peer()); }

  get sender() { return this.#end.check(this.#end.raw.sender()); }
  peers() { return this.#end.peers(); }
  dropPeer(peer) { this.#end.check(this.#end.raw.dropPeer(uint(peer, 'peer'))); }

  accept(options) {
    const end = this.#end;
    const limit = seconds(options?.timeout, -1);
    return end.check(end.wait((timeout) => end.event(timeout), limit));
  }

  async acceptAsync(options) {
    const end = this.#end;
    return end.later(end.acceptors, (timeout) => end.event(timeout), options);
  }

  events(options) { return this.#end.iterate(() => this.acceptAsync(options), true); }

  setPollingMode(mode) {
    this.#end.raw.setPollingMode(uint(mode, 'mode', 1));
    this.#end.struct();
  }

  close() { this.#end.end('close'); }
  abort() { this.#end.end('abort'); }
  [dispose]() { this.close(); }
  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() { this.close(); }
}

// What may wait, with its arguments checked: for End.send() and End.later().
function sending(end, data, typeId) {
  uint(typeId, 'typeId');
  end.tx = null;
  return (timeout) => end.raw.send(data, typeId, timeout);
}

class Bus extends Both {
  static listen(path, capacity, options) {
    return open(Bus, 'listen', path, [capacity], options);
  }

  static connect(path, options) {
    return open(Bus, 'connect', path, [], options);
  }

  static listenAsync(path, capacity, options) {
    return openLater(Bus, 'listen', path, [capacity], options);
  }

  static connectAsync(path, options) {
    return openLater(Bus, 'connect', path, [], options);
  }

  setNumaNode(node) {
    const end = Both.end(this);
    end.check(end.raw.setNumaNode(uint(node, 'node', 63)));
  }

  position() {
    const { raw } = Both.end(this);
    const position = BigInt(Both.end(this).check(raw.position()));
    return { position, epoch: raw.epoch };
  }

  send(data, typeId = 0, options = undefined) {
    const end = Both.end(this);
    end.send(sending(end, data, typeId), options);
  }

  async sendAsync(data, typeId = 0, options = undefined) {
    const end = Both.end(this);
    await end.later(end.senders, sending(end, data, typeId), options);
  }

  sendBatch(items, itemSize, typeId = 0, options = undefined) {
    const end = Both.end(this);
    uint(itemSize, 'itemSize');
    uint(typeId, 'typeId');
    end.tx = null;
    return end.sendBatch(items, itemSize, typeId, options);
  }

  acquireTx(maxSize, options = undefined) {
    const end = Both.end(this);
    uint(maxSize, 'maxSize');
    const offset = end.send((timeout) => end.raw.reserve(maxSize, timeout), options);
    return new TxGuard(end, offset, maxSize);
  }

  acquireTxBatch(itemSize, maxCount, options = undefined) {
    const end = Both.end(this);
    uint(itemSize, 'itemSize');
    uint(maxCount, 'maxCount');
    const attempt = (timeout) => end.raw.reserveBatch(itemSize, maxCount, timeout);
    return new TxBatch(end, end.send(attempt, options), itemSize);
  }

  flush() {
    const end = Both.end(this);
    end.check(end.raw.flush());
  }

  recv(spin = SPIN, options = undefined) {
    const end = Both.end(this);
    return end.check(end.receive((timeout) => end.message(timeout), spin, options));
  }

  recvBatch(itemSize, maxCount = 1024, options = undefined) {
    const end = Both.end(this);
    uint(itemSize, 'itemSize');
    uint(maxCount, 'maxCount');
    end.rx = null;
    const attempt = (timeout) =>
      end.raw.recvBatch(itemSize, maxCount, timeout) ?? -end.raw.error;
    const data = end.check(end.receive(attempt, end.spins, options));
    return { data, typeId: end.raw.typeId, count: data.length / itemSize };
  }

  acquireRx(spin = SPIN, options = undefined) {
    const end = Both.end(this);
    const attempt = (timeout) => end.raw.take(1, timeout);
    return end.receiveOrNull(attempt, spin, options) && new RxGuard(end);
  }

  drainBatch(max, spin = SPIN, options = undefined) {
    const end = Both.end(this);
    uint(max, 'max');
    const attempt = (timeout) => end.raw.take(max, timeout);
    return new RxBatch(end, end.receiveOrNull(attempt, spin, options) ?? 0);
  }

  async recvAsync(options) {
    const end = Both.end(this);
    return end.later(end.receivers, (timeout) => end.message(timeout), options);
  }

  messages(options) { return Both.end(this).iterate(() => this.recvAsync(options)); }
  [Symbol.asyncIterator]() { return this.messages(); }
}

function calling(end, data, typeId) {
  uint(typeId, 'msgType');
  return (timeout) => end.raw.call(data, typeId, timeout);
}

function replying(end, id, data, typeId) {
  uint(typeId, 'msgType');
  return (timeout) => end.raw.reply(id, data, typeId, timeout);
}

class RpcBus extends Both {
  static rpcListen(path, forward, back, options) {
    return open(RpcBus, 'listen', path, [forward, back], options);
  }

  static rpcConnect(path, options) {
    return open(RpcBus, 'connect', path, [], options);
  }

  static rpcListenAsync(path, forward, back, options) {
    return openLater(RpcBus, 'listen', path, [forward, back], options);
  }

  static rpcConnectAsync(path, options) {
    return openLater(RpcBus, 'connect', path, [], options);
  }

  call(data, typeId = 0, options = undefined) {
    const end = Both.end(this);
    return BigInt(end.send(calling(end, data, typeId), options));
  }

  reply(id, data, typeId = 0, options = undefined) {
    const end = Both.end(this);
    end.send(replying(end, id, data, typeId), options);
  }

  wait(id, spin = SPIN, options = undefined) {
    const end = Both.end(this);
    const reply = end.receiveOrNull((timeout) => end.reply(id, timeout), spin, options);
    if (end.repliers.length > 0) setImmediate(() => end.pump()); // theirs may be here
    return reply && new RpcRxGuard(end, reply);
  }

  serve(spin = SPIN, options = undefined) {
    const end = Both.end(this);
    const request = end.receiveOrNull((timeout) => end.request(timeout), spin, options);
    return request && new RpcRxGuard(end, request);
  }

  cancel(id) {
    const end = Both.end(this);
    if (!end.replies.delete(id)) end.check(end.raw.cancel(id));
  }

  async callAsync(data, typeId = 0, options = undefined) {
    const end = Both.end(this);
    const until = performance.now() + (options?.timeout ?? Infinity);
    const attempt = calling(end, data, typeId);
    const id = BigInt(await end.later(end.senders, attempt, options));
    const timeout = Math.max(until - performance.now(), 1);
    try {
      return await this.waitAsync(id, { signal: options?.signal, timeout });
    } catch (error) {
      if (!end.replies.delete(id)) end.raw.cancel(id);
      throw error;
    }
  }

  async waitAsync(id, options) {
    const end = Both.end(this);
    return end.later(end.repliers, (timeout) => end.reply(id, timeout), options, id);
  }

  async serveAsync(options) {
    const end = Both.end(this);
    return end.later(end.receivers, (timeout) => end.request(timeout), options);
  }

  async replyAsync(id, data, typeId = 0, options = undefined) {
    const end = Both.end(this);
    await end.later(end.senders, replying(end, id, data, typeId), options);
  }

  requests(options) { return Both.end(this).iterate(() => this.serveAsync(options)); }
  [Symbol.asyncIterator]() { return this.requests(); }
}

// By convention a route and a message type of 16 bits each.
const makeTypeId = (route, type) =>
  ((uint(route, 'route', 0xffff) << 16) | uint(type, 'type', 0xffff)) >>> 0;
const routeId = (typeId) => uint(typeId, 'typeId') >>> 16;
const msgType = (typeId) => uint(typeId, 'typeId') & 0xffff;
const { version } = native;

module.exports = {
  Bus, RpcBus, TxGuard, TxBatch, RxGuard, RxBatch, RpcRxGuard,
  TachyonError, PeerDeadError, AbiMismatchError, ErrorCode, Role, State, EventKind,
  SlowPeer, WithoutPeers, Start, isTachyonError, isFull, isPeerDead, isAbiMismatch,
  makeTypeId, routeId, msgType, version,
};
