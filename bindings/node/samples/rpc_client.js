// SPDX-License-Identifier: Apache-2.0
// rpc_client PATH WORD...: calls with each word and prints the reply.
'use strict';
const { RpcBus } = require('@tachyon-ipc/core');

async function main(path, ...words) {
  const rpc = await RpcBus.rpcConnectAsync(path, { timeout: 10_000 });
  for (const word of words) {
    const { data } = await rpc.callAsync(Buffer.from(word), 1);
    console.log(`${word} -> ${data}`);
  }
  rpc.close();
}

main(...process.argv.slice(2));
