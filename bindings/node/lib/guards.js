// SPDX-License-Identifier: Apache-2.0
'use strict';
// Messages in place. A guard is in force until it is finished, or a later call on the
// same side of the bus takes its place.

const { ErrorCode } = require('./native.js');
const { failure, uint } = require('./errors.js');

const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');

/** A close takes all guards away, so one look is enough while all is well. */
function inForce(end, side, guard) {
  if (end[side] === guard) return end;
  if (end.closed) throw failure(ErrorCode.Closed, 'the bus is closed');
  const why = 'this guard is over: finished, or a later call took its place';
  throw failure(ErrorCode.Empty, why);
}

class Reserved {
  #end; #offset; #size; #bytes;

  constructor(end, offset, size) {
    this.#end = end;
    this.#offset = offset;
    this.#size = size;
    end.tx = this;
  }

  bytes() {
    const end = inForce(this.#end, 'tx', this);
    return this.#bytes ??= end.view(this.#offset, this.#size);
  }

  static finish(guard, size, most, typeId, call) {
    const end = inForce(guard.#end, 'tx', guard);
    uint(size, 'size', most ?? guard.#size);
    uint(typeId, 'typeId');
    if (guard.#bytes && !end.ring) end.check(end.raw.poke(guard.#offset, guard.#bytes));
    end.check(end.raw[call](size, typeId));
    end.tx = null;
  }

  rollback() {
    const end = inForce(this.#end, 'tx', this);
    end.tx = null;
    end.check(end.raw.rollback());
  }

  [dispose]() { if (this.#end.tx === this) this.rollback(); }
}

class TxGuard extends Reserved {
  commit(size, typeId = 0) { Reserved.finish(this, size, undefined, typeId, 'publish'); }

  commitUnflushed(size, typeId = 0) {
    Reserved.finish(this, size, undefined, typeId, 'commit');
  }
}

class TxBatch extends Reserved {
  #itemSize;

  constructor(end, offset, itemSize) {
    const { count, stride } = end.raw;
    super(end, offset, count * stride);
    this.length = count;
    this.stride = stride;
    this.#itemSize = itemSize;
  }

  at(i) {
    const at = uint(i, 'index', this.length - 1) * this.stride;
    return this.bytes().subarray(at, at + this.#itemSize);
  }

  commit(count, typeId = 0) {
    Reserved.finish(this, count, this.length, typeId, 'publishBatch');
  }
}

class Received {
  #end;

  constructor(end) {
    this.#end = end;
    end.rx = this;
  }

  static end(guard) { return inForce(guard.#end, 'rx', guard); }

  commit() {
    const end = Received.end(this);
    end.rx = null;
    if (this.length === 0 || !end.raw.release) return; // or copied: of an RPC bus
    end.check(end.raw.release(0));
  }

  [dispose]() { if (this.#end.rx === this) this.commit(); }
}

class RxGuard extends Received {
  #offset; #data;

  constructor(end) {
    super(end);
    const views = end.views();
    this.#offset = views[0];
    this.actualSize = views[1];
    this.typeId = views[2];
  }

  data() {
    const end = Received.end(this);
    return this.#data ??= end.view(this.#offset, this.actualSize);
  }
}

class RpcRxGuard extends Received {
  #data;

  constructor(end, { data, typeId, correlationId }) {
    super(end);
    this.#data = data;
    this.actualSize = data.length;
    this.typeId = this.msgType = typeId;
    this.correlationId = correlationId;
  }

  data() { return Received.end(this) && this.#data; }
}

class RxBatch extends Received {
  #views; #memory;

  constructor(end, length) {
    super(end);
    this.length = length;
    this.#views = length ? end.views() : [];
    this.#memory = end.memory() ?? this.#copy(end);
  }

  #copy(end) {
    let at = 0;
    return Buffer.concat(Array.from({ length: this.length }, (_, i) => {
      const [offset, size] = this.#views.subarray(4 * i);
      this.#views[4 * i] = at;
      at += size;
      return end.raw.peek(offset, size);
    }));
  }

  #field(i, field) {
    Received.end(this);
    if (i >= 0 && i < this.length) return this.#views[4 * i + field];
    throw new RangeError(`no message ${i} of ${this.length}`);
  }

  get memory() { return Received.end(this) && this.#memory; }
  offset(i) { return this.#field(i, 0); }
  size(i) { return this.#field(i, 1); }
  typeId(i) { return this.#field(i, 2); }

  at(i) {
    const offset = this.#field(i, 0), size = this.#views[4 * i + 1];
    const data = this.#memory.subarray(offset, offset + size);
    return { data, typeId: this.#views[4 * i + 2], size };
  }

  * [Symbol.iterator]() { for (let i = 0; i < this.length; i++) yield this.at(i); }
}

module.exports = { TxGuard, TxBatch, RxGuard, RpcRxGuard, RxBatch, dispose };
