// SPDX-License-Identifier: Apache-2.0
// send PATH [COUNT=10]: sends `tick 0`, `tick 1`, ... of type 1.
'use strict';
const { Bus } = require('@tachyon-ipc/core');

async function main(path, count = '10') {
  const bus = await Bus.connectAsync(path, { timeout: 10_000 });
  for (let i = 0; i < Number(count); i++) {
    await bus.sendAsync(Buffer.from(`tick ${i}`), 1);
  }
  bus.close();
  console.log(`sent ${count}`);
}

main(...process.argv.slice(2));
