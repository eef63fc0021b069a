// SPDX-License-Identifier: Apache-2.0
'use strict';
// The operations `produce` and `consume` of the peer, which are there for their speed.

const { TachyonError, ErrorCode } = require('@tachyon-ipc/core');

const TICKS = 1000; // in a batch
const now = () => Number(process.hrtime.bigint());

let memory, doubles, ints; // words over the whole memory in which ticks lie
/** Where a tick is in it; it lies elsewhere only now and then. */
function locate({ buffer, byteOffset }) {
  if (buffer !== memory) {
    memory = buffer;
    doubles = new Float64Array(buffer, 0, buffer.byteLength >>> 3);
    ints = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  }
  return byteOffset;
}

function write(at, i) {
  const word = at >>> 2;
  ints[word] = 0x59484354; // TCHY
  ints[word + 1] = 0;
  doubles[(at >>> 3) + 1] = 100 + i * 0.25;
  ints[word + 4] = i % 1000;
  ints[word + 5] = 0;
  ints[word + 6] = i;
  ints[word + 7] = 0;
}

function tell({ print, count, qty, price, start }) {
  const each = (now() - start) / count;
  print(`count ${count} qty ${qty} price ${price.toFixed(2)} ns ${each.toFixed(1)}`);
}

function produce(bus, { count, how, wait, print }) {
  const buffer = Buffer.from(new ArrayBuffer(32 * TICKS));
  const one = buffer.subarray(0, 32);
  const start = now();
  for (let i = 0; i < count;) {
    if (how === 'batch') {
      const n = Math.min(TICKS, count - i);
      const base = locate(buffer);
      for (let k = 0; k < n; k++) write(base + 32 * k, i + k);
      i += bus.sendBatch(n < TICKS ? buffer.subarray(0, 32 * n) : buffer, 32, 7, wait);
    } else if (how === 'single') {
      write(locate(one), i++);
      bus.send(one, 7, wait);
    } else {
      const guard = bus.acquireTx(32, wait);
      write(locate(guard.bytes()), i++);
      guard.commitUnflushed(32, 7);
    }
  }
  bus.flush();
  const end = now();
  let qty = 0,
    price = 0;
  for (let i = 0; i < count; i++) {
    qty += i % 1000;
    price += 100 + i * 0.25;
  }
  tell({ print, count, qty, price, start: start + now() - end });
  bus.close();
}

/** Fields, since a variable that a closure shares is a new object with each sum. */
class Sums {
  count = 0; qty = 0; price = 0; rest = 0; start = 0;

  add(at) {
    const word = at >>> 2;
    this.count++;
    this.price += doubles[(at >>> 3) + 1];
    this.qty += ints[word + 4];
    this.rest +=
      ints[word] + ints[word + 1] + ints[word + 5] + ints[word + 6] + ints[word + 7];
  }
}

function consume(bus, { how, wait, print }) {
  const sums = new Sums();
  const receive = () => {
    if (how === 'single') {
      const { data } = bus.recv(10_000, wait);
      sums.start ||= now();
      sums.add(locate(data));
      return;
    }
    const taken =
      how === 'batch'
        ? bus.drainBatch(TICKS, 10_000, wait)
        : bus.acquireRx(10_000, wait);
    if (taken === null || taken.length === 0)
      throw new TachyonError('nothing came', ErrorCode.Timeout);
    sums.start ||= now();
    if (how === 'batch') {
      const base = locate(taken.memory);
      for (let i = 0; i < taken.length; i++) sums.add(base + taken.offset(i));
    } else {
      sums.add(locate(taken.data()));
    }
    taken.commit();
  };
  try {
    for (;;) receive();
  } catch (error) {
    if (error.code !== ErrorCode.Closed) {
      print(`error ${error.code ?? error}`);
      process.exit(1);
    }
  }
  tell({ print, ...sums });
  bus.close();
  return sums.rest;
}

module.exports = { produce, consume };
