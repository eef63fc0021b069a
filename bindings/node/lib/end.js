// SPDX-License-Identifier: Apache-2.0
'use strict';
// One end of a bus, of either kind: how it opens, waits and closes. What may wait is an
// attempt(seconds), which gives what it has got, or minus an ErrorCode.

const { isMainThread } = require('node:worker_threads');
const { native, ErrorCode, Role } = require('./native.js');
const { failure, aborted, typed, text, uint, seconds } = require('./errors.js');

const { Empty, Full, Timeout, Closed, InvalidSz, Interrupted } = ErrorCode;
const FOREVER = -1;
// Seconds after which a worker that waits can be terminated.
const SLICE = isMainThread ? FOREVER : 0.1;
const PAUSE = 64; // most milliseconds between two vain looks for peers
const BURST = 256; // promises settled at once before the event loop has its turn
const HEADER = 8; // bytes before a message that receive() has written
const COPY = process.env.TACHYON_NODE_COPY === '1'; // as if the runtime lent no memory
const area = Buffer.alloc(HEADER + 65536); // a message on its way into its own Buffer
const areaType = new Uint32Array(area.buffer, area.byteOffset, 1);

const wouldWait = (result) => result === -Empty || result === -Full;
const nothing = (result) =>
  wouldWait(result) || result === -Timeout || result === -Interrupted;

function plain(struct) {
  const object = {};
  for (const key in struct) {
    if (typeof struct[key] !== 'function') object[key] = struct[key];
  }
  return object;
}

/** The same with the peer's process and user as one. */
function withWho(struct) {
  const { pid, uid, gid, ...rest } = plain(struct);
  return { ...rest, who: { pid, uid, gid } };
}

class End {
  watcher = null; opening = false; closed = false;
  spins = native.TACHYON_DEFAULT_SPIN; burst = 0;
  tx = null; rx = null; // the guards in force
  ring = COPY ? null : undefined; table = this.ring; // null: only copies are allowed
  receivers = []; repliers = []; senders = []; acceptors = []; // who awaits, in order
  broadcasts = false; pause = 0; pausing = null; // of many peers
  replies = new Map(); // that have come while others were awaited

  constructor(raw, caller) {
    this.raw = raw;
    this.caller = caller;
  }

  check(result) {
    if (typeof result !== 'number' || result >= 0) return result;
    throw failure(-result, this.raw.errorText());
  }

  /** A struct that the core has filled in, as a plain object. */
  struct(value) {
    this.check(-this.raw.error);
    return plain(value);
  }

  // ---- Opening and closing ----

  start(call, path, sizes, options) {
    text(path, 'path');
    const made = new native.Options();
    made.timeout = seconds(options?.timeout, call.startsWith('listen') ? FOREVER : 0);
    made.mode = uint(options?.mode ?? 0, 'mode', 0o7777);
    made.role = uint(options?.role ?? 0, 'role', 2);
    made.schema = options?.schema ?? 0n;
    if (options?.types !== undefined) made.setTypes(text(options.types, 'types'));
    made.typesRequired = Number(
      typed(options?.typesRequired ?? false, 'boolean', 'typesRequired'));
    this.setPeers(made, options ?? {});
    for (const uid of options?.allowedUids ?? []) made.allowUid(uint(uid, 'a user id'));
    for (const size of sizes) uint(size, 'capacity', Number.MAX_SAFE_INTEGER);
    this.check(this.raw[`${call}Start`](path, ...sizes, made));
  }

  /** What concerns one listener with many peers. */
  setPeers(made, options) {
    made.maxPeers = uint(options.maxPeers ?? 0, 'maxPeers');
    this.broadcasts = made.maxPeers > 0 && made.role === Role.Producer;
    made.slowPeer = uint(options.slowPeer ?? 0, 'slowPeer', 1);
    made.slowAfter = seconds(options.slowAfter, 0, 'slowAfter');
    made.withoutPeers = uint(options.withoutPeers ?? 0, 'withoutPeers', 1);
    made.keepPlace = seconds(options.keepPlace, 0, 'keepPlace');
    const { start = 0, name } = options;
    if (typeof start === 'object') {
      made.start = native.START_POSITION;
      made.startPosition = typed(start.position, 'bigint', 'start.position');
      made.startEpoch = typed(start.epoch, 'bigint', 'start.epoch');
    } else {
      made.start = uint(start, 'start', 1);
    }
    if (name !== undefined) made.setName(text(name, 'name'));
  }

  open(call, path, sizes, options) {
    this.start(call, path, sizes, options);
    while (this.check(this.raw.openSlice(SLICE)) === 0);
  }

  async openLater(call, path, sizes, options) {
    if (options?.signal?.aborted) throw aborted(options.signal);
    this.start(call, path, sizes, options);
    this.opening = true;
    const step = () => {
      this.unwatch(); // the step may close the descriptor, and open the bus's own
      return this.raw.openStep() || -Empty;
    };
    try {
      await this.later(this.receivers, step, { signal: options?.signal });
    } catch (error) {
      this.end('close');
      throw error;
    }
    this.opening = false;
  }

  end(call) {
    this.closed = true;
    this.unwatch();
    this.raw[call]();
    this.tx = this.rx = this.ring = this.table = null;
    this.fail(failure(Closed, 'the bus is closed'));
  }

  // ---- Waiting here ----

  wait(attempt, timeout) {
    if (isMainThread || timeout === 0) return attempt(timeout);
    const until = timeout < 0 ? Infinity : performance.now() / 1000 + timeout;
    for (;;) { // only between two slices a worker can be terminated
      const left = until - performance.now() / 1000;
      const result = attempt(Math.max(Math.min(left, SLICE), 1e-6));
      if (result !== -Timeout || left <= SLICE) return result;
    }
  }

  send(attempt, options) {
    return this.check(this.wait(attempt, seconds(options?.timeout, 0)));
  }

  receive(attempt, spin, options) {
    if (spin !== this.spins) this.raw.spin = this.spins = uint(spin, 'spin');
    return this.wait(attempt, seconds(options?.timeout, FOREVER));
  }

  /** Who has come or gone. */
  event(timeout) {
    if (this.broadcasts) this.raw.flush(); // lets out who has gone
    const event = this.raw.accept(timeout);
    return event.kind === 0 ? -event.reason : withWho(event);
  }

  peers() {
    const peers = this.raw.peers();
    this.check(-this.raw.error);
    return Array.from({ length: peers.count }, (_, i) => withWho(peers.at(i)));
  }

  /** How many went. What a slice has sent of them, the next does not send again. */
  sendBatch(items, itemSize, typeId, options) {
    let sent = 0;
    const attempt = (timeout) => {
      const count = this.raw.sendBatch(items, itemSize, typeId, timeout);
      const { buffer, byteOffset, byteLength } = items, size = count * itemSize;
      if (count < 0 || size === byteLength) return count;
      sent += count;
      items = new Uint8Array(buffer, byteOffset + size, byteLength - size);
      return -Timeout;
    };
    const last = this.wait(attempt, seconds(options?.timeout, 0));
    return sent > 0 ? sent + Math.max(last, 0) : this.check(last);
  }

  /** null where nothing came in time. */
  receiveOrNull(attempt, spin = this.spins, options = undefined) {
    const result = this.receive(attempt, spin, options);
    return nothing(result) ? null : this.check(result);
  }

  // ---- Waiting with promises ----

  async later(queue, attempt, options, id = undefined) {
    const { signal, timeout } = options ?? {};
    const limit = seconds(timeout, FOREVER) * 1000;
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError('signal must be an AbortSignal');
    }
    if (signal?.aborted) throw aborted(signal);
    if (this.burst++ === 0) setImmediate(() => { this.burst = 0; });
    if (this.burst > BURST) {
      setImmediate(() => this.pump());
    } else if (queue.length === 0 || queue === this.repliers) {
      const value = attempt(0);
      if (!wouldWait(value) || limit === 0) return this.check(value);
    }
    return new Promise((resolve, reject) => {
      const settle = (how) => (value) => {
        const at = queue.indexOf(waiter);
        if (at < 0) return; // it is settled
        queue.splice(at, 1);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        how(value);
        this.watch();
      };
      const waiter = { attempt, id, resolve: settle(resolve), reject: settle(reject) };
      const abort = () => waiter.reject(aborted(signal));
      const timer = limit >= 0 && limit < 2 ** 31
        ? setTimeout(() => waiter.reject(failure(Timeout)), limit) : undefined;
      signal?.addEventListener('abort', abort, { once: true });
      queue.push(waiter);
      this.watch();
    });
  }

  /** The descriptor is watched while somebody awaits. */
  watch() {
    const receiving = this.receivers.length + this.repliers.length;
    const busy = receiving + this.senders.length > 0;
    if (this.closed || !(busy || this.acceptors.length > 0)) {
      this.watcher?.stop();
      return;
    }
    if (!this.opening) this.raw.watchMessages?.(receiving ? 1 : 0); // of an RPC bus
    try {
      if (!this.watcher) {
        this.watcher = new native.Watcher(this.check(this.raw.fileno()), this.raw);
        this.watcher.ready = () => this.ready();
      }
      if (busy || !this.pausing) this.watcher.start();
    } catch (error) {
      this.fail(error); // nothing would wake them
    }
  }

  /** An end of all that is awaited. */
  fail(error) {
    const { receivers, repliers, senders, acceptors } = this;
    for (const waiter of [...receivers, ...repliers, ...senders, ...acceptors]) {
      waiter.reject(error);
    }
  }

  unwatch() {
    clearTimeout(this.pausing);
    this.pausing = null;
    this.watcher?.close();
    this.watcher = null;
  }

  ready() {
    const { receivers, repliers, senders, acceptors, broadcasts } = this;
    const [first] = acceptors;
    this.pump();
    const others = receivers.length + repliers.length + senders.length;
    if (!first || first !== acceptors[0] || others > 0 || broadcasts) {
      this.pause = 0;
      return;
    }
    // A message that nobody takes keeps it readable: look again in a while.
    this.watcher?.stop();
    this.pause = Math.min(2 * this.pause + 1, PAUSE);
    this.pausing ??= setTimeout(() => {
      this.pausing = null;
      this.watch();
    }, this.pause);
  }

  pump() {
    const serve = (waiter) => {
      try {
        const value = waiter.attempt(0);
        if (wouldWait(value)) return false;
        waiter.resolve(this.check(value));
      } catch (error) {
        waiter.reject(error);
      }
      return true;
    };
    while (this.receivers.length > 0 && serve(this.receivers[0]));
    const over = this.caller && !wouldWait(this.gather());
    for (const waiter of [...this.repliers].sort((a, b) => (a.id ? 0 : 1) - (b.id ? 0 : 1))) {
      if (over || this.replies.has(this.gathered(waiter.id))) serve(waiter);
    }
    while (this.acceptors.length > 0 && serve(this.acceptors[0]));
    if (this.broadcasts && !this.closed) this.raw.flush(); // it lets peers in and out
    while (this.senders.length > 0 && serve(this.senders[0]));
    this.watch();
  }

  async* iterate(next, untilClosed = false) {
    for (;;) {
      let message;
      try {
        message = await next();
      } catch (error) {
        if (error.code !== Closed || (this.closed && !untilClosed)) throw error;
        return; // the peer's end of the stream, or that of all events
      }
      yield message;
    }
  }

  // ---- Messages, copied ----

  message(timeout) {
    this.rx = null;
    const length = this.raw.receive(area, timeout);
    if (length >= 0) {
      const data = Buffer.allocUnsafe(length);
      area.copy(data, 0, HEADER, HEADER + length);
      return { data, typeId: areaType[0] };
    }
    if (length !== -InvalidSz) return length;
    const data = Buffer.allocUnsafe(this.raw.size); // longer than the area
    const result = this.raw.recvInto(data, 0);
    return result < 0 ? result : { data, typeId: this.raw.typeId };
  }

  /** The request or reply whose length the core has just told. */
  held(length) {
    if (length < 0) return length;
    const data = Buffer.allocUnsafe(length);
    const { id: correlationId, typeId } = this.raw;
    this.check(this.raw.copyHeld(data));
    return { data, typeId, correlationId };
  }

  request(timeout) { return this.held(this.raw.nextRequest(timeout)); }

  /** Of those that were gathered: to this call, or with 0n to any. */
  gathered(id) { return id === 0n ? this.replies.keys().next().value : id; }

  reply(id, timeout) {
    const key = this.gathered(id), reply = this.replies.get(key);
    this.replies.delete(key);
    return reply ?? this.held(this.raw.nextReply(id, timeout));
  }

  /** Take all replies that are there, for whatever call; why there are no more. */
  gather() {
    for (;;) {
      const reply = this.held(this.raw.nextReply(0n, 0));
      if (typeof reply === 'number') return reply;
      this.replies.set(reply.correlationId, reply);
    }
  }

  // ---- Messages, in place ----

  memory() {
    if (this.ring === undefined) {
      const memory = this.raw.ringMemory();
      this.ring = memory && Buffer.from(memory);
    }
    return this.ring;
  }

  view(offset, length) {
    const ring = this.memory();
    return ring ? ring.subarray(offset, offset + length)
      : this.raw.peek(offset, length);
  }

  /** Offset, size, type and a zero for each message that was taken. */
  views() {
    if (this.table === undefined) {
      const memory = this.raw.viewMemory();
      this.table = memory && new Uint32Array(memory);
    }
    return this.table ?? new Uint32Array(new Uint8Array(this.raw.views()).buffer);
  }
}

module.exports = { End };
