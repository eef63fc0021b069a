// SPDX-License-Identifier: Apache-2.0
'use strict';
// The generated module, and what its constants mean.

const host = `${process.platform}-${process.arch}`;
let native;
try {
  native = require(`../prebuilds/${host}/tachyon.node`);
} catch (cause) {
  const why = cause.message.split('\n')[0];
  throw new Error(`@tachyon-ipc/core has no module for ${host} that loads: ${why}`, { cause });
}

/** ERR_PEER_DEAD becomes PeerDead. */
function constants(prefix) {
  const camel = (name) => name.toLowerCase().replace(/(?:^|_)(.)/g, (_, c) => c.toUpperCase());
  const names = Object.getOwnPropertyNames(native).filter((name) => name.startsWith(prefix));
  return Object.freeze(Object.fromEntries(
    names.map((name) => [camel(name.slice(prefix.length)), native[name]])));
}

module.exports = { native, ErrorCode: constants('ERR_'), Role: constants('ROLE_'),
  State: constants('STATE_') };
