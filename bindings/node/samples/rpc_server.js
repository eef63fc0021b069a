// SPDX-License-Identifier: Apache-2.0
// rpc_server PATH: answers each request with its text in upper case.
'use strict';
const { RpcBus } = require('@tachyon-ipc/core');

async function main(path) {
  const rpc = await RpcBus.rpcListenAsync(path, 65536, 65536);
  let served = 0;
  for await (const { correlationId, data, typeId } of rpc) {
    const answer = data.toString('latin1').replace(/[a-z]/g, (c) => c.toUpperCase());
    await rpc.replyAsync(correlationId, Buffer.from(answer, 'latin1'), typeId);
    served++;
  }
  rpc.close();
  console.log(`served ${served}`);
}

main(...process.argv.slice(2));
