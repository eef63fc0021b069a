// SPDX-License-Identifier: Apache-2.0
'use strict';
const core = require('@tachyon-ipc/core');

let number = 0;
const path = () =>
  `@node-${process.pid}-${require('node:worker_threads').threadId}-${number++}`;

/** Two ends in one process, the one that listens first. */
async function pair(capacity = 65536, options = {}) {
  const at = path();
  return Promise.all([
    core.Bus.listenAsync(at, capacity, { timeout: 10_000, ...options }),
    core.Bus.connectAsync(at, { timeout: 10_000, ...options }),
  ]);
}

/** Callee and caller. */
async function rpcPair(capacity = 65536) {
  const at = path();
  return Promise.all([
    core.RpcBus.rpcListenAsync(at, capacity, capacity, { timeout: 10_000 }),
    core.RpcBus.rpcConnectAsync(at, { timeout: 10_000 }),
  ]);
}

const delay = (ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
const code = (name) => ({ name: 'TachyonError', code: core.ErrorCode[name] });
const bytes = (text) => Buffer.from(text);

module.exports = { ...core, path, pair, rpcPair, delay, code, bytes };
