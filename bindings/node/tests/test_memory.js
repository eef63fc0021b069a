// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { readdirSync, readFileSync } = require('node:fs');
const { pair, delay, bytes } = require('./support.js');

const copies = process.env.TACHYON_NODE_COPY === '1';
const mapped = () =>
  readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.includes('memfd:tachyon ')).length;

async function collect(until) {
  for (let i = 0; i < 50 && !until(); i++) {
    globalThis.gc();
    await delay(10);
  }
}

/** A view of a ring whose two ends are gone: closed, or only dropped. */
async function viewOf(close) {
  const [a, b] = await pair(65536);
  a.send(Buffer.alloc(5000, 'kept'), 1);
  const view = b.acquireRx().data();
  if (close) {
    b.close();
    a.close();
  }
  return view;
}

test('a view keeps the ring mapped when its bus is gone', async () => {
  for (const close of [false, true]) {
    let view = await viewOf(close);
    await collect(() => mapped() <= 2);
    if (!copies) assert.ok(mapped() > 0, 'mapped as long as there is a view');
    assert.deepEqual(view, Buffer.alloc(5000, 'kept'));
    view[0] = 1; // the page is there to be written, too
    view = null;
    await collect(() => mapped() === 0);
    assert.equal(mapped(), 0, 'and no longer');
  }
});

test('a bus without views is unmapped when it is closed', async () => {
  const [a, b] = await pair(65536);
  a.send(bytes('x'));
  b.recv();
  assert.ok(mapped() > 0);
  a.close();
  b.close();
  assert.equal(mapped(), 0);
});

const descriptors = () => readdirSync('/proc/self/fd').length;

test('a view keeps no descriptor', async () => {
  const views = [];
  const before = descriptors();
  for (let i = 0; i < 1000; i++) {
    const [a, b] = await pair(4096);
    const slot = a.acquireTx(1);
    slot.bytes()[0] = i;
    slot.commit(1, 1);
    views.push(b.acquireRx().data());
    a.close();
    b.close();
  }
  assert.ok(descriptors() < before + 10, `${descriptors()} descriptors`);
  views.forEach((view, i) => assert.equal(view[0], i % 256));
});

test('buses that are dropped leave neither memory nor descriptors', async () => {
  const before = descriptors();
  const use = async (i) => {
    const [a, b] = await pair(65536);
    const received = b.recvAsync(); // is waited for
    await delay(1);
    await a.sendAsync(bytes('x'));
    await received;
    a.acquireTx(10).bytes();
    if (i % 2) b.drainBatch(1, 1, { timeout: 0 });
  };
  for (let i = 0; i < 30; i++) await use(i);
  await collect(() => mapped() === 0 && descriptors() <= before);
  assert.equal(mapped(), 0);
  assert.ok(descriptors() <= before, `${descriptors()} descriptors, ${before} before`);
});

test('who awaits keeps the bus', async () => {
  let received;
  const sender = await (async () => {
    const [a, b] = await pair();
    received = b.recvAsync();
    return a;
  })();
  await collect(() => false);
  sender.send(bytes('to whom'));
  assert.equal(String((await received).data), 'to whom');
  sender.close();
});

test(
  'where outside buffers are forbidden, all works on copies',
  { skip: copies },
  () => {
    for (const name of ['bus', 'misuse', 'memory']) {
      execFileSync(
        process.execPath,
        ['--expose-gc', '--test', require.resolve(`./test_${name}.js`)],
        {
          env: { ...process.env, TACHYON_NODE_COPY: '1', NODE_TEST_CONTEXT: undefined },
        },
      );
    }
  },
);
