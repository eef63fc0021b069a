// SPDX-License-Identifier: Apache-2.0
'use strict';
// The generated module, and what its constants mean.
const fs = require('node:fs');

// By this name musl is mapped. process.report knows it too, and looks up peers for that.
function libc() {
  try {
    const maps = fs.readFileSync('/proc/self/maps', 'latin1');
    return /\/(ld-musl-.*|libc\.so)$/m.test(maps) ? '-musl' : '';
  } catch {
    return '';
  }
}

const host = `${process.platform}-${process.arch}${libc()}`;
let native;
try {
  native = require(`../prebuilds/${host}/tachyon.node`);
} catch (cause) {
  const why = cause.message.split('\n')[0];
  const what = `@tachyon-ipc/core has no module for ${host} that loads`;
  throw new Error(`${what}: ${why}`, { cause });
}

/** ERR_PEER_DEAD becomes PeerDead. */
function constants(prefix) {
  const found = {};
  for (const name of Object.getOwnPropertyNames(native)) {
    if (!name.startsWith(prefix)) continue;
    const words = name.slice(prefix.length).toLowerCase();
    found[words.replace(/(?:^|_)(.)/g, (_, c) => c.toUpperCase())] = native[name];
  }
  return Object.freeze(found);
}

const SlowPeer = Object.freeze({
  Wait: native.SLOW_BLOCK, Disconnect: native.SLOW_DISCONNECT,
});
const Start = Object.freeze({ Now: native.START_NOW, Oldest: native.START_OLDEST });

module.exports = { native, ErrorCode: constants('ERR_'), Role: constants('ROLE_'),
  State: constants('STATE_'), EventKind: constants('EVENT_'), SlowPeer,
  WithoutPeers: constants('WITHOUT_PEERS_'), Start };
