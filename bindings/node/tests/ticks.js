// SPDX-License-Identifier: Apache-2.0
'use strict';
// The operations `produce` and `consume` of the peer, which are there for their speed.

const { TachyonError, ErrorCode } = require('@tachyon-ipc/core');

const TICKS = 1000; // in a batch
const now = () => Number(process.hrtime.bigint());

/** Ticks in a buffer: words for each kind of field, over the same bytes. */
function words(buffer) {
  const { buffer: bytes, byteOffset, length } = buffer;
  if (byteOffset % 8 !== 0) throw new RangeError('ticks are aligned to 8 bytes');
  return [new Float64Array(bytes, byteOffset, length >> 3),
    new Uint32Array(bytes, byteOffset, length >> 2)];
}

function write(doubles, ints, at, i) {
  const d = at >> 3, w = at >> 2;
  ints[w] = 0x59484354; // TCHY
  ints[w + 1] = 0;
  doubles[d + 1] = 100 + i * 0.25;
  ints[w + 4] = i % 1000;
  ints[w + 5] = 0;
  ints[w + 6] = i;
  ints[w + 7] = 0;
}

function produce(bus, { count, how, wait, print }) {
  const buffer = Buffer.from(new ArrayBuffer(how === 'batch' ? 32 * TICKS : 32));
  const [doubles, ints] = words(buffer);
  const start = now();
  for (let i = 0; i < count;) {
    if (how === 'batch') {
      const n = Math.min(TICKS, count - i);
      for (let k = 0; k < n; k++) write(doubles, ints, 32 * k, i + k);
      i += bus.sendBatch(buffer.subarray(0, 32 * n), 32, 7, wait);
    } else if (how === 'single') {
      write(doubles, ints, 0, i++);
      bus.send(buffer, 7, wait);
    } else {
      const guard = bus.acquireTx(32, wait);
      write(...words(guard.bytes()), 0, i++);
      guard.commitUnflushed(32, 7);
    }
  }
  bus.flush();
  const each = (now() - start) / count;
  let qty = 0, price = 0;
  for (let i = 0; i < count; i++) {
    qty += i % 1000;
    price += 100 + i * 0.25;
  }
  print(`count ${count} qty ${qty} price ${price.toFixed(2)} ns ${each.toFixed(1)}`);
  bus.close();
}

function consume(bus, { how, wait, print }) {
  let count = 0, qty = 0, price = 0, check = 0, start = 0;
  const add = (doubles, ints, at) => {
    const d = at >> 3, w = at >> 2;
    count++;
    price += doubles[d + 1];
    qty += ints[w + 4];
    check += ints[w] + ints[w + 1] + ints[w + 5] + ints[w + 6] + ints[w + 7];
  };
  const receive = () => {
    if (how === 'single') {
      const { data } = bus.recv(10_000, wait);
      start ||= now();
      add(...words(data), 0);
      return;
    }
    const batch = bus.drainBatch(how === 'batch' ? TICKS : 1, 10_000, wait);
    if (batch.length === 0) throw new TachyonError('nothing came', ErrorCode.Timeout);
    start ||= now();
    const [doubles, ints] = words(batch.memory);
    for (let i = 0; i < batch.length; i++) add(doubles, ints, batch.offset(i));
    batch.commit();
  };
  try {
    for (;;) receive();
  } catch (error) {
    if (error.code !== ErrorCode.Closed) {
      print(`error ${error.code ?? error}`);
      process.exit(1);
    }
  }
  const each = (now() - start) / count;
  print(`count ${count} qty ${qty} price ${price.toFixed(2)} ns ${each.toFixed(1)}`);
  bus.close();
  return check;
}

module.exports = { produce, consume };
